// The books that somebody has.

import { confirmed, fromTemplate, say } from "./dom.js";

export class Shelf {
  #api;
  #list = document.getElementById("books");
  #form = document.getElementById("new-book");

  constructor(api) {
    this.#api = api;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#make();
    });
  }

  async show() {
    this.#list.replaceChildren();
    const books = await this.#api.projects();
    this.#list.replaceChildren(...books.map((book) => this.#row(book)));
    document.getElementById("no-books").hidden = books.length > 0;
  }

  #row({ id, title, updated_at: changed }) {
    const { root, parts } = fromTemplate("shelf-template");
    const name = title || "Untitled";
    parts.link.textContent = name;
    parts.link.href = `#${encodeURIComponent(id)}`;
    const when = new Date(changed);
    parts.changed.dateTime = changed;
    parts.changed.textContent = when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    parts.delete.setAttribute("aria-label", `Delete ${name}`);
    parts.delete.addEventListener("click", () => this.#delete(id, name));
    return root;
  }

  async #make() {
    const { title } = this.#form.elements;
    const chapter = { id: 1, name: "Chapter 1", sections: [{ id: 2, name: "Section 1", text: "", audioPath: null }] };
    try {
      const { id } = await this.#api.newProject({ title: title.value, author: "", lastId: 2, chapters: [chapter] });
      title.value = "";
      location.hash = encodeURIComponent(id);
    } catch (error) {
      say(error.message, { trouble: true });
    }
  }

  async #delete(id, name) {
    const question = `Delete the book “${name}” with all its recordings? This can’t be undone.`;
    if (!(await confirmed(question, "Delete book"))) return;
    try {
      await this.#api.deleteProject(id);
      await this.show();
    } catch (error) {
      say(error.message, { trouble: true });
    }
  }
}
