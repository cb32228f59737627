// Whether the page is live, in words and announced; and short confirmations.
import { el, put } from "./dom.js";

const BLIP = 2000; // milliseconds that a lost connection is not worth a word
const BACK = 4000; // how long "Back online." stays

export class Status {
  /** @param {import("./model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.node = el("p", { css: "status", role: "status", text: "Connecting…" });
    this.toast = el("p", { css: "toast", role: "status" });
    this.lost = false;
    this.timer = 0;
    this.toastTimer = 0;
    model.on(["connection"], () => this.#changed());
  }

  /** @param {string} text */
  say(text) {
    put(this.toast, text);
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => put(this.toast, ""), 6000);
  }

  #changed() {
    const { connected } = this.model;
    if (connected === "online") {
      clearTimeout(this.timer);
      this.#show(this.lost ? "Back online." : "Live", "live");
      if (this.lost) this.timer = setTimeout(() => this.#show("Live", "live"), BACK);
      this.lost = false;
    } else if (!this.lost && this.node.dataset["is"] === "live") {
      this.lost = true;
      this.node.dataset["is"] = "blip";
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.#lost(), BLIP);
    } else if (this.node.dataset["is"] === "lost") this.#lost();
  }

  #lost() {
    if (this.model.connected === "online") return;
    this.#show(this.model.connected === "offline" ? "You're offline." : "Reconnecting…", "lost");
  }

  /** @param {string} text @param {string} is */
  #show(text, is) {
    put(this.node, text);
    this.node.dataset["is"] = is;
  }
}
