// The conversation as it is read: messages in groups, notes across, control changes between.
import { renderMarkdown } from "/web/markdown.js";
import { button, el, icon, put } from "./dom.js";
import { dividerText, speaker } from "./events.js";
import { day, hour } from "./moments.js";

/** @typedef {import("./page").Line} Line */

const NEAR = 48; // pixels from the end within which new messages are followed
const GROUP = 5 * 60_000; // a longer pause begins a new group

export class Log {
  /** @param {import("./model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.lines = el("div", { css: "lines", role: "log", tabindex: "0", "aria-label": "Conversation", "aria-live": "off" });
    this.tail = el("div", { css: "lines tail" });
    this.scroller = el("div", { css: "scroller" }, this.lines, this.tail);
    this.jump = button("Jump to latest", () => this.follow(true), { css: "jump", hidden: true });
    this.node = el("div", { css: "log" }, this.scroller, this.jump);
    /** @type {Map<number, { node: HTMLElement, line: Line, gone?: boolean }>} */
    this.words = new Map();
    /** @type {{ node: HTMLElement, line: Line, holder: string }[]} */
    this.dividers = [];
    /** @type {{ by: string, at: number, node: HTMLElement } | null} */
    this.group = null;
    this.day = "";
    this.holder = "";
    this.unread = 0;
    this.following = true;
    this.top = this.height = 0;
    this.visitor = "";
    this.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.following && this.follow()).observe(this.scroller);
    model.on(["lines"], (lines) => this.#add(lines));
    model.on(["state"], () => this.#renamed());
    model.on(["reset"], () => this.#clear());
  }

  /** @param {boolean} [always] */
  follow(always = false) {
    if (!always && !this.following) return;
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.top = this.scroller.scrollTop;
    this.height = this.scroller.clientHeight;
    this.following = true;
    this.unread = 0;
    this.jump.hidden = true;
  }

  /** Moving up, not growing content or a keyboard that slides in, is what ends following. */
  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.scroller;
    const near = scrollHeight - scrollTop - clientHeight < NEAR;
    if (near) this.following = true;
    else if (scrollTop < this.top && clientHeight === this.height) this.following = false;
    this.top = scrollTop;
    this.height = clientHeight;
    if (near) {
      this.unread = 0;
      this.jump.hidden = true;
    }
  }

  #clear() {
    this.lines.replaceChildren();
    this.words.clear();
    this.dividers = [];
    this.group = null;
    this.day = this.holder = "";
  }

  /** @param {Line[]} lines */
  #add(lines) {
    const live = this.model.loaded;
    this.lines.setAttribute("aria-live", live ? "polite" : "off");
    for (const line of lines) this.#line(line);
    if (live) for (const { event, by } of lines) if (event.type === "Said" && by.id !== this.model.me) this.unread++;
    if (this.following) this.follow();
    else if (this.unread) {
      const n = this.unread;
      put(this.jump, `Jump to latest, ${n} new message${n === 1 ? "" : "s"}`);
      this.jump.hidden = false;
    }
  }

  /** @param {Line} line */
  #line(line) {
    const { event } = line;
    const today = day(line.at, this.model.now());
    if (today !== this.day) {
      this.day = today;
      this.#between(el("p", { css: "divider day" }, el("span", { text: today })));
    }
    if (event.type === "Said") this.#said(line, event.text);
    else if (event.type === "Noted" || event.type === "Guided") this.#aside(line, event);
    else if (event.type === "Edited" || event.type === "Retracted" || event.type === "Redacted") this.#change(line);
    else {
      const text = dividerText(line, { view: this.model.view, holder: this.holder });
      const kind = event.type === "HelpWanted" ? "divider wanted" : "divider";
      if (text) {
        const node = el("span", { text });
        this.dividers.push({ node, line, holder: this.holder });
        this.#between(el("p", { css: kind, dir: "auto" }, el("span", {}, node, " ", el("time", { datetime: line.at, text: hour(line.at) }))));
      }
    }
    if (event.type === "TookOver") this.holder = line.by.name ?? "";
    if (event.type === "HandedBack" || event.type === "Reopened") this.holder = "";
    if (event.type === "Renamed" && line.by.name === this.holder) this.holder = event.name;
  }

  /** @param {HTMLElement} node */
  #between(node) {
    this.group = null;
    this.lines.append(node);
  }

  /** @param {Line} line @param {string} text */
  #said(line, text) {
    const by = identity(line.by), at = Date.parse(line.at);
    if (!this.group || !this.continues(line.by, at)) {
      const node = el("div", { css: `group ${line.by.role}` }, heading(line.by, this.#name(line), hour(line.at), this.#own(line)));
      this.lines.append(node);
      this.group = { by, at, node };
    }
    this.group.at = at;
    const article = el("article", { css: "bubble", dir: "auto", "aria-label": `${this.#name(line)}, ${hour(line.at)}` });
    article.append(renderMarkdown(text));
    this.words.set(line.seq, { node: article, line });
    this.group.node.append(article);
  }

  /** Whether words of `who` belong to the last group. @param {import("/web/wire").Who} who @param {number} at */
  continues(who, at) {
    return this.group?.by === identity(who) && at - this.group.at <= GROUP;
  }

  /** @param {Line} line @param {{ type: string, text: string }} event */
  #aside(line, event) {
    const note = event.type === "Noted", name = this.#name(line), time = hour(line.at);
    const label = note ? `Note, ${name}, ${time}` : `Guidance to AI, ${name}, ${time}`;
    const text = el("div", { css: "text", dir: "auto" });
    text.append(renderMarkdown(event.text));
    const article = el("article", { css: note ? "note" : "note guidance", "aria-label": label }, asideHead(note, name, time), text);
    this.words.set(line.seq, { node: text, line });
    this.#between(article);
  }

  /** An earlier entry reads otherwise from here on. @param {Line} line */
  #change({ event, by }) {
    if (event.type !== "Edited" && event.type !== "Retracted" && event.type !== "Redacted") return;
    const word = this.words.get(event.target);
    if (!word || word.gone) return;
    if (event.type === "Edited") {
      word.node.replaceChildren(renderMarkdown(event.text), el("span", { css: "edited", text: " (edited)" }));
      return;
    }
    word.gone = true;
    const gone = event.type === "Redacted" ? "This message was erased." : `${speaker(by, this.model.view)} deleted this message.`;
    word.node.classList.add("gone");
    word.node.replaceChildren(gone);
  }

  /** @param {Line} line */
  #name(line) {
    return speaker(line.by, this.model.view);
  }

  /** @param {Line} line */
  #own(line) {
    return line.by.role === "staff" && line.by.id === this.model.me;
  }

  /** The visitor has got a name: what was said before carries it too. */
  #renamed() {
    const name = speaker({ role: "visitor" }, this.model.view);
    if (name === this.visitor) return;
    this.visitor = name;
    for (const { node, line, holder } of this.dividers) put(node, dividerText(line, { view: this.model.view, holder }));
    for (const { node, line } of this.words.values()) {
      if (line.by.role !== "visitor") continue;
      node.setAttribute("aria-label", `${name}, ${hour(line.at)}`);
      const head = node.parentElement?.querySelector(".who-name");
      const mark = node.parentElement?.querySelector(".mark");
      if (head) put(head, name);
      if (mark) put(mark, initials(name));
    }
  }
}

