import { h, icon } from "./dom.js";
import { texts } from "./texts.js";

/** @typedef {{ name: string, run(): void, checked?(): boolean, enabled?(): boolean }} Choice */

/** A button that opens a menu of choices. @param {Choice[]} choices */
export function menu(choices) {
  const list = h("div", { class: "menu", role: "menu", "aria-label": texts.options, hidden: true });
  const button = h(
    "button",
    { type: "button", class: "square", "aria-label": texts.options, "aria-haspopup": "menu", "aria-expanded": "false",
      onclick: () => (list.hidden ? open() : close()) },
    icon("more"),
  );
  const element = h("div", { class: "options", onkeydown: keys, onfocusout: left }, button, list);

  function open() {
    list.replaceChildren(...choices.filter((choice) => choice.enabled?.() ?? true).map(entry));
    list.hidden = false;
    button.setAttribute("aria-expanded", "true");
    focus(0);
  }

  function close() {
    list.hidden = true;
    button.setAttribute("aria-expanded", "false");
  }

  /** @param {Choice} choice */
  function entry({ name, run, checked }) {
    const role = checked ? "menuitemcheckbox" : "menuitem";
    const press = () => {
      close();
      button.focus();
      run();
    };
    const state = checked ? { "aria-checked": String(checked()) } : {};
    return h("button", { type: "button", role, tabindex: -1, onclick: press, ...state }, name, !!checked && icon("check"));
  }

  /** @param {number} index */
  function focus(index) {
    const entries = /** @type {HTMLElement[]} */ ([...list.children]);
    entries.at(index % entries.length)?.focus();
  }

  /** @param {KeyboardEvent} event */
  function keys(event) {
    if (list.hidden) {
      if (event.key === "ArrowDown") open();
      return;
    }
    const at = [...list.children].indexOf(/** @type {Element} */ (event.target));
    if (event.key === "Escape") {
      close();
      button.focus();
    } else if (event.key === "ArrowDown") focus(at + 1);
    else if (event.key === "ArrowUp") focus(at < 1 ? -1 : at - 1);
    else if (event.key === "Home") focus(0);
    else if (event.key === "End") focus(-1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {FocusEvent} event */
  function left(event) {
    if (!element.contains(/** @type {Node | null} */ (event.relatedTarget))) close();
  }

  return { element, close };
}
