import { attribute, h } from "./dom.js";

/** What is announced, what went wrong, and the thin bar about the connection. All are there from the start. */
export function statusLines() {
  const status = h("div", { class: "hidden", role: "status" });
  const alert = h("div", { class: "problem-text", role: "alert" });
  const actions = h("div", { class: "problem-actions" });
  const problem = h("div", { class: "problem", "data-empty": true }, alert, actions);
  let passing = false; // what is complained of will pass by itself
  const bar = h("div", { class: "bar", "aria-hidden": "true", hidden: true });
  return {
    status,
    problem,
    bar,
    /** @param {string} text */
    announce(text) {
      if (status.textContent !== text) return void (status.textContent = text);
      status.textContent = "";
      setTimeout(() => status.textContent || (status.textContent = text), 50);
    },
    /** @param {string} text @param {...HTMLElement} buttons */
    complain(text, ...buttons) {
      passing = false;
      if (alert.textContent !== text) alert.textContent = text;
      actions.replaceChildren(...buttons);
      attribute(problem, "data-empty", text === "");
    },
    /** Complain of what passes by itself, unless something else is the matter. @param {string} text */
    complainOfConnection(text) {
      if (alert.textContent && !passing) return;
      this.complain(text);
      passing = text !== "";
    },
    /** The status has said it: the bar's words are drawn by the style sheet, so they are not read twice. @param {string} text */
    showBar(text) {
      bar.hidden = text === "";
      attribute(bar, "data-text", text || null);
    },
  };
}
