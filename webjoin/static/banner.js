// Who is answering, at one glance, with the one action that matters.
import { button, el, icon, put } from "./dom.js";
import { banner, standing } from "./floor.js";
import { initials } from "./log.js";

export class Banner {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./control.js").Control} control
   * @param {() => void} download
   */
  constructor(model, control, download) {
    this.model = model;
    this.control = control;
    this.download = download;
    this.mark = el("span", { css: "mark big", "aria-hidden": "true" });
    this.words = el("div", { css: "banner-words" });
    this.detail = el("p", { css: "banner-detail", dir: "auto" });
    this.actions = el("div", { css: "banner-actions" });
    this.node = el("section", { css: "banner", "aria-label": "Who is answering" }, this.mark, this.words, this.actions);
    /** @type {HTMLElement | null} */
    this.text = null;
    this.shown = "";
    this.ticking = 0;
    model.on(["state", "people"], () => this.draw());
  }

  draw() {
    const { model } = this, { view } = model;
    if (!view) return;
    const said = banner(view, { me: model.me, name: model.name, now: model.now(), away: model.holderAway() });
    const tag = said.tone === "ended" ? "h1" : "p"; // the ended page's heading
    if (this.text?.localName !== tag) {
      this.text = el(tag, { css: "banner-text", dir: "auto" });
      this.words.replaceChildren(this.text, this.detail);
    }
    put(this.text, said.text);
    put(this.detail, said.detail);
    this.detail.hidden = !said.detail;
    this.node.dataset["tone"] = said.tone;
    this.#buttons(view);
    const ticks = Boolean(view.help) || model.holderAway() === "reconnecting";
    if (ticks && !this.ticking) this.ticking = setInterval(() => this.draw(), 1000);
    if (!ticks) {
      clearInterval(this.ticking);
      this.ticking = 0;
    }
  }

  /** @param {import("./page").View} view */
  #buttons(view) {
    const { model, control } = this, stands = standing(view, model.me);
    const key = `${model.joined}/${stands}/${view.holder ?? ""}`;
    if (key === this.shown) return;
    this.shown = key;
    const focused = this.actions.contains(document.activeElement);
    this.mark.className = `mark big ${stands === "ai" ? "assistant" : "staff"}`;
    this.mark.replaceChildren(stands === "ai" ? icon("spark") : stands === "ended" ? icon("check") : initials(view.holder ?? ""));
    this.actions.replaceChildren(...this.#choices(stands, view, control));
    if (focused) this.actions.querySelector("button")?.focus();
  }

  /** @param {import("./page").Standing} stands @param {import("./page").View} view @param {import("./control.js").Control} control */
  #choices(stands, view, control) {
    if (stands === "ended") return [button("Download transcript", this.download, { css: "filled" })];
    if (!this.model.joined) return [];
    if (stands === "ai") return [button("Take over", () => control.take(), { css: "filled" })];
    if (stands === "other") return [button(`Take over from ${view.holder}`, () => control.takeAsked())];
    const more = button("Hand back with words…", () => control.backWithWords(), { css: "filled split", title: "Hand back with words…" }, icon("down"));
    return [
      el("span", { css: "joined-buttons" }, button("Hand back to AI", () => control.back(), { css: "filled" }), more),
      button("Observe", () => control.observe()),
    ];
  }
}
