// Above the composer: that the floor was lost, with the ways on; or what a command answers.
import { button, el, put } from "./dom.js";
import { ago } from "./floor.js";

export class Notice {
  /** @param {import("./composer.js").Composer} composer */
  constructor(composer) {
    this.composer = composer;
    this.when = el("span", { "aria-hidden": "true" }); // counts on without being announced again
    this.text = el("p", { css: "notice-text", role: "alert" });
    this.actions = el("div", { css: "notice-actions" });
    this.node = el("div", { css: "notice", hidden: true }, this.text, this.actions);
    /** @type {"" | "lost" | "said"} */
    this.kind = "";
    this.holder = "";
    this.shown = "";
    this.timer = 0;
  }

  /** @param {string} text */
  say(text) {
    this.kind = this.node.dataset["kind"] = "said";
    this.text.replaceChildren(text);
    this.actions.replaceChildren(button("Dismiss", () => this.close()));
    this.node.hidden = false;
  }

  /** Somebody else has the floor now; the words stay in the composer. @param {string} holder */
  lost(holder) {
    this.kind = this.node.dataset["kind"] = "lost";
    this.holder = holder;
    this.node.hidden = false;
    this.shown = "";
    this.draw();
    clearInterval(this.timer);
    this.timer = setInterval(() => this.draw(), 5000);
  }

  /** @param {"lost"} [only] */
  close(only) {
    if (only && this.kind !== only) return;
    this.kind = "";
    this.node.hidden = true;
    this.text.replaceChildren();
    clearInterval(this.timer);
  }

  draw() {
    if (this.kind !== "lost") return;
    const { model, control, stands, drafts } = this.composer;
    const { view, lines } = model;
    const person = stands === "other", written = drafts.get("reply").trim() !== "";
    const holder = person ? view?.holder ?? this.holder : "The AI assistant";
    const took = lines.findLast((line) => line.seq === view?.since);
    put(this.when, took ? ago(model.now() - Date.parse(took.at)) : "just now");
    const shown = `${holder}/${written}`;
    if (this.shown === shown) return;
    this.shown = shown;
    const lost = written ? " Your reply was not sent." : "";
    if (person) this.text.replaceChildren(`${holder} took over `, this.when, `.${lost}`);
    else this.text.replaceChildren(`The AI assistant is answering again.${lost}`);
    const keep = button("Keep as note", () => this.#keep());
    const take = button(person ? `Take over from ${holder}` : "Take over", () => control.take());
    this.actions.replaceChildren(...(written ? [keep, take] : [take, button("Dismiss", () => this.close())]));
  }

  async #keep() {
    const { composer } = this;
    const text = composer.drafts.get("reply").trim();
    if (!text) return this.close();
    composer.clear("reply");
    this.close();
    composer.pick("note");
    const answer = await composer.session.propose([{ type: "Noted", text }], { mode: "note", text });
    if (!answer.ok) {
      composer.restore("note", text);
      composer.told(answer);
    }
  }
}
