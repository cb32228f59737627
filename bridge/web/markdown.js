const SCHEMES = ["http:", "https:", "mailto:", "tel:"];
const DEEPEST = 6;

/** @param {string} text */
export function renderMarkdown(text) {
  const into = document.createDocumentFragment();
  blocks(text.replace(/\r\n?/g, "\n").split("\n"), into, 0);
  return into;
}

/** @param {string} raw */
export function judge(raw) {
  const url = URL.parse ? URL.parse(raw) : tryUrl(raw);
  return url && SCHEMES.includes(url.protocol) ? url : null;
}

/** @param {string} raw */
function tryUrl(raw) {
  try {
    return new URL(raw);
  } catch {
    return null;
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {Node} into @param {T} tag
 */
function add(into, tag) {
  return into.appendChild(document.createElement(tag));
}

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}#{1,6} +(.*?)(?: +#+)? *$/;
const ITEM = /^( *)(?:[-*+]|(\d{1,9})[.)])(?: +|$)/;
const QUOTE = /^ {0,3}> ?/;

/** @param {string[]} lines @param {Node} into @param {number} depth */
function blocks(lines, into, depth) {
  for (let at = 0; at < lines.length; ) {
    const line = lines[at] ?? "";
    const fence = FENCE.exec(line)?.[1];
    const item = depth < DEEPEST && ITEM.exec(line);
    if (!line.trim()) at++;
    else if (fence) at = code(lines, at, fence, into);
    else if (item) at = list(lines, at, item, into, depth);
    else if (depth < DEEPEST && QUOTE.test(line)) {
      const inside = taken(lines, at, (next) => QUOTE.test(next));
      blocks(inside.map((next) => next.replace(QUOTE, "")), add(into, "blockquote"), depth + 1);
      at += inside.length;
    } else if (HEADING.test(line)) {
      inline(HEADING.exec(line)?.[1] ?? "", add(add(into, "p"), "strong"), 0);
      at++;
    } else {
      const inside = taken(lines, at, (next, first) => first || (!!next.trim() && !begins(next)));
      inline(inside.map((next) => next.trim()).join("\n"), add(into, "p"), 0);
      at += inside.length;
    }
  }
}

/** @param {string} line */
function begins(line) {
  return FENCE.test(line) || ITEM.test(line) || HEADING.test(line) || QUOTE.test(line);
}

/** @param {string[]} lines @param {number} at @param {(line: string, first: boolean) => boolean} fits */
function taken(lines, at, fits) {
  let end = at;
  while (end < lines.length && fits(lines[end] ?? "", end === at)) end++;
  return lines.slice(at, Math.max(end, at + 1));
}

/** @param {string[]} lines @param {number} at @param {string} fence @param {Node} into */
function code(lines, at, fence, into) {
  let end = at + 1;
  while (end < lines.length && !(lines[end] ?? "").trim().startsWith(fence)) end++;
  const box = add(into, "pre");
  box.tabIndex = 0; // it scrolls sideways
  add(box, "code").textContent = lines.slice(at + 1, end).join("\n");
  return end + 1;
}

/** @param {string[]} lines @param {number} at @param {RegExpExecArray} first @param {Node} into @param {number} depth */
function list(lines, at, first, into, depth) {
  const indent = first[1]?.length ?? 0;
  const ordered = first[2] !== undefined;
  const box = add(into, ordered ? "ol" : "ul");
  if (ordered && box instanceof HTMLOListElement && first[2] !== "1") box.start = Number(first[2]);
  while (at < lines.length) {
    const mark = ITEM.exec(lines[at] ?? "");
    if (!mark || (mark[2] !== undefined) !== ordered || (mark[1]?.length ?? 0) < indent) break;
    const width = mark[0].length;
    const rest = taken(lines, at + 1, (line) => belongs(line, indent)).filter((line) => belongs(line, indent));
    const head = (lines[at] ?? "").slice(width);
    const inside = rest.map((line) => line.slice(Math.min(width, line.length - line.trimStart().length)));
    const entry = add(box, "li");
    inline(head, entry, 0);
    if (inside.length) blocks(inside, entry, depth + 1);
    at += 1 + rest.length;
    if (!(lines[at] ?? "").trim() && ITEM.test(lines[at + 1] ?? "")) at++; // a loose list
  }
  return at;
}

/** @param {string} line @param {number} indent */
function belongs(line, indent) {
  return !!line.trim() && line.length - line.trimStart().length > indent;
}

