import { h } from "./dom.js";
import { texts } from "./texts.js";

/** @import { Score, View } from "./types" */

/** The end: a verdict, and a new beginning. @param {{ rate(score: Score, comment: string): void, restart(): void }} tells */
export function endCard({ rate, restart }) {
  const radios = Object.entries(texts.scores).map(([score, name]) =>
    h("label", { class: "score" }, h("input", { type: "radio", name: "score", value: score }), h("span", {}, name)),
  );
  const comment = h("textarea", { rows: 1, "aria-label": texts.comment, placeholder: texts.comment, maxlength: 4000, dir: "auto" });
  const button = h("button", { type: "submit" }, texts.rateSend);
  const question = h("p", { id: "rate" }, texts.rate);
  const scores = h("div", { class: "scores", role: "radiogroup", "aria-labelledby": "rate" }, ...radios);
  const form = h("form", { onsubmit: submit }, question, scores, h("div", { class: "more" }, comment, button));
  const thanks = h("p", { class: "thanks" }, texts.rateThanks);
  const again = h("button", { type: "button", class: "quiet", onclick: restart }, texts.restart);

  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    const score = /** @type {Score | null} */ (new FormData(form).get("score"));
    if (!score) return radios[0]?.querySelector("input")?.focus();
    rate(score, comment.value.trim());
    form.replaceWith(thanks);
    again.focus();
  }

  return {
    parts: [form, again],
    /** @param {View} view */
    show: ({ rated }) => void (rated && form.isConnected && form.replaceWith(thanks)),
  };
}
