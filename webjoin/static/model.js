// What this page knows of the conversation. It folds nothing: the server's view is the state.

/** @typedef {import("./page").Kind} Kind */
/** @typedef {import("./page").Line} Line */

const COMES_BACK = 4000; // milliseconds that the visitor's browser is given to send again what was lost
const UNSEEN = ["Opened", "Identified", "Undelivered"]; // worth no word when they are lost

export class Model {
  /** @param {import("./page").Invitation} invitation */
  constructor(invitation) {
    this.invitation = invitation;
    /** @type {import("./page").View | null} */
    this.view = invitation.state;
    this.me = invitation.id;
    this.name = invitation.name;
    /** @type {Line[]} */
    this.lines = [];
    /** @type {import("./page").Colleague[]} */
    this.here = this.me ? [{ id: this.me, name: invitation.name }] : [];
    this.visitorHere = false;
    /** @type {Map<string, string>} staff id or "visitor" -> name */
    this.typing = new Map();
    /** @type {import("./page").DraftText | null} */
    this.draft = null;
    /** @type {Map<string, import("./page").Sending>} */
    this.sending = new Map();
    /** @type {import("./page").Connected} */
    this.connected = "idle";
    this.loaded = false;
    this.leaving = false;
    this.anew = false; // the log began anew: its state is taken even if it stands lower
    /** @type {Line[] | null} what was shown before it did, until it is known what of it is missing */
    this.past = null;
    this.comesBack = 0;
    this.skew = Date.parse(invitation.now) - Date.now();
    /** @type {Map<string, number>} when a colleague's connection was last seen to go */
    this.goneAt = new Map();
    /** @type {Map<string, number>} */
    this.typingEnds = new Map();
    /** @type {Map<Kind, Set<(detail: any) => void>>} */
    this.listeners = new Map();
  }

  /** The server's time. */
  now() {
    return Date.now() + this.skew;
  }

  get joined() {
    return this.me !== "";
  }

  /**
   * @param {Kind[]} kinds
   * @param {(detail: any) => void} listener
   */
  on(kinds, listener) {
    for (const kind of kinds) {
      const found = this.listeners.get(kind) ?? new Set();
      this.listeners.set(kind, found.add(listener));
    }
  }

  /** @param {Kind} kind @param {any} [detail] */
  tell(kind, detail) {
    for (const listener of this.listeners.get(kind) ?? []) listener(detail);
  }

  /** @param {import("/web/wire").Outbound} frame */
  take(frame) {
    switch (frame.t) {
      case "welcome":
        if (frame.you.id) this.me = frame.you.id;
        if (frame.you.name) this.name = frame.you.name;
        this.#see(frame.state);
        return this.#caughtUp(frame);
      case "entries":
        this.#entries(frame.lines, frame.state);
        return this.#caughtUp(frame);
      case "draft":
        return this.#stream(frame);
      case "draft_over":
        if (this.draft?.turn === frame.turn && frame.why !== "done") this.#drop();
        return;
      case "typing":
        return this.#types(frame.who, frame.on);
      case "people":
        return this.#people(frame);
      case "reset":
        clearTimeout(this.comesBack);
        this.comesBack = 0;
        this.past ??= this.lines;
        this.lines = [];
        this.anew = true;
        this.loaded = false;
        this.#drop();
        return this.tell("reset");
    }
  }

