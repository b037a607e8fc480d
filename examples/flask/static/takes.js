// What the page does beyond plain forms: it asks before deleting, keeps the players' links fresh, and sends a
// recording straight to where it will live. No library, no build step.
"use strict";

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!confirm(form.dataset.confirm)) event.preventDefault();
  });
}

// --- links: signed for a while, renewed when half of it is over, and when a player comes too late -------------------

const list = document.querySelector("[data-links]");
const started = new WeakSet(); // players that were told to play, and not to stop
const retried = new WeakSet(); // players that got a fresh link and did not play since

async function freshLinks() {
  const answer = await fetch(list.dataset.links, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`no fresh links: ${answer.status}`);
  return answer.json();
}

function player(id) {
  return list.querySelector(`[data-take="${CSS.escape(id)}"] audio`);
}

// Changing the source starts a player from the beginning, so it is told where it was.
function renew(audio, link) {
  if (!link || audio.getAttribute("src") === link) return;
  const { currentTime } = audio;
  audio.src = link;
  if (currentTime) audio.currentTime = currentTime;
  if (started.has(audio)) audio.play().catch(console.warn);
}

async function renewAll() {
  for (const [id, link] of Object.entries(await freshLinks())) {
    const audio = player(id);
    if (audio && audio.paused) renew(audio, link); // one that plays is left alone; it asks when it must
  }
}

if (list.children.length) {
  setInterval(() => renewAll().catch(console.warn), list.dataset.lifetime * 500);
}

for (const audio of list.querySelectorAll("audio")) {
  audio.addEventListener("play", () => started.add(audio));
  audio.addEventListener("pause", () => {
    if (!audio.error) started.delete(audio); // browsers also pause what failed; nobody asked for that
  });
  audio.addEventListener("playing", () => retried.delete(audio));
  audio.addEventListener("error", async () => {
    if (retried.has(audio)) return; // a fresh link did not help, so the link was not the trouble
    retried.add(audio);
    try {
      const links = await freshLinks();
      renew(audio, links[audio.closest("[data-take]").dataset.take]);
    } catch (error) {
      console.warn(error);
    }
  });
}

// --- direct uploads: reserve room, send the bytes, settle -----------------------------------------------------------

const form = document.getElementById("upload");
const direct = document.getElementById("direct");
const cancel = document.getElementById("cancel");
const sending = form.querySelector(".sending");
const bar = form.querySelector("progress");
const trouble = form.querySelector(".error");

async function post(url, fields) {
  const headers = { Accept: "application/json" };
  const answer = await fetch(url, { method: "POST", headers, body: new URLSearchParams(fields) });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error || `The server answered ${answer.status}.`);
  return told;
}

// fetch() can't tell how much of a body has been sent; XMLHttpRequest can.
function send(grant, file) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(grant.method, grant.url);
    for (const [name, value] of Object.entries(grant.headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => { bar.value = event.loaded / file.size; };
    request.onload = () => (request.status < 300 ? resolve() : reject(new Error(`The upload was refused: ${request.responseText}.`)));
    request.onerror = () => reject(new Error("The connection broke. Please try again."));
    request.onabort = () => reject(new Error("Cancelled. Nothing was stored."));
    cancel.onclick = () => request.abort();
    request.send(file);
  });
}

function busy(on) {
  for (const button of form.querySelectorAll(".actions button")) button.disabled = on;
  sending.hidden = !on;
  bar.value = 0;
}

direct.hidden = false;
direct.addEventListener("click", async () => {
  if (!form.reportValidity()) return;
  const { file, chapter, section } = form.elements;
  const recording = file.files[0];
  trouble.hidden = true;
  busy(true);
  try {
    const grant = await post(form.dataset.begin, {
      filename: recording.name, size: recording.size, chapter: chapter.value, section: section.value,
    });
    await send(grant, recording);
    await post(`${form.dataset.begin}/${grant.id}/finish`, {});
    location.reload();
  } catch (error) {
    trouble.textContent = error.message;
    trouble.hidden = false;
    busy(false);
  }
});
