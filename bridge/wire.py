"""Frames between server and browser, and what each audience may see of an entry.

A frame is one JSON object whose `t` says what it is. The same frames travel over WebSocket, over
server-sent events, and as the answers of POSTs. `decode` is the only way in and trusts nothing.
`Welcome ... Bye` go out, `Hello ... Ping` come in.
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct, json
from msgspec.structs import replace

from bridge import events as ev
from bridge.events import Entry, Event, Seq
from bridge.inbound import (
    MAX_FRAME,
    Command,
    Hello,
    Inbound,
    Ping,
    Propose,
    Stop,
    Typing,
    clean,
    clean_event,
    decode,
)
from bridge.state import Conversation, Person, Trouble

__all__ = [
    "MAX_FRAME",
    "Ack",
    "Answer",
    "Audience",
    "Bye",
    "Command",
    "Controller",
    "Draft",
    "DraftEnd",
    "DraftOver",
    "Entries",
    "Hello",
    "HelpView",
    "Here",
    "Inbound",
    "Line",
    "Outbound",
    "Ping",
    "Pong",
    "Presence",
    "Propose",
    "Refusal",
    "Reset",
    "Stop",
    "Typing",
    "TypingView",
    "View",
    "Welcome",
    "Who",
    "You",
    "clean",
    "clean_event",
    "controller",
    "decode",
    "decode_entry",
    "encode",
    "encode_entry",
    "line",
    "view",
    "who",
]  # fmt: skip


Audience = Literal["visitor", "staff"]
Controller = Literal["ai", "waiting", "human", "none"]
DraftEnd = Literal["done", "interrupted", "stopped", "failed", "rerun"]

# --- out -----------------------------------------------------------------------------------------


class _Out(Struct, frozen=True, kw_only=True, tag_field="t", omit_defaults=True):
    pass


class You(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who the client is to the server. Staff who only preview have no `id` yet."""

    role: Audience
    id: str = ""
    name: str = ""
    cid: str = ""


