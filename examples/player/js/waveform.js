// A waveform to see and to seek in, by pointer and by keyboard. It is an SVG, so colours and size are the style sheet's.

import { clock, spoken } from "./words.js";

export const POINTS = 120; // bars; as many as are told apart on a phone
const NS = "http://www.w3.org/2000/svg";
const STEPS = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -30, PageUp: 30 }; // seconds

let made = 0;

export class Waveform {
  #element;
  #played;
  #duration = 0;
  #time = 0;

  /** Draw into an element; `seek` is called with the seconds that somebody chose. */
  constructor(element, name, seek) {
    this.#element = element;
    element.setAttribute("role", "slider");
    element.setAttribute("aria-valuemin", "0");
    element.tabIndex = 0;
    this.name(name);
    this.draw(null);
    pointAt(element, (share) => this.#duration && seek(share * this.#duration));
    element.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const to = { Home: 0, End: this.#duration }[event.key] ?? this.#time + STEPS[event.key];
      if (!Number.isFinite(to)) return;
      event.preventDefault();
      seek(Math.max(0, Math.min(to, Math.max(0, this.#duration - 0.05)))); // the very end would be over at once
    });
  }

  name(text) {
    this.#element.setAttribute("aria-label", `Place in ${text}`);
  }

  /** Draw peaks as audiowaveform writes them (lowest and highest of each point in turn), or a plain line without any. */
  draw(peaks) {
    const id = `played-${made++}`;
    const svg = make("svg", { viewBox: `0 0 ${POINTS} 2`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const path = peaks ? bars(peaks) : `M0 1H${POINTS}`;
    const clip = make("clipPath", { id });
    this.#played = make("rect", { x: 0, y: 0, width: 0, height: 2 });
    clip.append(this.#played);
    svg.append(clip, make("path", { d: path, class: "ahead" }));
    svg.append(make("path", { d: path, class: "behind", "clip-path": `url(#${id})` }));
    svg.classList.toggle("flat", !peaks);
    this.#element.replaceChildren(svg);
    this.show(this.#time, this.#duration);
  }

  /** Show how much of it is over, in seconds. */
  show(time, duration) {
    this.#time = time;
    this.#duration = duration || 0;
    const share = duration ? Math.min(1, time / duration) : 0;
    this.#played.setAttribute("width", String(share * POINTS));
    valued(this.#element, time, this.#duration);
  }
}

/** Call `choose` with the share of an element's width at which somebody points, also while dragging. */
export function pointAt(element, choose, signal) {
  const at = (event) => {
    const { left, width } = element.getBoundingClientRect();
    choose(Math.max(0, Math.min(1, (event.clientX - left) / width)));
  };
  const on = (type, act) => element.addEventListener(type, act, { signal });
  on("pointerdown", (event) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    at(event);
  });
  on("pointermove", (event) => element.hasPointerCapture(event.pointerId) && at(event));
}

/** Say on a slider what its place is. */
export function valued(element, time, duration) {
  element.setAttribute("aria-valuemax", duration.toFixed(1));
  element.setAttribute("aria-valuenow", time.toFixed(1));
  element.setAttribute("aria-valuetext", `${spoken(time)} of ${spoken(duration)}`);
  element.title = duration ? `${clock(time)} of ${clock(duration)}` : "";
}

// As tall as the loudest point, so that a quiet recording is seen too.
function bars({ data }) {
  const heights = [];
  for (let point = 0; point + 1 < data.length; point += 2) heights.push(Math.max(-data[point], data[point + 1]));
  const most = Math.max(8, ...heights);
  return heights
    .map((height, point) => {
      const half = Math.max(0.04, (0.96 * height) / most);
      return `M${point + 0.5} ${(1 - half).toFixed(3)}V${(1 + half).toFixed(3)}`;
    })
    .join("");
}

function make(tag, attributes) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
