// Keeps the list of mails current, and shows times in the reader's own zone.

/** @typedef {{ id: number, subject: string, to: string, at: string, snippet: string, opened: boolean }} Brief */

const list = /** @type {HTMLUListElement} */ (document.getElementById("mails"));
const empty = /** @type {HTMLElement} */ (document.getElementById("empty"));
const news = /** @type {HTMLElement} */ (document.getElementById("news"));
const title = document.title;

const short = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const long = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** @param {HTMLTimeElement} time */
function localize(time) {
  const format = "long" in time.dataset ? long : short;
  time.textContent = format.format(new Date(time.dateTime));
}

/**
 * @param {string} tag
 * @param {string} name
 * @param {...(Node | string)} content
 */
function element(tag, name, ...content) {
  const made = document.createElement(tag);
  made.className = name;
  made.append(...content);
  return made;
}

/** @param {Brief} mail */
function row(mail) {
  const time = document.createElement("time");
  time.dateTime = mail.at;
  localize(time);
  const subject = element("span", "subject", mail.subject);
  const snippet = element("span", "snippet", mail.snippet);
  subject.dir = snippet.dir = "auto";
  const link = document.createElement("a");
  link.href = `/mails/${mail.id}`;
  link.className = mail.opened ? "" : "new";
  link.append(element("span", "row", element("span", "to", mail.to), time), subject, snippet);
  if (list.dataset.open === String(mail.id)) link.setAttribute("aria-current", "page");
  const item = document.createElement("li");
  item.append(link);
  return item;
}

let shown = list.querySelectorAll("li").length;
let latest = "";

async function refresh() {
  const answer = await fetch("/api/mails");
  const text = await answer.text();
  if (!answer.ok || text === latest) return;
  latest = text;
  const mails = /** @type {Brief[]} */ (JSON.parse(text));
  const focused = document.activeElement instanceof HTMLAnchorElement ? document.activeElement.href : "";
  list.replaceChildren(...mails.map(row));
  for (const link of list.querySelectorAll("a")) if (focused && link.href === focused) link.focus();
  empty.hidden = mails.length > 0;
  const unread = mails.filter((mail) => !mail.opened).length;
  document.title = unread ? `(${unread}) ${title}` : title;
  if (mails.length > shown && mails[0]) news.textContent = `New mail: ${mails[0].subject}`;
  shown = mails.length;
}

for (const time of document.querySelectorAll("time")) localize(time);
const current = list.querySelector('[aria-current="page"]');
if (current) current.scrollIntoView({ block: "nearest" });

// The stream answers at once and after every reconnect, so nothing is missed in between.
new EventSource("/events").addEventListener("message", () => void refresh().catch(() => undefined));
