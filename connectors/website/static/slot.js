import { h } from "./dom.js";

/** @import { View } from "./types" */
/** @typedef {{ parts: HTMLElement[], show(view: View): void }} Card */

/**
 * The place of a card that few conversations come to need: fetched when it is needed, gone when it is not.
 * @param {string} kind @param {(view: View) => boolean} needed @param {() => Promise<Card>} make @param {() => void} changed
 */
export function slot(kind, needed, make, changed) {
  const element = h("section", { class: kind, hidden: true });
  /** @type {Promise<Card> | undefined} */ let card;
  return {
    element,
    /** @param {View} view */
    async show(view) {
      element.hidden = !needed(view);
      if (element.hidden) {
        card = undefined;
        return element.replaceChildren();
      }
      const mine = (card ??= make());
      const made = await mine;
      if (card !== mine) return;
      if (!element.firstChild) element.append(...made.parts);
      made.show(view);
      changed();
    },
  };
}
