import { Connection, random } from "/web/connection.js";
import { Running } from "./draft.js";
import { Outbox } from "./outbox.js";

/** @import { ChatEvent, ChatTells, Line, Status, View } from "./types" */
/** @import { DraftOver, Entries, Outbound, Welcome } from "/web/wire" */
/** @import { Memory } from "./memory.js" */

export const LONGEST = 4_000; // characters of a message
/** @type {View} */
const NEW = { head: 0, controller: "ai", since: 0 };

/** One visitor's conversation: what the log says of it, and what the visitor does. It draws nothing. */
export class Chat {
  view = NEW;
  /** @type {Line[]} */ lines = [];
  /** @type {Status} */ status = "idle";
  running = new Running();
  outbox;
  /** @type {Connection | null} */ #connection = null;
  #listeners = {}; // by name
  memory;
  options;
  welcomed = false;
  history = false; // what comes is not news
  #behind = false; // what was missed has not all come
  /** @type {Line[] | null | undefined} */ anew = null; // lines of a log that began anew

  /** @param {{ base: string, site: string, memory: Memory, opening: () => ChatEvent, introduction: () => ChatEvent[] }} options */
  constructor(options) {
    this.options = options;
    this.memory = options.memory;
    this.outbox = this.#outbox();
  }

  /** @template {keyof ChatTells} T @param {T} name @param {(...what: ChatTells[T]) => void} listener */
  on(name, listener) {
    const all = /** @type {any} */ (this.#listeners);
    (all[name] ??= []).push(listener);
  }

  get begun() {
    return this.memory.value.token !== "";
  }

  get over() {
    return this.view.controller === "none";
  }

  /** Go on with the conversation that this browser knows, if any. */
  resume() {
    if (!this.begun || this.#connection) return;
    this.#connect();
    this.outbox.restore();
  }

  /** @param {string} text */
  say(text) {
    return this.#post([{ type: "Said", text }]);
  }

  wantPerson() {
    return this.#post([{ type: "HelpWanted" }]);
  }

  /** @param {ChatEvent} event */
  tell(event) {
    return this.#post([event]);
  }

  /** @param {boolean} on */
  typing(on) {
    this.#connection?.signal({ t: "typing", on });
  }

  stopAnswer() {
    this.#connection?.signal({ t: "stop" });
  }

  /** Leave this conversation; the next message begins another. @param {boolean} [forget] */
  leave(forget = true) {
    this.#connection?.close();
    this.#connection = null;
    if (forget) this.memory.forget();
    this.outbox.hold();
    this.outbox = this.#outbox();
    this.#empty();
    this.#status("idle");
  }

  /** @param {ChatEvent[]} events */
  #post(events) {
    const onTheWay = [...this.outbox.items.values()].some((item) => item.delivery !== "failed");
    const opened = this.view.head > 0 || onTheWay || (this.begun && !this.welcomed);
    if (!this.begun) this.memory.begin(random(32));
    const { opening, introduction } = this.options;
    return this.outbox.post(opened ? events : [opening(), ...events, ...introduction()]);
  }

  #connect() {
    if (this.#connection) return this.#connection;
    const { base, site } = this.options;
    this.#connection = new Connection({
      url: `${base}live/visitor`,
      hello: () => ({ t: "hello", site, token: this.memory.value.token }),
      onFrame: (frame) => this.frame(frame),
      onStatus: (status, seconds) => this.#status(status, seconds),
      onEnd: (code) => this.emit("over", code),
    });
    this.#connection.open();
    return this.#connection;
  }

  #outbox() {
    return new Outbox(this.memory, {
      request: (frame) => this.#connect().request(frame),
      withdraw: (key) => this.#connection?.withdraw(key),
      opening: this.options.opening,
      changed: (item) => this.emit("item", item),
      refused: (item) => this.emit("problem", item.error),
    });
  }

  /** @param {Outbound} frame */
  frame(frame) {
    if (frame.t === "reset") {
      this.anew = [];
      this.#withdraw("", true);
      return this.outbox.hold();
    }
    const { anew } = this;
    if (anew) return void import("./again.js").then(({ gather }) => gather(this, anew, frame), () => this.#restart(anew));
    switch (frame.t) {
      case "welcome":
        this.welcomed = true;
        this.history = this.lines.length === 0;
        this.#look(frame.state);
        return this.catchUp(frame);
      case "entries":
        for (const line of frame.lines) this.line(line);
        if (this.#behind) return this.catchUp(frame);
        return this.#look(frame.state);
      case "draft":
        if (this.running.add(frame, this.view.since)) this.emit("draft", this.running.text, "");
        return;
      case "draft_over":
        return this.#draftOver(frame);
      case "typing":
        return this.emit("typing", frame.on && frame.who.role === "staff" ? (frame.who.name ?? "") : "");
    }
  }

  /** @param {Line[]} anew */
  #restart(anew) {
    if (this.anew !== anew) return;
    this.leave(false);
    this.resume();
  }

  /** What was missed brings the states of its time: only the newest is shown. @param {Welcome | Entries} frame */
  catchUp({ state, more }) {
    this.#behind = !!more;
    if (more) return;
    this.history = false;
    this.#look(state);
    this.emit("ready");
  }

  /** @param {Line} line */
  line(line) {
    const { event, by } = line;
    const said = event.type === "Said";
    const item = said && by.role === "visitor" ? this.outbox.settle(line.key) : undefined;
    if (said && by.role === "assistant") this.#withdraw("");
    if (event.type === "TookOver") this.#withdraw("interrupted");
    this.lines.push(line);
    this.emit("line", line, item ? !item.again : !this.history, item);
    if (by.role === "staff") this.emit("typing", "");
  }

  /** @param {View} view */
  #look(view) {
    const before = this.view;
    this.view = view;
    if (this.running.outdated(view.since)) this.#withdraw("interrupted");
    this.emit("view", view, before);
  }

  /** @param {DraftOver} frame */
  #draftOver({ turn, why }) {
    if (turn !== this.running.turn && this.running.shown) return;
    if (why === "done") return; // the words come as a line
    this.running.turn = turn;
    if (why === "failed") this.#withdraw("failed", true);
    else this.#withdraw(why === "interrupted" ? "interrupted" : "", why === "rerun");
  }

  /** @param {"" | "interrupted" | "failed"} why @param {boolean} [anew] */
  #withdraw(why, anew) {
    const shown = this.running.shown;
    this.running.clear(anew);
    if (shown || why === "failed") this.emit("draft", null, why);
  }

  /** @param {Status} status @param {number} [seconds] */
  #status(status, seconds) {
    this.status = status;
    this.outbox.follow(status);
    this.emit("status", status, seconds);
  }

  #empty() {
    this.lines = [];
    this.view = NEW;
    this.running = new Running();
    this.welcomed = false;
    this.#behind = false;
    this.anew = undefined;
    this.emit("reset");
  }

  /** @template {keyof ChatTells} T @param {T} name @param {ChatTells[T]} what */
  emit(name, ...what) {
    const all = /** @type {any} */ (this.#listeners);
    for (const listener of all[name] ?? []) listener(...what);
  }
}
