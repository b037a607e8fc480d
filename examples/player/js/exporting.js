// The finished book: choose a format, watch it being made, save the ZIP. It goes on when the page is loaded again.

import { say } from "./dom.js";
import { many, size } from "./words.js";

const NAMES = { mp3: "MP3, a file per chapter", m4b: "M4B, one audiobook file", m4a: "M4A, a file per chapter" };
const ASK = 700; // ms between two questions about how far it is

export class Exporting {
  #api;
  #book;
  #parts = {};
  #key;
  #timer = null;
  #busy = false;
  #listening = new AbortController();

  constructor(api, config, book) {
    this.#api = api;
    this.#book = book;
    this.#key = `export:${book.id}`;
    for (const part of document.querySelectorAll("#export [data-part]")) this.#parts[part.dataset.part] = part;
    const { format, begin, download } = this.#parts;
    const option = (name) => new Option(NAMES[name] ?? `${name.toUpperCase()}, a file per chapter`, name);
    format.replaceChildren(...config.export_formats.map(option));
    const { signal } = this.#listening;
    begin.addEventListener("click", () => this.#begin(), { signal });
    download.addEventListener("click", () => this.#download(), { signal });
    this.#clear();
    const id = sessionStorage.getItem(this.#key);
    if (id) this.#watch(id);
  }

  close() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#listening.abort();
  }

  #clear() {
    const { trouble, done, working, begin } = this.#parts;
    for (const part of [trouble, done, working]) part.hidden = true;
    begin.disabled = false;
  }

  async #begin() {
    this.#clear();
    const { begin, format } = this.#parts;
    begin.disabled = true;
    try {
      const { exportId } = await this.#api.beginExport(this.#book.data, format.value);
      sessionStorage.setItem(this.#key, exportId);
      this.#show({ status: "waiting", progress: 0 });
      this.#watch(exportId);
    } catch (error) {
      this.#fail(error.message);
    }
  }

  async #watch(id) {
    try {
      const now = await this.#api.export(id);
      if (this.#listening.signal.aborted) return;
      this.#show(now);
      if (now.status === "waiting" || now.status === "running") this.#timer = setTimeout(() => this.#watch(id), ASK);
    } catch (error) {
      if (error.status === 404) {
        sessionStorage.removeItem(this.#key); // it was kept for a day, and that is over
        this.#clear();
      } else if (error.status === 0 || error.status >= 500 || error.status === 429) {
        this.#timer = setTimeout(() => this.#watch(id), 5 * ASK);
      } else {
        this.#fail(error.message);
      }
    }
  }

  #show({ status, progress, error, files = [], missing = [] }) {
    const { working, bar, words, done, result, lacking, begin } = this.#parts;
    const busy = status === "waiting" || status === "running";
    this.#busy ||= busy;
    working.hidden = !busy;
    begin.disabled = busy;
    bar.value = progress;
    words.textContent = status === "waiting" ? "Waiting for its turn…" : `${progress} %`;
    done.hidden = status !== "finished";
    if (status === "failed") return this.#fail(error || "The export failed. Please try again.");
    if (status !== "finished") return;
    if (this.#busy) say("The book is ready to be saved."); // not if it was so when the page came
    this.#busy = false;
    const bytes = files.reduce((sum, file) => sum + file.size, 0);
    result.textContent = `${many(files.length, "file")}, ${size(bytes)}`;
    lacking.hidden = !missing.length;
    const broken = missing.some(({ reason }) => reason === "unreadable") ? ", or one that can't be read" : "";
    const names = missing.map(({ name }) => name).join(", ");
    lacking.textContent = `Without ${many(missing.length, "section")} that had no recording${broken}: ${names}.`;
  }

  // The address is good for some minutes only, so it is asked for when it is needed.
  async #download() {
    try {
      const { download_url: url } = await this.#api.export(sessionStorage.getItem(this.#key));
      const link = document.createElement("a");
      link.href = url;
      link.click();
    } catch (error) {
      this.#fail(error.message);
    }
  }

  #fail(message) {
    const { trouble, working, begin } = this.#parts;
    trouble.textContent = message;
    trouble.hidden = false;
    working.hidden = true;
    begin.disabled = false;
  }
}
