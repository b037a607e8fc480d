// Plays sections one after another without a gap.
//
// Two <audio> elements take turns: while one plays, the other already holds the next section and starts in the moment
// the first one ends. So recordings stream, seek by range and need little memory, however long they are. The same trick
// replaces a link before it runs out: the other element takes over the same section at the same place.
//
// Events: "state" (`state` has changed), "time" (the place has), "section" (another one plays), "duration" (one is known
// now), "trouble" (detail: { item, error }). An item is { id, path, duration }; those without a path are skipped.

import { Deck, LEAD } from "./deck.js";
import { isDue } from "./links.js";
import { isAway, whenBack } from "./network.js";
import { lengths, placeAt, playable, whereNow, withLengths } from "./queue.js";

const NEAR_END = 0.6; // seconds before the end from which the handover is timed; time updates come four times a second
const AGAIN = 3000; // ms after which a renewal that failed is tried again

export class Playback extends EventTarget {
  state = "stopped"; // or "loading", "playing", "paused", "offline" (it plays on by itself when the connection is back)
  queue = [];
  index = -1;
  #links;
  #front;
  #spare;
  #turn = 0; // changes with each command, so that what an older one waited for is dropped
  #handover = null;
  #forgetBack = null; // stops waiting for the connection
  #renewal = null;
  #at = 0; // the last place that is known, for when the element that had it has failed
  #retried = null; // the path that got a fresh link and did not play since

