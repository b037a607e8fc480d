// Drag and drop: files from outside, and sections and chapters that change places. Everything can be done without it too.

/** Take dropped files: `take(files)` is called with those that are dropped on an element. */
export function takesFiles(element, take) {
  let inside = 0; // enter and leave come for each child as well
  const show = () => element.classList.toggle("over", inside > 0);
  element.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.stopPropagation();
    inside++;
    show();
  });
  element.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    event.stopPropagation();
    inside = Math.max(0, inside - 1);
    show();
  });
  element.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = "copy";
  });
  element.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    inside = 0;
    show();
    take([...event.dataTransfer.files]);
  });
}

/** Keep files that miss their place from replacing the page. */
export function guardPage() {
  for (const type of ["dragover", "drop"]) {
    document.addEventListener(type, (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "none";
    });
  }
}

/**
 * Let an element be dragged by its handle, and others of its kind be dropped before or behind it. `drop(id, behind)` is called
 * with the id of the one that was dropped here. On the handle, the arrow keys call `step(-1)` and `step(1)`.
 */
export function sortable(element, handle, kind, id, { drop, step }) {
  const type = `application/x-${kind}`;
  const behind = (event) => {
    const { top, height } = element.getBoundingClientRect();
    return event.clientY > top + height / 2;
  };
  const clear = () => element.classList.remove("drop-before", "drop-behind");
  handle.draggable = true;
  handle.addEventListener("dragstart", (event) => {
    event.stopPropagation();
    event.dataTransfer.setData(type, String(id));
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setDragImage(element, 16, 16);
    element.classList.add("dragged");
  });
  handle.addEventListener("dragend", () => element.classList.remove("dragged"));
  handle.addEventListener("keydown", (event) => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  });
  element.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes(type)) return;
    event.preventDefault();
    event.stopPropagation();
    clear();
    element.classList.add(behind(event) ? "drop-behind" : "drop-before");
  });
  element.addEventListener("dragleave", clear);
  element.addEventListener("drop", (event) => {
    clear();
    if (!event.dataTransfer.types.includes(type)) return;
    event.preventDefault();
    event.stopPropagation();
    drop(event.dataTransfer.getData(type), behind(event));
  });
}

function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}
