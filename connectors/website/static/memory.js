/** @import { Kept } from "./types" */

/** @type {Kept} */
const NOTHING = { token: "", pending: [], open: false, draft: "", read: 0, muted: false, email: "" };

/** What survives a change of page: one localStorage key, written from the first message on, shared by tabs. */
export class Memory {
  #key;
  /** @type {Kept} */ #value = NOTHING;

  /** @param {string} site @param {(now: Kept, before: Kept) => void} changed what another tab did */
  constructor(site, changed) {
    this.#key = `joinline:${site}`;
    this.#value = this.#read() ?? NOTHING;
    addEventListener("storage", (event) => {
      if (event.key !== this.#key && event.key !== null) return;
      const before = this.#value;
      this.#value = this.#read() ?? { ...NOTHING, open: before.open };
      changed(this.#value, before);
    });
  }

  get value() {
    return this.#value;
  }

  /** What is stored now, other tabs' writing included. */
  fresh() {
    return this.#read() ?? this.#value;
  }

  /** The conversation's token: the one that another tab has begun with, or this new one. @param {string} token */
  begin(token) {
    this.change({ token: this.fresh().token || token });
  }

  /** @param {Partial<Kept>} part */
  change(part) {
    this.#value = { ...this.fresh(), ...part };
    if (!this.#value.token) return;
    try {
      localStorage.setItem(this.#key, JSON.stringify(this.#value));
    } catch {
      // storage is blocked or full: this page remembers, the next one will not
    }
  }

  forget() {
    this.#value = { ...NOTHING, open: this.#value.open };
    try {
      localStorage.removeItem(this.#key);
    } catch {
      // nothing was stored
    }
  }

  /** @returns {Kept | null} */
  #read() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.#key) ?? "null");
      return kept?.token ? { ...NOTHING, ...kept } : null;
    } catch {
      return null;
    }
  }
}