  /** @param {Line[]} found @param {import("./page").View} view */
  #entries(found, view) {
    const last = this.lines.at(-1)?.seq ?? 0;
    const lines = found.filter((line) => line.seq > last);
    this.lines.push(...lines);
    for (const line of lines) {
      if (line.key && line.by.id === this.me) this.sending.delete(line.key);
      if (line.event.type === "Said") this.#types(line.by, false);
      if (line.event.type === "Said" && line.by.role !== "staff") this.draft = null; // answered, or begun anew
    }
    if (this.draft && this.draft.since !== view.since) this.draft = null;
    const before = this.view;
    if (before && view.head < before.head && !this.anew) view = before; // history brings the states of its time
    this.view = view;
    this.anew = false;
    if (lines.length) this.tell("lines", lines);
    if ((this.lines.at(-1)?.seq ?? 0) >= view.head) this.loaded = true;
    this.#see(view, before);
    this.tell("draft");
    this.tell("sending");
  }

  /** All that a log which began anew has is here. @param {{ more?: boolean }} frame */
  #caughtUp({ more }) {
    if (!this.past || more || this.comesBack) return;
    this.loaded = true;
    if (this.#missing().some(({ by }) => by.role !== "visitor")) this.#tellLost();
    else this.comesBack = setTimeout(() => this.#tellLost(), COMES_BACK);
  }

  #missing() {
    const has = new Set(this.lines.map(identity));
    return (this.past ?? []).filter((line) => !UNSEEN.includes(line.event.type) && !has.has(identity(line)));
  }

  #tellLost() {
    const lost = this.#missing().length > 0;
    this.past = null;
    this.comesBack = 0;
    if (lost) this.tell("lost");
  }

  /** @param {import("./page").View} view */
  #see(view, before = this.view) {
    this.view = view;
    const mine = view.people?.find((p) => p.id === this.me);
    if (mine) this.name = mine.name;
    this.tell("state", before);
  }

  /** A draft's positions count characters, not UTF-16 units. @param {import("/web/wire").Draft} frame */
  #stream(frame) {
    if (this.view && frame.since !== this.view.since) return;
    const old = this.draft?.turn === frame.turn && this.draft.since === frame.since ? this.draft : null;
    const length = [...frame.text].length;
    if (old && old.length === frame.at) {
      this.draft = { ...old, text: old.text + frame.text, length: old.length + length };
    } else {
      const kept = old ? [...old.text].slice(0, frame.at) : [];
      if (kept.length < frame.at) return; // a piece was lost: the entry will bring the whole
      this.draft = { turn: frame.turn, since: frame.since, text: kept.join("") + frame.text, length: kept.length + length };
    }
    this.tell("draft");
  }

  #drop() {
    this.draft = null;
    this.tell("draft");
  }

  /** @param {import("/web/wire").Who} who @param {boolean} on */
  #types(who, on) {
    const key = who.role === "visitor" ? "visitor" : who.id ?? "";
    if (who.role === "assistant" || key === this.me) return;
    clearTimeout(this.typingEnds.get(key));
    if (on) {
      this.typing.set(key, who.name ?? "");
      this.typingEnds.set(key, setTimeout(() => this.#types(who, false), 6000));
    } else if (!this.typing.delete(key)) return;
    this.tell("typing");
  }

  /** @param {import("/web/wire").Presence} frame */
  #people(frame) {
    for (const person of this.here) {
      if (!frame.here.some((p) => p.id === person.id)) this.goneAt.set(person.id, Date.now());
    }
    for (const person of frame.here) this.goneAt.delete(person.id);
    this.here = frame.here;
    this.visitorHere = frame.visitor;
    this.tell("people");
  }

  /** The chat platform on which somebody takes part, where nobody sees them come and go. @param {string} id */
  elsewhere(id) {
    const via = this.view?.people?.find((p) => p.id === id)?.via;
    return via && via !== "web" ? via : "";
  }

  /** Whether whoever holds the floor is connected. @returns {"" | "reconnecting" | "away"} */
  holderAway() {
    const id = this.view?.holder_id;
    if (!id || id === this.me || this.here.some((p) => p.id === id) || this.elsewhere(id)) return "";
    return Date.now() - (this.goneAt.get(id) ?? 0) < 30_000 ? "reconnecting" : "away";
  }
}

/** What stays the same when an entry is sent again. @param {Line} line */
function identity({ by, key }) {
  return `${by.role} ${by.id} ${key}`;
}
