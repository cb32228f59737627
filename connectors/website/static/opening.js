/** @import { Memory } from "./memory.js" */

/**
 * How the panel opens and closes, where the focus goes, and what other pages and tabs learn of it.
 * @param {{
 *   element: HTMLElement, root: ShadowRoot, memory: Memory, focus(): void, changed(open: boolean): void,
 *   box: { element: HTMLDialogElement, show(): void, close(): void },
 * }} options
 */
export function opening({ element, root, memory, box, focus, changed }) {
  /** @type {Element | null} */ let opener = null;

  /** @param {boolean} to */
  function became(to) {
    element.toggleAttribute("open", to);
    changed(to);
  }

  return {
    /** @param {{ quietly?: boolean }} [how] quietly: because another page or tab had it open */
    open({ quietly = false } = {}) {
      if (box.element.open) return;
      const before = root.activeElement ?? document.activeElement;
      box.show();
      if (!quietly) {
        if (matchMedia("(pointer: coarse)").matches) box.element.focus(); // no keyboard over what is to be read
        else focus();
        opener = before;
        memory.change({ open: true });
      } else if (box.element.matches(":modal")) box.element.focus();
      else {
        if (root.activeElement instanceof HTMLElement) root.activeElement.blur(); // showing took the focus
        if (before instanceof HTMLElement) before.focus();
      }
      became(true);
    },
    /** @param {{ quietly?: boolean }} [how] */
    close({ quietly = false } = {}) {
      if (!box.element.open) return;
      box.close();
      if (!quietly) {
        const back = root.querySelector(".launcher:not([hidden])") ?? opener;
        if (back instanceof HTMLElement) back.focus();
        memory.change({ open: false });
      }
      became(false);
    },
  };
}
