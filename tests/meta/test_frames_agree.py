"""bridge/web/wire.d.ts says what bridge/wire.py and bridge/events.py say: names, fields, and which may be left out."""

from pathlib import Path
import re
from typing import Any, get_args

import msgspec
from msgspec.structs import fields
import pytest

from bridge import events, wire

DECLARED = (Path(wire.__file__).parent / "web" / "wire.d.ts").read_text("utf-8")
PYTHON_NAMES = {"Refused": "Refusal"}  # the exception has the name in Python


def _top_level(text: str, separators: str) -> list[str]:
    """Split at the separators that are in no bracket and no quotes."""
    parts, depth, quoted, current = [], 0, False, ""
    for char in text:
        quoted ^= char == '"'
        if not quoted:
            depth += (char in "{<([") - (char in "}>)]")
            if depth == 0 and char in separators:
                parts.append(current)
                current = ""
                continue
        current += char
    return [part.strip() for part in [*parts, current] if part.strip()]


def _types() -> dict[str, str]:
    text = re.sub(r"/\*.*?\*/", "", DECLARED, flags=re.DOTALL)
    found = {}
    for match in re.finditer(r"export type (\w+)\s*=", text):
        rest = text[match.end() :]
        found[match[1]] = _top_level(rest, ";")[0]
    return found


TYPES = _types()


def _fields(body: str) -> dict[str, tuple[str, bool]]:
    """Name -> (type, may be left out) of an object type."""
    assert body.startswith("{"), body
    found = {}
    for part in _top_level(body.strip()[1:-1], ";,"):
        name, _, kind = part.partition(":")
        found[name.rstrip("?").strip()] = (" ".join(kind.split()), name.endswith("?"))
    return found


def _members(union: str) -> dict[str, dict[str, tuple[str, bool]]]:
    """The object types of a union, by their literal `type` or `t`; their literal is left out."""
    found = {}
    for member in _top_level(TYPES[union], "|"):
        shape = _fields(member if member.startswith("{") else TYPES[member])
        tag = shape.pop("type", None) or shape.pop("t")
        found[tag[0].strip('"')] = shape
    return found


def _expected(kind: Any) -> set[str]:
    return {field.encode_name for field in fields(kind)}


def _optional(kind: Any) -> set[str]:
    return {field.encode_name for field in fields(kind) if not field.required}


def _tagged(union: Any) -> dict[str, type[msgspec.Struct]]:
    return {str(kind.__struct_config__.tag): kind for kind in get_args(union)}


@pytest.mark.parametrize(
    ("declared", "union"),
    [("ChatEvent", events.Event), ("Inbound", wire.Inbound), ("Outbound", wire.Outbound)],
)
def test_the_same_events_and_frames(declared: str, union: Any):
    assert set(_members(declared)) == set(_tagged(union))


@pytest.mark.parametrize(
    ("declared", "tag", "kind"),
    [
        (name, tag, kind)
        for name, union in (
            ("ChatEvent", events.Event),
            ("Inbound", wire.Inbound),
            ("Outbound", wire.Outbound),
        )
        for tag, kind in _tagged(union).items()
    ],
)
def test_the_same_fields(declared: str, tag: str, kind: Any):
    shape = _members(declared)[tag]
    assert set(shape) == _expected(kind)
    assert {name for name, (_, left_out) in shape.items() if left_out} == _optional(kind)


@pytest.mark.parametrize("name", ["You", "Who", "Line", "View"])
def test_the_same_fields_inside_frames(name: str):
    shape, kind = _fields(TYPES[name]), getattr(wire, PYTHON_NAMES.get(name, name))
    assert set(shape) == _expected(kind)
    assert {field for field, (_, left_out) in shape.items() if left_out} == _optional(kind)


def test_the_same_words():
    def words(declared: str) -> set[str]:
        return set(re.findall(r'"([^"]+)"', declared))

    assert words(TYPES["Controller"]) == set(get_args(wire.Controller))
    assert words(TYPES["Score"]) == set(get_args(events.Score))
    assert words(_members("Outbound")["draft_over"]["why"][0]) == set(get_args(wire.DraftEnd))
    from bridge.errors import RefusalCode

    assert words(_members("Outbound")["refused"]["code"][0]) == set(get_args(RefusalCode))
