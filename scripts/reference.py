"""Write docs/reference and config.example.yaml from the code they describe: `make docs`.

A test compares what this writes with what is checked in, so neither can say anything that the code does not.
"""

from collections.abc import Iterator
import inspect
from pathlib import Path
import re
import sys
import types
from typing import Any, Literal, Union, get_args, get_origin

import click
import msgspec
from msgspec.structs import fields as struct_fields
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from bridge import commands, events, registry, wire
from bridge.cli import main as command_line
from bridge.config_values import Mailbox, Smtp
from bridge.shape import MAX_DEPTH
from scripts import example

ROOT = Path(__file__).parent.parent
NOTICE = "<!-- Written by `make docs`; change the code that it describes instead. -->"


def pages() -> dict[str, str]:
    """Every generated file, by its path."""
    return {
        "docs/reference/configuration.md": configuration(),
        "docs/reference/command-line.md": cli(),
        "docs/reference/commands.md": staff_commands(),
        "docs/reference/events.md": log_events(),
        "docs/reference/frames.md": frames(),
        "config.example.yaml": example.text(),
    }


# --- configuration -------------------------------------------------------------------------------


def configuration() -> str:
    parts = [
        "# Configuration",
        NOTICE,
        (
            "One YAML file. A key that is not listed here is an error that names the nearest one "
            "that is; `joinline check --config config.yaml` says every fault at once, with its "
            "place and how to mend it."
        ),
        (
            "- `${NAME}` anywhere in a text stands for the environment variable `NAME`, or for the "
            "content of the file that `NAME_FILE` names. `$${` stands for `${`.\n"
            "- Relative paths start at the folder of the file.\n"
            "- Times are in seconds unless a key says otherwise.\n"
            "- Secrets are masked wherever the configuration is printed."
        ),
    ]
    for path, model in sections(registry.configuration(), ""):
        if path:
            parts.append(f"## `{path}`")
            parts.append(_with_stop(model.__doc__ or ""))
        parts.append(_table(model))
    return _document(parts)


def sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Each model of the configuration with its place; unions of models one after the other."""
    yield path, model
    for name, field in model.model_fields.items():
        place = f"{path}.{field.alias or name}".lstrip(".")
        for inner in inner_models(field.annotation):
            keyed = f"{place}.<id>" if get_origin(field.annotation) is dict else place
            kind = inner.model_fields.get("kind")
            tag = f" (kind: {get_args(kind.annotation)[0]})" if kind else ""
            yield from sections(inner, keyed + tag)


def inner_models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for option in get_args(annotation) for m in inner_models(option)]


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | what it takes | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        models = inner_models(field.annotation)
        meaning = field.description or (models[0].__doc__ if models else "") or ""
        rows.append(
            f"| `{field.alias or name}` | {_cell(kind_of(field))} | {_cell(default_of(field))} "
            f"| {_cell(_with_stop(meaning))} |"
        )
    return "\n".join(rows)


def kind_of(field: FieldInfo) -> str:
    limits = [
        f"{word} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, word in (("gt", "more than"), ("lt", "less than"), ("ge", "at least"), ("le", "at most"))
        if getattr(rule, name, None) is not None
    ]
    return ", ".join([_kind(field.annotation), *limits])


def _kind(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        options = [a for a in args if a is not types.NoneType]
        return _kind(options[0]) if len(options) == 1 else "a section"
    if origin is Literal:
        return " or ".join(f"`{a}`" for a in args)
    if origin is tuple:
        return f"list of {_plural(_kind(args[0]))}"
    if origin is dict:
        return "a section for each id"
    if inner_models(annotation):
        return "a section"
    if hasattr(annotation, "__metadata__"):
        return _kind(args[0])
    known = {
        str: "text", int: "whole number", float: "number", bool: "true or false", SecretStr: "text, secret",
        Smtp: "URL, secret", Mailbox: "name and address", Path: "folder",
    }  # fmt: skip
    return known[annotation]


def _plural(kind: str) -> str:
    plurals = {"text": "texts", "number": "numbers", "list of texts": "texts or lists of texts"}
    return plurals.get(kind, kind)


def plainly(value: Any) -> str:
    """A value inside a list as YAML writes it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(plainly, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def default_of(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "**needed**"
    match value:
        case BaseModel() | None:
            return "–"
        case SecretStr():
            return f"`{value.get_secret_value()}`"
        case bool():
            return f"`{str(value).lower()}`"
        case "" | ():
            return "empty"
        case dict():
            return "none"
        case tuple():
            return f"`[{', '.join(map(plainly, value))}]`"
        case float():
            return f"`{value:,g}`".replace(",", "_") if value < 1e6 else f"`{value}`"
        case _:
            return f"`{value}`"


# --- command line and commands -------------------------------------------------------------------


def cli() -> str:
    parts = [
        "# The command line",
        NOTICE,
        (
            "`make demo` and `make install` put `joinline` into `.venv/bin`. It exits with 0 when "
            "all went well, with 1 when the configuration, the store or an address cannot be used"
            " (and says why), and with 2 when it was called wrongly."
        ),
    ]
    assert isinstance(command_line, click.Group)
    for name, command in command_line.commands.items():
        with click.Context(command, info_name=f"joinline {name}", max_content_width=100) as context:
            parts += [f"## `joinline {name}`", f"```text\n{command.get_help(context)}\n```"]
    parts += [
        "## While it runs",
        (
            "`GET /livez` answers 200 as long as the process answers at all; `GET /readyz` "
            "answers 200 while the store can be used, else 503. On SIGTERM the server stops "
            "accepting, finishes what it has accepted, closes live connections with code 1012 "
            "(clients come back by themselves), and exits with 0."
        ),
    ]
    return _document(parts)


def staff_commands() -> str:
    rows = ["| command | what it does |", "| --- | --- |"]
    rows += [f"| `/{c.usage}` | {_cell(c.summary)} |" for c in commands.REGISTRY.values()]
    return _document(
        [
            "# Staff commands",
            NOTICE,
            (
                "What staff type on the join page and in a Telegram topic with a leading `/`, in a "
                "Slack thread with a leading `!` or after a mention of the bot. The buttons do the "
                "same: there is one registry. `<...>` is needed, `[...]` may be left out."
            ),
            "\n".join(rows),
            (
                "In Slack and Telegram, text that begins with `//` is a note, whoever has the floor. "
                "In Telegram, `/delete` in reply to a message of one's own takes it back."
            ),
        ]
    )


# --- events and frames ---------------------------------------------------------------------------


def log_events() -> str:
    parts = [
        "# Events",
        NOTICE,
        (
            "The log of a conversation is a sequence of entries, numbered 1, 2, 3 ... without a "
            "hole. Each entry carries one of these events, by a party, at a moment, through a "
            "surface, under an idempotency key."
        ),
        "## Parties",
        *(_struct(party, tag="type") for party in get_args(events.Party)),
        "## What can happen",
        *(_struct(event, tag="type") for event in get_args(events.Event)),
        "## The envelope",
        _struct(events.Entry),
    ]
    return _document(parts)


def frames() -> str:
    out = get_args(wire.Outbound)
    inner = [wire.You, wire.Who, wire.Line, wire.View, wire.HelpView, wire.Here]
    parts = [
        "# Frames",
        NOTICE,
        inspect.getdoc(wire) or "",
        (
            f"A frame is at most {wire.MAX_FRAME} bytes of UTF-8 and nests at most {MAX_DEPTH} "
            "deep. Unknown fields, duplicate keys, NaN and binary frames are refused. Fields at "
            "their default are left out of what the server sends."
        ),
        "## From the browser",
        *(_struct(frame, tag="t") for frame in get_args(wire.Inbound)),
        "## From the server",
        *(_struct(frame, tag="t") for frame in out),
        "## Inside frames",
        *(_struct(part) for part in inner),
    ]
    return _document(parts)


def _struct(kind: Any, *, tag: str = "") -> str:
    assert issubclass(kind, msgspec.Struct)
    name = f'{kind.__name__}, `"{tag}": "{kind.__struct_config__.tag}"`' if tag else kind.__name__
    lines = [f"### {name}"]
    if kind.__doc__ and kind.__doc__ != (kind.__base__.__doc__ or ""):
        lines += ["", inspect.getdoc(kind) or ""]
    found = struct_fields(kind)
    if found:
        lines += ["", "| field | type | default |", "| --- | --- | --- |"]
        lines += [f"| `{f.encode_name}` | {_cell(_type(f.type))} | {_cell(_default(f))} |" for f in found]
    return "\n".join(lines)


def _type(kind: Any) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if kind == events.Event:
        return "an event"
    if kind == events.Party:
        return "a party"
    if origin in {Union, types.UnionType}:
        return " or ".join("null" if a is types.NoneType else _type(a) for a in args)
    if origin is Literal:
        return " or ".join(f"`{a!r}`".replace("'", '"') for a in args)
    if origin in {list, tuple}:
        return f"list of {_type(args[0])}"
    if origin is dict:
        return "texts by name"
    kind = getattr(kind, "__supertype__", kind)
    words = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    words["datetime"] = "moment, ISO 8601 in UTC"
    return words.get(kind.__name__, f"`{kind.__name__}`")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "needed"
    value = field.default
    if value is msgspec.NODEFAULT or value in ("", [], {}):
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value is not None else "null"


# --- the document --------------------------------------------------------------------------------


def _document(parts: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(parts)).strip() + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;" if "`" not in text else "<").split())


def _with_stop(text: str) -> str:
    return text if not text or text.endswith((".", "?", "!")) else f"{text}."


def write() -> None:
    for name, text in pages().items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            sys.stdout.write(f"wrote {name}\n")


if __name__ == "__main__":
    write()
