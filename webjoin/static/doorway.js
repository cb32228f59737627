// Before joining, in place of the composer: what Join means, a name, and who the link was sent to.
import { ask } from "./api.js";
import { el, put } from "./dom.js";
import { names, whence } from "./floor.js";
import { recall } from "./session.js";

const device = () => localStorage;

export class Doorway {
  /**
   * @param {import("./model.js").Model} model
   * @param {{ token: string, joined: (invitation: import("./page").Invitation) => void, gone: (kind: string, email?: string) => void }} way
   */
  constructor(model, way) {
    this.model = model;
    this.way = way;
    this.text = el("p", { css: "doorway-text" });
    this.input = el("input", {
      type: "text", id: "name", name: "name", autocomplete: "name", dir: "auto", "aria-describedby": "name-error",
      oninput: () => this.#fault(""),
    });
    this.input.value = recall("joinline.name", device) || model.invitation.name;
    this.error = el("p", { css: "error", id: "name-error", role: "alert" });
    this.button = el("button", { type: "submit", css: "filled", text: "Join" });
    this.form = el(
      "form", { css: "doorway-form", novalidate: true, onsubmit: (/** @type {SubmitEvent} */ e) => this.#submit(e) },
      el("label", { for: "name", text: "Your name" }), this.input, this.button,
    );
    this.node = el("section", { css: "doorway", "aria-label": "Join" },
      this.text, this.form, this.error, el("p", { css: "soft", text: `Link ${whence(model.invitation.email)}` }));
    model.on(["state"], () => this.draw());
    this.draw();
  }

  draw() {
    put(this.text, `You're previewing. ${names(this.model.view).subject} can't see you.`);
    this.node.hidden = this.model.view?.controller === "none";
  }

  /** @param {SubmitEvent} event */
  async #submit(event) {
    event.preventDefault();
    if (!event.isTrusted || navigator.userActivation?.hasBeenActive === false) return; // nobody pressed it
    const name = this.input.value.trim();
    if (!name) return this.#fault(`Enter the name ${names(this.model.view).object} will see.`);
    if ([...name].length > 40) return this.#fault("A name has 1 to 40 characters.");
    this.button.disabled = true;
    const found = /** @type {import("./page").Result<import("./page").Invitation>} */ (await ask("join", { token: this.way.token, name }));
    this.button.disabled = false;
    if (found.ok) return this.way.joined(found.value);
    const { status, code, message, email } = found.problem;
    if (status === 404 || status === 410) return this.way.gone(code, email);
    this.#fault(status ? message : "Not joined. Check your connection.");
  }

  /** @param {string} text */
  #fault(text) {
    put(this.error, text);
    if (text) {
      this.input.setAttribute("aria-invalid", "true");
      this.input.focus();
    } else this.input.removeAttribute("aria-invalid");
  }
}
