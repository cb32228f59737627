// What follows the log but is not in it yet: words being sent, and the assistant's draft as it streams.
import { renderMarkdown } from "/web/markdown.js";
import { button, el, icon } from "./dom.js";
import { asideHead, heading } from "./log.js";
import { hour } from "./moments.js";

const SLOW = 400; // milliseconds after which a message says that it is being sent

export class Tail {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./log.js").Log} log
   * @param {() => void} stop
   */
  constructor(model, log, stop) {
    this.model = model;
    this.log = log;
    this.sent = el("div", { css: "group staff sending", hidden: true });
    this.stop = button("Stop AI answer", stop, { css: "small" }, icon("stop"), "Stop");
    this.words = el("div", { css: "bubble", dir: "auto" });
    const head = el("p", { css: "who" }, el("span", { css: "mark assistant" }, icon("spark")), "AI assistant is writing…", this.stop);
    this.draft = el(
      "div", { css: "group assistant draft", role: "group", "aria-label": "AI assistant is writing", hidden: true }, head, this.words,
    );
    log.tail.append(this.sent, this.draft);
    this.frame = 0;
    model.on(["draft", "state"], () => this.#later());
    model.on(["sending", "connection"], () => this.#sending());
    this.slow = 0;
    this.count = 0;
  }

  /** A burst of pieces is drawn once; what is withdrawn goes at once. */
  #later() {
    if (!this.model.draft) this.#draw();
    else if (!this.frame) this.frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { draft, view } = this.model;
    const shown = draft !== null && draft.since === view?.since && draft.text.trim() !== "";
    this.draft.hidden = !shown;
    this.stop.hidden = !this.model.joined;
    if (shown) this.words.replaceChildren(renderMarkdown(draft.text));
    this.log.follow();
  }

  #sending() {
    const { model } = this;
    const said = [...model.sending.values()];
    this.sent.hidden = said.length === 0;
    clearTimeout(this.slow);
    if (!said.length) {
      this.count = 0;
      return this.sent.replaceChildren();
    }
    const now = model.now();
    const me = /** @type {const} */ ({ role: "staff", id: model.me, name: model.name });
    const nodes = said.map((s) => {
      const late = now - s.at > SLOW || model.connected !== "online";
      const state = model.connected === "offline" ? "Waiting to send" : "Sending…";
      const words = el("div", { css: s.mode === "reply" ? "bubble" : "text", dir: "auto" });
      words.append(renderMarkdown(s.text), late ? el("span", { css: "edited", text: state }) : "");
      if (s.mode === "reply") return words;
      return el("div", { css: s.mode === "note" ? "note" : "note guidance" }, asideHead(s.mode === "note", model.name, hour(s.at)), words);
    });
    const first = /** @type {import("./page").Sending} */ (said[0]);
    const again = first.mode === "reply" && this.log.continues(me, first.at); // looks as it will when it is in the log
    const head = first.mode === "reply" && !again && heading(me, model.name, hour(first.at), true);
    this.sent.classList.toggle("again", again);
    this.sent.replaceChildren(...(head ? [head] : []), ...nodes);
    this.slow = setTimeout(() => this.#sending(), SLOW);
    this.log.follow(said.length > this.count);
    this.count = said.length;
  }
}
