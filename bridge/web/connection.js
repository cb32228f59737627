/** @import { Command, Hello, Outbound, Propose, Stop, Typing } from "./wire" */
/** @import { Options, Status } from "./connection" */
/** @import { Ends, Transport } from "./fallback" */

const BACKOFF = [1, 2, 4, 8, 15, 30]; // seconds, each +-50 %
const HEARTBEAT = 25_000;
const ANSWER_WITHIN = 10_000;
const SOCKET_WITHIN = 5_000;
const STEADY = 500; // a session that ends sooner is no reason to come back faster
const FINAL = [4401, 4403, 4404, 4410];
const REFUSED_BYTES = [1003, 1007, 1008, 1009]; // the server will not read what was sent
const TRANSPORTS = [openSocket, later("openStream"), later("openPoll")];
const FAILURES = [2, 1, 1]; // of each before the next is tried
const NONE = { seq: 0 };

export class Connection {
  log = "";
  /** @type {{ seq: number, at?: string }} */ #last = NONE; // line
  /** @type {Status} */
  status = "idle";
  /** @type {Options} */ #options;
  /** @type {Transport | null} */ #transport = null;
  /** @type {Map<string, { frame: Propose | Command, resolve: (reply: any) => void, sent: boolean }>} */
  #waiting = new Map();
  #live = false; // the transport has said welcome
  #proven = false; // WebSocket has worked here: a failure is the server's, not a proxy's
  #failures = 0;
  #tries = 0;
  #kind = 0;
  #began = 0; // to connect, then to be live
  #retry = 0;
  #heartbeat = 0;
  #deadline = 0;
  /** @type {AbortController | null} */ #ears = null;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    for (const frame of options.pending ?? []) this.#keep(frame, () => {});
  }

  open() {
    if (this.#ears) return;
    this.#ears = new AbortController();
    const { signal } = this.#ears;
    addEventListener("online", () => this.wake(), { signal });
    addEventListener("offline", () => this.#lost(BACKOFF.length), { signal });
    addEventListener("pageshow", (event) => event.persisted && this.wake(), { signal });
    addEventListener("pagehide", (event) => event.persisted && this.#drop(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.wake(), { signal });
    this.#heartbeat = setInterval(() => this.#ping(ANSWER_WITHIN), HEARTBEAT);
    this.#connect();
  }

  close() {
    this.#ears?.abort();
    this.#ears = null;
    clearInterval(this.#heartbeat);
    this.#drop();
    this.#say("idle");
  }

  wake() {
    if (!this.#ears) return;
    if (this.#live) return this.#ping(4_000);
    if (this.#transport && Date.now() - this.#began < 2_000) return; // it is on its way
    this.#tries = 0;
    this.#connect();
  }

  /** @param {Propose | Command} frame */
  request(frame) {
    return new Promise((resolve) => {
      this.#keep(frame, resolve);
      this.#flush();
    });
  }

  /** @param {string} key */
  withdraw(key) {
    this.#waiting.get(key)?.resolve(null);
    this.#waiting.delete(key);
  }

  /** @param {Typing | Stop} frame */
  signal(frame) {
    if (this.#live) this.#transport?.send(frame);
  }

  /** @param {Propose | Command} frame @param {(reply: any) => void} resolve */
  #keep(frame, resolve) {
    this.#waiting.set(frame.key, { frame, resolve, sent: false });
  }

  #flush() {
    if (!this.#live) return;
    for (const kept of this.#waiting.values()) {
      if (kept.sent) continue;
      kept.sent = true;
      this.#transport?.send(kept.frame);
    }
  }

  #connect() {
    this.#drop();
    this.#began = Date.now();
    this.#say(this.#tries ? "reconnecting" : "connecting");
    for (const kept of this.#waiting.values()) kept.sent = false;
    const open = TRANSPORTS[this.#kind] ?? openSocket;
    const hello = () => ({ ...this.#options.hello(), after: this.#last.seq, log: this.log, mark: this.#last.at });
    /** @type {Transport} */
    const mine = open(this.#options.url, hello, {
      ready: () => this.#transport === mine && this.#ready(),
      frame: (frame) => this.#transport === mine && this.#frame(frame),
      closed: (code, reason) => this.#transport === mine && this.#closed(code, reason),
    });
    this.#transport = mine;
    this.#expect(this.#kind ? ANSWER_WITHIN : SOCKET_WITHIN);
  }

  #drop() {
    clearTimeout(this.#retry);
    clearTimeout(this.#deadline);
    this.#deadline = 0;
    this.#live = false;
    const old = this.#transport;
    this.#transport = null;
    old?.close();
  }

  /** @param {number} within */
  #ping(within) {
    if (!this.#live) return;
    this.#transport?.send({ t: "ping" });
    this.#expect(within);
  }

  /** @param {number} within milliseconds in which any frame must come */
  #expect(within) {
    if (this.#deadline) return;
    this.#deadline = setTimeout(() => this.#closed(1006, "no answer"), within);
  }

  /** @param {Outbound} frame */
  #frame(frame) {
    this.#met();
    const { onFrame } = this.#options;
    switch (frame.t) {
      case "pong":
        return;
      case "bye":
        return this.#closed(frame.code, frame.reason);
      case "reset":
        this.#last = NONE;
        this.log = frame.log;
        onFrame(frame);
        return this.#connect();
      case "welcome":
        this.log = frame.log;
        onFrame(frame);
        return this.#ready();
      case "entries": {
        const lines = frame.lines.filter((line) => line.seq > this.#last.seq);
        this.#last = lines.at(-1) ?? this.#last;
        return onFrame({ ...frame, lines });
      }
      case "ack":
      case "refused":
      case "answer": {
        const kept = this.#waiting.get(frame.key);
        this.#waiting.delete(frame.key);
        onFrame(frame);
        return kept?.resolve(frame);
      }
      default:
        return onFrame(frame);
    }
  }

  #ready() {
    this.#met();
    if (!this.#live) {
      this.#live = true;
      this.#failures = 0;
      this.#began = Date.now();
      if (!this.#kind) this.#proven = true;
      this.#say("online");
    }
    this.#flush();
  }

  /** The server has answered. */
  #met() {
    clearTimeout(this.#deadline);
    this.#deadline = 0;
  }

  /** @param {number} code @param {string} reason */
  #closed(code, reason) {
    const wasLive = this.#live;
    if (wasLive && Date.now() - this.#began > STEADY) this.#tries = 0;
    if (FINAL.includes(code)) {
      this.close();
      return this.#options.onEnd?.(code, reason);
    }
    if (wasLive && REFUSED_BYTES.includes(code)) this.#refuseFirst();
    if (!wasLive && !this.#proven && ++this.#failures >= (FAILURES[this.#kind] ?? 1)) {
      this.#failures = 0;
      this.#kind = (this.#kind + 1) % TRANSPORTS.length;
      if (this.#kind) return this.#connect(); // another way, at once
    }
    this.#lost(code === 4429 ? 4 : this.#tries);
  }

  /** What the server could not read is not sent again for ever. */
  #refuseFirst() {
    const sent = [...this.#waiting.values()].find((kept) => kept.sent);
    if (!sent) return;
    const message = "This could not be sent.";
    this.#frame({ t: "refused", key: sent.frame.key, code: "invalid", message });
  }

  /** @param {number} step */
  #lost(step) {
    this.#drop();
    const seconds = (BACKOFF[Math.min(step, BACKOFF.length - 1)] ?? 30) * (0.5 + Math.random());
    this.#tries++;
    this.#retry = setTimeout(() => this.#connect(), seconds * 1000);
    this.#say("reconnecting", seconds);
  }

  /** @param {Status} status @param {number} [seconds] */
  #say(status, seconds) {
    const cut = navigator.onLine === false && (status === "connecting" || status === "reconnecting");
    const shown = cut ? "offline" : status;
    if (shown === this.status && seconds === undefined) return;
    this.status = shown;
    this.#options.onStatus?.(shown, seconds);
  }
}

/** @param {number} bytes */
export function random(bytes) {
  const raw = crypto.getRandomValues(new Uint8Array(bytes));
  return btoa(String.fromCharCode(...raw)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function newKey() {
  return random(16);
}

/** @param {string} url @param {() => Hello} hello @param {Ends} on @returns {Transport} */
function openSocket(url, hello, on) {
  const socket = new WebSocket(url.replace(/^http/, "ws"));
  socket.onopen = () => socket.send(JSON.stringify(hello()));
  socket.onmessage = (event) => on.frame(JSON.parse(event.data));
  socket.onclose = (event) => on.closed(event.code, event.reason);
  return {
    send: (frame) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(frame)),
    close() {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
}

/** A transport that is fetched when it is needed, which is seldom. @param {"openStream" | "openPoll"} name */
function later(name) {
  /** @param {string} url @param {() => Hello} hello @param {Ends} on @returns {Transport} */
  return (url, hello, on) => {
    /** @type {Transport | undefined} */ let there;
    let closed = false;
    import("./fallback.js").then(
      (fallback) => closed || (there = fallback[name](url, hello, on)),
      () => on.closed(1006, ""),
    );
    return {
      send: (frame) => there?.send(frame),
      close() {
        closed = true;
        there?.close();
      },
    };
  };
}
