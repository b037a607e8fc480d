// How much room is left: a bar, and words.

import { many, size } from "./words.js";

export class Room {
  #api;
  #parts = {};

  constructor(api) {
    this.#api = api;
    for (const part of document.querySelectorAll("#room [data-part]")) this.#parts[part.dataset.part] = part;
  }

  async refresh() {
    let usage;
    try {
      usage = await this.#api.usage();
    } catch (error) {
      this.#parts.words.textContent = error.message;
      return;
    }
    const { used, reserved, quota, available, files } = usage;
    const { bar, words, left } = this.#parts;
    bar.hidden = quota === null;
    if (quota !== null) {
      bar.max = Math.max(1, quota);
      bar.low = 0.75 * quota;
      bar.high = 0.9 * quota;
      bar.optimum = 0;
      bar.value = used + reserved;
    }
    words.textContent = quota === null ? `${size(used)} used` : `${size(used)} of ${size(quota)} used`;
    const coming = reserved ? `, ${size(reserved)} on the way` : "";
    const free = quota === null ? "" : `, ${size(available)} left`;
    left.textContent = `${many(files, "recording")}${coming}${free}`;
  }
}
