(() => {
  /** @typedef {import("./types").Panel} Panel */
  /** @typedef {import("./types").Said} Said */
  /** @typedef {import("./types").Settings} Settings */
  /** @typedef {any} Any */
  const script = /** @type {HTMLScriptElement | null} */ (document.currentScript);
  if (!script || customElements.get("joinline-chat")) return;
  const given = script.dataset;
  const site = given.site ?? "";
  const base = new URL(".", script.src).href;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  if (!site) return console.warn("Joinline: the script needs data-site.");

  const CSS = `
:host { all: initial; display: block; position: fixed; z-index: var(--joinline-layer, 1000); --gap: 20px;
  --accent: #1f5fd6; --on-accent: #fff; --card: #fff; --ink: #1b1e22 }
:host([data-color-scheme=dark]) { --accent: #7aa7ff; --on-accent: #0c1526; --card: #1e2125; --ink: #eceef0 }
:host([hidden]), [hidden] { display: none !important }
.launcher, .teaser { position: fixed; inset-inline-end: calc(var(--gap) + env(safe-area-inset-right)); display: flex;
  font: 500 15px/1.4 system-ui, sans-serif }
:host([data-position=start]) :is(.launcher, .teaser) { inset-inline: calc(var(--gap) + env(safe-area-inset-left)) auto }
.launcher { inset-block-end: calc(var(--gap) + env(safe-area-inset-bottom)); align-items: center; justify-content: center;
  gap: 8px; width: 56px; height: 56px; padding: 0; border: 0; border-radius: 28px; cursor: pointer;
  color: var(--on-accent); background: var(--accent); box-shadow: 0 4px 16px rgb(16 24 40 / .2) }
:host([data-launcher=tab]) .launcher { inset-block-end: 0; width: auto; height: 44px; padding: 0 20px;
  border-radius: 12px 12px 0 0 }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px }
svg { width: 26px; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round }
.count { position: absolute; inset-block-start: -4px; inset-inline-end: -4px; min-width: 22px; border-radius: 11px;
  background: #b3261e; color: #fff; font-size: 13px; line-height: 22px }
.teaser { inset-block-end: calc(var(--gap) + 68px + env(safe-area-inset-bottom)); border-radius: 12px;
  max-width: min(280px, calc(100vw - 2*var(--gap))); background: var(--card); color: var(--ink);
  box-shadow: 0 8px 32px rgb(16 24 40 / .16), 0 0 1px rgb(16 24 40 / .3) }
.teaser > * { border: 0; border-radius: 12px; background: none; color: inherit; font: inherit; text-align: start;
  overflow-wrap: anywhere; padding: 12px 0; padding-inline-start: 16px }
.teaser button { cursor: pointer }
.teaser svg { width: 18px; margin-inline-end: 14px }`;
  const CHAT = "M21 11.5a8.4 8.4 0 0 1-12.3 7.4L3 21l2.1-5.7A8.4 8.4 0 1 1 21 11.5z";
  const CLOSE = "M6 6l12 12M18 6L6 18";

  /** @type {Any} */ let element;
  /** @type {Panel | undefined} */ let panel;
  /** @type {Promise<Panel> | undefined} */ let loading;
  /** @type {Settings} */ let settings;
  /** @type {Said} */ const said = {};

  /** @param {string} tag @param {string} kind @param {Any} [attributes] @returns {Any} */
  const make = (tag, kind, attributes) => {
    const made = document.createElement(tag);
    made.className = kind;
    for (const name in attributes) made.setAttribute(name, attributes[name]);
    return made;
  };
  /** @param {string} shape */
  const icon = (shape) => {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    svg.appendChild(document.createElementNS(space, "path")).setAttribute("d", shape);
    return svg;
  };

  class JoinlineChat extends HTMLElement {
    static observedAttributes = ["open", "unread"];
    launcher = make("button", "launcher", { type: "button" });
    count = make("span", "count", { "aria-hidden": true });

    constructor() {
      super();
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(CSS);
      const root = this.attachShadow({ mode: "open" });
      root.adoptedStyleSheets = [sheet];
      root.append(this.launcher);
      this.launcher.onclick = api.toggle;
    }

    attributeChangedCallback() {
      const { launcher, count } = this;
      const open = this.hasAttribute("open");
      const unread = Number(this.getAttribute("unread"));
      const some = unread ? `, ${unread} unread message${unread > 1 ? "s" : ""}` : "";
      launcher.setAttribute("aria-expanded", open);
      launcher.setAttribute("aria-label", open ? "Close chat" : `Open chat${some}`);
      launcher.replaceChildren(icon(open ? CLOSE : CHAT), this.dataset.launcher === "tab" ? "Chat" : "", count);
      count.textContent = unread > 9 ? "9+" : unread;
      count.hidden = open || !unread;
    }
  }

  /** @param {string} name @param {object} [detail] */
  const emit = (name, detail) =>
    element.dispatchEvent(new CustomEvent(`joinline:${name}`, { detail, bubbles: true, composed: true }));

  /** Beside the launcher: the greeting, or that the chat cannot be had. @param {Any} words @param {string} text @param {Any} [how] */
  const beside = (words, text, how) => {
    element.shadowRoot.querySelector(".teaser")?.remove();
    const box = make("div", "teaser", how);
    const dismiss = make("button", "", { type: "button", "aria-label": "Dismiss" });
    dismiss.append(icon(CLOSE));
    dismiss.onclick = () => (box.remove(), element.launcher.focus());
    words.textContent = text;
    box.append(words, dismiss);
    element.shadowRoot.append(box);
    api.on("open", () => box.remove());
  };

  const load = () =>
    (loading ??= import(`${base}widget/panel.js`)
      .then(({ mount }) => (panel = mount({ element, base, site, settings, context: given.context ?? "url,title", said })))
      .catch((error) => {
        const message = "Chat couldn't load.";
        loading = undefined;
        beside(make("span", ""), message, { role: "alert" });
        emit("error", { message });
        throw error;
      }));

  /** @param {string} name @param {boolean} [wait] until the panel is there anyway */
  const pass = (name, wait) => (/** @type {Any[]} */ ...what) => {
    const tell = (/** @type {Any} */ there) => there[name](...what);
    if (panel) tell(panel);
    else if (wait) /** @type {Any} */ (said)[name] = what;
    else load().then(tell, (error) => console.error("Joinline:", error));
  };

  const api = {
    open: pass("open"),
    close: () => panel?.close(),
    toggle: () => (element.hasAttribute("open") ? api.close() : api.open()),
    show: () => (element.hidden = false),
    hide: () => (api.close(), (element.hidden = true)),
    identify: pass("identify", true),
    setContext: pass("setContext", true),
    setLocale: pass("setLocale", true),
    prefill: pass("prefill", true),
    sendMessage: pass("sendMessage"),
    end: pass("end"),
    reset: pass("reset"),
    /** @param {string} name @param {(detail: Any) => void} listener */
    on(name, listener) {
      const hear = (/** @type {Any} */ event) => listener(event.detail);
      element.addEventListener(`joinline:${name}`, hear);
      return () => element.removeEventListener(`joinline:${name}`, hear);
    },
  };

  const begun = () => {
    try {
      return localStorage.getItem(`joinline:${site}`);
    } catch {} // storage is blocked
  };

  /** Whether a visit begins here, told without storing anything. */
  const arrived = () => {
    const [visit] = /** @type {Any} */ (performance.getEntriesByType("navigation"));
    const index = /** @type {Any} */ (window).navigation?.currentEntry?.index;
    return visit?.type === "navigate" && !(index > 0) && !document.referrer.startsWith(location.origin + "/");
  };

  const start = async () => {
    try {
      settings = await (await fetch(`${base}sites/${site}/settings`)).json();
    } catch {
      return console.warn(`Joinline: ${base} has no settings for this page. Is ${location.origin} in sites.${site}.origins?`);
    }
    /** @param {string} name @param {string} [usual] */
    const choice = (name, usual = "") => given[name] || /** @type {Any} */ (settings)[name.replace(/[A-Z]/, "_$&").toLowerCase()] || usual;
    const [accent, greeting, scheme] = [choice("accent"), choice("greeting"), choice("colorScheme", "auto")];
    const locale = choice("locale", document.documentElement.lang || navigator.language || "en");
    const tint = accent && (await import(`${base}widget/accent.js`)).tint;
    const paint = () => {
      element.dataset.colorScheme = scheme === "auto" ? (dark.matches ? "dark" : "light") : scheme;
      if (tint) tint(element, accent);
    };
    element = new JoinlineChat();
    Object.assign(element.dataset, { locale, position: choice("position"), launcher: choice("launcher") });
    Object.assign(settings, { title: choice("title"), privacy_url: choice("privacyUrl") });
    element.dir = /^(ar|ckb|dv|fa|he|ks|ps|sd|ug|ur|yi)\b/i.test(locale) ? "rtl" : "ltr";
    element.launcher.hidden = element.dataset.launcher === "none";
    element.attributeChangedCallback();
    paint();
    dark.onchange = paint;
    document.body.append(element);
    /** @type {Any} */ (window).joinline = api;
    emit("ready");

    const eager = given.load === "eager";
    const prepare = () => void load().catch(() => {});
    if (eager || (begun() && given.load !== "click")) prepare();
    else if (given.load !== "click") element.launcher.onpointerenter = element.launcher.onfocus = prepare;
    addEventListener("storage", ({ key, newValue }) => key === `joinline:${site}` && newValue && prepare());
    if (!greeting || element.launcher.hidden || begun() || !arrived()) return;
    const words = make("button", "", { type: "button", dir: "auto" });
    words.onclick = api.open;
    beside(words, greeting);
  };

  customElements.define("joinline-chat", JoinlineChat);
  const idle = window.requestIdleCallback ?? ((/** @type {() => void} */ run) => setTimeout(run, 200));
  const soon = () => (given.load === "eager" ? start() : idle(() => start(), { timeout: 2000 }));
  if (document.body) soon();
  else addEventListener("DOMContentLoaded", soon);
})();
