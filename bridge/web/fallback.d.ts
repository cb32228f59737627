import type { Hello, Inbound, Outbound } from "./wire";

export type Transport = { send(frame: Inbound): unknown; close(): void };
/** `ready`: frames can go up, though none has come down yet. */
export type Ends = { ready: () => void; frame: (frame: Outbound) => void; closed: (code: number, reason: string) => void };
type Open = (url: string, hello: () => Hello, on: Ends) => Transport;

/** Server-sent events, read with fetch; what goes up is POSTed. */
export const openStream: Open;
export const openPoll: Open;
