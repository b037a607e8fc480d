// The book that is open: chapters of sections, as the server keeps them. Fields that are not ours are left as they are.
//
// Event: "change" (detail: { now }), with `now` if it should be saved at once.

export class Book extends EventTarget {
  constructor(id, data) {
    super();
    this.id = id;
    this.load(data);
  }

  /** Take over other data, as they are kept elsewhere. */
  load(data) {
    this.data = data;
    data.chapters ??= [];
    for (const chapter of data.chapters) chapter.sections ??= [];
    this.#tell();
  }

  get chapters() {
    return this.data.chapters;
  }

  get sections() {
    return this.chapters.flatMap((chapter) => chapter.sections);
  }

  chapter(id) {
    return this.chapters.find((chapter) => same(chapter.id, id));
  }

  section(id) {
    return this.sections.find((section) => same(section.id, id));
  }

  chapterOf(section) {
    return this.chapters.find((chapter) => chapter.sections.some((each) => same(each.id, section.id)));
  }

  /** Change a field of the book, a chapter or a section. */
  set(thing, field, value) {
    if (thing[field] === value) return;
    thing[field] = value;
    this.#tell();
  }

  addChapter() {
    const chapter = { id: this.#newId(), name: `Chapter ${this.chapters.length + 1}`, sections: [] };
    this.chapters.push(chapter);
    this.#tell();
    return chapter;
  }

  addSection(chapter, name) {
    const id = this.#newId();
    const section = { id, name: name || `Section ${chapter.sections.length + 1}`, text: "", audioPath: null };
    chapter.sections.push(section);
    this.#tell();
    return section;
  }

  moveChapter(chapter, to) {
    move(this.chapters, this.chapters, this.chapters.indexOf(chapter), to);
    this.#tell();
  }

  /** Put a section at a place among the sections of a chapter, its own or another. */
  moveSection(section, chapter, to) {
    const from = this.chapterOf(section).sections;
    move(from, chapter.sections, from.indexOf(section), to);
    this.#tell();
  }

  /** Move a section one place up or down, over the end of its chapter into the next one. */
  stepSection(section, step) {
    const chapter = this.chapterOf(section);
    const to = chapter.sections.indexOf(section) + step;
    if (to >= 0 && to < chapter.sections.length) return this.moveSection(section, chapter, to);
    const other = this.chapters[this.chapters.indexOf(chapter) + step];
    if (other) this.moveSection(section, other, step > 0 ? 0 : other.sections.length);
  }

  removeChapter(chapter) {
    this.data.chapters = this.chapters.filter((each) => each !== chapter);
    this.#tell({ now: true });
  }

  removeSection(section) {
    const chapter = this.chapterOf(section);
    chapter.sections = chapter.sections.filter((each) => each !== section);
    this.#tell({ now: true });
  }

  /** Note which recording a section has, from what the server said when it had stored it. */
  attach(section, stored) {
    Object.assign(section, {
      audioPath: stored.path,
      storageBackend: stored.storage_backend,
      uploadId: stored.upload_id,
      status: "processed",
      audioStatus: null,
      originalAudioPath: null,
      filename: stored.filename,
      duration: stored.duration,
    });
    this.#tell({ now: true });
  }

  /** Note that a section has no recording. */
  detach(section) {
    Object.assign(section, { audioPath: null, storageBackend: null, uploadId: null, status: null, filename: null });
    section.duration = null;
    this.#tell({ now: true });
  }

  // Ids are never given twice, so a late upload can't land in a section that took the place of another one.
  #newId() {
    const ids = [...this.chapters, ...this.sections].map((each) => Number(each.id) || 0);
    this.data.lastId = Math.max(this.data.lastId ?? 0, ...ids) + 1;
    return this.data.lastId;
  }

  #tell({ now = false } = {}) {
    this.dispatchEvent(new CustomEvent("change", { detail: { now } }));
  }
}

/** What playback needs to know of sections. */
export function asQueue(sections) {
  return sections.map(({ id, name, audioPath, duration }) => ({ id, name, path: audioPath, duration }));
}

function same(one, other) {
  return String(one) === String(other); // the server may make text of a number
}

function move(from, into, at, to) {
  const [thing] = from.splice(at, 1);
  into.splice(Math.max(0, Math.min(to, into.length)), 0, thing);
}