  constructor(links, [first, second]) {
    super();
    this.#links = links;
    this.#front = new Deck(first);
    this.#spare = new Deck(second);
    for (const deck of [this.#front, this.#spare]) this.#listen(deck);
  }

  get item() {
    return this.queue[this.index] ?? null;
  }

  /** Whether it plays, or will as soon as it can. */
  get sounding() {
    return ["playing", "loading", "offline"].includes(this.state);
  }

  get time() {
    return this.#front.ready && this.#front.item.id === this.item?.id ? this.#front.time : this.#at;
  }

  /** Seconds of the whole queue: { before, total }, with what is unknown taken for nothing. */
  get lengths() {
    return lengths(this.queue, this.index);
  }

  /** Play a queue from one of its items on; an item without audio stands for the next one that has some. */
  async play(queue, index = 0, at = 0) {
    this.queue = queue.map((item) => ({ ...item }));
    const first = playable(this.queue, index, 1);
    if (first < 0) return this.stop();
    await this.#go(first, first === index ? at : 0, "loading");
  }

  pause() {
    if (this.state === "stopped") return;
    this.#turn++;
    this.#forgetHandover();
    for (const deck of [this.#front, this.#spare]) deck.audio.pause();
    this.#tell("paused");
  }

  async resume() {
    if (this.state !== "paused") return;
    if (!this.#front.ready || isDue(this.#front.link)) return this.#go(this.index, this.time, "loading");
    await this.#start(++this.#turn);
  }

  stop() {
    this.#turn++;
    this.#forgetHandover();
    clearTimeout(this.#renewal);
    for (const deck of [this.#front, this.#spare]) deck.release();
    this.index = -1;
    this.#at = 0;
    this.#tell("stopped");
    this.#emit("section");
  }

  async next() {
    const next = playable(this.queue, this.index + 1, 1);
    await (next < 0 ? this.stop() : this.#go(next, 0, "loading"));
  }

  /** Go back to the section before, or to the beginning of this one if that is over for some seconds. */
  async previous() {
    const before = playable(this.queue, this.index - 1, -1);
    await (this.time > 3 || before < 0 ? this.seek(0) : this.#go(before, 0, "loading"));
  }

  /** Go to a time of the current section, in seconds. */
  async seek(at) {
    if (!this.item) return;
    this.#forgetHandover();
    if (!this.#front.ready || isDue(this.#front.link)) return this.#go(this.index, at);
    this.#front.audio.currentTime = this.#at = Math.min(at, this.item.duration || at);
    this.#emit("time");
  }

  /** Go to a time of the whole queue, in seconds. */
  async seekTotal(at) {
    const place = placeAt(this.queue, at);
    if (place.index === this.index) return this.seek(place.at);
    await this.#go(place.index, place.at);
  }

  /** Go on with a changed queue, at the same place of the same section. */
  async update(queue) {
    if (this.state === "stopped") return;
    const { item, time } = this;
    this.queue = withLengths(queue, this.queue);
    const { index, same, replaced } = whereNow(this.queue, item, this.index);
    if (index < 0) return this.stop();
    if (!same) return this.#go(index, replaced ? time : 0);
    this.index = index; // it plays on
    this.#emit("section");
    await this.#prepare();
  }

  // --- one section ---------------------------------------------------------------------------------------------------

  async #go(index, at = 0, state = this.state === "paused" ? "paused" : "loading") {
    const turn = ++this.#turn;
    const item = this.queue[index];
    this.#forgetHandover();
    const changed = index !== this.index;
    this.index = index;
    this.#at = at;
    this.#tell(state);
    if (changed) this.#emit("section");
    try {
      this.#front.audio.pause();
      if (at === 0 && this.#spare.waitsFor(item)) {
        [this.#front, this.#spare] = [this.#spare, this.#front];
      } else {
        const link = await this.#links.get(item.path);
        if (turn === this.#turn) await this.#front.load(item, link, at);
        if (turn !== this.#turn) return;
      }
      this.#emit("time");
      if (state !== "paused") await this.#start(turn);
    } catch (error) {
      if (turn === this.#turn) await this.#recover(error);
    }
  }

  async #start(turn) {
    const { audio } = this.#front;
    try {
      await audio.play();
    } catch (error) {
      if (turn !== this.#turn || error.name === "AbortError") return;
      if (error.name !== "NotAllowedError") return this.#recover(error);
      this.#tell("paused"); // the browser wants a click first
      return this.#emit("trouble", { item: this.item, error: new Error("Press play to go on.") });
    }
    if (turn !== this.#turn) return;
    this.#tell("playing");
    this.#planRenewal();
    this.#prepare();
  }

  // A link may have run out while the computer slept, so a failure gets one fresh link; then the section is skipped.
  // Where nobody answers, the others could not be heard either: it waits, and goes on where it was. No error (null): an
  // element waits for bytes, and does not tell whether somebody sends them.
  async #recover(error) {
    const [item, time, turn] = [this.item, this.time, this.#turn];
    if (error?.name === "AbortError") return;
    if (error && this.#retried !== item.path) {
      this.#retried = item.path;
      this.#links.forget(item.path);
      return this.#go(this.index, time, this.state === "offline" ? "offline" : undefined);
    }
    const away = await isAway(error, this.#front.link);
    if (turn !== this.#turn || (!error && (!away || this.state === "playing"))) return;
    if (error && (!away || this.state === "paused")) this.#emit("trouble", { item, error });
    if (!away) return this.next();
    this.#retried = null;
    if (this.state === "paused") return; // pressing play tries again
    this.#tell("offline");
    this.#forgetBack = whenBack(() => this.#go(this.index, this.time, "offline"));
  }

  // --- the next section ----------------------------------------------------------------------------------------------

  async #prepare() {
    const next = this.queue[playable(this.queue, this.index + 1, 1)];
    if (!next || this.#spare.waitsFor(next) || !this.#spare.audio.paused) return;
    const turn = this.#turn;
    try {
      const link = await this.#links.get(next.path);
      if (turn === this.#turn && this.#spare.audio.paused) await this.#spare.load(next, link);
    } catch {
      // It is loaded when its turn comes, and what is wrong is told then.
    }
  }

  #timeHandover() {
    const { left, audio } = this.#front;
    const next = this.queue[playable(this.queue, this.index + 1, 1)];
    if (this.#handover || audio.paused || left > NEAR_END || !next || !this.#spare.waitsFor(next)) return;
    this.#handover = setTimeout(() => this.#crossOver(), Math.max(0, left - LEAD) * 1000);
  }

  #crossOver() {
    this.#forgetHandover();
    const next = playable(this.queue, this.index + 1, 1);
    if (next < 0 || !this.#spare.waitsFor(this.queue[next])) return this.next();
    this.index = next;
    [this.#front, this.#spare] = [this.#spare, this.#front]; // the other one plays its last instants out
    this.#emit("section");
    return this.#start(++this.#turn);
  }

  #forgetHandover() {
    clearTimeout(this.#handover);
    this.#handover = null;
  }

  // --- links ---------------------------------------------------------------------------------------------------------

  #planRenewal(wait = this.#front.link.dueAt - Date.now()) {
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(() => this.#renew(), Math.min(Math.max(1, wait), 2 ** 31 - 1));
  }

  async #renew() {
    const turn = this.#turn;
    const front = this.#front;
    if (this.state === "stopped" || this.state === "paused") return; // it gets its link when it goes on
    if (!isDue(front.link)) return this.#planRenewal(); // timers may be early
    if (this.state === "loading") return this.#planRenewal(AGAIN / 10);
    if (front.left < 2 * NEAR_END) return this.#planRenewal(AGAIN); // the next section has a link of its own
    try {
      const link = await this.#links.get(this.item.path);
      if (turn !== this.#turn) return;
      await this.#spare.catchUp(front, link);
      if (turn !== this.#turn || front !== this.#front) return;
      [this.#front, this.#spare] = [this.#spare, this.#front];
      await this.#front.audio.play();
      front.audio.pause();
      this.#planRenewal();
      this.#prepare();
    } catch {
      if (turn === this.#turn) this.#planRenewal(AGAIN);
    }
  }

  #listen(deck) {
    const on = (event, act) => deck.audio.addEventListener(event, () => deck === this.#front && this.item && act());
    on("timeupdate", () => {
      if (deck.ready) this.#at = deck.time;
      this.#emit("time");
      this.#timeHandover();
    });
    on("durationchange", () => {
      const { duration } = deck.audio;
      if (!Number.isFinite(duration) || deck.item?.path !== this.item.path) return;
      this.item.duration = duration;
      this.#emit("duration");
    });
    on("ended", () => this.#crossOver());
    on("waiting", () => this.state === "playing" && this.#tell("loading"));
    for (const event of ["waiting", "stalled"]) on(event, () => this.state === "loading" && this.#recover(null));
    on("playing", () => {
      this.#retried = null;
      if (this.sounding) this.#tell("playing");
    });
    on("error", () => {
      if (!deck.ready) return; // while it loads, the load tells
      deck.ready = false;
      this.#recover(deck.audio.error);
    });
    deck.audio.addEventListener("ended", () => deck === this.#spare && this.#prepare());
  }

  #tell(state) {
    this.#forgetBack?.();
    if (this.state === state) return;
    this.state = state;
    this.#emit("state");
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
