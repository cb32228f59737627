import type { Ack, Answer, Command, Hello, Outbound, Propose, Refused, Stop, Typing } from "./wire";

export type Status = "idle" | "connecting" | "online" | "reconnecting" | "offline";

export type Options = {
  /** The absolute http(s) URL of the channel, such as https://chat.example.com/live/visitor. */
  url: string;
  /** Who says hello, asked at every connect; `after`, `log` and `mark` are added. */
  hello: () => Hello;
  /** Frames in order; a line that came before does not come again. */
  onFrame: (frame: Outbound) => void;
  onStatus?: (status: Status, retryInSeconds?: number) => void;
  /** 4401, 4404, 4410 or 4403: the connection is over and does not come back. */
  onEnd?: (code: number, reason: string) => void;
  /** Proposals of an earlier page that were not answered. */
  pending?: Propose[];
};

/** A live session that keeps itself alive: it reconnects, resumes after the last seq, and sends again. */
export class Connection {
  constructor(options: Options);
  /** The log's id, as `welcome` gave it. */
  log: string;
  readonly status: Status;
  open(): void;
  close(): void;
  /** Reconnect at once, or ask whether the connection still lives. */
  wake(): void;
  /** Kept, and sent again after every reconnect, until the server answers or it is withdrawn. */
  request(frame: Propose | Command): Promise<Ack | Refused | Answer>;
  /** Stop sending the request with this key again; who waits for its answer gets null. */
  withdraw(key: string): void;
  /** Sent if online, else dropped. */
  signal(frame: Typing | Stop): void;
}

/** `bytes` random bytes in base64url. */
export function random(bytes: number): string;
/** A new idempotency key. */
export function newKey(): string;
