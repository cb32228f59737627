// The button "More" and its menu: arrow keys move, Escape closes and gives the focus back.
import { el, icon } from "./dom.js";

/** @typedef {{ label: string, press: () => void, checked?: () => boolean, shown?: () => boolean, danger?: boolean }} Item */

export class Menu {
  /** @param {Item[]} items */
  constructor(items) {
    this.items = items;
    this.button = el("button", {
      type: "button", css: "icon-button", "aria-label": "More", "aria-haspopup": "menu", "aria-expanded": "false",
      "aria-controls": "more", title: "More", onclick: () => (this.open ? this.close() : this.show()),
    }, icon("more"));
    this.list = el("div", { css: "menu", role: "menu", id: "more", "aria-label": "More", hidden: true, onkeydown: this.#key });
    this.node = el("div", { css: "more" }, this.button, this.list);
    this.node.addEventListener("focusout", (event) => {
      if (this.open && event.relatedTarget && !this.node.contains(/** @type {Node} */ (event.relatedTarget))) this.close(false);
    });
    document.addEventListener("pointerdown", (event) => {
      if (this.open && !this.node.contains(/** @type {Node} */ (event.target))) this.close(false);
    });
  }

  get open() {
    return !this.list.hidden;
  }

  show() {
    this.list.replaceChildren(...this.items.filter((i) => i.shown?.() ?? true).map((item) => el("button", {
      type: "button", role: item.checked ? "menuitemcheckbox" : "menuitem", tabindex: "-1", css: item.danger ? "danger-text" : "",
      "aria-checked": item.checked ? String(item.checked()) : undefined, text: item.label,
      onclick: () => { this.close(); item.press(); },
    })));
    this.list.hidden = false;
    this.button.setAttribute("aria-expanded", "true");
    /** @type {HTMLElement | null} */ (this.list.firstElementChild)?.focus();
  }

  close(focus = true) {
    this.list.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
    if (focus) this.button.focus();
  }

  #key = (/** @type {KeyboardEvent} */ event) => {
    const items = /** @type {HTMLElement[]} */ ([...this.list.children]);
    const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Escape") this.close();
    else if (to !== undefined) items.at(to % items.length)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
}
