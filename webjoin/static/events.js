// What an entry of the log says to the team, in a few words. Pure.
import { names } from "./floor.js";

/** @typedef {import("./page").Line} Line */
/** @typedef {import("./page").View} View */

const SURFACES = /** @type {Record<string, string>} */ ({ email: "Email", slack: "Slack", telegram: "Telegram" });
const SCORES = { good: "Good", ok: "OK", bad: "Bad" };

/** @param {import("/web/wire").Who} who @param {View | null} view */
export function speaker(who, view) {
  if (who.role === "visitor") return names(view).title;
  if (who.role === "assistant") return "AI assistant";
  return who.role === "staff" ? who.name ?? "Somebody" : "Joinline";
}

/** @param {string} name */
export function surface(name) {
  return SURFACES[name] ?? name;
}

/**
 * A divider's words; empty for what shows as a message or not at all.
 * @param {Line} line
 * @param {{ view: View | null, holder: string }} at `holder` answered just before this entry
 */
export function dividerText(line, { view, holder }) {
  const { event, by } = line;
  const visitor = names(view).subject;
  const who = by.role === "visitor" ? visitor : by.role === "assistant" ? "The AI assistant" : speaker(by, view);
  switch (event.type) {
    case "Opened":
      return event.title ? `${visitor} began a chat on “${event.title}”` : `${visitor} began a chat`;
    case "Joined":
      return `${who} came to observe`;
    case "Left":
      return `${who} left`;
    case "Renamed":
      return `${who} is now ${event.name}`;
    case "TookOver":
      return `${who} took over from ${holder || "the AI assistant"}`;
    case "HandedBack":
      return by.role === "system"
        ? `${holder || "Nobody"} was away. The AI assistant is answering again`
        : `${who} handed back to the AI assistant`;
    case "HelpWanted":
      return helpText(event, by, who);
    case "Rated":
      return `${visitor} rated the conversation: ${SCORES[event.score]}${event.comment ? ` – “${event.comment}”` : ""}`;
    case "Identified":
      return identified(event, visitor);
    case "Undelivered":
      return `${surface(event.surface)} ${event.retrying ? "is delayed" : "could not be delivered"}: ${event.reason}`;
    case "Closed":
      if (by.role === "system") return "The conversation ended after a long silence";
      return `${who} ended the conversation`;
    case "Reopened":
      return `${who} reopened the conversation`;
    default:
      return "";
  }
}

/** @param {Extract<Line["event"], { type: "HelpWanted" }>} event @param {Line["by"]} by @param {string} who */
function helpText(event, by, who) {
  if (event.last) return "Nobody came: everybody on the team was told";
  if (event.step) return "Still waiting: more of the team were told";
  if (by.role === "system") return event.reason || "A person is wanted";
  return `${who} asked for a person${event.reason ? `: ${event.reason}` : ""}`;
}

/** @param {import("/web/wire").Identified} event @param {string} visitor */
function identified(event, visitor) {
  const worth = event.verified ? "verified" : "unverified";
  if (event.email) return `${visitor} gave an email address: ${event.email} (${worth})`;
  return event.name ? `The visitor gave a name: ${event.name} (${worth})` : "";
}
