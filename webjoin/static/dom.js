// Building elements without markup: text is always text, styles are in the style sheet.

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else node.setAttribute(name === "css" ? "class" : name, value === true ? "" : String(value));
  }
  for (const child of children) if (child) node.append(child);
  return node;
}

/**
 * @param {string} label
 * @param {(event: MouseEvent) => void} press
 * @param {Record<string, any>} [props]
 * @param {...Child} children what shows instead of the label, which is then the name alone
 */
export function button(label, press, props = {}, ...children) {
  const name = children.length ? { "aria-label": label } : {};
  const shown = children.length ? children : [label];
  return el("button", { type: "button", onclick: press, ...name, ...props }, ...shown);
}

/** @type {Record<string, string>} */
const PATHS = {
  spark: "M8 1.5 9.7 6.3 14.5 8 9.7 9.7 8 14.5 6.3 9.7 1.5 8 6.3 6.3z",
  lock: "M5 7V5a3 3 0 0 1 6 0v2h1v7H4V7zm1.5 0h3V5a1.5 1.5 0 0 0-3 0z",
  more: "M3.5 6.7a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6zm4.5 0a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6zm4.5 0a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6z",
  send: "M2 2.5 14.5 8 2 13.5 2 9.3 9 8 2 6.7z",
  down: "M3.5 5.5 8 10l4.5-4.5 1.2 1.2L8 12.4 2.3 6.7z",
  stop: "M4 4h8v8H4z",
  close: "M3.7 2.5 8 6.8l4.3-4.3 1.2 1.2L9.2 8l4.3 4.3-1.2 1.2L8 9.2l-4.3 4.3-1.2-1.2L6.8 8 2.5 3.7z",
  bell: "M8 1.5a4 4 0 0 1 4 4V9l1.5 2.2v.8h-11v-.8L4 9V5.5a4 4 0 0 1 4-4zM6.5 13h3a1.5 1.5 0 0 1-3 0z",
  sound: "M2 6h2.5L8 3v10l-3.5-3H2zm8-.7a4 4 0 0 1 0 5.4l-.9-.9a2.7 2.7 0 0 0 0-3.6zm1.8-1.8a6.5 6.5 0 0 1 0 9l-.9-.9a5.2 5.2 0 0 0 0-7.2z",
  check: "M13.5 4.2 6.3 11.6 2.5 7.8l1.1-1.1 2.7 2.7 6.1-6.3z",
  arrow: "M7.2 2h1.6v8.3l3-3 1.1 1.1L8 13.3 3.1 8.4l1.1-1.1 3 3z",
};

/** @param {string} name */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name] ?? "");
  path.setAttribute("fill", "currentColor");
  path.setAttribute("fill-rule", "evenodd");
  svg.append(path);
  return svg;
}

/**
 * Set a text only where it differs, so that nothing is announced or repainted twice.
 * @param {Node} node
 * @param {string} text
 */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
