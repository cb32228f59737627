/** @import { Activity, Line, View } from "./types" */

const DOTS_AFTER = 300;
const TYPING_ENDS = 6_000;
const THINKING_ENDS = 60_000; // the server has said something honest by then

/** What is going on: the assistant thinks or streams, or a person types. */
export class Watch {
  /** @type {Activity} */ now = "";
  name = "";
  #owed = false;
  #late = false;
  #streaming = false;
  #timer = 0;
  #typing = 0;
  #tells;

  /** @param {{ changed(): void, turn(): void }} tells `turn`: the assistant begins to write, once a turn */
  constructor(tells) {
    this.#tells = tells;
  }

  /** @param {Line} line @param {View} view @param {boolean} assistant whether there is one */
  line({ event, by, at }, view, assistant) {
    if (event.type === "Said" && by.role === "visitor") {
      const recent = Date.now() - Date.parse(at) < THINKING_ENDS;
      if (assistant && view.controller !== "human" && recent && !this.#owed) this.#owe();
    } else if (event.type === "Said" || event.type === "TookOver" || event.type === "Closed") this.#answered();
    else if (event.type === "HelpWanted" && by.role !== "visitor") this.#answered();
  }

  /** @param {boolean} on */
  streaming(on) {
    this.#streaming = on;
    this.#look();
  }

  /** @param {string} name who types; empty when nobody does */
  typing(name) {
    clearTimeout(this.#typing);
    this.name = name;
    if (name) this.#typing = setTimeout(() => this.typing(""), TYPING_ENDS);
    this.#look();
  }

  stop() {
    this.#streaming = false;
    this.typing("");
    this.#answered();
  }

  #owe() {
    this.#owed = true;
    this.#timer = setTimeout(() => {
      this.#late = true;
      this.#tells.turn();
      this.#look();
      this.#timer = setTimeout(() => this.#answered(), THINKING_ENDS);
    }, DOTS_AFTER);
  }

  #answered() {
    clearTimeout(this.#timer);
    this.#owed = this.#late = false;
    this.#look();
  }

  #look() {
    const now = this.name ? "human-typing" : this.#streaming ? "ai-streaming" : this.#late ? "ai-thinking" : "";
    if (now === this.now) return;
    this.now = now;
    this.#tells.changed();
  }
}
