"""What is known of a conversation at one moment. Pure data."""

from datetime import datetime
from typing import assert_never

from immutables import Map
from msgspec import Struct

from bridge import events as ev
from bridge.events import Party, Seq, Staff, StaffId

ASSISTANT_NAME = "AI assistant"


class Floor(Struct, frozen=True, kw_only=True):
    """Who may speak to the visitor, and the `seq` of the entry that gave it: the fence."""

    holder: Party
    since: Seq


class Help(Struct, frozen=True, kw_only=True):
    """A person is wanted since entry `seq`; the team was told `step` times more, the last time in `told`."""

    seq: Seq
    told: Seq
    at: datetime
    reason: str
    step: int
    last: bool


class Person(Struct, frozen=True, kw_only=True):
    """A member of staff who has taken part; `via` names the surface on which they came in."""

    id: StaffId
    name: str
    joined: bool
    via: str = ""


class Word(Struct, frozen=True, kw_only=True):
    """An entry of words that its author can edit or take back; `spoken` says whether the visitor saw it."""

    author: str
    spoken: bool
    gone: bool = False


class Trouble(Struct, frozen=True, kw_only=True):
    """Where a surface stands behind: the newest `Undelivered` of it."""

    surface: str
    target: Seq
    reason: str
    retrying: bool


class Conversation(Struct, frozen=True, kw_only=True):
    """The whole state of a conversation: the fold of its log.

    `owed` is the newest visitor's message that nobody has answered, `owed_since` the moment the oldest
    such one came. `holder_at` is when the holder got the floor or last did anything, and `holder_via` on
    which surface. `keys` maps each author's idempotency keys to where they stand and what they stood for.
    """

    head: Seq = Seq(0)
    opened: ev.Opened | None = None
    opened_at: datetime | None = None
    last_at: datetime | None = None
    floor: Floor = Floor(holder=ev.Assistant(), since=Seq(0))
    holder_at: datetime | None = None
    holder_via: str = ""
    closed: bool = False
    help: Help | None = None
    owed: Seq | None = None
    owed_since: datetime | None = None
    visitor: ev.Identified = ev.Identified()
    rated: ev.Rated | None = None
    messages: int = 0
    people: Map[StaffId, Person] = Map()
    troubles: Map[str, Trouble] = Map()
    words: Map[Seq, Word] = Map()
    keys: Map[tuple[str, str], tuple[Seq, bytes]] = Map()

    @property
    def holder_name(self) -> str:
        return party_name(self.floor.holder)


def party_name(party: Party) -> str:
    match party:
        case Staff(name=name):
            return name
        case ev.Assistant():
            return ASSISTANT_NAME
        case ev.Visitor():
            return "Visitor"
        case ev.System():
            return "Joinline"
        case _:
            assert_never(party)


def visitor_name(state: Conversation) -> str:
    return state.visitor.name or "the visitor"
