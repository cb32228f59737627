/** Bold, italic, code, lists and links as nodes; everything else as text. Pictures become links. */
export function renderMarkdown(text: string): DocumentFragment;
/** The URL, if a browser reads it as http, https, mailto or tel; else null. */
export function judge(raw: string): URL | null;
