// The tabs above the composer: to whom the words go.
import { el } from "./dom.js";

/** @typedef {import("./page").Mode} Mode */

const MODES = /** @type {[Mode, string][]} */ ([["reply", "Reply"], ["note", "Note"], ["guide", "Guide AI"]]);

export class Modes {
  /** @param {string} panel the id of what the tabs switch @param {(mode: Mode, focus: boolean) => void} pick */
  constructor(panel, pick) {
    this.pick = pick;
    this.tabs = MODES.map(([mode, label]) => el("button", {
      type: "button", role: "tab", id: `tab-${mode}`, "aria-controls": panel, text: label, onclick: () => pick(mode, true),
    }));
    this.at = 0;
    this.node = el("div", { css: "tabs", role: "tablist", "aria-label": "Message type", onkeydown: this.#key }, ...this.tabs);
  }

  /** @param {Mode} mode */
  show(mode) {
    this.at = MODES.findIndex(([m]) => m === mode);
    this.tabs.forEach((tab, at) => {
      tab.setAttribute("aria-selected", String(at === this.at));
      tab.tabIndex = at === this.at ? 0 : -1;
    });
  }

  #key = (/** @type {KeyboardEvent} */ event) => {
    const last = MODES.length - 1, { at } = this;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at ? at - 1 : last, Home: 0, End: last }[event.key];
    const mode = to === undefined ? undefined : MODES[to];
    if (to === undefined || !mode) return;
    event.preventDefault();
    this.pick(mode[0], false);
    this.tabs[to]?.focus();
  };
}