class Who(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A party as an audience sees it. Visitors get no staff id."""

    role: Literal["visitor", "assistant", "staff", "system"]
    name: str = ""
    id: str = ""


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry as an audience sees it. `key` is given where the reader may have sent it."""

    seq: Seq
    at: datetime
    by: Who
    event: Event
    via: str = ""
    key: str = ""


class HelpView(Struct, frozen=True, kw_only=True):
    at: datetime
    step: int
    last: bool


class View(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The conversation's state as an audience sees it; clients draw this and fold nothing themselves.

    `since` is the fence to send as `floor`. The fields after `rated` are for staff; a visitor's `head` is
    `since`, so that it does not tell of what only the team sees.
    """

    head: Seq
    controller: Controller
    since: Seq
    holder: str = ""
    help: HelpView | None = None
    rated: str = ""
    holder_id: str = ""
    owed_since: datetime | None = None
    opened_at: datetime | None = None
    opened: ev.Opened | None = None
    visitor: ev.Identified | None = None
    people: list[Person] = []
    troubles: list[Trouble] = []


class Welcome(_Out, frozen=True, tag="welcome"):
    """Where things stand. `more`: entries follow that the log has already, until a frame says no more."""

    log: str
    you: You
    state: View
    more: bool = False


class Entries(_Out, frozen=True, tag="entries"):
    """New lines in seq order, then the state. Lines may be empty: the state moved by what you may not see."""

    lines: list[Line]
    state: View
    more: bool = False


class Ack(_Out, frozen=True, tag="ack"):
    key: str
    seq: Seq


class Refusal(_Out, frozen=True, tag="refused"):
    key: str
    code: str
    message: str
    holder: str = ""
    seconds: float | None = None


class Answer(_Out, frozen=True, tag="answer"):
    """What a command says to who gave it, such as `/who` or `/help`; nothing enters the log."""

    key: str
    text: str


class TypingView(_Out, frozen=True, tag="typing"):
    who: Who
    on: bool


class Draft(_Out, frozen=True, tag="draft"):
    """`text` belongs at character `at` of the draft that answers visitor message `turn`.

    Drop it unless `since` equals the state's: a draft from before a takeover is never shown.
    """

    turn: Seq
    since: Seq
    at: int
    text: str


class DraftOver(_Out, frozen=True, tag="draft_over"):
    """The draft of `turn` is over; but for `done`, its text is withdrawn. Text `at` 0 may begin it anew."""

    turn: Seq
    since: Seq
    why: DraftEnd


class Here(Struct, frozen=True, kw_only=True):
    """A member of staff with a live connection."""

    id: str
    name: str
    typing: bool = False


class Presence(_Out, frozen=True, tag="people"):
    """Who is connected; for staff. `visitor` says whether the visitor is."""

    here: list[Here]
    visitor: bool


class Reset(_Out, frozen=True, tag="reset"):
    """What you have belongs to another log: drop it, then say hello again with `after` 0."""

    log: str


class Pong(_Out, frozen=True, tag="pong"):
    pass


class Bye(_Out, frozen=True, tag="bye"):
    """The session ends; `code` is what a WebSocket would close with. The last frame of other transports."""

    code: int
    reason: str


Outbound = (
    Welcome
    | Entries
    | Ack
    | Refusal
    | Answer
    | TypingView
    | Draft
    | DraftOver
    | Presence
    | Reset
    | Pong
    | Bye
)

# --- what each audience sees ---------------------------------------------------------------------

_VISITOR_SEES = (
    ev.Opened, ev.Said, ev.TookOver, ev.HandedBack, ev.HelpWanted, ev.Edited, ev.Retracted, ev.Rated,
    ev.Closed, ev.Reopened, ev.Redacted,
)  # fmt: skip


def line(entry: Entry, audience: Audience, state: Conversation) -> Line | None:
    """`entry` as `audience` sees it, or None where it must not."""
    staff = audience == "staff"
    if not staff and not _shown_to_visitor(entry, state):
        return None
    own = staff or isinstance(entry.by, ev.Visitor)
    event = _without_what_is_gone(entry, state)
    return Line(
        seq=entry.seq,
        at=entry.at,
        by=who(entry.by, audience),
        event=event if staff else _without_team_talk(event),
        via=entry.via if staff else "",
        key=entry.key if own else "",
    )


def _shown_to_visitor(entry: Entry, state: Conversation) -> bool:
    match entry.event:
        case ev.Edited(target=target) | ev.Retracted(target=target) | ev.Redacted(target=target):
            word = state.words.get(target)  # a note may be edited too
            return word is not None and word.spoken
        case event:
            return isinstance(event, _VISITOR_SEES)


def _without_what_is_gone(entry: Entry, state: Conversation) -> Event:
    """What was taken back or redacted is not sent again, to anyone."""
    match entry.event:
        case ev.Said() | ev.Noted() as words if _gone(state, entry.seq):
            return replace(words, text="")
        case ev.Edited(target=target) as edit if _gone(state, target):
            return replace(edit, text="")
        case event:
            return event


def _gone(state: Conversation, seq: Seq) -> bool:
    word = state.words.get(seq)
    return word is not None and word.gone


def _without_team_talk(event: Event) -> Event:
    match event:
        case ev.HelpWanted(step=step, last=last):
            return ev.HelpWanted(step=step, last=last)
        case ev.Closed():
            return ev.Closed()
        case _:
            return event


def who(party: ev.Party, audience: Audience) -> Who:
    match party:
        case ev.Staff(id=staff_id, name=name):
            return Who(role="staff", name=name, id=staff_id if audience == "staff" else "")
        case ev.Visitor():
            return Who(role="visitor")
        case ev.Assistant():
            return Who(role="assistant")
        case ev.System():
            return Who(role="system")


def controller(state: Conversation) -> Controller:
    if state.closed:
        return "none"
    if isinstance(state.floor.holder, ev.Staff):
        return "human"
    return "waiting" if state.help else "ai"


def view(state: Conversation, audience: Audience) -> View:
    holder = state.floor.holder
    human = controller(state) == "human" and isinstance(holder, ev.Staff)
    shown = View(
        head=state.head if audience == "staff" else state.floor.since,
        controller=controller(state),
        since=state.floor.since,
        holder=state.holder_name if human else "",
        help=HelpView(at=state.help.at, step=state.help.step, last=state.help.last) if state.help else None,
        rated=state.rated.score if state.rated else "",
    )
    if audience == "visitor":
        return shown
    return replace(
        shown,
        holder_id=holder.id if human and isinstance(holder, ev.Staff) else "",
        owed_since=state.owed_since,
        opened_at=state.opened_at,
        opened=state.opened,
        visitor=state.visitor,
        people=sorted(state.people.values(), key=lambda p: (p.name.casefold(), p.id)),
        troubles=sorted(state.troubles.values(), key=lambda t: t.surface),
    )


# --- bytes ---------------------------------------------------------------------------------------

_encoder = json.Encoder(order=None)
_entry_decoder = json.Decoder(Entry)


def encode(frame: Outbound) -> bytes:
    return _encoder.encode(frame)


def encode_entry(entry: Entry) -> bytes:
    """An entry as it is stored."""
    return _encoder.encode(entry)


def decode_entry(data: bytes | str) -> Entry:
    return _entry_decoder.decode(data)
