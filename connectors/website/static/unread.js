/** @import { Line } from "./types" */

/** How many of the business's messages came after the newest that was seen. */
export class Unread {
  count = 0;
  /** @type {number[]} */ #seqs = [];
  #read;
  #changed;

  /** @param {number} read the newest seq that was seen @param {(count: number) => void} changed */
  constructor(read, changed) {
    this.#read = read;
    this.#changed = changed;
  }

  /** @param {Line} line */
  line({ seq, event, by }) {
    if (event.type !== "Said" || by.role === "visitor") return;
    this.#seqs.push(seq);
    this.#look();
  }

  /** The newest seq, as far as there is one to see. */
  get newest() {
    return this.#seqs.at(-1) ?? 0;
  }

  /** @param {number} seq */
  mark(seq) {
    this.#read = Math.max(this.#read, seq);
    this.#look();
  }

  /** @param {number} [same] the last seq that still stands */
  empty(same = 0) {
    this.#seqs = [];
    this.#read = Math.min(this.#read, same);
    this.#look();
  }

  #look() {
    const count = this.#seqs.filter((seq) => seq > this.#read).length;
    if (count === this.count) return;
    this.count = count;
    this.#changed(count);
  }
}
