// Signed links: asked for in batches, kept while they are young, replaced before they run out.

const RENEW_AT = 0.75; // of a link's life, so there is time to try again before it ends
const SHORTEST = 1000; // ms between two questions for one path, however short its links live
const BATCH = 100; // paths in one question

export class Links {
  #sign;
  #kept = new Map(); // path -> { url, dueAt, askedAt }
  #waiting = null; // path -> promise of the question that is being put together

  /** `sign(paths)` promises a Map of path -> { url, expires_in } (seconds), without the paths that can't be signed. */
  constructor(sign) {
    this.#sign = sign;
  }

  /** Give a link that is good for a while: { url, dueAt }. It rejects if there is nothing to link to. */
  async get(path) {
    const kept = this.#kept.get(path);
    if (kept && !isDue(kept)) return kept;
    return this.#ask(path);
  }

  /** Forget a link that turned out to be bad. */
  forget(path) {
    this.#kept.delete(path);
  }

  // What is asked for in the same moment goes in one request.
  #ask(path) {
    if (!this.#waiting) {
      const batch = (this.#waiting = new Map());
      queueMicrotask(() => {
        this.#waiting = null;
        this.#send(batch);
      });
    }
    if (!this.#waiting.has(path)) this.#waiting.set(path, Promise.withResolvers());
    return this.#waiting.get(path).promise;
  }

  async #send(batch) {
    const paths = [...batch.keys()];
    for (let start = 0; start < paths.length; start += BATCH) {
      const some = paths.slice(start, start + BATCH);
      const askedAt = Date.now(); // the browser's clock throughout: it need not agree with the server's
      try {
        const signed = await this.#sign(some);
        for (const path of some) {
          const answer = signed.get(path);
          if (!answer) {
            batch.get(path).reject(new Error("This recording is missing."));
            continue;
          }
          const life = Math.max(SHORTEST, answer.expires_in * 1000 * RENEW_AT);
          const link = { url: answer.url, dueAt: askedAt + life };
          this.#kept.set(path, link);
          batch.get(path).resolve(link);
        }
      } catch (error) {
        for (const path of some) batch.get(path).reject(error);
      }
    }
  }
}

/** Tell whether a link should be replaced. */
export function isDue(link) {
  return Date.now() >= link.dueAt;
}
