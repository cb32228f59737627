// The conversation as a text file, made in the browser from what is on the page.
import { dividerText, speaker } from "./events.js";
import { names } from "./floor.js";
import { day, hour } from "./moments.js";

/** @param {import("./model.js").Model} model */
export function transcript(model) {
  const { view, invitation, lines } = model;
  /** @type {Map<number, string>} what a later entry made of the words */
  const now = new Map();
  for (const { event } of lines) {
    if (event.type === "Edited") now.set(event.target, event.text);
    if (event.type === "Retracted") now.set(event.target, "(deleted)");
    if (event.type === "Redacted") now.set(event.target, "(erased)");
  }
  const out = [`${invitation.site} chat with ${names(view).object}`, `Conversation ${invitation.cid}`, "For the team: holds notes and guidance.", ""];
  let holder = "", today = "";
  for (const line of lines) {
    const { event, by, at, seq } = line;
    if (day(at, model.now()) !== today) {
      today = day(at, model.now());
      out.push(`-- ${new Date(at).toLocaleDateString("en-GB", { dateStyle: "full" })} --`);
    }
    const who = speaker(by, view), time = hour(at);
    const text = (/** @type {string} */ t) => now.get(seq) ?? t;
    if (event.type === "Said") out.push(`[${time}] ${who}: ${text(event.text)}`);
    else if (event.type === "Noted") out.push(`[${time}] (team only) ${who}: ${text(event.text)}`);
    else if (event.type === "Guided") out.push(`[${time}] (guidance to AI) ${who}: ${text(event.text)}`);
    else {
      const words = dividerText(line, { view, holder });
      if (words) out.push(`[${time}] * ${words}`);
    }
    if (event.type === "TookOver") holder = by.name ?? "";
    if (event.type === "HandedBack" || event.type === "Reopened") holder = "";
  }
  return `${out.join("\n")}\n`;
}

/** @param {import("./model.js").Model} model */
export function download(model) {
  const url = URL.createObjectURL(new Blob([transcript(model)], { type: "text/plain;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `conversation-${model.invitation.cid.slice(0, 12)}.txt`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
