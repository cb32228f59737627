"""Slack's rules for blocks and views, with its own words for what is wrong.

Stricter than Slack in one place: an interactive element without `action_id` is refused, where Slack makes one up.
"""

from typing import Any

Json = dict[str, Any]

MOST_BLOCKS = 50
MOST_VIEW_BLOCKS = 100
MOST_TEXT = 13_200  # of all blocks together; undocumented, and `msg_blocks_too_long` beyond

_KEYS = {
    "section": {"text", "fields", "accessory", "expand"},
    "actions": {"elements"},
    "header": {"text"},
    "context": {"elements"},
    "divider": set(),
    "image": {"image_url", "alt_text", "title", "slack_file"},
    "markdown": {"text"},
    "input": {"label", "element", "dispatch_action", "hint", "optional"},
    "rich_text": {"elements"},
    "file": {"external_id", "source"},
    "video": {"alt_text", "title", "thumbnail_url", "video_url", "author_name", "description"},
}
_NEED = {
    "actions": {"elements"},
    "header": {"text"},
    "context": {"elements"},
    "markdown": {"text"},
    "input": {"label", "element"},
    "rich_text": {"elements"},
    "image": {"alt_text"},
}
_BUTTON = {
    "type",
    "text",
    "action_id",
    "url",
    "value",
    "style",
    "confirm",
    "accessibility_label",
}
_SELECTS = ("static", "external", "users", "conversations", "channels")
_ELEMENTS = {
    *("button", "overflow", "checkboxes", "radio_buttons", "workflow_button"),
    *("datepicker", "timepicker", "datetimepicker"),
    *(f"{kind}_select" for kind in _SELECTS),
    *(f"multi_{kind}_select" for kind in _SELECTS),
}
_INPUTS = _ELEMENTS - {"button", "overflow", "workflow_button"} | {
    *("plain_text_input", "rich_text_input", "number_input"),
    *("email_text_input", "url_text_input", "file_input"),
}


class Wrong(Exception):
    """`code` is Slack's error; `notes` say where, as in response_metadata."""

    def __init__(self, code: str, *notes: str) -> None:
        super().__init__(code, *notes)
        self.code = code
        self.notes = list(notes)


def check_message(blocks: Any) -> list[Json]:
    """The blocks as Slack keeps them, each with a block_id."""
    if not isinstance(blocks, list) or not all(isinstance(b, dict) for b in blocks):
        raise Wrong("invalid_blocks_format")
    notes = _notes(blocks, MOST_BLOCKS)
    if notes:
        raise Wrong("invalid_blocks", *notes)
    if _length(blocks) > MOST_TEXT:
        raise Wrong("msg_blocks_too_long")
    return _named(blocks)


def check_view(view: Any) -> Json:
    """A modal as Slack keeps it."""
    if not isinstance(view, dict):
        raise Wrong("invalid_arguments", "[ERROR] must provide an object [json-pointer:/view]")
    notes = []
    if view.get("type") != "modal":
        notes.append(_note("unsupported type", "/view/type"))
    for key in ("title", "submit", "close"):
        if key in view or key == "title":
            notes += _text(view.get(key), f"/view/{key}", 24, ("plain_text",))
    for key, most in (("private_metadata", 3000), ("callback_id", 255)):
        if len(view.get(key) or "") > most:
            notes.append(_note(f"must be less than {most + 1} characters", f"/view/{key}"))
    blocks = view.get("blocks")
    if not isinstance(blocks, list):
        notes.append(_note("missing required field: blocks", "/view"))
    else:
        notes += _notes(blocks, MOST_VIEW_BLOCKS, "/view/blocks", inputs=True)
        if any(b.get("type") == "input" for b in blocks) and "submit" not in view:
            notes.append(_note("missing required field: submit", "/view"))
    if notes:
        raise Wrong("invalid_arguments", *notes)
    return {**view, "blocks": _named(view["blocks"])}


def _named(blocks: list[Json]) -> list[Json]:
    return [
        {**b, "block_id": b.get("block_id") or f"b{n}{abs(hash(str(b))) % 4096:03x}"}
        for n, b in enumerate(blocks)
    ]


def _length(node: Any) -> int:
    if isinstance(node, dict):
        own = node.get("text")
        return (len(own) if isinstance(own, str) else 0) + sum(_length(v) for v in node.values())
    return sum(_length(v) for v in node) if isinstance(node, list) else 0


def _note(what: str, where: str) -> str:
    return f"[ERROR] {what} [json-pointer:{where}]"


