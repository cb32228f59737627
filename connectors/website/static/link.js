import { texts } from "./texts.js";

/** @import { Status } from "./types" */

const SAY_LOST_AFTER = 2_000;
const UNREACHABLE_AFTER = 3; // failures in a row

/** What the visitor is told about the connection, and when. */
export class Link {
  #tells;
  #timer = 0;
  #said = "";
  #failures = 0;

  /** @param {{ announce(text: string): void, bar(text: string): void, complain(text: string): void }} tells */
  constructor(tells) {
    this.#tells = tells;
  }

  /** @param {Status} status @param {number} [seconds] until the next try */
  follow(status, seconds) {
    if (status === "online" || status === "idle") return this.#fine(status === "online");
    if (status === "offline") return this.#say(texts.offline);
    if (seconds !== undefined && ++this.#failures >= UNREACHABLE_AFTER) {
      return this.#tells.complain(texts.unreachable(Math.max(1, Math.round(seconds))));
    }
    if (this.#said === texts.offline) this.#say(texts.lost);
    else if (!this.#timer && !this.#said) this.#timer = setTimeout(() => this.#say(texts.lost), SAY_LOST_AFTER);
  }

  /** @param {boolean} online */
  #fine(online) {
    const told = this.#said;
    this.#clear();
    if (this.#failures >= UNREACHABLE_AFTER) this.#tells.complain("");
    this.#failures = 0;
    this.#said = "";
    this.#tells.bar("");
    if (told && online) this.#tells.announce(texts.back);
  }

  /** @param {string} text */
  #say(text) {
    this.#clear();
    if (this.#said === text) return;
    this.#said = text;
    this.#tells.bar(text);
    this.#tells.announce(text);
  }

  #clear() {
    clearTimeout(this.#timer);
    this.#timer = 0;
  }
}
