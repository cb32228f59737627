// Keys while the conversation has the focus; nowhere else, so that no typing is ever taken for one.
import { el } from "./dom.js";
import { show } from "./dialog.js";

/** @type {[string, string][]} */
const KEYS = [
  ["R", "Reply"], ["N", "Note"], ["G", "Guide AI"], ["T", "Take over"], ["B", "Hand back to AI"],
  ["?", "Keyboard shortcuts"],
];

/**
 * @param {HTMLElement} log
 * @param {import("./control.js").Control} control
 * @param {() => import("./composer.js").Composer | null} composer
 * @param {import("./model.js").Model} model
 */
export function watchKeys(log, control, composer, model) {
  log.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const writing = composer(), key = event.key.toLowerCase();
    if (key === "?") shortcuts(model.invitation.commands);
    else if (!writing || writing.node.hidden) return;
    else if (key === "r") writing.pick("reply");
    else if (key === "n") writing.pick("note");
    else if (key === "g") writing.pick("guide");
    else if (key === "t") control.takeAsked();
    else if (key === "b" && writing.stands === "mine") control.back();
    else return;
    event.preventDefault();
  });
}

/** @param {{ usage: string, summary: string }[]} commands */
export function shortcuts(commands) {
  const rows = (/** @type {[string, string][]} */ pairs, /** @type {"kbd" | "code"} */ tag) =>
    el("dl", { css: "keys" }, ...pairs.flatMap(([key, does]) => [el("dt", {}, el(tag, { text: key })), el("dd", { text: does })]));
  show("Keyboard shortcuts", [
    el("h3", { text: "While writing" }),
    rows([["Enter", "Send"], ["Shift + Enter", "New line"], ["Esc", "Go to the conversation"]], "kbd"),
    el("h3", { text: "While the conversation has the focus" }),
    rows(KEYS, "kbd"),
    el("h3", { text: "Commands, typed as a message" }),
    rows(commands.map((c) => [`/${c.usage}`, c.summary]), "code"),
  ]);
}
