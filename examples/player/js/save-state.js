// Says whether the book is saved, and in a conflict asks which version counts. Either way both can be kept.

import { say } from "./dom.js";

const WORDS = {
  saved: "Saved",
  unsaved: "Not saved yet",
  saving: "Saving…",
  offline: "Not saved: no connection. Your changes are kept here, and it is tried again.",
  conflict: "Not saved: this book was changed elsewhere.",
};

export class SaveState {
  #saving;
  #book;
  #words = document.getElementById("save-state");
  #notice = document.getElementById("conflict");
  #listening = new AbortController();

  constructor(saving, book) {
    this.#saving = saving;
    this.#book = book;
    const { signal } = this.#listening;
    const on = (id, act) => document.getElementById(id).addEventListener("click", () => this.#do(act), { signal });
    on("keep-mine", () => saving.keepMine());
    on("take-theirs", () => saving.takeTheirs());
    on("save-mine", () => this.#download());
    saving.addEventListener("state", () => this.#show());
    // Leaving asks only if something would have to be found again in the draft.
    window.addEventListener("beforeunload", (event) => saving.state !== "saved" && event.preventDefault(), { signal });
    this.#show();
  }

  close() {
    this.#listening.abort();
    this.#words.textContent = "";
    this.#notice.hidden = true;
  }

  #show() {
    const { state, message } = this.#saving;
    this.#words.dataset.state = state;
    this.#words.textContent = WORDS[state] ?? `Not saved: ${message}`;
    this.#notice.hidden = state !== "conflict";
  }

  async #do(act) {
    try {
      await act();
    } catch (error) {
      say(error.message, { trouble: true });
    }
  }

  #download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(this.#book.data, null, 2)], { type: "application/json" }));
    link.download = `${this.#book.data.title || "book"}.json`;
    link.click();
    URL.revokeObjectURL(link.href);
  }
}
