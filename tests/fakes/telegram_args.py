"""The arguments of a call: numbers, flags, buttons, texts; and what Telegram says of bad ones."""

from dataclasses import dataclass
import json
import re
from typing import Any

from tests.fakes.telegram_state import Button, File, Json, World, bad, fits
from tests.fakes.telegram_text import (
    Entity,
    Formatted,
    Unparsable,
    checked_link,
    clean,
    parse_html,
    trimmed,
    with_live,
)

MOST_TEXT = 4096
MOST_CAPTION = 1024
MOST_DATA = 64
MOST_BUTTONS = 100


@dataclass
class Upload:
    name: str
    content: bytes
    mime: str


class Args:
    """Query, form, JSON and multipart look alike from here on: strings, or what JSON made of them."""

    def __init__(self, values: Json, uploads: dict[str, Upload]) -> None:
        self.values = values
        self.uploads = uploads

    def has(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str) -> str:
        value = self.values.get(name)
        return "" if value is None else value if isinstance(value, str) else json.dumps(value)

    def number(self, name: str) -> int:
        try:
            return int(self.text(name) or 0)
        except ValueError:
            return 0

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in {"true", "yes", "1"}

    def json(self, name: str) -> Any:
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return json.loads(value)
        except ValueError:
            raise bad(f"can't parse {name.replace('_', ' ')} JSON object") from None

    def formatted(self, name: str, world: World) -> Formatted:
        """The text as people see it, with everything in it that is live."""
        caption = name == "caption"
        source = clean(self.text(name))
        mode = self.text("parse_mode").lower()
        try:
            if mode == "html":
                parsed = parse_html(source)
            elif mode:
                raise bad("unsupported parse_mode")
            else:
                given = self.json("caption_entities" if caption else "entities") or []
                parsed = Formatted(source, [_entity(e) for e in given])
        except Unparsable as error:
            raise bad(f"can't parse entities: {error}") from None
        parsed.entities = world.known(parsed.entities)
        parsed = trimmed(parsed)
        if not parsed.text and not caption:
            raise bad("message text is empty")
        if not fits(parsed.text, MOST_CAPTION if caption else MOST_TEXT):
            raise bad("message caption is too long" if caption else "message is too long")
        return with_live(parsed)

    def rows(self) -> list[list[Button]]:
        markup = self.json("reply_markup")
        if not markup or "inline_keyboard" not in markup:
            return []
        rows = [[_button(one) for one in row] for row in markup["inline_keyboard"]]
        if sum(len(row) for row in rows) > MOST_BUTTONS:
            raise bad("reply markup is too long")
        return [row for row in rows if row]

    def file(self, kind: str, world: World) -> File:
        """What is uploaded under the name, or attached, or was sent before."""
        given = self.text(kind)
        upload = self.uploads.get(given.removeprefix("attach://") if given.startswith("attach://") else kind)
        if upload is not None:
            if not upload.content:
                raise bad("file must be non-empty")
            return world.file(upload.name, upload.content, kind, upload.mime)
        if not given:
            raise bad(f"there is no {kind} in the request")
        if given not in world.files:
            raise bad("wrong file identifier/HTTP URL specified")
        return world.files[given]


def _entity(body: Json) -> Entity:
    user = (body.get("user") or {}).get("id", 0)
    return Entity(
        body["type"], body["offset"], body["length"], body.get("url", ""), user, body.get("language", "")
    )


def _button(body: Json) -> Button:
    text, data, url = body.get("text", ""), body.get("callback_data"), body.get("url")
    if not text.strip():
        raise bad('can\'t parse inline keyboard button: field "text" must be non-empty')
    if url is not None:
        if not re.match(r"(https?|tg|ton)://", url, re.IGNORECASE) and ":" in url.partition("/")[0]:
            raise bad(f"inline keyboard button URL '{url}' is invalid: Unsupported URL protocol")
        if not checked_link(url):
            raise bad(f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL")
    elif data is None:
        raise bad("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    elif not 1 <= len(data.encode()) <= MOST_DATA:
        raise bad("BUTTON_DATA_INVALID")
    return Button(text, data, url)
