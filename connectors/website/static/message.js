import { renderMarkdown } from "/web/markdown.js";
import { h, icon } from "./dom.js";
import { texts } from "./texts.js";
import { clock } from "./times.js";

/** @import { Item } from "./types" */
/** @import { Who } from "/web/wire" */

/** @param {Who} by */
export function nameOf(by) {
  return by.role === "visitor" ? texts.you : by.role === "staff" ? (by.name ?? "") : texts.assistant;
}

/** The sign of who speaks: a mark for the assistant, initials for a person. @param {Who} by */
export function badge(by) {
  const sign = h("span", { class: `badge ${by.role}`, "aria-hidden": "true" });
  const words = (by.name ?? "").trim().split(/\s+/).slice(0, 2);
  sign.append(by.role === "staff" ? words.map((word) => [...word][0] ?? "").join("").toUpperCase() : icon("spark"));
  return sign;
}

/** One message in the log. @param {Who} by @param {string | number} at @param {string} text */
export function message(by, at, text) {
  const own = by.role === "visitor";
  const time = h("time", { datetime: new Date(at).toISOString() }, clock(at));
  const who = h("div", { class: "who" }, !own && badge(by), h("span", {}, nameOf(by)), time);
  const bubble = h("div", { class: "bubble", dir: "auto" });
  fill(bubble, by, text);
  const label = `${nameOf(by)}, ${clock(at)}`;
  return h("article", { class: own ? "own" : by.role, "aria-label": label }, who, bubble);
}

/** Answers are Markdown, the visitor's own words are not. @param {Element} bubble @param {Who} by @param {string} text */
export function fill(bubble, by, text) {
  bubble.classList.toggle("plain", by.role === "visitor");
  bubble.replaceChildren(by.role === "visitor" ? text : renderMarkdown(text));
}

/** @param {Element} article */
export function bubbleOf(article) {
  return /** @type {HTMLElement} */ (article.querySelector(".bubble"));
}

/**
 * How far the visitor's own message has come.
 * @param {Element} article @param {Item} item @param {{ retry(item: Item): void, discard(item: Item): void }} actions
 */
export function showDelivery(article, item, actions) {
  article.setAttribute("data-state", item.delivery);
  article.querySelector(".delivery")?.remove();
  if (item.delivery === "fresh") return;
  const words = { sending: texts.sending, waiting: texts.queued, sent: texts.sent, failed: texts.unsent };
  const row = h("div", { class: "delivery", "aria-live": "off" }, h("span", {}, words[item.delivery]));
  if (item.delivery === "sent") row.prepend(icon("check"));
  if (item.delivery === "failed") {
    row.append(
      h("button", { type: "button", "aria-label": texts.retry, onclick: () => actions.retry(item) }, "Retry"),
      h("button", { type: "button", "aria-label": texts.discard, onclick: () => actions.discard(item) }, "Delete"),
    );
  }
  article.append(row);
}
