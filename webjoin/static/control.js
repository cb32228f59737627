// Taking over, handing back, ending: the buttons, and the same words typed as commands.
import { ask } from "./api.js";
import { askFor } from "./dialog.js";
import { names, standing } from "./floor.js";

/** @typedef {import("./page").Outcome} Outcome */

export class Control {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./session.js").Session} session
   * @param {{ say: (text: string) => void, gone: (kind: "left" | "revoked" | "ended") => void }} page
   */
  constructor(model, session, page) {
    this.model = model;
    this.session = session;
    this.page = page;
    /** @type {(answer: Outcome) => void} */
    this.onAnswer = () => {};
  }

  get holder() {
    return this.model.view?.holder ?? "";
  }

  /** @param {string} line @returns {Promise<Outcome>} */
  async command(line) {
    const name = line.slice(1).trim().split(/\s/, 1)[0]?.toLowerCase();
    if (name === "link") {
      await this.copyLink();
      return { ok: true };
    }
    if (name === "leave") {
      await this.leave();
      return { ok: true };
    }
    return this.session.command(line, this.model.view?.since);
  }

  /** @param {string} line */
  async #press(line) {
    this.onAnswer(await this.session.command(line, this.model.view?.since));
  }

  /** Take the floor from whoever has it; a person is asked about once. */
  async takeAsked() {
    const stands = this.model.view ? standing(this.model.view, this.model.me) : "ai";
    if (stands === "mine" || stands === "ended") return;
    if (stands === "other" && !(await this.confirmTake())) return;
    await this.take();
  }

  take() {
    return this.#press("/take");
  }

  async confirmTake() {
    const { holder } = this;
    return (await askFor({
      title: `Take over from ${holder}?`, role: "alertdialog", yes: `Take over from ${holder}`,
      text: `${holder} is answering ${names(this.model.view).object} now, and will see that you took over.`,
    })) !== null;
  }

  back() {
    return this.#press("/back");
  }

  observe() {
    return this.#press("/observe");
  }

  async backWithWords() {
    const visitor = names(this.model.view).object;
    const typed = await askFor({
      title: "Hand back to AI", yes: "Hand back",
      text: `Nothing here is needed. ${names(this.model.view).subject} sees only the parting word.`,
      fields: [
        { name: "word", label: `Parting word to ${visitor}`, lines: 2, most: 4000 },
        { name: "guidance", label: "Guidance for the AI", lines: 3, most: 4000 },
      ],
    });
    if (!typed) return;
    /** @type {import("./page").ChatEvent[]} */
    const events = [{ type: "HandedBack" }];
    if (typed["guidance"]) events.unshift({ type: "Guided", text: typed["guidance"] });
    if (typed["word"]) events.unshift({ type: "Said", text: typed["word"] });
    const text = typed["word"] ?? "";
    this.onAnswer(await this.session.propose(events, { floor: this.model.view?.since, text }));
  }

  async rename() {
    const typed = await askFor({
      title: "Change your name", yes: "Save",
      fields: [{ name: "name", label: `The name ${names(this.model.view).object} will see`, value: this.model.name, most: 40 }],
    });
    if (typed) await this.#press(`/name ${typed["name"]}`);
  }

  async end() {
    const agreed = await askFor({
      title: "End this conversation?", role: "alertdialog", yes: "End conversation", danger: true,
      text: `${names(this.model.view).subject} will see that it has ended. The transcript stays readable here.`,
    });
    if (agreed) await this.#press("/close");
  }

  // The link and its sessions

  get #cid() {
    return this.model.invitation.cid;
  }

  async copyLink() {
    const found = /** @type {import("./page").Result<{ url: string }>} */ (await ask("link", { cid: this.#cid }));
    if (!found.ok) return this.page.say(found.problem.message);
    try {
      await navigator.clipboard.writeText(found.value.url);
      this.page.say("Link copied. It is yours alone: whoever has it can join as you.");
    } catch {
      await askFor({
        title: "Copy link to this conversation", yes: "Done", text: "It is yours alone: whoever has it can join as you.",
        fields: [{ name: "url", label: "Link", value: found.value.url }],
      });
    }
  }

  leave() {
    return this.#signOut("leave", "left");
  }

  /** @param {"leave" | "off"} call @param {"left" | "revoked"} kind */
  async #signOut(call, kind) {
    this.model.leaving = true;
    const found = await ask(call, { cid: this.#cid });
    if (found.ok || found.problem.status === 404) return this.page.gone(kind);
    this.model.leaving = false;
    this.page.say(found.problem.message);
  }

  async turnOff() {
    const agreed = await askFor({
      title: "Turn off this link?", role: "alertdialog", yes: "Turn off link", danger: true,
      text: "Everybody who joined by it is signed out, on every device, you too. It cannot be turned on again.",
    });
    if (agreed) await this.#signOut("off", "revoked");
  }
}
