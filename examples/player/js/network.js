// Whether somebody is there to ask, and when it is worth asking again.

const AGAIN = 3000; // ms after which it is tried again
const PATIENCE = 5000; // ms that an answer may take

/**
 * Promise whether an error came from a lost connection or a server that is away, and not from what is behind a link. An
 * <audio> element does not tell, so without an error, or with one of its own, it is asked for a byte.
 */
export async function isAway(error, link) {
  if (error && !(error instanceof MediaError)) return isAwayStatus(error.status);
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    const answer = await fetch(link.url, { headers: { Range: "bytes=0-0" }, cache: "no-store", signal });
    await answer.body?.cancel();
    return isAwayStatus(answer.status);
  } catch {
    return true;
  }
}

/** Call `act` once, when the browser says that the network is back, or after a while; gives what takes that back. */
export function whenBack(act) {
  const listening = new AbortController();
  const { signal } = listening;
  const once = () => {
    listening.abort();
    act();
  };
  const timer = setTimeout(once, AGAIN);
  signal.addEventListener("abort", () => clearTimeout(timer));
  window.addEventListener("online", once, { signal });
  return () => listening.abort();
}

function isAwayStatus(status) {
  return status === 0 || status === 429 || status >= 500;
}
