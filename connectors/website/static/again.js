/** @import { Chat } from "./chat.js" */
/** @import { Outbox } from "./outbox.js" */
/** @import { ChatEvent, Line } from "./types" */
/** @import { Outbound } from "/web/wire" */

/** @typedef {{ key: string, events: ChatEvent[], at: number }} Sent */

/**
 * A log began anew: the store was restored from an earlier state. What is shown stays until all that there is
 * has come; then it is shown instead, and what the visitor said and the log has lost is sent again.
 * @param {Chat} chat @param {Line[]} anew the lines that have come @param {Outbound} frame
 */
export function gather(chat, anew, frame) {
  if (chat.anew === null) return chat.frame(frame); // it was over meanwhile
  if (chat.anew !== anew || (frame.t !== "welcome" && frame.t !== "entries")) return;
  if (frame.t === "entries") anew.push(...frame.lines);
  if (frame.more) return;
  const { same, own, lost } = compare(chat.lines, anew);
  const { memory, outbox } = chat;
  putBack(outbox, own, identity(chat));
  memory.change({ read: Math.min(memory.value.read, same) });
  chat.anew = null;
  chat.lines = [];
  chat.history = true;
  chat.emit("reset", same);
  for (const line of anew) chat.line(line);
  if (lost) chat.emit("lost");
  chat.catchUp(frame);
  sendAll(outbox);
}

/** Who the visitor is, as far as this page knows. @param {Chat} chat @returns {ChatEvent | undefined} */
function identity({ memory, options }) {
  const { email } = memory.value;
  const [known] = options.introduction();
  if (known?.type === "Identified") return { ...known, email: known.email || email };
  return email ? { type: "Identified", email } : undefined;
}

/**
 * What was shown and the log has not any more.
 * @param {Line[]} past @param {Line[]} found
 * @returns {{ same: number, own: Sent[], lost: boolean }} `same`: the last seq that stands as it stood;
 *   `own`: what the visitor did, as it was proposed; `lost`: whether words of the others are gone
 */
function compare(past, found) {
  const differs = past.findIndex(({ seq, at }, n) => seq !== found[n]?.seq || at !== found[n]?.at);
  const gone = differs < 0 ? [] : past.slice(differs);
  const same = (differs < 0 ? past.at(-1) : past[differs - 1])?.seq ?? 0;
  const keys = new Set(found.map(({ key }) => key));
  const erased = new Set(past.map(({ event }) => (event.type === "Retracted" || event.type === "Redacted" ? event.target : 0)));
  /** @type {Map<string, Sent>} */
  const own = new Map();
  let lost = false;
  for (const { seq, at, by, event, key } of gone) {
    if (erased.has(seq) || keys.has(key ?? "")) continue;
    if (by.role !== "visitor") lost ||= event.type === "Said";
    else if (key && !("target" in event)) {
      const [bare = ""] = key.split("#");
      const sent = own.get(bare) ?? { key: bare, events: [], at: Date.parse(at) };
      own.set(bare, { ...sent, events: [...sent.events, event] });
    }
  }
  return { same, own: [...own.values()], lost };
}

/**
 * Put what the log lost before what waits. Every tab gives the same keys, so that it comes into the log once.
 * @param {Outbox} outbox @param {Sent[]} own @param {ChatEvent | undefined} identity
 */
function putBack(outbox, own, identity) {
  const waiting = [...outbox.items.values()];
  const told = outbox.told.splice(0).filter(({ events }) => events[0]?.type === "Identified"); // no line tells of it
  const first = own[0];
  if (first && identity && !told.length) own.push({ key: `${first.key.slice(0, 60)}.id`, events: [identity], at: first.at });
  outbox.items.clear();
  for (const { key, events, at } of [...own, ...told]) {
    if (!waiting.some((item) => item.key === key)) outbox.make(key, events, at).again = true;
  }
  for (const item of waiting) {
    if (item.delivery === "sent") Object.assign(item, { delivery: "fresh", again: true });
    outbox.items.set(item.id, item);
  }
  outbox.save();
}

/** Send it all, one after another, so that the order stays; what is written meanwhile comes last. @param {Outbox} outbox */
async function sendAll(outbox) {
  const { held, items } = outbox;
  const next = () => [...items.values()].find(({ delivery }) => delivery !== "sent" && delivery !== "failed");
  for (let item; (item = next()); ) {
    const seconds = await outbox.send(item);
    if (seconds) await new Promise((over) => setTimeout(over, seconds * 1000));
    if (outbox.held !== held) return; // the log began anew once more, or the visitor left
  }
  outbox.held = null;
}
