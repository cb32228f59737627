import { h, icon } from "./dom.js";
import { texts } from "./texts.js";

const TYPING_EVERY = 3_000;
const TYPING_ENDS = 5_000;

/**
 * Where the visitor writes. Enter sends, Shift+Enter breaks the line, neither while composing.
 * @param {{ send(text: string): boolean, stop(): void, typing(on: boolean): void, changed(text: string): void }} tells
 */
export function composer(tells) {
  const input = h("textarea", {
    rows: 1, "aria-label": texts.message, placeholder: "Write a message…", dir: "auto", enterkeyhint: "send",
    autocomplete: "off", oninput: written, onkeydown: key,
  });
  const stop = h(
    "button",
    { type: "button", class: "stop", "aria-label": texts.stop, title: texts.stop, hidden: true, onclick: tells.stop },
    icon("stop"),
  );
  const send = h("button", { type: "submit", class: "send", "aria-label": texts.send, title: texts.send }, icon("send"));
  const box = h("div", { class: "box", onclick: () => input.focus() }, input, stop, send);
  const element = h("form", { class: "composer", onsubmit: submit }, box);
  let saidAt = 0;
  let silence = 0;

  /** @param {boolean} on */
  function typing(on) {
    clearTimeout(silence);
    if (on) silence = setTimeout(() => typing(false), TYPING_ENDS);
    if (on ? Date.now() - saidAt < TYPING_EVERY : !saidAt) return;
    saidAt = on ? Date.now() : 0;
    tells.typing(on);
  }

  function fit() {
    input.style.setProperty("height", "auto");
    input.style.setProperty("height", `${input.scrollHeight}px`);
    element.classList.toggle("blank", !input.value.trim());
  }

  function written() {
    fit();
    typing(input.value.trim() !== "");
    tells.changed(input.value);
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    element.requestSubmit();
  }

  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    input.focus();
    if (!input.value.trim() || !tells.send(input.value)) return;
    input.value = "";
    typing(false);
    fit();
    tells.changed("");
  }

  fit();
  return {
    element,
    input,
    focus: () => input.focus(),
    get text() {
      return input.value;
    },
    /** @param {string} text */
    set text(text) {
      if (input.value === text) return;
      input.value = text;
      fit();
    },
    /** Whether an answer is running that can be stopped. @param {boolean} on */
    stoppable(on) {
      if (!on && stop.matches(":focus")) input.focus();
      stop.hidden = !on;
    },
    fit,
  };
}
