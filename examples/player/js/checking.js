// Which recordings of a book are missing: the server looks whether they are there, and the page whether they play here.
//
// A verdict is "ok", "missing", "unreadable", "silent" (it is there, and does not play here) or "unknown" (ask again later).
// Event: "change".

const PATIENCE = 5000; // ms that a recording may take until it could start
const AT_ONCE = 3;

export class Checking extends EventTarget {
  #api;
  #links;
  #verdicts = new Map(); // path -> verdict
  #durations = new Map(); // path -> seconds, as a side effect
  #running = new Set();

  constructor(api, links) {
    super();
    this.#api = api;
    this.#links = links;
  }

  verdict(path) {
    return this.#verdicts.get(path) ?? null;
  }

  duration(path) {
    return this.#durations.get(path);
  }

  /** Look at what has not been looked at; what is known is asked again only with `again`. */
  async check(paths, { again = false } = {}) {
    const asked = [...new Set(paths)].filter((path) => (again || !this.#verdicts.has(path)) && !this.#running.has(path));
    if (!asked.length) return;
    for (const path of asked) this.#running.add(path);
    try {
      const found = await this.#api.check(asked);
      const there = asked.filter((path) => !["missing", "unreadable"].includes(found.get(path)));
      for (const path of asked) if (!there.includes(path)) this.#verdicts.set(path, found.get(path));
      this.dispatchEvent(new Event("change"));
      const queue = [...there];
      const work = async () => {
        for (let path; (path = queue.shift()); ) await this.#try(path, found.get(path) ?? "unknown");
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
    } catch {
      for (const path of asked) if (!this.#verdicts.has(path)) this.#verdicts.set(path, "unknown");
      this.dispatchEvent(new Event("change"));
    } finally {
      for (const path of asked) this.#running.delete(path);
    }
  }

  async #try(path, server) {
    let here = "unknown";
    try {
      const { url } = await this.#links.get(path);
      const duration = await plays(url);
      if (Number.isFinite(duration)) this.#durations.set(path, duration);
      here = duration === null ? "unknown" : "ok"; // slow is not broken
    } catch (error) {
      if (error instanceof MediaError) here = server === "unknown" ? "unknown" : "silent";
    }
    this.#verdicts.set(path, here);
    this.dispatchEvent(new Event("change"));
  }
}

// Promises the length in seconds, or null if it took too long; rejects with a MediaError.
function plays(url) {
  const audio = new Audio();
  audio.preload = "metadata"; // enough to decode the beginning
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(null), PATIENCE);
    audio.addEventListener("loadeddata", () => resolve(audio.duration));
    audio.addEventListener("error", () => audio.error && reject(audio.error));
    audio.addEventListener("loadeddata", () => clearTimeout(timer));
    audio.src = url;
  }).finally(() => {
    audio.removeAttribute("src");
    audio.load(); // lets go of the connection
  });
}
