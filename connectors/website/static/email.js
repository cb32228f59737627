import { attribute, h } from "./dom.js";
import { texts } from "./texts.js";

/** @import { View } from "./types" */

/**
 * For a visitor whom nobody has come to: what is going on, and a way to be answered later.
 * @param {{ given(): string, send(email: string): void, wrong(text: string): void, assistant: boolean }} options
 */
export function emailCard({ given, send, wrong, assistant }) {
  const words = h("p");
  const input = h("input", {
    type: "email", autocomplete: "email", "aria-label": texts.email, placeholder: "name@example.com", maxlength: 254,
  });
  const button = h("button", { type: "submit", "aria-label": texts.emailSend }, "Send");
  const form = h("form", { class: "row", novalidate: true, "aria-label": texts.emailForm, onsubmit: submit }, input, button);

  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    const email = input.value.trim();
    const valid = /^[^\s@<>,;:"()[\]\\]+@[^\s@<>,;:"()[\]\\]+$/.test(email);
    attribute(input, "aria-invalid", valid ? null : "true");
    wrong(valid ? "" : texts.emailWrong);
    if (!valid) return input.focus();
    send(email);
    thank(email);
  }

  /** @param {string} email */
  function thank(email) {
    words.textContent = texts.emailThanks(email);
    form.hidden = true;
  }

  return {
    parts: [words, form],
    /** @param {View} view */
    show({ help }) {
      if (given()) return thank(given());
      words.textContent = texts.nudge(!!help?.last, assistant);
    },
  };
}
