// One section on the page: its name, its recording with waveform, and what can be done with it.

import { announce, confirmed, fill, fromTemplate, label, say } from "./dom.js";
import { sortable, takesFiles } from "./dragging.js";
import { send } from "./sending.js";
import { Waveform } from "./waveform.js";
import { clock, size, told } from "./words.js";

const BADGES = {
  missing: ["Missing", "The recording of this section is gone. Choose the file again, and it is back in its place."],
  unreadable: ["Unreadable", "The file is there, but it is no recording that plays. Choose another one."],
  silent: ["Does not play", "The recording is there, but this browser can’t play it."],
  unknown: ["Not checked", "It could not be found out whether the recording is there."],
};

const NOTHING = "nothing";

let sending = Promise.resolve(); // one at a time, so that each gets the room that is left

export class SectionView {
  #page;
  #parts;
  #wave;
  #drawn = null; // the path whose waveform is shown
  #stop = null; // stops the upload that is on its way

  constructor(page, section) {
    this.#page = page;
    this.section = section;
    const { root, parts } = fromTemplate("section-template");
    this.root = root;
    this.#parts = parts;
    root.dataset.section = section.id;
    this.#wave = new Waveform(parts.wave, section.name, (at) => page.playSection(this.section, at));
    this.#listen();
    page.whenSeen(root, () => this.#draw());
    this.update(section);
  }

  /** Show what the book says of it now. */
  update(section) {
    this.section = section;
    const parts = this.#parts;
    const { audioPath, filename, name } = section;
    const duration = this.#page.durationOf(section);
    const verdict = audioPath ? this.#page.checking.verdict(audioPath) : null;
    const badge = BADGES[verdict];
    fill(parts.name, name ?? "");
    fill(parts.text, section.text ?? "");
    this.root.setAttribute("aria-label", name || "Section without a name");
    this.root.classList.toggle("recorded", Boolean(audioPath));
    this.root.dataset.verdict = verdict ?? "none yet";
    this.root.classList.toggle("broken", ["missing", "unreadable"].includes(verdict));
    parts.name.setAttribute("aria-label", "Name of the section");
    parts.handle.setAttribute("aria-label", `Move ${name}: drag, or press the up and down arrow keys`);
    parts.more.setAttribute("aria-label", `More for ${name}`);
    parts.file.setAttribute("aria-label", `Choose a recording for ${name}`);
    parts.fileName.textContent = filename ?? "";
    parts.time.textContent = audioPath && !badge ? clock(duration) : "";
    parts.choose.textContent = audioPath ? (badge ? "Attach again" : "Replace recording") : "Choose a recording";
    parts.wave.hidden = !audioPath || Boolean(badge && verdict !== "unknown");
    parts.attach.hidden = Boolean(audioPath) && !badge;
    parts.detach.hidden = !audioPath;
    parts.hint.classList.toggle("pointer-only", !badge);
    parts.hint.textContent = badge && audioPath ? badge[1] : "or drop it here";
    parts.badge.hidden = !badge;
    parts.badge.textContent = badge?.[0] ?? "";
    parts.again.hidden = verdict !== "unknown";
    parts.play.disabled = !audioPath || this.root.classList.contains("broken");
    this.#wave.name(name || "section");
    this.showPlace();
    if (this.#drawn && this.#drawn !== (audioPath || NOTHING)) this.#draw();
  }

  /** Show where playback is, if it is here. */
  showPlace() {
    const { playback } = this.#page;
    const current = String(playback.item?.id) === String(this.section.id);
    const sounding = current && playback.sounding;
    this.root.classList.toggle("current", current);
    if (current) this.root.setAttribute("aria-current", "true");
    else this.root.removeAttribute("aria-current");
    label(this.#parts.play, sounding ? "pause" : "play", `${sounding ? "Pause" : "Play"} ${this.section.name}`);
    this.#wave.show(current ? playback.time : 0, this.#page.durationOf(this.section));
  }

  /** Let somebody name it. */
  edit() {
    this.#parts.name.focus();
    this.#parts.name.select();
  }

  /** Send a file as the recording of this section. */
  async record(file) {
    const page = this.#page;
    const parts = this.#parts;
    if (this.#stop) return say("A recording for this section is on its way already.", { trouble: true });
    this.#stop = new AbortController();
    parts.trouble.hidden = true;
    parts.sending.hidden = false;
    parts.bar.removeAttribute("value"); // waiting for its turn
    parts.sent.textContent = `Waiting to send ${file.name}`;
    const place = { project_id: page.book.id, chapter_id: page.book.chapterOf(this.section).id, section_id: this.section.id };
    const progress = (share) => {
      parts.bar.value = share;
      parts.sent.textContent = share < 1 ? `${Math.floor(share * 100)} % of ${size(file.size)}` : "Being stored…";
    };
    const mine = sending.then(() => send(page.api, page.config, place, file, { progress, signal: this.#stop.signal }));
    sending = mine.catch(() => {});
    try {
      const stored = await mine;
      const section = page.book.section(this.section.id); // the book may have been loaded anew meanwhile
      if (!section) return say(`“${file.name}” is stored, but its section is gone. It is among the files.`, { trouble: true });
      const old = section.audioPath;
      page.book.attach(section, stored);
      if (old && old !== stored.path && !stored.replaced) page.forgetFile(old);
      announce(`“${stored.filename}” is the recording of ${section.name}.`);
    } catch (error) {
      parts.trouble.textContent = told(error);
      parts.trouble.hidden = false;
    } finally {
      this.#stop = null;
      parts.sending.hidden = true;
      page.roomChanged();
    }
  }

  close() {
    this.#stop?.abort();
    this.root.remove();
  }

  #listen() {
    const { root } = this;
    const parts = this.#parts;
    const page = this.#page;
    const set = (field) => (event) => page.book.set(this.section, field, event.target.value);
    parts.name.addEventListener("input", set("name"));
    parts.text.addEventListener("input", set("text"));
    parts.play.addEventListener("click", () => page.toggleSection(this.section));
    parts.choose.addEventListener("click", () => parts.file.click());
    parts.replace.addEventListener("click", () => parts.file.click());
    parts.file.addEventListener("change", () => {
      const [file] = parts.file.files;
      if (file) this.record(file);
      parts.file.value = "";
    });
    parts.cancel.addEventListener("click", () => this.#stop?.abort());
    parts.again.addEventListener("click", () => page.checking.check([this.section.audioPath], { again: true }));
    parts.up.addEventListener("click", () => this.#step(-1, parts.up));
    parts.down.addEventListener("click", () => this.#step(1, parts.down));
    parts.detach.addEventListener("click", () => this.#detach());
    parts.remove.addEventListener("click", () => this.#remove());
    parts.more.addEventListener("click", () => {
      parts.panel.hidden = !parts.panel.hidden;
      parts.more.setAttribute("aria-expanded", String(!parts.panel.hidden));
    });
    takesFiles(root, (files) => page.recordFrom(this.section, files));
    sortable(root, parts.handle, "section", this.section.id, {
      step: (by) => this.#step(by, parts.handle),
      drop: (id, behind) => page.dropSection(id, this.section, behind),
    });
  }

  #step(by, button) {
    this.#page.book.stepSection(this.section, by);
    button.focus();
    const chapter = this.#page.book.chapterOf(this.section);
    const place = chapter.sections.indexOf(this.section) + 1;
    announce(`${this.section.name} is now section ${place} of ${chapter.name}.`);
  }

  async #detach() {
    const question = `Delete the recording of “${this.section.name}”? This can’t be undone. The section stays.`;
    if (await confirmed(question, "Delete recording")) await this.#page.deleteRecordings([this.section]);
  }

  async #remove() {
    const what = this.section.audioPath ? " and its recording? This can’t be undone." : "?";
    if (await confirmed(`Remove “${this.section.name}”${what}`, "Remove section")) await this.#page.removeSection(this.section);
  }

  async #draw() {
    const { audioPath } = this.section;
    const drawn = (this.#drawn = audioPath || NOTHING);
    const peaks = audioPath ? await this.#page.peaks(audioPath) : null;
    if (this.#drawn === drawn) this.#wave.draw(peaks);
  }
}
