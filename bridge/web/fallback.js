/** @import { Hello, Inbound } from "./wire" */
/** @import { Ends } from "./fallback" */

/** @param {string} url @param {() => Hello} hello @param {Ends} on */
export function openStream(url, hello, on) {
  return overHttp(url, hello, on, async (post) => {
    const answer = await post("stream", hello());
    const reader = /** @type {ReadableStream<any>} */ (answer.body).pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (text + value).split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) if (event.startsWith("data: ")) on.frame(JSON.parse(event.slice(6)));
    }
  });
}

/** @param {string} url @param {() => Hello} hello @param {Ends} on */
export function openPoll(url, hello, on) {
  return overHttp(url, hello, on, async (post, signal) => {
    await post("send", { hello: hello(), frame: { t: "ping" } }); // a poll answers late where there is no news
    on.ready();
    while (!signal.aborted) {
      for (const frame of await (await post("poll", hello())).json()) on.frame(frame);
    }
  });
}

/**
 * @param {string} url @param {() => Hello} hello @param {Ends} on
 * @param {(post: (name: string, body: object) => Promise<Response>, signal: AbortSignal) => Promise<void>} listen
 */
function overHttp(url, hello, on, listen) {
  const stop = new AbortController();
  const { signal } = stop;
  /** @param {unknown} error */
  const failed = (error) => (error instanceof Ended ? on.closed(error.code, error.message) : on.closed(1006, ""));
  /** @param {string} name @param {object} body */
  const post = async (name, body) => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${url}/${name}`, {
      method: "POST", body: JSON.stringify(body), headers, signal, cache: "no-store",
    });
    if (answer.ok) return answer;
    const { error } = await answer.json();
    throw new Ended(error.code, error.message);
  };
  let last = Promise.resolve(); // one at a time: the order of what is sent is kept
  listen(post, signal).then(() => on.closed(1006, ""), failed);
  return {
    /** @param {Inbound} frame */
    send(frame) {
      last = last.then(async () => {
        if (signal.aborted) return;
        const answer = await post("send", { hello: hello(), frame });
        for (const reply of await answer.json()) on.frame(reply);
      });
      last.catch(failed);
      last = last.catch(() => {});
    },
    close: () => stop.abort(),
  };
}

class Ended extends Error {
  /** @param {number} code @param {string} reason */
  constructor(code, reason) {
    super(reason);
    this.code = code;
  }
}
