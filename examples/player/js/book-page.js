// One book, open: it holds the parts together. What is done here changes the book, and the book tells everyone.

import { asQueue, Book } from "./book.js";
import { ChapterView } from "./chapter-view.js";
import { Checking } from "./checking.js";
import { fill, order, say } from "./dom.js";
import { Exporting } from "./exporting.js";
import { FilesList } from "./files-list.js";
import { Links } from "./links.js";
import { Playback } from "./playback.js";
import { PlayerBar } from "./player-bar.js";
import { Room } from "./room.js";
import { SaveState } from "./save-state.js";
import { Saving } from "./saving.js";
import { SectionView } from "./section-view.js";
import { POINTS } from "./waveform.js";
import { clock, many } from "./words.js";

export class BookPage {
  #views = { chapters: new Map(), sections: new Map() }; // by id
  #peaks = new Map();
  #durations = new Map(); // path -> seconds, where the book does not say
  #seen = new IntersectionObserver((entries) => this.#onSeen(entries), { rootMargin: "300px" });
  #wanted = new WeakMap(); // element -> what to do when it is seen
  #listening = new AbortController();
  #hears = null; // what was asked for: { chapter } or { section }, an id each

  constructor(api, config, user, project) {
    this.api = api;
    this.config = config;
    this.book = new Book(project.id, project.project_data);
    this.links = new Links((paths) => api.sign(paths));
    this.checking = new Checking(api, this.links);
    this.playback = new Playback(this.links, document.querySelectorAll("#player audio"));
    this.saving = new Saving(api, this.book, project.revision, user);
    this.room = new Room(api);
    this.files = new FilesList(this);
    this.exporting = new Exporting(api, config, this.book);
    this.bar = new PlayerBar(this.playback, (item) => this.#titleOf(item));
    this.saveState = new SaveState(this.saving, this.book);
    this.#listen();
    this.#update();
    this.roomChanged();
  }

  close() {
    this.#listening.abort();
    this.#seen.disconnect();
    for (const part of [this.bar, this.files, this.exporting, this.saveState, this.saving]) part.close();
    for (const view of this.#views.sections.values()) view.close();
    document.getElementById("chapters").replaceChildren();
  }

  // --- chapters and sections -------------------------------------------------------------------------------------------

  addSection(chapter) {
    const section = this.book.addSection(chapter);
    this.#views.sections.get(section.id).edit();
  }

  dropSection(id, at, behind) {
    const section = this.book.section(id);
    if (!section || section === at) return;
    const chapter = this.book.chapterOf(at);
    const others = chapter.sections.filter((each) => each !== section);
    this.book.moveSection(section, chapter, others.indexOf(at) + (behind ? 1 : 0));
  }

  dropSectionInto(id, chapter) {
    const section = this.book.section(id);
    if (section) this.book.moveSection(section, chapter, chapter.sections.length);
  }

  dropChapter(id, at, behind) {
    const chapter = this.book.chapter(id);
    if (!chapter || chapter === at) return;
    const others = this.book.chapters.filter((each) => each !== chapter);
    this.book.moveChapter(chapter, others.indexOf(at) + (behind ? 1 : 0));
  }

  async removeSection(section) {
    if (await this.deleteRecordings([section])) this.book.removeSection(section);
  }

  async removeChapter(chapter) {
    if (await this.deleteRecordings(chapter.sections)) this.book.removeChapter(chapter);
  }

  // --- recordings ------------------------------------------------------------------------------------------------------

  /** Take files for a section: the first is its recording, the others become sections behind it. */
  recordFrom(section, [first, ...others]) {
    this.#views.sections.get(section.id).record(first);
    this.recordAll(this.book.chapterOf(section), others);
  }

  /** Make a section of each file. */
  recordAll(chapter, files) {
    for (const file of files) {
      const section = this.book.addSection(chapter, file.name.replace(/\.[^.]+$/, ""));
      this.#views.sections.get(section.id).record(file);
    }
  }

  /** Delete the recordings of sections; tells whether all are gone. */
  async deleteRecordings(sections) {
    for (const section of sections.filter((each) => each.audioPath)) {
      if (!(await this.deleteFile(section.audioPath, section))) return false;
    }
    return true;
  }

  async deleteFile(path, section) {
    const shared = this.book.sections.some((each) => each.audioPath === path && each !== section);
    try {
      if (!shared) await this.api.deleteFile(path);
    } catch (error) {
      if (error.status !== 404) {
        say(error.message, { trouble: true });
        return false;
      } // and what is gone already needs no deleting
    }
    if (section) this.book.detach(section);
    this.roomChanged();
    return true;
  }

  /** Delete a recording that a new one took the place of. The server does it unless the section came from elsewhere. */
  async forgetFile(path) {
    if (this.book.sections.some((each) => each.audioPath === path)) return;
    await this.api.deleteFile(path).catch(() => {}); // it is listed among the files, and can be deleted there
    this.roomChanged();
  }

  roomChanged() {
    this.room.refresh();
    this.files.refresh();
  }

  /** Give the seconds of a section's recording, or undefined. */
  durationOf({ audioPath, duration }) {
    return this.#durations.get(audioPath) ?? this.checking.duration(audioPath) ?? duration ?? undefined;
  }

  /** Promise the waveform of a recording, or null if there is none. */
  peaks(path) {
    if (!this.#peaks.has(path)) {
      this.#peaks.set(path, this.api.peaks(this.book.id, path, POINTS).catch(() => (this.#peaks.delete(path), null)));
    }
    return this.#peaks.get(path);
  }

  /** Do something when an element comes near the window. */
  whenSeen(element, act) {
    this.#wanted.set(element, act);
    this.#seen.observe(element);
  }

  // --- listening -------------------------------------------------------------------------------------------------------

  toggleSection(section) {
    if (String(this.playback.item?.id) === String(section.id)) return this.bar.toggle();
    return this.playSection(section);
  }

  /** Play a section from a time on: alone, or within its chapter if that is what plays. */
  playSection(section, at = 0) {
    const { playback } = this;
    if (String(playback.item?.id) === String(section.id)) return playback.seek(at);
    const chapter = this.book.chapterOf(section);
    if (!this.playsChapter(chapter)) this.#hears = { section: section.id };
    const sections = this.#heard();
    return playback.play(this.#queue(sections), sections.indexOf(section), at);
  }

  toggleChapter(chapter) {
    if (this.playsChapter(chapter)) return this.bar.toggle();
    this.#hears = { chapter: chapter.id };
    return this.playback.play(this.#queue(chapter.sections));
  }

  playsChapter(chapter) {
    return this.playback.state !== "stopped" && this.#hears?.chapter === chapter.id;
  }

  // What is heard follows the section that plays, also into another chapter.
  #heard() {
    if ("section" in this.#hears) return [this.book.section(this.#hears.section)].filter(Boolean);
    const playing = this.book.section(this.playback.item?.id);
    const chapter = playing ? this.book.chapterOf(playing) : this.book.chapter(this.#hears.chapter);
    this.#hears = { chapter: chapter?.id };
    return chapter?.sections ?? [];
  }

  #queue(sections) {
    const broken = (path) => ["missing", "unreadable"].includes(this.checking.verdict(path));
    const items = asQueue(sections.map((section) => ({ ...section, duration: this.durationOf(section) })));
    return items.map((item) => (item.path && broken(item.path) ? { ...item, path: null } : item));
  }

  #titleOf(item) {
    const section = this.book.section(item.id);
    const chapter = section && this.book.chapterOf(section);
    return { section: section?.name ?? item.name, chapter: chapter?.name ?? "", book: this.book.data.title || "Untitled" };
  }

  // --- showing ---------------------------------------------------------------------------------------------------------

  #listen() {
    const { signal } = this.#listening;
    const on = (id, type, act) => document.getElementById(id).addEventListener(type, act, { signal });
    on("book-title", "input", (event) => this.book.set(this.book.data, "title", event.target.value));
    on("book-author", "input", (event) => this.book.set(this.book.data, "author", event.target.value));
    on("add-chapter", "click", () => {
      this.book.addSection(this.book.addChapter());
      this.#views.chapters.get(this.book.chapters.at(-1).id).edit();
    });
    this.book.addEventListener("change", () => this.#changed());
    this.checking.addEventListener("change", () => this.#update());
    for (const type of ["state", "section", "time"]) {
      this.playback.addEventListener(type, () => this.#showPlace(type));
    }
    this.playback.addEventListener("duration", () => {
      const { path, duration } = this.playback.item;
      this.#durations.set(path, duration);
      this.#update();
    });
    this.playback.addEventListener("trouble", ({ detail: { item } }) => {
      if (item?.path) this.checking.check([item.path], { again: true });
    });
  }

  #changed() {
    this.#update();
    this.files.show();
    if (this.playback.state !== "stopped") this.playback.update(this.#queue(this.#heard()));
  }

  #update() {
    const { data, chapters, sections } = this.book;
    fill(document.getElementById("book-title"), data.title ?? "");
    fill(document.getElementById("book-author"), data.author ?? "");
    const total = sections.reduce((sum, section) => sum + ((section.audioPath && this.durationOf(section)) || 0), 0);
    const length = total ? ` · ${clock(total)}` : "";
    document.getElementById("book-facts").textContent = `${many(chapters.length, "chapter")} · ${many(sections.length, "section")}${length}`;
    document.getElementById("no-chapters").hidden = chapters.length > 0;
    const shown = chapters.map((chapter) => {
      const view = this.#view("chapters", ChapterView, chapter);
      view.update(chapter, chapter.sections.map((section) => {
        const inside = this.#view("sections", SectionView, section);
        inside.update(section);
        return inside.root;
      }));
      return view.root;
    });
    order(document.getElementById("chapters"), shown);
    for (const [id, view] of this.#views.sections) {
      if (this.book.section(id)) continue;
      view.close();
      this.#views.sections.delete(id);
    }
    for (const id of this.#views.chapters.keys()) if (!this.book.chapter(id)) this.#views.chapters.delete(id);
    this.checking.check(sections.map((section) => section.audioPath).filter(Boolean));
  }

  #view(kind, View, thing) {
    const views = this.#views[kind];
    if (!views.has(thing.id)) views.set(thing.id, new View(this, thing));
    return views.get(thing.id);
  }

  #showPlace(type) {
    const id = this.playback.item?.id;
    if (type === "time") return this.#views.sections.get(id)?.showPlace();
    for (const views of Object.values(this.#views)) for (const view of views.values()) view.showPlace();
  }

  #onSeen(entries) {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      this.#seen.unobserve(target);
      this.#wanted.get(target)?.();
    }
  }
}
