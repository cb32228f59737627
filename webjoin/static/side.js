// Beside the conversation: who is here, who the visitor is, what was not delivered, and the own link.
import { ask } from "./api.js";
import { button, el } from "./dom.js";
import { surface } from "./events.js";
import { whence } from "./floor.js";
import { initials } from "./log.js";
import { day, hour, hourIn, language } from "./moments.js";

/** @typedef {import("./model.js").Model} Model */

let count = 0;

/** @param {string} title @param {"section" | "aside"} tag @param {...Node} body */
function part(title, tag, ...body) {
  const id = `side-${++count}`;
  return el(tag, { css: "part", "aria-labelledby": id }, el("h2", { id, text: title }), ...body);
}

export class Side {
  /** @param {Model} model @param {import("./control.js").Control} control */
  constructor(model, control) {
    this.model = model;
    this.control = control;
    this.people = el("ul", { css: "people", "aria-label": "People here" });
    this.facts = el("dl", { css: "facts" });
    this.troubles = el("ul", { css: "troubles" });
    this.delivery = part("Delivery", "section", this.troubles);
    this.sessions = el("ul", { css: "sessions", "aria-label": "Signed in" }, el("li", { text: "This browser" }));
    this.link = part("Your link", "section",
      el("p", { css: "soft", text: `It was ${whence(model.invitation.email)}` }), this.sessions,
      el("div", { css: "link-actions" },
        button("Leave", () => control.leave(), { css: "small" }),
        button("Turn off this link", () => control.turnOff(), { css: "small danger-text" })));
    this.node = el("div", { css: "side" }, part("People here", "section", this.people), part("Visitor details", "aside", this.facts),
      this.delivery, this.link);
    model.on(["people", "state", "typing"], () => this.#people());
    model.on(["state", "people"], () => this.#visitor());
    model.on(["people"], () => this.#sessions());
    this.asked = "";
    this.link.hidden = !model.joined;
    setInterval(() => this.#visitor(), 30_000); // the visitor's local time
  }

  #people() {
    const { model } = this, { view } = model;
    const here = model.here.map((p) => ({ ...p, away: false }));
    const away = (view?.people ?? []).filter((p) => p.joined && !here.some((h) => h.id === p.id)).map((p) => ({ ...p, away: true }));
    const rows = [...here, ...away].map((person) => {
      const own = person.id === model.me;
      const elsewhere = person.away && model.elsewhere(person.id), away = person.away && !elsewhere;
      const does = person.id === view?.holder_id ? "answering" : away ? "away" : "observing";
      const where = elsewhere ? ` in ${surface(elsewhere)}` : "";
      const doing = model.typing.has(person.id) ? "typing…" : does + where;
      return el("li", { css: away ? "away" : "" },
        el("span", { css: "mark staff", "aria-hidden": "true", text: initials(person.name) }),
        el("span", { css: "person" }, el("span", { dir: "auto", text: person.name }), own && el("span", { css: "soft", text: " (you)" }),
          el("span", { css: "soft doing", text: doing })),
        own && button("Change name", () => this.control.rename(), { css: "small quiet" }, "Change"));
    });
    if (!rows.length) rows.push(el("li", { css: "soft", text: "Nobody has joined yet." }));
    const before = [...this.people.children].map((c) => c.textContent).join("|");
    if (before !== rows.map((r) => r.textContent).join("|")) this.people.replaceChildren(...rows);
  }

  #visitor() {
    const { model } = this, { view } = model;
    if (!view) return;
    const { opened, visitor } = view;
    const zone = opened?.timezone ?? "", time = zone && hourIn(zone, model.now());
    const worth = visitor?.verified ? "verified" : "unverified";
    /** @type {[string, string | Node | undefined | false][]} */
    const rows = [
      ["Now", model.visitorHere ? "On the website" : "Away"],
      ["Name", visitor?.name && `${visitor.name} (${worth})`],
      ["Email", visitor?.email && `${visitor.email} (${worth})`],
      ["User", visitor?.user && `${visitor.user} (${worth})`],
      ["Page", opened && page(opened)],
      ["Language", opened?.locale && language(opened.locale)],
      ["Local time", time && `${time} (${zone.replace(/_/g, " ")})`],
      ["Began", view.opened_at && `${day(view.opened_at, model.now())}, ${hour(view.opened_at)}`],
      ["Rating", view.rated && { good: "Good", ok: "OK", bad: "Bad" }[view.rated]],
      ...Object.entries(opened?.context ?? {}),
    ];
    const nodes = rows.filter(([, value]) => value).flatMap(([name, value]) => [
      el("dt", { dir: "auto", text: name }), el("dd", { dir: "auto" }, /** @type {any} */ (value)),
    ]);
    const text = nodes.map((n) => n.textContent).join("|");
    if (this.facts.dataset["is"] !== text) {
      this.facts.dataset["is"] = text;
      this.facts.replaceChildren(...nodes);
    }
    const troubles = view.troubles ?? [];
    this.delivery.hidden = troubles.length === 0;
    this.troubles.replaceChildren(...troubles.map((t) => el("li", {},
      el("strong", { text: `${surface(t.surface)} ${t.retrying ? "is delayed" : "was not delivered"}` }), ` ${t.reason}`)));
  }

  async #sessions() {
    const { model } = this;
    const key = model.here.filter((p) => p.id.split("~")[0] === model.me.split("~")[0]).map((p) => p.id).join();
    const here = model.here.some((p) => p.id === model.me); // else this page is leaving or not yet in
    if (!model.joined || !here || model.leaving || this.asked === key) return;
    this.asked = key;
    await this.refresh();
  }

  /** The sessions that this link has opened. @param {{ cid: string, id?: string }} [body] */
  async refresh(body = { cid: this.model.invitation.cid }) {
    /** @typedef {{ sessions: { id: string, name: string, since: string, current: boolean }[] }} Sessions */
    const call = body.id ? "sessions/end" : "sessions";
    const found = /** @type {import("./page").Result<Sessions>} */ (await ask(call, body));
    if (!found.ok) return;
    const now = this.model.now();
    this.sessions.replaceChildren(...found.value.sessions.map((s) => el("li", {},
      el("span", {}, s.current ? "This browser" : s.name, " ", el("span", { css: "soft", text: `since ${day(s.since, now)}, ${hour(s.since)}` })),
      !s.current && button(`Sign out ${s.name}`, () => this.refresh({ cid: body.cid, id: s.id }), { css: "small quiet" }, "Sign out"))));
  }
}

/** The page the visitor wrote from: their browser's word, so the whole address shows. @param {import("/web/wire").Opened} opened */
function page({ page: address = "", title = "" }) {
  const web = /^https?:\/\//i.test(address) && URL.canParse(address);
  const where = web
    ? el("a", { href: new URL(address).href, target: "_blank", rel: "noopener noreferrer nofollow", css: "address", text: address })
    : address && el("span", { css: "address", text: address });
  return el("span", {}, title && el("span", { css: "page-title", text: title }), where);
}
