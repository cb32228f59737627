// From a link or a session to the page it opens. Opening alone changes nothing.
import { legible } from "/web/colour.js";
import { ask } from "./api.js";
import { closed, unreachable } from "./closed.js";
import { focusLog } from "./composer.js";
import { Model } from "./model.js";
import { Room } from "./room.js";
import { remember, Session } from "./session.js";

/** @typedef {import("./page").Credential} Credential */
/** @typedef {import("./page").Invitation} Invitation */

/** @type {Session | null} */
let session = null;

/** What the address says: `/join#token`, `/join/token`, or `/join/c/cid` after joining. @returns {Credential} */
function credential() {
  const [, , first = "", second = ""] = location.pathname.split("/");
  if (first === "c" && second) return { cid: second };
  return { token: first || location.hash.slice(1) };
}

/** @param {Credential} by */
async function begin(by) {
  const call = "token" in by ? "preview" : "resume";
  for (let wait = 2; ; wait = Math.min(wait * 2, 30)) {
    const found = /** @type {import("./page").Result<Invitation>} */ (await ask(call, by));
    if (found.ok) return open(found.value, by);
    const { status, code, email } = found.problem;
    if (status && status < 500 && status !== 429) return closed(code, { ...by, email });
    await unreachable(wait);
  }
}

/** @param {Invitation} invitation @param {Credential} by */
function open(invitation, by) {
  tint(invitation.accent);
  const model = new Model(invitation);
  const before = session?.model;
  session?.close();
  session = new Session(model, by, (code, reason) => end(code, reason, by));
  const token = "token" in by ? by.token : "";
  const gone = (/** @type {string} */ kind, /** @type {string | undefined} */ email) => {
    session?.close();
    forget(invitation.cid);
    closed(kind, { token, email });
  };
  const room = new Room(model, session, { token, joined, gone });
  if (before?.view) model.take({ t: "entries", lines: before.lines, state: before.view }); // nothing is drawn twice
  model.tell("state", null);
  document.querySelector("#app")?.replaceWith(room.node);
  room.log.follow(true);
  session.open();
}

/** The session's cookie opens the conversation from here on; the token leaves the address bar. @param {Invitation} invitation */
function joined(invitation) {
  history.replaceState(null, "", `/join/c/${invitation.cid}`);
  remember("joinline.name", invitation.name, () => localStorage);
  open(invitation, { cid: invitation.cid });
  focusLog();
}

/** @param {number} code @param {string} reason @param {Credential} by */
function end(code, reason, by) {
  if (!("token" in by) && reason !== "lost") forget(by.cid);
  if (code === 4401) return closed(reason in SIGNED_OUT ? reason : "ended");
  closed(code === 4410 ? reason : code === 4403 ? "origin" : "unknown", "token" in by ? by : {});
}

const SIGNED_OUT = { revoked: 1, replaced: 1, left: 1, lost: 1 };

/** @param {string} cid */
function forget(cid) {
  for (const kind of ["draft", "sending"]) remember(`joinline.${kind}.${cid}`, null);
}

const USUAL = "#1f5fd6"; // the accent that tokens.css has for both schemes
const dark = matchMedia("(prefers-color-scheme: dark)");

/** The site's own accent. @param {string} accent */
function tint(accent) {
  const paint = () => {
    const seen = accent && accent.toLowerCase() !== USUAL ? legible(accent, dark.matches) : null;
    if (!seen) return;
    for (const name of ["accent", "focus"]) document.documentElement.style.setProperty(`--${name}`, seen.colour);
    document.documentElement.style.setProperty("--on-accent", seen.ink);
  };
  dark.onchange = paint;
  paint();
}

/** The composer stays above a phone's keyboard, on browsers that lay it over the page. */
function fit() {
  const view = window.visualViewport;
  if (!view) return;
  const set = () => document.documentElement.style.setProperty("--height", `${view.height}px`);
  view.addEventListener("resize", set);
  view.addEventListener("scroll", () => view.offsetTop && scrollTo(0, 0));
  set();
}

fit();
addEventListener("hashchange", () => location.reload());
begin(credential());