const TOKEN = /\\[!-/:-@[-`{-~]|(`+)|!?\[|(\*\*|__|\*|_)|<?((?:https?:\/\/|mailto:|tel:)[^\s<>]+)>?|\n/gi;
const LINK = /\[([^\[\]]{0,500})\]\(\s*<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+["'][^"'\n]*["'])?\s*\)/y;

/** @param {string} text @param {Node} into @param {number} depth */
function inline(text, into, depth) {
  let from = 0;
  const token = new RegExp(TOKEN);
  /** @type {Set<string>} */
  const open = new Set(); // marks that no other one closes any more
  /** @param {number} to */
  const plain = (to) => to > from && into.appendChild(document.createTextNode(text.slice(from, to)));
  for (let found; (found = token.exec(text)); ) {
    const [whole, ticks, mark, bare] = found;
    let start = found.index;
    let end = start + whole.length;
    /** @type {Node | null} */
    let node = null;
    if (whole === "\n") node = document.createElement("br");
    else if (whole[0] === "\\") node = document.createTextNode(whole.slice(1));
    else if (ticks) {
      const close = open.has(ticks) ? -1 : closing(text, ticks, end);
      if (close < 0) open.add(ticks);
      else {
        node = document.createElement("code");
        node.textContent = text.slice(end, close).replaceAll("\n", " ");
        end = close + ticks.length;
      }
    } else if (mark) {
      const close = open.has(mark) || depth > DEEPEST ? -1 : emphasised(text, mark, start);
      if (close > 0) {
        node = document.createElement(mark.length > 1 ? "strong" : "em");
        inline(text.slice(end, close), node, depth + 1);
        end = close + mark.length;
      } else if (close < -1) open.add(mark);
    } else if (bare) {
      const angle = whole.startsWith("<") && whole.endsWith(">");
      const tidy = angle ? bare : bare.replace(/[.,;:!?'")\]*_]+$/, "");
      if (!angle) start += whole.indexOf(bare);
      node = link(tidy, tidy);
      if (!angle) end = start + tidy.length;
    } else {
      LINK.lastIndex = whole[0] === "!" ? start + 1 : start;
      const parts = LINK.exec(text);
      node = parts && link(parts[1]?.trim() || parts[2] || "", parts[2] ?? "");
      if (node) end = LINK.lastIndex;
    }
    if (!node) continue;
    plain(start);
    into.appendChild(node);
    from = token.lastIndex = end;
  }
  plain(text.length);
}

/** Where exactly these ticks stand again. @param {string} text @param {string} ticks @param {number} from */
function closing(text, ticks, from) {
  for (let at = text.indexOf(ticks, from); at >= 0; at = text.indexOf(ticks, at)) {
    let end = at;
    while (text[end] === "`") end++;
    if (end - at === ticks.length) return at;
    at = end;
  }
  return -1;
}

/**
 * Where the emphasis that begins at `start` ends; -1 where it begins none, -2 where nothing can end it.
 * @param {string} text @param {string} mark @param {number} start
 */
function emphasised(text, mark, start) {
  const from = start + mark.length;
  const letter = /[\p{L}\p{N}]/u;
  if (!text[from]?.trim() || (mark[0] === "_" && letter.test(text[start - 1] ?? ""))) return -1;
  for (let at = text.indexOf(mark, from + 1); at >= 0; at = text.indexOf(mark, at + 1)) {
    while (mark.length > 1 && text[at + 2] === mark[0]) at++; // of three, the last two are this one's
    const single = mark.length > 1 || (text[at + 1] !== mark && text[at - 1] !== mark);
    const ends = text[at - 1]?.trim() && !(mark[0] === "_" && letter.test(text[at + mark.length] ?? ""));
    if (single && ends) return at;
  }
  return -2;
}

const HOST = /[\p{L}\p{N}-]\.\p{L}{2}/u;

/** @param {string} label @param {string} raw */
function link(label, raw) {
  const url = judge(raw);
  if (!url) return null;
  const into = document.createElement("span");
  const anchor = add(into, "a");
  anchor.href = url.href;
  anchor.textContent = label;
  anchor.title = url.href;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer nofollow ugc";
  const real = where(url);
  if (!names(label, real) && (url.host !== location.host || HOST.test(label))) {
    const shown = add(into, "bdi");
    shown.className = "host";
    shown.textContent = ` (${real})`;
  }
  return into;
}

/** @param {URL} url */
function where(url) {
  return url.host || url.pathname;
}

/** Whether the label says where the link goes, and nothing that only looks so. @param {string} label @param {string} real */
function names(label, real) {
  const said = label.trim().toLowerCase().replace(/^(?:https?:\/\/|mailto:|tel:)/, "");
  return said === real || (said.startsWith(real) && /^[/?#]/.test(said.slice(real.length)));
}
