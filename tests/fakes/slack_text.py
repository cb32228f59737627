"""How Slack reads text and blocks: what is a live mention or link, what a person sees, which buttons there are."""

from collections.abc import Iterator
import html
import re
from typing import Any, NamedTuple

Json = dict[str, Any]

_ENTITY = re.compile(r"<([^<>\n]*)>")
_MENTION = re.compile(r"@[UW][A-Z0-9]{2,}|!(?:here|channel|everyone)|!subteam\^S[A-Z0-9]+", re.IGNORECASE)
_LINK = re.compile(r"[a-z][a-z0-9+.-]*:\S", re.IGNORECASE)
_NAMES = re.compile(r"(?<![\w@<!])@(here|channel|everyone)\b", re.IGNORECASE)
_MARKDOWN_LINK = re.compile(r"\[([^\]\n]*)\]\(\s*([a-z][a-z0-9+.-]*:[^)\s]+)[^)]*\)", re.IGNORECASE)
_TYPED = re.compile(
    r"(?P<entity><(?:@[UW][A-Z0-9]+|#C[A-Z0-9]+(?:\|[^<>]*)?|![a-z^A-Z0-9]+(?:\|[^<>]*)?)>)"
    r"|(?P<url>https?://[^\s<>]+)"
    r"|(?P<mail>[\w.+-]+@[\w-]+\.[\w.-]+\w)"
)


class Mention(NamedTuple):
    """`kind` is user, group, here, channel or everyone; `target` an id, or the kind again."""

    kind: str
    target: str
    ts: str = ""


class Link(NamedTuple):
    url: str
    label: str | None  # None where the URL itself is shown
    ts: str = ""


class Button(NamedTuple):
    text: str
    action_id: str
    value: str | None


class Piece(NamedTuple):
    """A text in a block; `kind` is mrkdwn, plain_text, markdown, or raw for an element of rich text."""

    kind: str
    text: str
    element: Json


def pieces(blocks: list[Json]) -> Iterator[Piece]:
    for block in blocks:
        match block.get("type"):
            case "section":
                for text in [block.get("text"), *(block.get("fields") or [])]:
                    if text:
                        yield Piece(text["type"], text["text"], text)
            case "context":
                for element in block["elements"]:
                    kind = element["type"]
                    yield Piece(kind, element.get("text") or element.get("alt_text", ""), element)
            case "header":
                yield Piece("plain_text", block["text"]["text"], block["text"])
            case "markdown":
                yield Piece("markdown", block["text"], block)
            case "input":
                yield Piece("plain_text", block["label"]["text"], block["label"])
            case "image":
                yield Piece("plain_text", block.get("alt_text", ""), block)
            case "rich_text":
                yield from _rich(block)


def _rich(node: Json) -> Iterator[Piece]:
    for element in node.get("elements") or []:
        if "elements" in element:
            yield from _rich(element)
        else:
            yield Piece("raw", str(element.get("text", "")), element)


def mentions(text: str, blocks: list[Json], *, names: bool = False) -> list[Mention]:
    """What Slack would notify. `names` is link_names or parse=full, which revive a bare @channel."""
    found: list[Mention] = []
    for kind, piece, element in [Piece("mrkdwn", text, {}), *pieces(blocks)]:
        if kind == "raw":
            match element.get("type"):
                case "user":
                    found.append(Mention("user", element["user_id"]))
                case "usergroup":
                    found.append(Mention("group", element["usergroup_id"]))
                case "broadcast":
                    found.append(Mention(element["range"], element["range"]))
        elif kind in ("mrkdwn", "markdown"):
            found += [m for inner in _ENTITY.findall(piece) if (m := _mention(inner))]
            if names:
                found += [Mention(name.lower(), name.lower()) for name in _NAMES.findall(piece)]
    return found


def _mention(inner: str) -> Mention | None:
    target = inner.split("|", 1)[0]
    if not _MENTION.fullmatch(target):
        return None
    if target.startswith("@"):
        return Mention("user", target[1:])
    if target.startswith("!subteam^"):
        return Mention("group", target.removeprefix("!subteam^"))
    return Mention(target[1:].lower(), target[1:].lower())


