import tokens from "/web/tokens.js";
import { Watch } from "./activity.js";
import { Chat, LONGEST } from "./chat.js";
import { composer } from "./composer.js";
import { dialog } from "./dialog.js";
import { attribute, h, sheet } from "./dom.js";
import { header } from "./header.js";
import { intro } from "./intro.js";
import { Link } from "./link.js";
import { Log, jumpButton } from "./log.js";
import look from "./look.js";
import { Memory } from "./memory.js";
import { menu } from "./menu.js";
import { News } from "./news.js";
import { opening } from "./opening.js";
import { Page } from "./page.js";
import { Follow } from "./scroll.js";
import { slot } from "./slot.js";
import { statusLines } from "./status.js";
import { tail } from "./tail.js";
import { texts } from "./texts.js";
import { direction, setTimes } from "./times.js";
import { Unread } from "./unread.js";

/** @import { Frame, Item, Line, Panel, View } from "./types" */

/** The panel in the element's shadow root, and what the page may ask of it. @param {Frame} frame @returns {Panel} */
export function mount({ element, base, site, settings, context, said }) {
  const root = /** @type {ShadowRoot} */ (element.shadowRoot);
  root.adoptedStyleSheets = [sheet(tokens), ...root.adoptedStyleSheets, sheet(look)];
  const title = settings.title || texts.title(settings.name);
  const page = new Page(site, context, settings);
  const memory = new Memory(site, elsewhere);
  const chat = new Chat({
    base, site, memory, opening: () => page.opening(), introduction: () => page.introduction(),
  });

  // --- what it is made of

  const lines = statusLines();
  const log = new Log({ retry: (item) => chat.outbox.submit(item), discard });
  const below = tail();
  const jump = jumpButton(() => follow.toEnd());
  const email = slot("card", late, async () => (await import("./email.js")).emailCard({
    assistant: settings.assistant, given: () => memory.value.email, send: leaveEmail, wrong: lines.complain,
  }), () => follow.added());
  const end = slot("end", ({ controller }) => controller === "none", async () => (await import("./rating.js")).endCard({
    rate: (score, comment) => void chat.tell({ type: "Rated", score, comment }), restart,
  }), () => follow.added());
  const write = composer({ send, stop: () => chat.stopAnswer(), typing: (on) => chat.typing(on), changed: written });
  const options = menu([
    { name: texts.person, run: wantPerson, enabled: () => chat.view.controller === "ai" },
    { name: texts.download, run: download, enabled: () => chat.begun },
    { name: texts.mute, run: () => memory.change({ muted: !memory.value.muted }), checked: () => memory.value.muted },
    { name: texts.end, run: () => void chat.tell({ type: "Closed" }), enabled: () => chat.begun && !chat.over },
  ]);
  const top = header({ title, assistant: settings.assistant, menu: options.element, minimise: () => close(), wantPerson });
  const box = dialog({ label: title, escape: () => close() });
  const content = h("div", { class: "content" }, intro(settings), log.element, below.element, email.element);
  const scroller = h("div", { class: "scroller" }, content);
  const middle = h("div", { class: "middle" }, scroller, jump.element);
  box.element.append(top.element, lines.bar, middle, lines.problem, write.element, end.element, lines.status);
  root.append(box.element);

  const { open, close } = opening({ element, root, memory, box, focus: write.focus, changed: showOpen });
  const follow = new Follow(scroller, content, (away) => {
    if (!away) fresh = 0;
    jump.show(away, fresh);
    if (!away) seen();
  });
  const link = new Link({
    announce: lines.announce, bar: lines.showBar, complain: (text) => lines.complainOfConnection(text),
  });
  const watch = new Watch({ changed: showActivity, turn: () => lines.announce(texts.writing) });
  const news = new News({
    announce: lines.announce, emit, muted: () => memory.value.muted, assistant: settings.assistant,
  });
  const unread = new Unread(memory.value.read, showUnread);
  let fresh = 0; // messages that came while the reader was further up
  let typed = 0;
  let proof = ""; // that has been shown

  // --- what the chat tells

  chat.on("item", (item) => {
    log.item(item);
    if (item.text && item.delivery === "fresh") follow.toEnd();
    content.classList.toggle("empty", !chat.begun);
  });
  chat.on("line", heard);
  chat.on("ready", () => setTimeout(() => log.goLive(), 50)); // after the history has been taken in: it is no news
  chat.on("view", (view, before) => showView(view, before));
  chat.on("draft", (text, why) => {
    below.draft(text);
    watch.streaming(text !== null);
    if (why === "interrupted") log.divide(`${texts.assistant} ${texts.interrupted}`, "interrupted");
    if (why === "failed") answerFailed();
    else if (text !== null) lines.complain("");
    follow.added();
  });
  chat.on("typing", (name) => watch.typing(name));
  chat.on("status", (status, seconds) => {
    attribute(element, "connection", status);
    emit("connection", { status });
    link.follow(status, seconds);
  });
  chat.on("problem", problem);
  chat.on("over", () => problem(texts.broken));
  chat.on("reset", (same) => {
    log.empty();
    below.draft(null);
    watch.stop();
    unread.empty(same);
    showView(chat.view, chat.view);
    page.hash = proof;
    for (const item of chat.outbox.items.values()) log.item(item);
  });
  chat.on("lost", () => {
    log.divide(texts.gone);
    lines.announce(texts.gone);
  });

  /** @param {Line} line @param {boolean} live @param {Item} [item] */
  function heard(line, live, item) {
    const { event, by } = line;
    const others = event.type === "Said" && by.role !== "visitor";
    if (others) below.draft(null);
    log.line(line, item);
    watch.line(line, chat.view, settings.assistant);
    if (others) watch.streaming(false);
    unread.line(line);
    if (others && live) lines.complain("");
    if (live) news.tell(line, chat.view);
    if (others && follow.away) jump.show(true, ++fresh);
    follow.added();
    seen();
  }

  /** @param {View} view @param {View} before */
  function showView(view, before) {
    top.show(view);
    email.show(view);
    end.show(view);
    prove();
    write.element.hidden = view.controller === "none";
    content.classList.toggle("empty", !chat.begun);
    attribute(element, "controller", view.controller);
    if (view.controller !== "ai" && view.controller !== "waiting") watch.stop();
    if (view.controller === before.controller && view.holder === before.holder) return;
    lines.complain("");
    emit("controller", { controller: view.controller, name: view.holder ?? "" });
    if (view.controller === "none") emit("ended", {});
    follow.added();
  }

  /** Let the server vouch for who the page's server says it is, once there is a conversation. */
  async function prove() {
    const { user: { id = "" }, hash } = page;
    if (!hash || !chat.view.head) return;
    page.hash = "";
    proof = hash;
    const { vouch } = await import("./vouch.js");
    vouch(`${base}sites/${site}`, { token: memory.value.token, user: String(id), hash: String(hash) });
  }

  function showActivity() {
    attribute(element, "activity", watch.now);
    below.show(watch.now, watch.name);
    write.stoppable(watch.now === "ai-streaming");
    follow.added();
  }

  /** @param {number} count */
  function showUnread(count) {
    attribute(element, "unread", count);
    emit("unread", { count });
  }

  // --- what the visitor does

  /** @param {string} text */
  function send(text) {
    const length = [...text].length;
    if (length > LONGEST) {
      lines.complain(texts.tooLong(length, LONGEST));
      return false;
    }
    lines.complain("");
    if (!memory.value.muted) import("./sound.js").then(({ allow }) => allow());
    chat.say(text.trim());
    memory.change({ open: box.element.open, read: unread.newest, draft: "" });
    return true;
  }

  function wantPerson() {
    lines.complain("");
    chat.wantPerson();
    write.focus();
  }

  /** @param {Item} item */
  function discard(item) {
    chat.outbox.discard(item);
    log.drop(item);
    lines.complain("");
    write.focus();
  }

  /** @param {string} address */
  function leaveEmail(address) {
    memory.change({ email: address });
    chat.tell({ type: "Identified", email: address });
    write.focus();
  }

  async function download() {
    const { download, transcript } = await import("./transcript.js");
    download(transcript(chat.lines, title), `chat-${site}.txt`);
  }

  function restart() {
    chat.leave();
    lines.complain("");
    write.text = "";
    write.focus();
  }

  function answerFailed() {
    const last = chat.lines.findLast(({ event, by }) => event.type === "Said" && by.role === "visitor");
    const again = () => last?.event.type === "Said" && send(last.event.text);
    lines.complain(
      texts.failed,
      h("button", { type: "button", onclick: again }, texts.again),
      h("button", { type: "button", onclick: wantPerson }, texts.person),
    );
  }

  /** @param {string} text */
  function written(text) {
    if ([...text].length <= LONGEST) lines.complain("");
    clearTimeout(typed);
    typed = setTimeout(keepDraft, 300);
  }

  function keepDraft() {
    if (chat.begun && write.text !== memory.value.draft) memory.change({ draft: write.text });
  }
  addEventListener("pagehide", keepDraft);

  /** @param {string} text */
  function problem(text) {
    lines.complain(text);
    emit("error", { message: text });
  }

  /** Whether nobody has come for some time. @param {View} view */
  function late({ controller, help }) {
    return controller === "waiting" && !!help && (help.step > 0 || help.last);
  }

  // --- what is seen, here and in other tabs

  /** @param {boolean} open */
  function showOpen(open) {
    if (open) {
      write.fit();
      follow.toEnd();
      seen();
    } else options.close();
    emit(open ? "open" : "close", {});
  }

  /** What is on the screen, of a page that is looked at, has been read. */
  function seen() {
    if (!box.element.open || document.hidden || follow.away || unread.count === 0) return;
    unread.mark(unread.newest);
    memory.change({ read: unread.newest });
  }
  document.addEventListener("visibilitychange", seen);

  /** Another tab did something. @param {import("./types").Kept} now @param {import("./types").Kept} before */
  function elsewhere(now, before) {
    if (before.token && now.token !== before.token) chat.leave(false);
    chat.resume();
    content.classList.toggle("empty", !chat.begun);
    if (now.open !== before.open) now.open ? open({ quietly: true }) : close({ quietly: true });
    if (now.draft !== before.draft && root.activeElement !== write.input) write.text = now.draft;
    if (now.email !== before.email) email.show(chat.view);
    unread.mark(now.read);
  }

  // --- the rest

  /** @param {string} name @param {object} detail */
  function emit(name, detail) {
    element.dispatchEvent(new CustomEvent(`joinline:${name}`, { detail, bubbles: true, composed: true }));
  }

  /** @param {string} locale */
  function setLocale(locale) {
    page.locale = locale;
    setTimes(locale);
    element.dir = direction(locale);
  }

  /** @type {Panel} */
  const panel = {
    open: () => open(),
    close: () => close(),
    setLocale,
    identify(user, proof) {
      page.user = user ?? {};
      page.hash = proof?.hash ?? "";
      if (chat.begun) for (const event of page.introduction()) chat.tell(event);
      prove();
    },
    setContext: (more) => page.setContext(more),
    prefill(text) {
      write.text = String(text);
    },
    sendMessage: (text) => void send(String(text)),
    end: () => void (chat.begun && !chat.over && chat.tell({ type: "Closed" })),
    reset: restart,
  };
  setLocale(element.dataset.locale || "en");
  for (const [name, what] of Object.entries(said)) /** @type {any} */ (panel)[name](...what);
  showView(chat.view, chat.view);
  attribute(element, "connection", chat.status);
  attribute(element, "activity", "");
  chat.resume();
  write.text = memory.value.draft || write.text;
  if (memory.value.open) open({ quietly: true });
  return panel;
}
