// Where the team writes: to the visitor, to each other, to the assistant. Each has words of its own, so that
// a note can never become a reply by a change of mode.
import { el, icon, put } from "./dom.js";
import { isCommand, names, sendLabel, standing } from "./floor.js";
import { Drafts } from "./drafts.js";
import { Modes } from "./modes.js";
import { Notice } from "./notice.js";

/** @typedef {import("./page").Mode} Mode */
/** @typedef {import("./page").Outcome} Outcome */

export const MOST = 4000; // characters of a message

export class Composer {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./session.js").Session} session
   * @param {import("./control.js").Control} control
   */
  constructor(model, session, control) {
    this.model = model;
    this.session = session;
    this.control = control;
    this.drafts = new Drafts(model.invitation.cid);
    /** @type {Mode} */
    this.mode = this.drafts.mode;
    this.chosen = false; // whether the person picked the mode
    this.news = 0;
    this.notice = new Notice(this);
    this.activity = el("p", { css: "activity", "aria-live": "off" });
    this.fresh = el("p", { css: "fresh", role: "status" });
    this.hint = el("p", { css: "hint", "aria-hidden": "true" }); // where the button has no room for its words
    this.modes = new Modes("writing", (mode, focus) => this.pick(mode, { focus }));
    this.input = el("textarea", {
      rows: "1", dir: "auto", enterkeyhint: "send", autocomplete: "off", "aria-describedby": "writing-error",
      oninput: () => this.#typed(), onkeydown: (/** @type {KeyboardEvent} */ e) => this.#key(e), onblur: () => session.typing(false),
    });
    this.label = el("span", { css: "label" });
    this.button = el("button", { type: "submit", css: "send" }, this.label, icon("send"));
    this.error = el("p", { css: "error", id: "writing-error", role: "alert" });
    const form = el("form", { css: "writing", onsubmit: (/** @type {Event} */ e) => this.#submit(e) }, this.input, this.button);
    this.panel = el("div", { role: "tabpanel", id: "writing" }, form, this.error);
    this.node = el("section", { css: "composer", "aria-label": "Write" },
      el("div", { css: "pulse" }, this.activity, this.hint, this.fresh), this.notice.node, this.modes.node, this.panel);
    session.onBelated = (sending, answer) => this.#answered(answer, sending.mode, sending.text);
    model.on(["state"], (before) => this.#moved(before));
    model.on(["lines"], (lines) => this.#heard(lines));
    model.on(["typing"], () => this.#activity());
    this.input.value = this.drafts.get(this.mode);
    this.#draw();
    queueMicrotask(() => this.#size());
  }

  get stands() {
    return this.model.view ? standing(this.model.view, this.model.me) : "ai";
  }

  /** @param {Mode} mode */
  pick(mode, { focus = true, chosen = true } = {}) {
    this.chosen = chosen;
    if (mode !== this.mode) {
      this.session.typing(false);
      this.mode = this.drafts.mode = mode;
      this.input.value = this.drafts.get(mode);
      this.#forget();
    }
    this.#draw();
    this.#size();
    if (focus) this.input.focus();
  }

  /** Put words back that were not sent, before what has been typed since. @param {Mode} mode @param {string} text */
  restore(mode, text) {
    const since = this.drafts.get(mode);
    this.drafts.set(mode, since.trim() ? `${text}\n${since}` : text);
    if (this.mode !== mode) return this.pick(mode);
    this.input.value = this.drafts.get(mode);
    this.#draw();
    this.#size();
  }

  clear(mode = this.mode) {
    this.drafts.set(mode, "");
    if (mode === this.mode) this.input.value = "";
    this.#forget();
    this.#draw();
    this.#size();
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text) return this.input.focus();
    const length = [...text].length;
    if (length > MOST) {
      put(this.error, `Message is too long (${length.toLocaleString("en")} of 4,000 characters).`);
      return;
    }
    put(this.error, "");
    this.session.typing(false);
    if (isCommand(text)) this.#command(text);
    else if (this.mode === "reply") this.#reply(text.startsWith("//") ? text.slice(1) : text);
    else this.#write(this.mode, text);
  }

  /** @param {string} text */
  async #reply(text) {
    const stands = this.stands;
    if (stands === "other" && !(await this.control.confirmTake())) return;
    const since = this.model.view?.since;
    const said = /** @type {const} */ ({ type: "Said", text });
    this.clear("reply");
    this.#answered(
      await this.session.propose(stands === "mine" ? [said] : [{ type: "TookOver" }, said], { floor: since, mode: "reply", text }),
      "reply", text,
    );
  }

  /** @param {"note" | "guide"} mode @param {string} text */
  async #write(mode, text) {
    this.clear(mode);
    const event = mode === "note" ? { type: /** @type {const} */ ("Noted"), text } : { type: /** @type {const} */ ("Guided"), text };
    this.#answered(await this.session.propose([event], { mode, text }), mode, text);
  }

  /** @param {string} text */
  async #command(text) {
    this.clear();
    const answer = await this.control.command(text);
    if (!answer.ok) this.restore(this.mode, text);
    this.told(answer);
  }

  /** @param {Outcome} answer @param {Mode} mode @param {string} text */
  #answered(answer, mode, text) {
    if (answer.ok) return;
    this.restore(mode, text);
    this.told(answer);
  }

