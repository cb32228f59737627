"""Frames from a browser: what they may hold, and `decode`, the only way in, which trusts nothing. Pure."""

from datetime import datetime
import re
from typing import Literal

import msgspec
from msgspec import Struct, json
from msgspec.structs import replace

from bridge.errors import FrameError
from bridge.events import Event
from bridge.shape import check_shape, mend_surrogates
from bridge.text import clean_name, clean_text

MAX_FRAME = 64 * 1024  # bytes
MAX_REASON = 120  # bytes that fit in a close frame, with its code


class _In(Struct, frozen=True, kw_only=True, tag_field="t", forbid_unknown_fields=True):
    pass


class Hello(_In, frozen=True, tag="hello"):
    """The first frame. A visitor gives `site` and `token`; staff give `cid` (with a cookie) or `token`.

    `after` and `log` are what the client has: the last seq, and the log's id as `welcome` gave it. `mark`
    is the `at` of the line with that seq, which tells a log that went back and has grown again since.
    """

    v: Literal[1] = 1
    site: str = ""
    token: str = ""
    cid: str = ""
    after: int = 0
    log: str = ""
    mark: datetime | None = None


class Propose(_In, frozen=True, tag="propose"):
    key: str
    events: tuple[Event, ...]
    floor: int | None = None


class Command(_In, frozen=True, tag="command"):
    """A line of the command grammar, such as `/back thanks`; for staff."""

    key: str
    line: str
    floor: int | None = None


class Typing(_In, frozen=True, tag="typing"):
    on: bool


class Stop(_In, frozen=True, tag="stop"):
    """Stop the assistant's running answer; what it has said so far stays."""


class Ping(_In, frozen=True, tag="ping"):
    pass


Inbound = Hello | Propose | Command | Typing | Stop | Ping

_decoder = json.Decoder(Inbound, strict=True)


def decode(data: bytes | str) -> Inbound:
    """A frame from a browser, checked in this order: size, UTF-8, depth, keys and numbers, schema, Unicode.

    Raises `FrameError` with the WebSocket close code to answer with (RFC 6455, section 7.4.1).
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > MAX_FRAME:
        raise FrameError(1009, f"a frame has at most {MAX_FRAME} bytes, got {len(raw)}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise FrameError(1007, "a frame is UTF-8") from None
    try:
        check_shape(text)
        frame = _decoder.decode(mend_surrogates(text))
    except FrameError as error:
        raise FrameError(error.close_code, _short(error.reason)) from None
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise FrameError(1008, _short(f"not a frame: {error}")) from None
    return clean(frame)


def _short(reason: str) -> str:
    """A reason quotes the client, so it may be of any length; a close frame has room for 123 bytes."""
    return reason.encode("ascii", "backslashreplace")[:MAX_REASON].decode()


# One-line fields and how long each may be; every other text is limited by the rules of the conversation.
_ONE_LINE = {
    "name": 200, "title": 300, "page": 2000, "email": 254, "user": 200, "locale": 35, "timezone": 64,
    "site": 64,
}  # fmt: skip
_CONTEXT = (20, 64, 500)  # entries, characters of a key, characters of a value
_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def clean(frame: Inbound) -> Inbound:
    """The same frame with every text made safe to store and to show; refuses a key that is no key."""
    match frame:
        case Propose() | Command() if not _KEY.fullmatch(frame.key):
            raise FrameError(1008, "a key has 1 to 64 of A-Z a-z 0-9 _ . : -")
        case Propose():
            return replace(frame, events=tuple(clean_event(e) for e in frame.events))
        case Command():
            return replace(frame, line=clean_text(frame.line))
        case Hello():
            return replace(frame, site=clean_name(frame.site)[:64], log=clean_name(frame.log)[:64])
        case _:
            return frame


def clean_event(event: Event) -> Event:
    changes: dict[str, object] = {}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, str) and name in _ONE_LINE:
            changes[name] = clean_name(value)[: _ONE_LINE[name]]
        elif isinstance(value, str):
            changes[name] = clean_text(value)
        elif isinstance(value, dict):
            most, key_size, value_size = _CONTEXT
            pairs = list(value.items())[:most]
            changes[name] = {clean_name(k)[:key_size]: clean_name(v)[:value_size] for k, v in pairs}
    return replace(event, **changes) if changes else event