def _notes(blocks: list[Json], most: int, base: str = "/blocks", *, inputs: bool = False) -> list[str]:
    notes = []
    if len(blocks) > most:
        notes.append(_note(f"no more than {most} items allowed", base))
    ids = [b["block_id"] for b in blocks if b.get("block_id")]
    for twice in {i for i in ids if ids.count(i) > 1}:
        notes.append(_note(f"`block_id` {twice} already exists", base))
    for n, block in enumerate(blocks):
        notes += _block(block, f"{base}/{n}", inputs=inputs)
    return notes


def _block(block: Json, where: str, *, inputs: bool) -> list[str]:
    kind = block.get("type")
    if kind not in _KEYS or (kind == "markdown" and inputs):
        return [_note(f"unsupported type: {kind}", f"{where}/type")]
    notes = [
        _note(f"invalid additional property: {k}", where)
        for k in set(block) - _KEYS[kind] - {"type", "block_id"}
    ]
    missing = [key for key in _NEED.get(kind, ()) if block.get(key) is None]
    if missing:
        return notes + [_note(f"missing required field: {key}", where) for key in missing]
    if len(block.get("block_id") or "") > 255:
        notes.append(_note("must be less than 256 characters", f"{where}/block_id"))
    match kind:
        case "section":
            notes += _section(block, where)
        case "header":
            notes += _text(block["text"], f"{where}/text", 150, ("plain_text",))
        case "markdown":
            notes += _long(block["text"], f"{where}/text", 12_000)
        case "context":
            notes += _list(block["elements"], f"{where}/elements", 10)
            for n, element in enumerate(block["elements"]):
                if element.get("type") != "image":
                    notes += _text(element, f"{where}/elements/{n}", 3000)
        case "actions":
            notes += _list(block["elements"], f"{where}/elements", 25)
            notes += _actions(block["elements"], f"{where}/elements", _ELEMENTS)
        case "input":
            notes += _text(block["label"], f"{where}/label", 2000, ("plain_text",))
            notes += _actions([block["element"]], f"{where}/element", _INPUTS)
    return notes


def _section(block: Json, where: str) -> list[str]:
    notes = []
    if block.get("text") is None and not block.get("fields"):
        notes.append(_note("missing required field: text", where))
    if block.get("text") is not None:
        notes += _text(block["text"], f"{where}/text", 3000)
    if block.get("fields"):
        notes += _list(block["fields"], f"{where}/fields", 10)
        for n, field in enumerate(block["fields"]):
            notes += _text(field, f"{where}/fields/{n}", 2000)
    if block.get("accessory") and block["accessory"].get("type") != "image":
        notes += _actions([block["accessory"]], f"{where}/accessory", _ELEMENTS)
    return notes


def _list(items: Any, where: str, most: int) -> list[str]:
    if not isinstance(items, list) or not items:
        return [_note("must be a non-empty list", where)]
    return [_note(f"no more than {most} items allowed", where)] if len(items) > most else []


def _actions(elements: list[Json], where: str, allowed: set[str]) -> list[str]:
    notes = []
    ids = [e.get("action_id") for e in elements]
    for n, element in enumerate(elements):
        at = f"{where}/{n}"
        if element.get("type") not in allowed:
            notes.append(_note(f"unsupported type: {element.get('type')}", f"{at}/type"))
            continue
        name = element.get("action_id")
        if not name or len(name) > 255:
            notes.append(_note("`action_id` must have 1 to 255 characters", f"{at}/action_id"))
        elif ids.count(name) > 1:
            notes.append(_note(f"`action_id` {name} already exists for another element", f"{at}/action_id"))
        if element["type"] == "button":
            notes += _button(element, at)
    return notes


def _button(button: Json, at: str) -> list[str]:
    notes = [_note(f"invalid additional property: {k}", at) for k in set(button) - _BUTTON]
    notes += _text(button.get("text"), f"{at}/text", 75, ("plain_text",))
    if len(button.get("value") or "") > 2000:
        notes.append(_note("must be less than 2001 characters", f"{at}/value"))
    if len(button.get("url") or "") > 3000:
        notes.append(_note("must be less than 3001 characters", f"{at}/url"))
    if button.get("style", "primary") not in ("primary", "danger"):
        notes.append(_note("must be a valid enum value", f"{at}/style"))
    return notes


def _text(text: Any, where: str, most: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> list[str]:
    if not isinstance(text, dict):
        return [_note("must provide an object", where)]
    if text.get("type") not in kinds:
        return [_note(f"must be one of {', '.join(kinds)}", f"{where}/type")]
    extra = set(text) - {"type", "text", "emoji" if text["type"] == "plain_text" else "verbatim"}
    notes = [_note(f"invalid additional property: {k}", where) for k in extra]
    return notes + _long(text.get("text"), f"{where}/text", most)


def _long(text: Any, where: str, most: int) -> list[str]:
    if not isinstance(text, str) or not text:
        return [_note("must be more than 0 characters", where)]
    return [_note(f"must be less than {most + 1} characters", where)] if len(text) > most else []
