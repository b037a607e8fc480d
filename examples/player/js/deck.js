// One <audio> element that plays what it is loaded with, and tells when it is ready.

import { isDue } from "./links.js";

export const LEAD = 0.01; // seconds that an element which is ready needs to start sounding
const AHEAD = 0.3; // seconds ahead of another one's place at which it is taken over

export class Deck {
  #loading = null; // stops the wait of a load that another one replaced

  constructor(audio) {
    this.audio = audio;
    this.item = null;
    this.link = null;
    this.ready = false;
  }

  /** Load an item from a link, to start at a time; resolves when it could start at once. */
  async load(item, link, at = 0) {
    this.#begin(item, link);
    this.audio.src = link.url;
    this.audio.load();
    if (at > 0) this.audio.currentTime = at;
    await this.#once("canplay");
    this.ready = true;
  }

  /** Go to another place of what is loaded; resolves when it could go on from there at once. */
  async seek(at) {
    this.#begin(this.item, this.link);
    this.audio.currentTime = at;
    await this.#once("seeked");
    if (this.audio.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) await this.#once("canplay");
    this.ready = true;
  }

  /** Load what another deck plays from a fresh link; resolves in the moment in which this one can go on in its place. */
  async catchUp(other, link) {
    const at = other.time + AHEAD;
    await this.load(other.item, link, at);
    if (other.time > at) await this.seek(other.time + AHEAD);
    const wait = Math.max(0, this.time - other.time - LEAD) * 1000;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }

  /** Whether it is at the beginning of an item, and could start at once. */
  waitsFor(item) {
    return this.ready && this.time === 0 && this.item.path === item.path && !isDue(this.link);
  }

  /** Be empty, and hold no connection. */
  release() {
    this.#begin(null, null);
    this.audio.pause();
    if (!this.audio.hasAttribute("src")) return;
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  get time() {
    return this.audio.currentTime;
  }

  /** Seconds to the end, or infinity as long as the end is unknown. */
  get left() {
    const { duration, currentTime } = this.audio;
    return Number.isFinite(duration) ? duration - currentTime : Infinity;
  }

  #begin(item, link) {
    this.#loading?.abort();
    this.#loading = new AbortController();
    this.ready = false;
    this.item = item;
    this.link = link;
  }

  #once(event) {
    const { signal } = this.#loading;
    return new Promise((resolve, reject) => {
      const listening = new AbortController();
      const options = { signal: listening.signal };
      const settle = (how) => (value) => {
        listening.abort();
        how(value);
      };
      this.audio.addEventListener(event, settle(resolve), options);
      this.audio.addEventListener("error", settle(() => reject(this.audio.error)), options);
      signal.addEventListener("abort", settle(() => reject(new DOMException("Replaced.", "AbortError"))), options);
    });
  }
}
