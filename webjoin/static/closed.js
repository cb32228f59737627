// Pages for a link that opens nothing here (any more), each with its way on.
import { ask } from "./api.js";
import { button, el, put } from "./dom.js";

/** @type {Record<string, { title: string, text: string }>} */
const PAGES = {
  expired: { title: "This link has expired", text: "Links open a conversation for a limited time. A new one goes to the address that this one was sent to." },
  handed: { title: "This link has expired", text: "Links open a conversation for a limited time. “Open in browser” in your team's chat gives you a new one." },
  revoked: { title: "This link was turned off", text: "Whoever joined by it turned it off. The next email about this conversation, or “Open in browser” in your team's chat, brings a new one." },
  unknown: { title: "Link not found", text: "Check that you opened the whole link, or open it again from the email." },
  left: { title: "You left the conversation", text: "The link in your email opens it again." },
  ended: { title: "You were signed out here", text: "This session was ended from another browser. The link in your email opens the conversation again." },
  lost: { title: "You were signed out here", text: "The conversation was restored from an earlier state, without this session. The link in your email opens it again; if it does not, the next email about this conversation brings a new one." },
  replaced: { title: "You were signed out here", text: "A link is signed in on at most three browsers; the newest took this one's place." },
  origin: { title: "Wrong address", text: "Open this page by the link in your email, at the address it names." },
};

/**
 * @param {string} kind
 * @param {{ token?: string, email?: string | undefined }} [how] `email`: where the link was sent; "" where it was handed out in a chat
 */
export function closed(kind, { token = "", email } = {}) {
  if (kind === "expired" && email === "") kind = "handed";
  const { title, text } = PAGES[kind] ?? /** @type {{ title: string, text: string }} */ (PAGES["unknown"]);
  document.title = title;
  const heading = el("h1", { tabindex: "-1", text: title });
  const body = el("main", { css: "card" }, heading, el("p", { text }));
  if (kind === "expired" && token) {
    const said = el("p", { css: "soft", role: "status" });
    const send = button("Email me a new link", async () => {
      send.disabled = true;
      const found = await ask("renew", { token });
      if (found.ok) {
        put(said, `A new link is on its way${email ? ` to ${email}` : ""}. It may take a minute.`);
        return;
      }
      send.disabled = false;
      put(said, found.problem.status ? found.problem.message : "Not sent. Check your connection.");
    }, { css: "filled" });
    body.append(send, said);
  }
  document.querySelector("#app")?.replaceWith(el("div", { id: "app", css: "closed" }, body));
  heading.focus();
}

/**
 * The server does not answer: say so, count down, try again.
 * @param {number} seconds
 */
export function unreachable(seconds) {
  return new Promise((resolve) => {
    const said = el("p", { role: "status" });
    const heading = el("h1", { text: "Can't reach the chat" });
    const again = () => { clearInterval(timer); removeEventListener("online", again); resolve(undefined); };
    const body = el("main", { css: "card" }, heading, said, button("Try again now", again));
    document.querySelector("#app")?.replaceWith(el("div", { id: "app", css: "closed" }, body));
    let left = seconds;
    const tick = () => {
      put(said, `Can't reach the chat. Retrying in ${left} second${left === 1 ? "" : "s"}.`);
      if (left-- <= 0) again();
    };
    const timer = setInterval(tick, 1000);
    addEventListener("online", again);
    tick();
  });
}
