// The bar at the bottom: what plays, how much of the chapter is over, and the buttons. Also the keys of the keyboard or
// the headphones, where the browser passes them on.

import { label, say } from "./dom.js";
import { pointAt, valued } from "./waveform.js";
import { clock, told } from "./words.js";

const STEPS = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -30, PageUp: 30 }; // seconds

export class PlayerBar {
  #bar = document.getElementById("player");
  #parts = {};
  #playback;
  #titleOf;
  #listening = new AbortController();

  /** `titleOf(item)` gives { section, chapter, book } for what plays. */
  constructor(playback, titleOf) {
    this.#playback = playback;
    this.#titleOf = titleOf;
    for (const part of this.#bar.querySelectorAll("[data-part]")) this.#parts[part.dataset.part] = part;
    const { signal } = this.#listening;
    const { play, stop, next, previous, progress } = this.#parts;
    const act = (button, what) => button.addEventListener("click", what, { signal });
    act(play, () => this.toggle());
    act(stop, () => playback.stop());
    act(next, () => playback.next());
    act(previous, () => playback.previous());
    pointAt(progress, (share) => playback.seekTotal(share * playback.lengths.total), signal);
    progress.addEventListener("keydown", (event) => this.#onKey(event), { signal });
    playback.addEventListener("state", () => this.#show());
    playback.addEventListener("section", () => this.#show());
    playback.addEventListener("duration", () => this.#show());
    playback.addEventListener("time", () => this.#showTime());
    playback.addEventListener("trouble", ({ detail: { item, error } }) => {
      say(`${item?.name ?? "The section"}: ${told(error)}`, { trouble: true });
    });
    this.#takeMediaKeys();
    this.#show();
  }

  toggle() {
    if (this.#playback.state === "paused") this.#playback.resume();
    else this.#playback.pause();
  }

  close() {
    this.#listening.abort();
    this.#playback.stop();
    this.#bar.hidden = true;
  }

  #onKey(event) {
    const { lengths, time } = this.#playback;
    const place = lengths.before + time;
    const to = { Home: 0, End: lengths.total - 0.05 }[event.key] ?? place + STEPS[event.key];
    if (!Number.isFinite(to)) return;
    event.preventDefault();
    this.#playback.seekTotal(Math.max(0, Math.min(to, lengths.total - 0.05)));
  }

  #show() {
    const { item, state, sounding, queue, index } = this.#playback;
    const parts = this.#parts;
    this.#bar.hidden = !item;
    document.body.classList.toggle("listening", Boolean(item));
    if (!item) return void (document.title = document.title.replace(/^▶ .* · /, ""));
    const { section, chapter, book } = this.#titleOf(item);
    const playable = queue.filter((each) => each.path);
    parts.section.textContent = section;
    const which = playable.length > 1 ? `${chapter} · ${playable.indexOf(item) + 1} of ${playable.length}` : chapter;
    parts.chapter.textContent = state === "offline" ? "No connection. It plays on when that is back." : which;
    document.title = `▶ ${section} · ${book}`;
    this.#bar.dataset.state = state;
    label(parts.play, sounding ? "pause" : "play", sounding ? "Pause" : "Play");
    parts.next.disabled = !queue.slice(index + 1).some((each) => each.path);
    this.#marks(playable);
    this.#showTime();
    if (!("mediaSession" in navigator)) return;
    navigator.mediaSession.metadata = new MediaMetadata({ title: section, artist: chapter, album: book });
    navigator.mediaSession.playbackState = sounding ? "playing" : "paused";
  }

  #showTime() {
    const { lengths, time, item } = this.#playback;
    if (!item) return;
    const place = lengths.before + time;
    this.#parts.time.textContent = `${clock(place)} / ${clock(lengths.total || NaN)}`;
    this.#parts.done.style.width = `${lengths.total ? Math.min(100, (100 * place) / lengths.total) : 0}%`;
    valued(this.#parts.progress, place, lengths.total);
  }

  // A mark where each section begins.
  #marks(playable) {
    const { total } = this.#playback.lengths;
    let before = 0;
    const marks = playable.slice(0, -1).map((item) => {
      const mark = document.createElement("i");
      before += item.duration || 0;
      mark.style.insetInlineStart = `${total ? (100 * before) / total : 0}%`;
      return mark;
    });
    this.#parts.marks.replaceChildren(...marks);
  }

  #takeMediaKeys() {
    if (!("mediaSession" in navigator)) return;
    const playback = this.#playback;
    const on = (action, act) => navigator.mediaSession.setActionHandler(action, act);
    on("play", () => playback.resume());
    on("pause", () => playback.pause());
    on("stop", () => playback.stop());
    on("nexttrack", () => playback.next());
    on("previoustrack", () => playback.previous());
    on("seekbackward", () => playback.seek(Math.max(0, playback.time - 10)));
    on("seekforward", () => playback.seek(playback.time + 10));
  }
}
