// One chapter on the page, with the list of its sections.

import { announce, confirmed, fill, fromTemplate, label, order } from "./dom.js";
import { sortable, takesFiles } from "./dragging.js";
import { clock, many } from "./words.js";

export class ChapterView {
  #page;

  constructor(page, chapter) {
    this.#page = page;
    this.chapter = chapter;
    const { root, parts } = fromTemplate("chapter-template");
    this.root = root;
    this.parts = parts;
    root.dataset.chapter = chapter.id;
    this.#listen();
  }

  /** Show what the book says of it now, with the views of its sections. */
  update(chapter, sections) {
    this.chapter = chapter;
    const { parts } = this;
    const { name } = chapter;
    const recorded = chapter.sections.filter((section) => section.audioPath);
    const total = recorded.reduce((sum, section) => sum + (this.#page.durationOf(section) || 0), 0);
    const count = chapter.sections.length;
    fill(parts.name, name ?? "");
    this.root.setAttribute("aria-label", name || "Chapter without a name");
    parts.handle.setAttribute("aria-label", `Move ${name}: drag, or press the up and down arrow keys`);
    parts.more.setAttribute("aria-label", `More for ${name}`);
    parts.files.setAttribute("aria-label", `Add recordings to ${name}`);
    parts.facts.textContent =
      recorded.length === count ? many(count, "section") : `${recorded.length} of ${many(count, "section")} recorded`;
    parts.time.textContent = recorded.length ? clock(total) : "";
    parts.empty.hidden = count > 0;
    parts.play.disabled = !recorded.length;
    order(parts.sections, sections);
    this.showPlace();
  }

  /** Let somebody name it. */
  edit() {
    this.parts.name.focus();
    this.parts.name.select();
  }

  /** Show whether playback is here. */
  showPlace() {
    const current = this.#page.playsChapter(this.chapter);
    const sounding = current && this.#page.playback.sounding;
    this.root.classList.toggle("current", current);
    label(this.parts.play, sounding ? "pause" : "play", `${sounding ? "Pause" : "Play"} ${this.chapter.name}`);
  }

  #listen() {
    const { root, parts } = this;
    const page = this.#page;
    parts.name.addEventListener("input", () => page.book.set(this.chapter, "name", parts.name.value));
    parts.play.addEventListener("click", () => page.toggleChapter(this.chapter));
    parts.add.addEventListener("click", () => page.addSection(this.chapter));
    parts.record.addEventListener("click", () => parts.files.click());
    parts.files.addEventListener("change", () => {
      page.recordAll(this.chapter, [...parts.files.files]);
      parts.files.value = "";
    });
    parts.up.addEventListener("click", () => this.#step(-1, parts.up));
    parts.down.addEventListener("click", () => this.#step(1, parts.down));
    parts.remove.addEventListener("click", () => this.#remove());
    parts.more.addEventListener("click", () => {
      parts.panel.hidden = !parts.panel.hidden;
      parts.more.setAttribute("aria-expanded", String(!parts.panel.hidden));
    });
    takesFiles(root, (files) => page.recordAll(this.chapter, files));
    sortable(root, parts.handle, "chapter", this.chapter.id, {
      step: (by) => this.#step(by, parts.handle),
      drop: (id, behind) => page.dropChapter(id, this.chapter, behind),
    });
    // A section that is dropped on a chapter, and on none of its sections, goes to its end.
    root.addEventListener("dragover", (event) => {
      if (event.dataTransfer.types.includes("application/x-section")) event.preventDefault();
    });
    root.addEventListener("drop", (event) => {
      const id = event.dataTransfer.getData("application/x-section");
      if (id) page.dropSectionInto(id, this.chapter);
    });
  }

  #step(by, button) {
    const { book } = this.#page;
    const to = book.chapters.indexOf(this.chapter) + by;
    if (to < 0 || to >= book.chapters.length) return;
    book.moveChapter(this.chapter, to);
    button.focus();
    announce(`${this.chapter.name} is now chapter ${to + 1} of ${book.chapters.length}.`);
  }

  async #remove() {
    const count = this.chapter.sections.filter((section) => section.audioPath).length;
    const what = count ? ` with ${many(count, "recording")}? This can’t be undone.` : "?";
    if (await confirmed(`Remove “${this.chapter.name}”${what}`, "Remove chapter")) await this.#page.removeChapter(this.chapter);
  }
}
