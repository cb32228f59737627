import { h, icon } from "./dom.js";
import { bubbleOf, fill, message, nameOf, showDelivery } from "./message.js";
import { texts } from "./texts.js";

/** @import { Item, Line } from "./types" */
/** @import { Who } from "/web/wire" */

const GROUP_WITHIN = 300_000; // one speaker's messages stand together for five minutes
/** @type {Who} */
const VISITOR = { role: "visitor" };

/** The messages, in the log's order, with what is on its way at the end. One addition a message. */
export class Log {
  element = h("div", { class: "log", role: "log", tabindex: 0, "aria-label": texts.conversation, "aria-live": "off" });
  /** @type {Map<number, { article: HTMLElement, by: Who }>} */ #said = new Map();
  /** @type {Map<string, HTMLElement>} */ #onTheWay = new Map();
  #actions;
  #holder = "";

  /** @param {{ retry(item: Item): void, discard(item: Item): void }} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /** From here on what is added is news. */
  goLive() {
    this.element.setAttribute("aria-live", "polite");
  }

  empty() {
    this.element.setAttribute("aria-live", "off");
    this.element.replaceChildren();
    this.#said.clear();
    this.#onTheWay.clear();
  }

  /** Show the visitor's own words before the server has them, and how far they came. @param {Item} item */
  item(item) {
    if (!item.text) return;
    let article = this.#onTheWay.get(item.id);
    if (!article) {
      article = message(VISITOR, item.at, item.text);
      this.#onTheWay.set(item.id, article);
      this.#place(article, VISITOR, item.at, null);
    }
    showDelivery(article, item, this.#actions);
  }

  /** @param {Item} item */
  drop(item) {
    this.#onTheWay.get(item.id)?.remove();
    this.#onTheWay.delete(item.id);
  }

  /** @param {Line} line @param {Item} [item] */
  line(line, item) {
    const { event, by } = line;
    switch (event.type) {
      case "Said":
        return this.#say(line, event.text, item);
      case "Edited":
        return this.#change(event.target, event.text);
      case "Retracted":
      case "Redacted":
        return this.#change(event.target, null);
      case "TookOver":
        this.#holder = nameOf(by);
        return this.divide(texts.lineJoined(this.#holder));
      case "HandedBack":
        return this.divide(texts.lineLeft(by.role === "staff" ? nameOf(by) : this.#holder));
      case "HelpWanted":
        if (!event.step) this.divide(by.role === "visitor" ? texts.lineAsked : texts.lineWanted);
        return;
      case "Closed":
        return this.divide(texts.lineEnded);
    }
  }

  /** A change that the status announces, so the log does not. @param {string} text @param {string} [kind] */
  divide(text, kind = "divider") {
    this.#insert(h("div", { class: kind, "aria-live": "off" }, h("span", {}, text)));
  }

  /** @param {Line} line @param {string} text @param {Item} [item] */
  #say({ seq, at, by }, text, item) {
    let article = item && this.#onTheWay.get(item.id);
    if (item && article) {
      this.#onTheWay.delete(item.id);
      if (this.#first() !== undefined && this.#first() !== article.nextElementSibling) this.#insert(article);
    } else {
      article = message(by, at, text);
      this.#place(article, by, Date.parse(at), this.#first() ?? null);
    }
    this.#said.set(seq, { article, by });
  }

  /** @param {number} target @param {string | null} text */
  #change(target, text) {
    const said = this.#said.get(target);
    if (!said) return;
    const bubble = bubbleOf(said.article);
    said.article.classList.toggle("gone", text === null);
    if (text === null) bubble.replaceChildren(texts.removed);
    else fill(bubble, said.by, text);
  }

  /** The first of the visitor's words that are on their way: what the log holds stands before it. */
  #first() {
    return this.#onTheWay.values().next().value;
  }

  /** @param {HTMLElement} article @param {Who} by @param {number} at @param {Node | null} before */
  #place(article, by, at, before) {
    const last = /** @type {HTMLElement | null} */ (before ? before.previousSibling : this.element.lastElementChild);
    article.dataset.who = nameOf(by);
    article.dataset.at = String(at);
    const near = at - Number(last?.dataset.at ?? 0) < GROUP_WITHIN;
    article.classList.toggle("grouped", last?.dataset.who === article.dataset.who && near);
    this.element.insertBefore(article, before);
  }

  /** @param {HTMLElement} element */
  #insert(element) {
    this.element.insertBefore(element, this.#first() ?? null);
  }
}

/** @param {() => void} pressed */
export function jumpButton(pressed) {
  const label = h("span", {}, texts.jump);
  const button = h("button", { type: "button", class: "jump", hidden: true, onclick: pressed }, icon("down"), label);
  return {
    element: button,
    /** @param {boolean} away @param {number} fresh */
    show(away, fresh) {
      button.hidden = !away;
      button.setAttribute("aria-label", fresh ? texts.jumpNew(fresh) : texts.jump);
      label.textContent = fresh ? `${fresh} new` : "Latest";
    },
  };
}
