// The live connection of this page, and what it sends.
import { Connection, newKey } from "/web/connection.js";

/** @typedef {import("./page").Outcome} Outcome */
/** @typedef {import("./page").ChatEvent} ChatEvent */

export class Session {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./page").Credential} credential
   * @param {(code: number, reason: string) => void} end
   */
  constructor(model, credential, end) {
    this.model = model;
    /** @type {(sending: import("./page").Sending, answer: Outcome) => void} what was sent before a reload is answered */
    this.onBelated = () => {};
    this.typedAt = 0;
    this.connection = new Connection({
      url: new URL("/live/staff", location.href).href,
      hello: () => ({ t: "hello", ...credential }),
      onFrame: (frame) => model.take(frame),
      onStatus: (status) => {
        model.connected = status;
        model.tell("connection");
      },
      onEnd: end,
    });
  }

  open() {
    this.connection.open();
    for (const sending of this.#kept()) this.#send(sending).then((answer) => this.onBelated(sending, answer));
  }

  close() {
    this.connection.close();
  }

  /**
   * Words or control, shown as being sent until the log has them.
   * @param {ChatEvent[]} events
   * @param {{ floor?: number, mode?: import("./page").Mode, text?: string }} [how]
   * @returns {Promise<Outcome>}
   */
  propose(events, { floor, mode = "reply", text = "" } = {}) {
    return this.#send({ key: newKey(), events, floor, mode, text, at: this.model.now() });
  }

  /** @param {string} line @param {number} [floor] @returns {Promise<Outcome>} */
  async command(line, floor) {
    return outcome(await this.connection.request({ t: "command", key: newKey(), line, ...fence(floor) }));
  }

  /** @param {boolean} on */
  typing(on) {
    const now = Date.now();
    if (on ? now - this.typedAt < 3000 : !this.typedAt) return;
    this.typedAt = on ? now : 0;
    this.connection.signal({ t: "typing", on });
  }

  stop() {
    this.connection.signal({ t: "stop" });
  }

  /** @param {import("./page").Sending} sending @returns {Promise<Outcome>} */
  async #send(sending) {
    const { model } = this;
    model.sending.set(sending.key, sending);
    this.#keep();
    model.tell("sending");
    const { key, events, floor } = sending;
    const answer = outcome(await this.connection.request({ t: "propose", key, events, ...fence(floor) }));
    if (!answer.ok) model.sending.delete(key);
    this.#keep(key);
    model.tell("sending");
    return answer;
  }

  /** What has not been answered survives a reload; the key makes sending it again harmless. @param {string} [done] */
  #keep(done) {
    const waiting = [...this.model.sending.values()].filter((s) => s.key !== done);
    remember(`joinline.sending.${this.model.invitation.cid}`, waiting.length ? waiting : null);
  }

  /** @returns {import("./page").Sending[]} */
  #kept() {
    return this.model.joined ? recall(`joinline.sending.${this.model.invitation.cid}`) ?? [] : [];
  }
}

/** @param {number} [floor] */
function fence(floor) {
  return floor === undefined ? {} : { floor };
}

/** @param {import("/web/wire").Ack | import("/web/wire").Refused | import("/web/wire").Answer} frame @returns {Outcome} */
function outcome(frame) {
  if (frame.t === "ack") return { ok: true };
  if (frame.t === "answer") return { ok: true, answer: frame.text };
  return { ok: false, code: frame.code, message: frame.message, holder: frame.holder };
}

/**
 * This tab's memory, used only after joining. Storage may be forbidden; then nothing is remembered.
 * @param {string} key
 * @param {unknown} value null forgets
 */
export function remember(key, value, storage = () => sessionStorage) {
  try {
    if (value === null) storage().removeItem(key);
    else storage().setItem(key, JSON.stringify(value));
  } catch { /* blocked or full */ }
}

/** @param {string} key @returns {any} */
export function recall(key, storage = () => sessionStorage) {
  try {
    return JSON.parse(storage().getItem(key) ?? "null");
  } catch {
    return null;
  }
}
