import { h, icon } from "./dom.js";
import { badge } from "./message.js";
import { texts } from "./texts.js";

/** @import { View } from "./types" */

/**
 * The title, who answers, and the way to a person.
 * @param {{ title: string, assistant: boolean, menu: HTMLElement, minimise(): void, wantPerson(): void }} options
 */
export function header({ title, assistant, menu, minimise, wantPerson }) {
  const heading = h("h2", { id: "title" }, title);
  const close = h(
    "button", { type: "button", class: "square", "aria-label": texts.minimise, onclick: minimise }, icon("minimise"),
  );
  const who = h("div", { class: "answering", role: "group", "aria-label": texts.answering });
  const person = h("button", { type: "button", class: "person", onclick: wantPerson }, texts.person);
  const element = h(
    "header", {},
    h("div", { class: "top" }, heading, menu, close),
    h("div", { class: "controller" }, who, person),
  );
  const waiting = () => h("span", { class: "badge waiting", "aria-hidden": "true" }, icon("clock"));
  let shown = "";
  return {
    element,
    /** @param {View} view */
    show(view) {
      const { controller, holder = "" } = view;
      const key = `${controller} ${holder}`;
      if (key === shown) return;
      shown = key;
      const [sign, text] = {
        ai: () => (assistant ? [badge({ role: "assistant" }), texts.assistant] : [waiting(), texts.waiting]),
        waiting: () => [waiting(), texts.waiting],
        human: () => [badge({ role: "staff", name: holder }), texts.team(holder)],
        none: () => ["", texts.nobody],
      }[controller]();
      who.replaceChildren(sign ?? "", h("span", { class: "name", dir: "auto" }, text ?? ""));
      element.dataset.controller = view.controller;
      person.hidden = controller !== "ai" || !assistant;
    },
  };
}
