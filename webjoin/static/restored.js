// That the store went back in time, where something is missing for it: above the conversation, until dismissed.
import { focusLog } from "./composer.js";
import { button, el, put } from "./dom.js";

const TEXT = "The conversation was restored from an earlier state. What is missing here was lost.";

export class Restored {
  /** @param {import("./model.js").Model} model */
  constructor(model) {
    this.text = el("p", { css: "notice-text", role: "alert" });
    this.node = el("div", { css: "notice restored", hidden: true }, this.text, button("Dismiss", () => this.#dismiss()));
    model.on(["lost"], () => this.#show());
  }

  #show() {
    this.node.hidden = false;
    put(this.text, TEXT);
  }

  #dismiss() {
    this.node.hidden = true;
    put(this.text, "");
    focusLog();
  }
}