  /** Show what the server said to something asked for. @param {Outcome} answer */
  told(answer) {
    if (answer.ok) {
      if ("answer" in answer) this.notice.say(answer.answer);
    } else if (answer.code === "floor_moved" || answer.code === "not_holder") this.notice.lost(answer.holder ?? "");
    else put(this.error, answer.message);
  }

  #typed() {
    const text = this.input.value;
    if (!this.drafts.get(this.mode) && text) this.#forget();
    this.drafts.set(this.mode, text);
    put(this.error, "");
    if (this.mode === "reply") this.session.typing(text.trim() !== "" && !isCommand(text));
    if (!text.trim()) {
      this.#forget();
      this.notice.close();
    }
    this.#draw();
    this.#size();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    event.stopPropagation();
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape") focusLog();
    if (event.key !== "Enter" || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.button.form?.requestSubmit();
  }

  /** The floor may have moved: what is being written must not go where it was not meant. @param {import("./page").View | null} before */
  #moved(before) {
    const { model } = this;
    const was = before ? standing(before, model.me) : null, stands = this.stands;
    const moved = before && before.since !== model.view?.since;
    if (stands === "other" && this.mode === "reply") {
      if (moved && this.input.value.trim()) this.notice.lost(model.view?.holder ?? "");
      else if (!this.input.value.trim() && was !== "other") this.pick("note", { focus: false, chosen: false });
    }
    const writing = this.input === document.activeElement || this.drafts.get("note").trim() !== "";
    if (stands === "mine" && was !== "mine") this.pick("reply", { focus: was !== null });
    else if (was === "other" && stands === "ai" && this.mode === "note" && !this.chosen && !writing) this.pick("reply", { focus: false });
    if (moved && stands !== "other") this.notice.close("lost");
    this.notice.draw();
    this.#draw();
  }

  /** @param {import("./page").Line[]} lines */
  #heard(lines) {
    const writing = this.model.loaded && this.input.value.trim() !== "";
    if (!writing) return;
    this.news += lines.filter((l) => l.event.type === "Said" && l.by.id !== this.model.me).length;
    const n = this.news;
    if (n) put(this.fresh, `${n} new message${n === 1 ? "" : "s"} since you started writing.`);
  }

  #forget() {
    this.news = 0;
    put(this.fresh, "");
  }

  #activity() {
    const { typing, view } = this.model;
    const who = [...typing].map(([id, name]) => (id === "visitor" ? names(view).subject : name));
    put(this.activity, who.length ? `${who.join(" and ")} ${who.length > 1 ? "are" : "is"} typing…` : "");
  }

  #draw() {
    const { mode, stands, model } = this;
    const text = this.input.value.trim();
    this.modes.show(mode);
    this.node.dataset["mode"] = mode;
    this.panel.setAttribute("aria-labelledby", `tab-${mode}`);
    const label = { reply: `Reply to ${names(model.view).title}`, note: "Note to team", guide: "Guidance for the AI" }[mode];
    this.input.setAttribute("aria-label", label);
    this.input.placeholder = `${label}…`;
    const does = sendLabel(mode, stands, text);
    put(this.label, does);
    put(this.hint, text && does === "Take over and send" && !this.news && !this.activity.textContent ? "Sending takes over" : "");
    this.button.classList.toggle("filled", text !== "" && (mode !== "reply" || stands !== "other"));
    const ended = stands === "ended", focused = this.node.contains(document.activeElement);
    this.node.hidden = ended;
    if (ended && focused) focusLog();
  }

  #size() {
    const { input } = this;
    input.style.setProperty("height", "auto");
    input.style.setProperty("height", `${Math.min(input.scrollHeight + 2, 168)}px`);
  }
}

export function focusLog() {
  /** @type {HTMLElement | null} */ (document.querySelector("[role=log]"))?.focus();
}
