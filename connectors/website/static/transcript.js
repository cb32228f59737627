import { nameOf } from "./message.js";
import { texts } from "./texts.js";
import { clock } from "./times.js";

/** @import { Line } from "./types" */

/** The conversation as plain text. @param {Line[]} lines @param {string} title */
export function transcript(lines, title) {
  /** @type {Map<number, string | null>} */
  const changed = new Map();
  for (const { event } of lines) {
    if (event.type === "Edited") changed.set(event.target, event.text);
    if (event.type === "Retracted" || event.type === "Redacted") changed.set(event.target, null);
  }
  const day = lines[0]?.at.slice(0, 10) ?? "";
  const written = lines.map(({ seq, at, by, event }) => {
    if (event.type === "Said") {
      const text = changed.has(seq) ? (changed.get(seq) ?? `[${texts.removed}]`) : event.text;
      return `[${clock(at)}] ${nameOf(by)}: ${text}`;
    }
    if (event.type === "TookOver") return `[${clock(at)}] ${texts.lineJoined(nameOf(by))}`;
    if (event.type === "Closed") return `[${clock(at)}] ${texts.lineEnded}`;
    return "";
  });
  return `${title}, ${day}\n\n${written.filter(Boolean).join("\n")}\n`;
}

/** @param {string} text @param {string} name */
export function download(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
