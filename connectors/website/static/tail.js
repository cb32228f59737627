import { h } from "./dom.js";
import { bubbleOf, fill, message } from "./message.js";
import { texts } from "./texts.js";

/** @import { Activity } from "./types" */
/** @import { Who } from "/web/wire" */

/** @type {Who} */
const ASSISTANT = { role: "assistant" };
const EVERY = 60; // milliseconds between two drawings of a draft

/** What stands below the log and is not in it: the draft as it streams, dots, and who is typing. */
export function tail() {
  const draft = h("div", { class: "draft", "aria-hidden": "true" });
  const dots = h("div", { class: "dots", "aria-hidden": "true", hidden: true }, h("i"), h("i"), h("i"));
  const typing = h("div", { class: "typing", hidden: true });
  const element = h("div", { class: "tail" }, draft, dots, typing);
  let text = "";
  let timer = 0;

  function draw() {
    timer = 0;
    const shown = draft.firstElementChild ?? draft.appendChild(message(ASSISTANT, Date.now(), ""));
    fill(bubbleOf(shown), ASSISTANT, text);
  }

  return {
    element,
    /** @param {string | null} running null: there is none any more, as of now */
    draft(running) {
      clearTimeout(timer);
      if (running === null) {
        timer = 0;
        return draft.replaceChildren();
      }
      text = running;
      if (!draft.firstElementChild) draw();
      else timer = setTimeout(draw, EVERY);
    },
    /** @param {Activity} activity @param {string} name */
    show(activity, name) {
      dots.hidden = activity !== "ai-thinking";
      typing.hidden = activity !== "human-typing";
      typing.textContent = activity === "human-typing" ? texts.typing(name) : "";
    },
  };
}
