import { newKey } from "/web/connection.js";
import { texts } from "./texts.js";

/** @import { ChatEvent, Delivery, Item, Pending, Status } from "./types" */
/** @import { Ack, Answer, Propose, Refused } from "/web/wire" */
/** @import { Memory } from "./memory.js" */

const SAY_SENDING_AFTER = 400;
const GIVE_UP_AFTER = 10_000;

/** What this visitor proposed and the server has not confirmed: kept over page changes, sent again at need. */
export class Outbox {
  /** @type {Map<string, Item>} */ items = new Map();
  /** @type {Item[]} */ told = []; // without words
  /** @type {object | null} */ held = null; // while nothing is sent
  /** @type {Map<string, number[]>} */ #timers = new Map();
  /** @type {Status} */ #status = "idle";
  #memory;
  #tells;

  /**
   * @param {Memory} memory
   * @param {{
   *   request: (frame: Propose) => Promise<Ack | Refused | Answer>, withdraw: (key: string) => void,
   *   opening: () => ChatEvent, changed: (item: Item) => void, refused: (item: Item, code: string) => void,
   * }} tells
   */
  constructor(memory, tells) {
    this.#memory = memory;
    this.#tells = tells;
  }

  /** Take over what an earlier page, or a tab that is gone, left behind. */
  restore() {
    const known = new Set([...this.items.values()].map((item) => item.key));
    for (const { key, events, at, failed } of this.#memory.value.pending) {
      if (known.has(key)) continue;
      const item = this.make(key, events, at);
      if (failed) this.#set(item, "failed", texts.notSent);
      else this.submit(item);
    }
  }

  /** @param {ChatEvent[]} events */
  post(events) {
    const item = this.make(newKey(), events, Date.now());
    this.#tells.changed(item); // before anything else, so that the own words show at once
    this.submit(item);
    return item;
  }

  /** @param {Item} item */
  discard(item) {
    this.#tells.withdraw(item.key);
    this.#forget(item);
  }

  hold() {
    this.held = {};
    for (const { key } of this.items.values()) this.#tells.withdraw(key);
  }

  /** The item whose message the log now holds, if it came from here. @param {string | undefined} key */
  settle(key) {
    const bare = key?.split("#")[0] ?? "";
    const item = [...this.items.values()].find((one) => one.key === bare);
    if (item) {
      this.#tells.withdraw(bare);
      this.#set(item, "sent");
      this.#forget(item);
    } else if (this.#memory.value.pending.some((one) => one.key === bare)) this.save(bare);
    return item;
  }

  /** @param {Status} status */
  follow(status) {
    const was = this.#status;
    this.#status = status;
    if (was === status) return;
    for (const item of this.items.values()) if (item.delivery !== "failed") this.#watch(item);
    if (status === "online") this.restore();
  }

  /** @param {string} key @param {ChatEvent[]} events @param {number} at */
  make(key, events, at) {
    const said = events.find((event) => event.type === "Said");
    const text = said?.type === "Said" ? said.text : "";
    /** @type {Item} */
    const item = { id: key, key, events, text, at, delivery: "fresh", error: "" };
    this.items.set(item.id, item);
    return item;
  }

  /** @param {Item} item */
  submit(item) {
    this.#set(item, "fresh");
    this.#watch(item);
    this.save();
    return this.held ? undefined : this.send(item);
  }

  /** @param {Item} item @returns {Promise<number | void>} seconds to wait */
  async send(item) {
    const { key, events } = item;
    this.#watch(item);
    const reply = await this.#tells.request({ t: "propose", key, events });
    if (!reply || this.items.get(item.id) !== item || item.key !== key) return;
    if (reply.t !== "refused") {
      this.#set(item, "sent");
      if (item.text) return this.save();
      this.told.push(item);
      this.#forget(item);
    } else if (item.again && reply.code === "too_fast") {
      return reply.seconds ?? 1;
    } else if (reply.code === "not_open") {
      return this.#anew(item, [this.#tells.opening(), ...events]);
    } else if (events[0]?.type === "Opened" && reply.code === "invalid" && /begun/.test(reply.message)) {
      return this.#anew(item, events.slice(1)); // another tab opened it first
    } else this.#refused(item, reply);
  }

  /** The same words as another proposal. @param {Item} item @param {ChatEvent[]} events */
  #anew(item, events) {
    this.#forget(item);
    item.key = newKey();
    item.events = events;
    if (!events.length) return;
    this.items.set(item.id, item);
    return this.send(item);
  }

  /** @param {Item} item @param {Refused} reply */
  #refused(item, reply) {
    if (item.again && !item.text) return this.#forget(item);
    const error =
      reply.code === "too_fast" ? texts.tooFast(Math.ceil(reply.seconds ?? 1))
      : reply.code === "closed" ? texts.closed
      : reply.message;
    if (reply.code === "key_reused") item.key = newKey();
    this.#set(item, "failed", error);
    this.#tells.refused(item, reply.code);
    if (!item.text) this.#forget(item);
    else this.save();
  }

  /** @param {Item} item */
  #watch(item) {
    for (const timer of this.#timers.get(item.id) ?? []) clearTimeout(timer);
    this.#timers.delete(item.id);
    if (item.delivery === "sent") return;
    if (this.#status === "offline") return this.#set(item, "waiting");
    if (item.delivery === "waiting") this.#set(item, "sending");
    this.#timers.set(item.id, [
      setTimeout(() => item.delivery === "fresh" && this.#set(item, "sending"), SAY_SENDING_AFTER),
      setTimeout(() => this.#giveUp(item), GIVE_UP_AFTER),
    ]);
  }

  /** @param {Item} item */
  #giveUp(item) {
    if (item.again) return;
    this.#tells.withdraw(item.key);
    this.#set(item, "failed", texts.notSent);
    this.#tells.refused(item, "");
    if (!item.text) this.#forget(item);
    else this.save();
  }

  /** @param {Item} item @param {Delivery} delivery @param {string} [error] */
  #set(item, delivery, error = "") {
    item.delivery = delivery;
    item.error = error;
    if (delivery === "sent" || delivery === "failed") {
      for (const timer of this.#timers.get(item.id) ?? []) clearTimeout(timer);
      this.#timers.delete(item.id);
    }
    this.#tells.changed(item);
  }

  /** @param {Item} item */
  #forget(item) {
    this.items.delete(item.id);
    for (const timer of this.#timers.get(item.id) ?? []) clearTimeout(timer);
    this.#timers.delete(item.id);
    this.save(item.key);
  }

  /** Keep what is on its way, and what other tabs have on theirs. @param {string} [without] */
  save(without) {
    const mine = new Set([...this.items.values()].map((item) => item.key));
    const others = this.#memory.fresh().pending.filter(({ key }) => !mine.has(key) && key !== without);
    /** @type {Pending[]} */
    const own = [...this.items.values()]
      .filter(({ delivery }) => delivery !== "sent")
      .map(({ key, events, at, delivery }) => ({ key, events, at, failed: delivery === "failed" }));
    this.#memory.change({ pending: [...others, ...own] });
  }
}
