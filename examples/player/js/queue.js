// Sums over a queue of items { id, path, duration }; those without a path are skipped.

/** Give the index of the first item with audio, from an index on in steps of 1 or -1; -1 if there is none. */
export function playable(queue, from, step) {
  for (let index = from; index >= 0 && index < queue.length; index += step) {
    if (queue[index].path) return index;
  }
  return -1;
}

/** Give the seconds before the item at an index, and those of all; what is unknown counts as nothing. */
export function lengths(queue, index) {
  const seconds = queue.map(lengthOf);
  const sum = (some) => some.reduce((total, each) => total + each, 0);
  return { before: sum(seconds.slice(0, Math.max(0, index))), total: sum(seconds) };
}

/** Give the item that plays at a second of the whole: its index, and the second of its own. */
export function placeAt(queue, at) {
  let index = playable(queue, 0, 1);
  for (let next; (next = playable(queue, index + 1, 1)) > 0 && at >= lengthOf(queue[index]); index = next) {
    at -= lengthOf(queue[index]);
  }
  return { index, at };
}

/**
 * Give where an item that plays at an index is in a changed queue: `same`, it is the same recording; `replaced`, it is
 * the same section with another one; neither, what comes in its place (index -1: nothing).
 */
export function whereNow(queue, item, index) {
  const now = queue.findIndex((each) => each.id === item.id);
  if (now >= 0 && queue[now].path) {
    const same = queue[now].path === item.path;
    return { index: now, same, replaced: !same };
  }
  return { index: playable(queue, now >= 0 ? now : index, 1), same: false, replaced: false };
}

/** Take over lengths that were known before. */
export function withLengths(queue, before) {
  const known = new Map(before.map((each) => [each.path, each.duration]));
  return queue.map((each) => ({ ...each, duration: each.duration || known.get(each.path) }));
}

function lengthOf({ path, duration }) {
  return (path && duration) || 0;
}
