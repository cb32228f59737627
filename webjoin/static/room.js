// The page itself: header, banner, conversation, composer or doorway, and what stands beside.
import { Alerts } from "./alerts.js";
import { Banner } from "./banner.js";
import { Composer } from "./composer.js";
import { Control } from "./control.js";
import { show } from "./dialog.js";
import { Doorway } from "./doorway.js";
import { button, el, icon } from "./dom.js";
import { names } from "./floor.js";
import { Log } from "./log.js";
import { Menu } from "./menu.js";
import { Restored } from "./restored.js";
import { Side } from "./side.js";
import { Status } from "./status.js";
import { shortcuts, watchKeys } from "./keys.js";
import { Tail } from "./tail.js";
import { download } from "./transcript.js";

const wide = matchMedia("(min-width: 900px)");

export class Room {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./session.js").Session} session
   * @param {{ token: string, joined: (invitation: import("./page").Invitation) => void, gone: (kind: string, email?: string) => void }} way
   */
  constructor(model, session, way) {
    this.model = model;
    this.status = new Status(model);
    const say = (/** @type {string} */ text) => this.status.say(text);
    this.control = new Control(model, session, { say, gone: way.gone });
    this.log = new Log(model);
    this.tail = new Tail(model, this.log, () => session.stop());
    this.banner = new Banner(model, this.control, () => download(model));
    this.side = new Side(model, this.control);
    this.alerts = new Alerts(model, say, () => this.#toggles());
    this.writing = model.joined ? this.#composer(session) : new Doorway(model, way);
    this.title = el("h1", { css: "title", dir: "auto" });
    this.notify = button("Notify me", () => this.alerts.toggleNotify(), { css: "toggle" });
    this.sound = button("Sound", () => this.alerts.toggleSound(), { css: "toggle" });
    this.notify.prepend(icon("bell"));
    this.sound.prepend(icon("sound"));
    this.menu = this.#menu();
    const top = el("header", { css: "top" }, this.title, this.status.node,
      el("div", { css: "tools" }, this.notify, this.sound, this.menu.node));
    const talk = el("main", { css: "talk" }, new Restored(model).node, this.log.node, this.writing.node);
    this.node = el("div", { id: "app", css: "room" }, top, this.banner.node, talk, this.status.toast);
    this.#place();
    wide.addEventListener("change", () => this.#place());
    model.on(["state"], () => this.draw());
    watchKeys(this.log.lines, this.control, () => (this.writing instanceof Composer ? this.writing : null), model);
    this.#toggles();
    this.draw();
  }

  /** @param {import("./session.js").Session} session */
  #composer(session) {
    const composer = new Composer(this.model, session, this.control);
    this.control.onAnswer = (answer) => composer.told(answer);
    return composer;
  }

  draw() {
    const { view, invitation } = this.model;
    const who = names(view).title;
    const tag = view?.controller === "none" ? "p" : "h1"; // the banner's words are the ended page's heading
    if (this.title.localName !== tag) {
      const title = el(tag, { css: "title", dir: "auto" });
      this.title.replaceWith(title);
      this.title = /** @type {HTMLHeadingElement} */ (title);
    }
    const site = el("span", { css: "site", text: `${invitation.site} chat – ` });
    if (this.title.textContent !== site.textContent + who) this.title.replaceChildren(site, who);
  }

  #menu() {
    const { control, model, alerts } = this;
    const narrow = () => !wide.matches;
    const live = () => model.joined && model.view?.controller !== "none";
    return new Menu([
      { label: "People and details", shown: narrow, press: () => this.#sheet() },
      { label: "Notify me", shown: narrow, checked: () => alerts.notify, press: () => alerts.toggleNotify() },
      { label: "Sound", shown: narrow, checked: () => alerts.sound, press: () => alerts.toggleSound() },
      { label: "Download transcript", press: () => download(model) },
      { label: "Copy link to this conversation", shown: () => model.joined, press: () => control.copyLink() },
      { label: "Keyboard shortcuts", press: () => shortcuts(model.invitation.commands) },
      { label: "End conversation", shown: live, danger: true, press: () => control.end() },
    ]);
  }

  #toggles() {
    this.notify.setAttribute("aria-pressed", String(this.alerts.notify));
    this.sound.setAttribute("aria-pressed", String(this.alerts.sound));
  }

  /** Beside the conversation where there is room, else behind the menu. */
  #place() {
    if (wide.matches) {
      document.querySelector("dialog.wide[open]")?.contains(this.side.node) && /** @type {HTMLDialogElement} */ (document.querySelector("dialog.wide[open]")).close();
      this.node.append(this.side.node);
    } else this.side.node.remove();
  }

  #sheet() {
    show("People and details", [this.side.node], () => this.#place());
  }
}
