/** What the join page's modules say to each other. */

import type { ChatEvent, Line, Person, Presence, Seq, View, You } from "/web/wire";

/** The answer of the calls `preview`, `join` and `resume`. */
export type Invitation = {
  cid: string; site: string; accent: string; email: string; name: string; id: string; state: View; now: string;
  commands: { usage: string; summary: string }[];
};
export type Problem = { status: number; code: string; message: string; email?: string };
export type Result<T> = { ok: true; value: T } | { ok: false; problem: Problem };

export type Credential = { token: string } | { cid: string };
export type Mode = "reply" | "note" | "guide";

/** Who answers, seen from here. `preview` is not part of it: nobody has joined yet. */
export type Standing = "ai" | "mine" | "other" | "ended";

export type Names = { title: string; subject: string; object: string };

export type DraftText = { turn: Seq; since: Seq; length: number; text: string };

/** Words on their way: shown at once, confirmed by the entry with the same key. */
export type Sending = { key: string; events: ChatEvent[]; floor?: Seq; mode: Mode; text: string; at: number };

export type Outcome =
  | { ok: true } | { ok: true; answer: string } | { ok: false; code: string; message: string; holder?: string };

export type Connected = "idle" | "connecting" | "online" | "reconnecting" | "offline";

export type Kind = "lines" | "state" | "people" | "draft" | "typing" | "connection" | "sending" | "reset" | "lost";

export type Speaker = "visitor" | "assistant" | "staff";

export type Banner = {
  tone: "calm" | "mine" | "amber" | "red" | "ended"; text: string; detail: string;
};

export type Colleague = Presence["here"][number];
export type { ChatEvent, Line, Person, View, You };
