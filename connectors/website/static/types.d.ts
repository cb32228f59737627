import type { ChatEvent, Draft, Line, Score, View } from "/web/wire";
import type { Status } from "/web/connection.js";

/** What /sites/<site>/settings answers. */
export type Settings = {
  name: string;
  assistant: boolean;
  title?: string;
  greeting?: string;
  privacy_url?: string;
  accent?: string;
  position?: string;
  color_scheme?: string;
  launcher?: string;
  locale?: string;
  query_parameters?: string[];
};

/** Who the page says the visitor is; `hash` is its server's proof. */
export type User = { id?: string; name?: string; email?: string };

/** What the page said through the API before the panel was there. */
export type Said = {
  identify?: [User, { hash?: string }?];
  setContext?: [Record<string, unknown>];
  setLocale?: [string];
  prefill?: [string];
};

/** How the loader makes a panel. */
export type Frame = {
  element: HTMLElement;
  base: string;
  site: string;
  settings: Settings;
  context: string;
  said: Said;
};

export type Panel = {
  open(): void;
  close(): void;
  identify(user: User, proof?: { hash?: string }): void;
  setContext(context: Record<string, unknown>): void;
  setLocale(locale: string): void;
  prefill(text: string): void;
  sendMessage(text: string): void;
  end(): void;
  reset(): void;
};

/** What one localStorage key holds for a site, from the first message on. */
export type Kept = {
  token: string;
  pending: Pending[];
  open: boolean;
  draft: string;
  read: number;
  muted: boolean;
  email: string;
};

export type Pending = { key: string; events: ChatEvent[]; at: number; failed?: boolean };

/** fresh: too new to speak of. waiting: the browser is offline. */
export type Delivery = "fresh" | "sending" | "waiting" | "sent" | "failed";

export type Item = {
  id: string; // stays the same when the key has to change
  key: string;
  events: ChatEvent[];
  text: string; // empty for what is no message
  at: number;
  delivery: Delivery;
  error: string;
  again?: boolean; // the log had it and lost it
};

export type Activity = "" | "ai-thinking" | "ai-streaming" | "human-typing";

/** What the chat tells; the views listen. */
export type ChatTells = {
  line: [line: Line, live: boolean, item: Item | undefined];
  item: [item: Item];
  view: [view: View, before: View];
  draft: [text: string | null, why: "" | "interrupted" | "failed"];
  typing: [name: string];
  status: [status: Status, seconds?: number];
  problem: [text: string];
  ready: [];
  reset: [same?: number]; // the last seq that stands as it stood
  lost: [];
  over: [code: number];
};

export type { ChatEvent, Draft, Line, Score, Status, View };