def links(text: str, blocks: list[Json]) -> list[Link]:
    """Live links that somebody's markup made; a bare URL, which shows as it is, is none."""
    found: list[Link] = []
    for kind, piece, element in [Piece("mrkdwn", text, {}), *pieces(blocks)]:
        if kind == "raw" and element.get("type") == "link":
            found.append(Link(element["url"], element.get("text")))
        if kind in ("mrkdwn", "markdown"):
            for inner in _ENTITY.findall(piece):
                url, _, label = inner.partition("|")
                if _LINK.match(url):
                    found.append(Link(html.unescape(url), html.unescape(label) or None))
        if kind == "markdown":
            found += [Link(url, label) for label, url in _MARKDOWN_LINK.findall(piece)]
    return found


def buttons(blocks: list[Json]) -> list[Button]:
    return [
        Button(e["text"]["text"], e["action_id"], e.get("value"))
        for e in elements(blocks)
        if e.get("type") == "button"
    ]


def elements(blocks: list[Json]) -> Iterator[Json]:
    """Interactive elements, wherever they stand, with `block_id` added."""
    for block in blocks:
        inside = list(block.get("elements") or []) if block.get("type") == "actions" else []
        inside += [e for e in (block.get("accessory"), block.get("element")) if e]
        for element in inside:
            yield {**element, "block_id": block.get("block_id", "")}


def shown(text: str, blocks: list[Json], names: dict[str, str]) -> str:
    """What a person reads: the blocks where there are any, else the text. Formatting marks stay."""
    if not blocks:
        return _read(text, names)
    lines = []
    for block in blocks:
        parts = []
        for kind, piece, element in pieces([block]):
            if kind == "raw":
                parts.append(_read_rich(element, names))
            else:
                parts.append(piece if kind == "plain_text" else _read(piece, names))
        if parts:
            joint = {"rich_text": "", "context": " "}.get(block["type"], "\n")
            lines.append(joint.join(parts))
    return "\n".join(lines)


def _read(text: str, names: dict[str, str]) -> str:
    def entity(found: re.Match[str]) -> str:
        target, _, label = found[1].partition("|")
        if target.startswith(("@", "#")):
            return target[0] + names.get(target[1:], label or target[1:])
        if target[:1] == "!":
            return "@" + (label or target[1:]).lstrip("@")
        return label or target

    return html.unescape(_ENTITY.sub(entity, text))


def _read_rich(element: Json, names: dict[str, str]) -> str:
    match element.get("type"):
        case "user":
            return "@" + names.get(element["user_id"], str(element["user_id"]))
        case "broadcast":
            return "@" + str(element["range"])
        case "usergroup":
            return "@" + str(element["usergroup_id"])
        case "link":
            return str(element.get("text") or element["url"])
        case "emoji":
            return f":{element['name']}:"
        case _:
            return str(element.get("text", ""))


def typed(text: str) -> str:
    """What Slack's own client sends for what a person typed; `<@U1>` and the like stay as mentions."""
    out, at = [], 0
    for found in _TYPED.finditer(text):
        out.append(escape(text[at : found.start()]))
        if found["entity"]:
            out.append(found[0])
        elif found["url"]:
            out.append(f"<{escape(found[0])}>")
        else:
            out.append(f"<mailto:{found[0]}|{found[0]}>")
        at = found.end()
    return "".join([*out, escape(text[at:])])


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def rich_text(text: str, block_id: str) -> Json:
    """The block that Slack's own client adds to what a person typed."""
    inside: list[Json] = []
    at = 0
    for found in _ENTITY.finditer(text):
        if found.start() > at:
            inside.append({"type": "text", "text": html.unescape(text[at : found.start()])})
        target, _, label = found[1].partition("|")
        if target.startswith("@"):
            inside.append({"type": "user", "user_id": target[1:]})
        elif target.startswith("!"):
            inside.append({"type": "broadcast", "range": target[1:]})
        elif target.startswith("#"):
            inside.append({"type": "channel", "channel_id": target[1:]})
        else:
            url = {"type": "link", "url": html.unescape(target)}
            inside.append({**url, "text": html.unescape(label)} if label else url)
        at = found.end()
    if at < len(text):
        inside.append({"type": "text", "text": html.unescape(text[at:])})
    section = {"type": "rich_text_section", "elements": inside}
    return {"type": "rich_text", "block_id": block_id, "elements": [section]}
