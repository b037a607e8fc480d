// Keeps the book saved, and loses nothing: a change is in this browser's own storage until the server has it.
//
// States: "saved", "unsaved", "saving", "offline" (it is tried again), "refused" (the server said why), "conflict" (the book
// was changed elsewhere; somebody must choose).
// Event: "state".

const PAUSE = 700; // ms without a change before it is sent
const AGAIN = [2000, 5000, 10000, 30000]; // ms before the next try without a network

export class Saving extends EventTarget {
  state = "saved";
  message = "";
  #api;
  #book;
  #revision;
  #key;
  #timer = null;
  #tries = 0;
  #changes = 0; // counted, to see whether there were more while one was on its way

  constructor(api, book, revision, user) {
    super();
    this.#api = api;
    this.#book = book;
    this.#revision = revision;
    this.#key = `draft:${user.id}:${book.id}`;
    this.#restore();
    this.#listen();
  }

  #listen() {
    this.#book.addEventListener("change", (event) => this.#changed(event.detail.now ? 0 : PAUSE));
    this.online = () => this.state === "offline" && this.save();
    window.addEventListener("online", this.online);
  }

  /** Save now; resolves when that has worked or not, and `state` tells. */
  async save() {
    clearTimeout(this.#timer);
    if (this.state === "saving" || this.state === "conflict") return;
    const changes = this.#changes;
    this.#tell("saving");
    try {
      const answer = await this.#api.saveProject(this.#book.id, this.#book.data, this.#revision);
      this.#revision = answer.revision;
      this.#tries = 0;
      if (changes === this.#changes) {
        localStorage.removeItem(this.#key);
        this.#tell("saved");
      } else {
        this.#keepDraft();
        this.#tell("unsaved");
        await this.save();
      }
    } catch (error) {
      if (error.status === 409) this.#tell("conflict", error.message);
      else if (error.status && error.status < 500 && error.status !== 429) this.#tell("refused", error.message);
      else this.#tryAgain(error);
    }
  }

  /** In a conflict: save this browser's version over the other one. */
  async keepMine() {
    const theirs = await this.#api.project(this.#book.id);
    this.#revision = theirs.revision;
    this.#tell("unsaved");
    await this.save();
  }

  /** In a conflict: go on with the version that is on the server. */
  async takeTheirs() {
    const theirs = await this.#api.project(this.#book.id);
    this.#revision = theirs.revision;
    this.#tell("saving"); // so that loading is no change
    this.#book.load(theirs.project_data);
    clearTimeout(this.#timer);
    localStorage.removeItem(this.#key);
    this.#tell("saved");
  }

  /** Leave this book, sending what was not sent yet. */
  close() {
    clearTimeout(this.#timer);
    if (this.state === "unsaved") this.save();
    window.removeEventListener("online", this.online);
  }

  #changed(pause) {
    this.#changes++;
    this.#keepDraft();
    if (this.state === "saving" || this.state === "conflict") return;
    this.#tell("unsaved");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.save(), pause);
  }

  #tryAgain(error) {
    this.#tell("offline", error.message);
    this.#timer = setTimeout(() => this.save(), AGAIN[Math.min(this.#tries++, AGAIN.length - 1)]);
  }

  // A draft that the last visit left: of the same revision it goes on, of another one somebody must choose.
  #restore() {
    const draft = JSON.parse(localStorage.getItem(this.#key) ?? "null");
    if (!draft) return;
    this.#book.load(draft.data);
    if (draft.revision === this.#revision) this.#changed(PAUSE);
    else this.#tell("conflict");
  }

  #keepDraft() {
    const draft = JSON.stringify({ revision: this.#revision, data: this.#book.data });
    try {
      localStorage.setItem(this.#key, draft);
    } catch {
      // The browser's own storage is full or shut; the server's copy is the one that counts.
    }
  }

  #tell(state, message = "") {
    this.state = state;
    this.message = message;
    this.dispatchEvent(new Event("state"));
  }
}
