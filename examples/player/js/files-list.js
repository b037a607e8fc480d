// The recordings that are stored for this book, also those that no section uses.

import { confirmed, fromTemplate, say } from "./dom.js";
import { clock, many, size } from "./words.js";

export class FilesList {
  #page;
  #parts = {};
  #files = [];
  #next = null;
  #listening = new AbortController();

  constructor(page) {
    this.#page = page;
    for (const part of document.querySelectorAll("#files [data-part]")) this.#parts[part.dataset.part] = part;
    this.#parts.further.addEventListener("click", () => this.#more(), { signal: this.#listening.signal });
  }

  close() {
    this.#listening.abort();
  }

  async refresh() {
    this.#files = [];
    this.#next = null;
    await this.#more();
  }

  /** Show which section has which file, after a change of the book. */
  show() {
    const { list, count, further, none } = this.#parts;
    count.textContent = many(this.#files.length, "file") + (this.#next ? " and more" : "");
    none.hidden = this.#files.length > 0;
    further.hidden = !this.#next;
    list.replaceChildren(...this.#files.map((file) => this.#row(file)));
  }

  async #more() {
    try {
      const { files, next } = await this.#page.api.files(this.#page.book.id, this.#next);
      this.#files = [...(this.#next ? this.#files : []), ...files];
      this.#next = next;
      this.show();
    } catch (error) {
      say(error.message, { trouble: true });
    }
  }

  #row(file) {
    const { root, parts } = fromTemplate("file-template");
    const section = this.#page.book.sections.find((each) => each.audioPath === file.path);
    root.dataset.path = file.path;
    parts.name.textContent = file.filename;
    const facts = [size(file.file_size), file.duration ? clock(file.duration) : null];
    parts.facts.textContent = facts.filter(Boolean).join(" · ");
    parts.use.textContent = section ? section.name : "In no section";
    parts.delete.setAttribute("aria-label", `Delete ${file.filename}`);
    parts.delete.addEventListener("click", () => this.#delete(file, section));
    return root;
  }

  async #delete(file, section) {
    const from = section ? `, the recording of “${section.name}”` : "";
    if (!(await confirmed(`Delete “${file.filename}”${from}? This can’t be undone.`, "Delete file"))) return;
    await this.#page.deleteFile(file.path, section);
  }
}
