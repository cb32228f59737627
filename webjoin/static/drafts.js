// What is being written, kept through a reload of this tab.
import { recall, remember } from "./session.js";

/** @typedef {import("./page").Mode} Mode */

export class Drafts {
  /** @param {string} cid */
  constructor(cid) {
    this.key = `joinline.draft.${cid}`;
    /** @type {{ mode: Mode, reply?: string, note?: string, guide?: string }} */
    this.kept = recall(this.key) ?? { mode: "reply" };
  }

  get mode() {
    return this.kept.mode;
  }

  set mode(mode) {
    this.kept.mode = mode;
    this.#keep();
  }

  /** @param {Mode} mode */
  get(mode) {
    return this.kept[mode] ?? "";
  }

  /** @param {Mode} mode @param {string} text */
  set(mode, text) {
    if (text) this.kept[mode] = text;
    else delete this.kept[mode];
    this.#keep();
  }

  #keep() {
    const { reply, note, guide } = this.kept;
    remember(this.key, reply || note || guide ? this.kept : null);
  }
}
