/** @import { ChatEvent, Settings, User } from "./types" */

/** What the team may know of the page: only what the site allows. */
export class Page {
  /** @type {User} */ user = {};
  hash = ""; // the page's server's proof of the user's id
  /** @type {Record<string, string>} */ context = {};
  locale = "en";
  #site;
  #allowed;
  #parameters;

  /** @param {string} site @param {string} allowed `data-context`, such as "url,title" @param {Settings} settings */
  constructor(site, allowed, settings) {
    this.#site = site;
    this.#allowed = allowed.split(",").map((part) => part.trim());
    this.#parameters = settings.query_parameters ?? [];
  }

  /** @param {Record<string, unknown>} context */
  setContext(context) {
    for (const [name, value] of Object.entries(context ?? {})) {
      if (value === null || value === undefined) delete this.context[name];
      else this.context[name] = String(value);
    }
  }

  /** @returns {ChatEvent} */
  opening() {
    return {
      type: "Opened",
      site: this.#site,
      page: this.#allowed.includes("url") ? this.#address() : "",
      title: this.#allowed.includes("title") ? document.title : "",
      locale: this.locale,
      timezone: Intl.DateTimeFormat().resolvedOptions().timeZone ?? "",
      context: this.context,
    };
  }

  /** @returns {ChatEvent[]} */
  introduction() {
    const { id = "", name = "", email = "" } = this.user;
    return id || name || email ? [{ type: "Identified", user: String(id), name: String(name), email: String(email) }] : [];
  }

  /** The address without its query string, but for what the site lets through. */
  #address() {
    const { origin, pathname, search } = location;
    const kept = new URLSearchParams([...new URLSearchParams(search)].filter(([name]) => this.#parameters.includes(name)));
    return origin + pathname + (kept.size ? `?${kept}` : "");
  }
}
