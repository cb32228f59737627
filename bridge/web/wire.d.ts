/** The frames of bridge/wire.py as the browser sees them. A test holds the two together. */

export type Seq = number;
export type Controller = "ai" | "waiting" | "human" | "none";
export type Score = "good" | "ok" | "bad";

export type Opened = {
  type: "Opened"; site: string; page?: string; title?: string; locale?: string; timezone?: string;
  context?: Record<string, string>;
};
export type Identified = { type: "Identified"; name?: string; email?: string; user?: string; verified?: boolean };
export type ChatEvent =
  | Opened
  | { type: "Said"; text: string }
  | { type: "Noted"; text: string }
  | { type: "Guided"; text: string }
  | { type: "Joined" }
  | { type: "Left" }
  | { type: "Renamed"; name: string }
  | { type: "TookOver" }
  | { type: "HandedBack" }
  | { type: "HelpWanted"; reason?: string; step?: number; last?: boolean }
  | { type: "Edited"; target: Seq; text: string }
  | { type: "Retracted"; target: Seq }
  | { type: "Rated"; score: Score; comment?: string }
  | Identified
  | { type: "Undelivered"; surface: string; target: Seq; reason: string; retrying?: boolean; late?: boolean }
  | { type: "Closed"; reason?: string }
  | { type: "Reopened" }
  | { type: "Redacted"; target: Seq };

export type Who = { role: "visitor" | "assistant" | "staff" | "system"; name?: string; id?: string };

/** An entry of the log. `at` is an ISO 8601 moment in UTC. */
export type Line = { seq: Seq; at: string; by: Who; event: ChatEvent; via?: string; key?: string };

export type Person = { id: string; name: string; joined: boolean; via?: string };
export type Trouble = { surface: string; target: Seq; reason: string; retrying: boolean };

/** Fields at their default (empty text, null, empty list) are left out. */
export type View = {
  head: Seq; controller: Controller; since: Seq;
  holder?: string;
  help?: { at: string; step: number; last: boolean };
  rated?: Score;
  holder_id?: string; owed_since?: string; opened_at?: string; opened?: Opened;
  visitor?: Identified; people?: Person[]; troubles?: Trouble[];
};

export type You = { role: "visitor" | "staff"; id?: string; name?: string; cid?: string };

export type Welcome = { t: "welcome"; log: string; you: You; state: View; more?: boolean };
export type Entries = { t: "entries"; lines: Line[]; state: View; more?: boolean };
export type Ack = { t: "ack"; key: string; seq: Seq };
export type Refused = {
  t: "refused"; key: string;
  code:
    | "floor_moved" | "not_holder" | "not_allowed" | "closed" | "not_open" | "key_reused" | "invalid"
    | "too_fast" | "unknown_command";
  message: string; holder?: string; seconds?: number;
};
export type Answer = { t: "answer"; key: string; text: string };
export type TypingView = { t: "typing"; who: Who; on: boolean };
export type Draft = { t: "draft"; turn: Seq; since: Seq; at: number; text: string };
export type DraftOver = {
  t: "draft_over"; turn: Seq; since: Seq; why: "done" | "interrupted" | "stopped" | "failed" | "rerun";
};
export type Presence = { t: "people"; here: { id: string; name: string; typing?: boolean }[]; visitor: boolean };
export type Reset = { t: "reset"; log: string };
export type Pong = { t: "pong" };
export type Bye = { t: "bye"; code: number; reason: string };
export type Outbound =
  | Welcome | Entries | Ack | Refused | Answer | TypingView | Draft | DraftOver | Presence | Reset | Pong | Bye;

export type Hello = {
  t: "hello"; v?: 1; site?: string; token?: string; cid?: string; after?: Seq; log?: string; mark?: string;
};
export type Propose = { t: "propose"; key: string; events: ChatEvent[]; floor?: Seq };
export type Command = { t: "command"; key: string; line: string; floor?: Seq };
export type Typing = { t: "typing"; on: boolean };
export type Stop = { t: "stop" };
export type Ping = { t: "ping" };
export type Inbound = Hello | Propose | Command | Typing | Stop | Ping;
