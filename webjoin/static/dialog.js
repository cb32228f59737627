// Questions and forms over the page. The rest of the page waits; Escape and Cancel say no.
import { button, el } from "./dom.js";

let count = 0;

/**
 * Ask; answers what was typed into the fields, or null for no.
 * @param {{
 *   title: string, text?: string, yes: string, danger?: boolean, role?: "dialog" | "alertdialog", wide?: boolean,
 *   fields?: { name: string, label: string, value?: string, lines?: number, most?: number }[], body?: Node,
 * }} what
 * @returns {Promise<Record<string, string> | null>}
 */
export function askFor({ title, text = "", yes, danger = false, role = "dialog", fields = [], body, wide = false }) {
  const id = `dialog-${++count}`;
  const inputs = fields.map((f) => {
    const props = { id: `${id}-${f.name}`, name: f.name, maxlength: f.most, dir: "auto", autocomplete: "off" };
    const input = f.lines ? el("textarea", { ...props, rows: String(f.lines) }) : el("input", { ...props, type: "text" });
    input.value = f.value ?? "";
    return /** @type {const} */ ([f, input]);
  });
  const no = button("Cancel", () => dialog.close(), { css: "quiet" });
  const ok = el("button", { type: "submit", css: danger ? "filled danger" : "filled", text: yes });
  const form = el(
    "form", { onsubmit: (/** @type {Event} */ e) => { e.preventDefault(); dialog.close("yes"); } },
    el("h2", { id, text: title }),
    text && el("p", { id: `${id}-text`, text }),
    body,
    ...inputs.map(([f, input]) => el("div", { css: "field" }, el("label", { for: input.id, text: f.label }), input)),
    el("div", { css: "dialog-actions" }, no, ok),
  );
  const dialog = el("dialog", {
    css: wide ? "sheet wide" : "sheet", role: role === "dialog" ? undefined : role,
    "aria-labelledby": id, "aria-describedby": text ? `${id}-text` : undefined,
  }, form);
  return new Promise((resolve) => {
    const before = document.activeElement;
    dialog.addEventListener("close", () => {
      const typed = Object.fromEntries(inputs.map(([f, input]) => [f.name, input.value.trim()]));
      resolve(dialog.returnValue === "yes" ? typed : null);
      dialog.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    });
    dialog.addEventListener("keydown", (event) => event.stopPropagation());
    document.body.append(dialog);
    dialog.showModal();
    (inputs[0]?.[1] ?? (role === "alertdialog" ? no : ok)).focus();
  });
}

/**
 * Show something to read, or a part of the page that has no room of its own.
 * @param {string} title
 * @param {Node[]} body
 * @param {() => void} [closed]
 */
export function show(title, body, closed) {
  const id = `dialog-${++count}`;
  const dialog = el(
    "dialog", { css: "sheet wide", "aria-labelledby": id, onclose: () => { closed?.(); dialog.remove(); } },
    el("div", { css: "sheet-head" }, el("h2", { id, text: title }), button("Close", () => dialog.close(), { css: "quiet" })),
    ...body,
  );
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