/**
 * @param {import("/web/wire").Who} who
 * @param {string} name
 * @param {string} time
 * @param {boolean} own
 */
export function heading(who, name, time, own) {
  const mark = el("span", { css: `mark ${who.role}` }, who.role === "assistant" ? icon("spark") : initials(name));
  return el(
    "p", { css: "who", "aria-hidden": "true" }, mark,
    el("span", { css: "who-name", dir: "auto", text: name }), own && el("span", { css: "soft", text: "(you)" }),
    el("time", { text: time }),
  );
}

/** @param {boolean} note @param {string} name @param {string} time */
export function asideHead(note, name, time) {
  return el(
    "p", { css: "aside-head", "aria-hidden": "true" },
    icon(note ? "lock" : "spark"), el("strong", { text: note ? "Team only" : "Guidance to AI" }),
    el("span", { text: name }), el("time", { text: time }),
  );
}

/** @param {import("/web/wire").Who} who */
function identity(who) {
  return `${who.role}/${who.id ?? ""}/${who.name ?? ""}`;
}

/** @param {string} name */
export function initials(name) {
  const words = name.trim().split(/\s+/);
  const first = [...(words[0] ?? "")][0] ?? "";
  const last = words.length > 1 ? [...(words.at(-1) ?? "")][0] ?? "" : "";
  return (first + last).toLocaleUpperCase();
}
