/** @import { Draft } from "./types" */

/** The assistant's answer as it streams. It is shown only while its fence stands where the floor stands. */
export class Running {
  text = "";
  turn = 0;
  #since = -1;
  #length = 0; // in code points, as the server counts
  #over = ""; // the fence and turn whose text is not shown again

  get shown() {
    return this.text !== "";
  }

  /** Whether the frame changed what is to be shown. @param {Draft} frame @param {number} since the floor's */
  add(frame, since) {
    if (frame.since !== since || mark(frame.since, frame.turn) === this.#over) return false;
    if (frame.at === 0 || frame.turn !== this.turn) this.#begin(frame);
    if (frame.at > this.#length) return false; // a piece is missing: wait for the whole to come again
    const kept = frame.at === this.#length ? this.text : [...this.text].slice(0, frame.at).join("");
    this.text = kept + frame.text;
    this.#length = frame.at + [...frame.text].length;
    return true;
  }

  /** @param {number} since */
  outdated(since) {
    return this.shown && this.#since !== since;
  }

  /** Drop the text; unless it may begin anew, this turn shows none again. @param {boolean} [anew] */
  clear(anew = false) {
    if (!anew) this.#over = mark(this.#since, this.turn);
    this.text = "";
    this.#length = 0;
  }

  /** @param {Draft} frame */
  #begin(frame) {
    this.turn = frame.turn;
    this.#since = frame.since;
    this.text = "";
    this.#length = 0;
  }
}

/** @param {number} since @param {number} turn */
function mark(since, turn) {
  return `${since}:${turn}`;
}
