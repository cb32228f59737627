import { h } from "./dom.js";

const SMALL = matchMedia("(max-width: 480px)");

/**
 * The panel as a dialog: beside the page on large screens, modal and full on small ones.
 * @param {{ label: string, escape(): void }} options
 */
export function dialog({ label, escape }) {
  const element = h("dialog", { "aria-label": label, lang: "en", tabindex: -1 });
  for (const name of ["keydown", "keyup", "keypress"]) element.addEventListener(name, keys);
  element.addEventListener("cancel", (event) => {
    event.preventDefault(); // closing is the panel's decision
    escape();
  });
  SMALL.addEventListener("change", () => element.open && show());
  for (const name of ["resize", "scroll"]) visualViewport?.addEventListener(name, () => element.open && fit());

  /** Keys stay here: the page's shortcuts are not meant. @param {Event} event */
  function keys(event) {
    event.stopPropagation();
    if (!(event instanceof KeyboardEvent) || event.type !== "keydown") return;
    if (event.key !== "Escape" || event.isComposing) return;
    event.preventDefault();
    escape();
  }

  function show() {
    const focused = /** @type {ShadowRoot} */ (element.getRootNode()).activeElement;
    if (element.open) element.close();
    if (SMALL.matches) element.showModal();
    else element.show();
    element.toggleAttribute("data-modal", SMALL.matches);
    fit();
    if (focused instanceof HTMLElement && element.contains(focused)) focused.focus();
  }

  /** On a phone the keyboard shrinks only the visual viewport. */
  function fit() {
    const { height = innerHeight, offsetTop = 0 } = visualViewport ?? {};
    const small = SMALL.matches;
    element.style.setProperty("--height", small ? `${Math.round(height)}px` : "");
    element.style.setProperty("--top", small ? `${Math.round(offsetTop)}px` : "");
  }

  return { element, show, close: () => element.close() };
}
