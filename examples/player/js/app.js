// Where it starts: who is signed in, and which of the three views is shown (sign in, the books, one book).

import { Api } from "./api.js";
import { BookPage } from "./book-page.js";
import { say } from "./dom.js";
import { guardPage } from "./dragging.js";
import { Session } from "./session.js";
import { Shelf } from "./shelf.js";

const session = new Session();
const api = new Api(session);
const shelf = new Shelf(api);
const views = ["sign-in", "shelf", "book"].map((id) => document.getElementById(id));
const who = document.getElementById("who");

let config = null;
let page = null;
let turn = 0; // so that an answer which comes after the next click changes nothing

async function route() {
  const mine = ++turn;
  page?.close();
  page = null;
  who.hidden = !session.user;
  who.querySelector("[data-part=name]").textContent = session.user?.email ?? "";
  const id = decodeURIComponent(location.hash.slice(1));
  document.title = "Read aloud";
  if (!session.user) return show("sign-in");
  try {
    if (!id) {
      await shelf.show();
      if (mine === turn) show("shelf");
      return;
    }
    const project = await api.project(id);
    if (mine !== turn) return;
    show("book");
    page = new BookPage(api, config, session.user, project);
    document.title = `${project.project_data.title || "Untitled"} · Read aloud`;
  } catch (error) {
    if (mine !== turn || !session.user) return;
    say(error.status === 404 ? "There is no such book of yours." : error.message, { trouble: true });
    if (id) location.hash = "";
  }
}

function show(id) {
  for (const view of views) view.hidden = view.id !== id;
  views.find((view) => view.id === id).querySelector("h1").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function offerSignIn() {
  const form = document.querySelector("#sign-in form");
  const trouble = form.querySelector("[role=alert]");
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    trouble.hidden = true;
    button.disabled = true;
    try {
      await session.signIn(form.elements.email.value, form.elements.password.value);
      form.reset();
    } catch (error) {
      trouble.textContent = error.message;
      trouble.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
  document.getElementById("demo").hidden = !config.testing_mode;
  const users = (config.demo_users ?? []).map(({ email, password }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = email;
    button.addEventListener("click", () => {
      form.elements.email.value = email;
      form.elements.password.value = password;
      form.requestSubmit();
    });
    return button;
  });
  document.getElementById("demo-users").replaceChildren(...users);
}

// The address behind "#" names a book, so the link that skips the top of the page moves the focus itself.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  views.find((view) => !view.hidden)?.querySelector("h1").focus();
});
guardPage();
try {
  config = await api.config();
  offerSignIn();
  document.getElementById("sign-out").addEventListener("click", () => session.signOut());
  session.addEventListener("change", route);
  window.addEventListener("hashchange", route);
  await route();
} catch (error) {
  say(error.message, { trouble: true });
}
document.body.dataset.started = "yes";
