"""What a mail tells of a conversation: taken from its log, shortened, in the visitor's own time. Pure."""

from collections.abc import Sequence
from datetime import datetime
import re
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from bridge import events as ev
from bridge.conversation import Conversation, party_name
from bridge.events import Entry, Seq
from connectors.text import shorten, visible

MAX_LINES = 6
MAX_FACT = 160  # characters of what the browser says of the page

Role = Literal["visitor", "assistant", "staff"]


class Line(Struct, frozen=True, kw_only=True):
    role: Role
    who: str
    time: str
    text: str


class Summary(Struct, frozen=True, kw_only=True):
    """`first` and `newest` are the visitor's words; `facts` are pairs for the foot of the mail."""

    visitor: str
    first: str
    newest: str
    newest_time: str
    lines: tuple[Line, ...]
    messages: int
    page: str
    status: str
    wanted: bool
    wanted_since: str
    reason: str
    facts: tuple[tuple[str, str], ...]


def summarise(entries: Sequence[Entry], state: Conversation, *, zone: str = "UTC") -> Summary:
    """The conversation as `entries`, up to `state.head`, tell it."""
    opened = state.opened or ev.Opened(site="")
    known = _zone(opened.timezone) or _zone(zone) or ZoneInfo("UTC")
    visitor = _fact(state.visitor.name)[:60] or "Visitor"
    words = _words([e for e in entries if e.seq <= state.head], state)
    asked = [(entry, text) for entry, text in words if isinstance(entry.by, ev.Visitor)]
    wanted = state.help
    return Summary(
        visitor=visitor,
        first=asked[0][1] if asked else "",
        newest=asked[-1][1] if asked else "",
        newest_time=_time(asked[-1][0].at, known) if asked else "",
        lines=tuple(_line(entry, text, visitor, known) for entry, text in words[-MAX_LINES:]),
        messages=len(words),
        page=_fact(opened.page) or _fact(opened.title),
        status=_status(state),
        wanted=wanted is not None,
        wanted_since=_time(wanted.at, known) if wanted else "",
        reason=_fact(wanted.reason) if wanted else "",
        facts=_facts(opened, state, known),
    )


def _words(entries: Sequence[Entry], state: Conversation) -> list[tuple[Entry, str]]:
    """What was said between visitor and business, as it reads now."""
    texts: dict[Seq, str] = {}
    for entry in entries:
        match entry.event:
            case ev.Said(text=text):
                texts[entry.seq] = text
            case ev.Edited(target=target, text=text) if target in texts:
                texts[target] = text
            case _:
                pass
    gone = {seq for seq, word in state.words.items() if word.gone}
    return [(e, texts[e.seq]) for e in entries if e.seq in texts and e.seq not in gone]


def _line(entry: Entry, text: str, visitor: str, zone: ZoneInfo) -> Line:
    match entry.by:
        case ev.Visitor():
            return Line(role="visitor", who=visitor, time=_time(entry.at, zone), text=text)
        case ev.Staff(name=name):
            return Line(role="staff", who=name, time=_time(entry.at, zone), text=text)
        case by:
            return Line(role="assistant", who=party_name(by), time=_time(entry.at, zone), text=text)


def _status(state: Conversation) -> str:
    if state.closed:
        return "The conversation has ended"
    if isinstance(state.floor.holder, ev.Staff):
        return f"{state.holder_name} is answering"
    return "Waiting for a person" if state.help else "AI assistant is answering"


def _facts(opened: ev.Opened, state: Conversation, zone: ZoneInfo) -> tuple[tuple[str, str], ...]:
    began = state.opened_at.astimezone(zone) if state.opened_at else None
    local = f"{began:%H:%M, %a} {began.day} {began:%b} ({zone.key})" if began else ""
    proof = "" if state.visitor.verified else " (unverified)"
    language = opened.locale if re.fullmatch(r"[A-Za-z0-9-]{2,35}", opened.locale) else ""
    email = _fact(state.visitor.email)
    found = (
        ("Page", ", ".join(filter(None, (_fact(opened.title), _fact(opened.page))))),
        ("Local time", local),
        ("Language", language),
        ("Email", f"{email}{proof}" if email else ""),
    )
    return tuple((name, value) for name, value in found if value)


def _fact(text: str) -> str:
    """One line of unverified text."""
    return shorten(" ".join(visible(text).split()), MAX_FACT)


def _time(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%H:%M}"


def _zone(name: str) -> ZoneInfo | None:
    """The zone that a browser names, or None: the name is foreign text that becomes a path."""
    if not re.fullmatch(r"[A-Za-z0-9_+-]{1,30}(/[A-Za-z0-9_+-]{1,30}){0,2}", name):
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return None
