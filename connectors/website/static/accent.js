import { legible } from "/web/colour.js";

/** Give the element the site's colour, made legible. @param {HTMLElement} element @param {string} accent such as #1f5fd6 */
export const tint = (element, accent) => {
  const dark = element.dataset.colorScheme === "dark";
  const used = legible(accent, dark);
  if (!used) return console.warn(`Joinline: the accent "${accent}" is no colour such as #1f5fd6.`);
  if (used.mended) console[dark ? "info" : "warn"](`Joinline: the accent ${accent} stands out too little; ${used.colour} is used.`);
  for (const [name, value] of [["accent", used.colour], ["on-accent", used.ink], ["focus", used.colour]]) {
    element.style.setProperty(`--${name}`, value ?? "");
  }
};
