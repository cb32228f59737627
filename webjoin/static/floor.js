// Who answers, seen from here: the words and buttons that follow from the state. Pure.

/** @typedef {import("./page").View} View */
/** @typedef {import("./page").Standing} Standing */

export const AMBER = 60, RED = 180; // seconds that a visitor has waited

/**
 * @param {View} view
 * @param {string} me
 * @returns {Standing}
 */
export function standing(view, me) {
  if (view.controller === "none") return "ended";
  if (view.controller !== "human") return "ai";
  return me !== "" && view.holder_id === me ? "mine" : "other";
}

/**
 * @param {View | null} view
 * @returns {import("./page").Names}
 */
export function names(view) {
  const name = view?.visitor?.name ?? "";
  return name
    ? { title: name, subject: name, object: name }
    : { title: "Visitor", subject: "The visitor", object: "the visitor" };
}

/** How the link came to its owner. @param {string} email masked; empty for a link that was handed out in a chat */
export function whence(email) {
  return email ? `sent to ${email}` : "from your team's chat";
}

/** @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/**
 * @param {View} view
 * @param {{ me: string, name: string, now: number, away: "" | "reconnecting" | "away" }} at `me` is empty in a preview
 * @returns {import("./page").Banner}
 */
export function banner(view, { me, name, now, away }) {
  const stands = standing(view, me), visitor = names(view);
  const unseen = me ? "You're observing" : "You're previewing";
  if (stands === "ended") return { tone: "ended", text: "Conversation ended", detail: "" };
  const answers = stands === "mine" ? "You are answering" : `${view.holder ?? "Somebody"} is answering`;
  if (view.help) {
    const waited = (now - Date.parse(view.help.at)) / 1000;
    const tone = waited >= RED ? "red" : waited >= AMBER ? "amber" : "calm";
    const detail = stands === "ai" ? "The AI assistant answers meanwhile" : answers;
    return { tone, text: `${visitor.subject} is waiting · ${clock(waited)}`, detail };
  }
  if (stands === "ai") return { tone: "calm", text: "AI assistant is answering", detail: unseen };
  if (stands === "mine") return { tone: "mine", text: answers, detail: `${visitor.subject} sees you as ${name}` };
  const gone = { "": "", reconnecting: `. ${view.holder} is reconnecting…`, away: `. ${view.holder} is away` };
  return { tone: "calm", text: answers, detail: unseen + gone[away] };
}

/**
 * @param {import("./page").Mode} mode
 * @param {Standing} stands
 * @param {string} text
 */
export function sendLabel(mode, stands, text) {
  if (isCommand(text)) return "Run command";
  if (mode === "note") return "Add note";
  if (mode === "guide") return "Send guidance";
  return stands === "mine" ? "Send reply" : "Take over and send";
}

/** A line with a leading slash is a command; two slashes are the way to send one. @param {string} text */
export function isCommand(text) {
  return /^\/[a-zA-Z]/.test(text);
}

/** @param {number} ms */
export function ago(ms) {
  const seconds = Math.max(1, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} second${seconds === 1 ? "" : "s"} ago`;
  const minutes = Math.round(seconds / 60);
  return `${minutes} minute${minutes === 1 ? "" : "s"} ago`;
}
