import { texts } from "./texts.js";

/** @import { Line, View } from "./types" */

/** What is announced, and told to the page, of what just happened. A message announces itself: it is in the log. */
export class News {
  #holder = "";
  #tells;

  /**
   * @param {{
   *   announce(text: string): void, emit(name: string, detail: object): void, muted(): boolean, assistant: boolean,
   * }} tells
   */
  constructor(tells) {
    this.#tells = tells;
  }

  /** @param {Line} line @param {View} view as it was before */
  tell({ event, by, seq }, view) {
    const { announce, emit, muted, assistant } = this.#tells;
    const { role, name = "" } = by;
    switch (event.type) {
      case "Said":
        emit("message", { by: role, name, text: event.text, seq });
        if (role !== "visitor" && document.hidden && !muted()) import("./sound.js").then(({ chime }) => chime());
        return;
      case "TookOver":
        this.#holder = name;
        return announce(texts.joined(name));
      case "HandedBack":
        return announce(texts.left(name || view.holder || this.#holder));
      case "HelpWanted":
        if (view.controller === "human") return; // the team is told among themselves
        return announce(event.step || event.last ? texts.nudge(!!event.last, assistant) : texts.asked);
      case "Closed":
        return announce(texts.ended);
    }
  }
}
