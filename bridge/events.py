"""The facts of a conversation: parties, events, entries, and proposals of them."""

from datetime import datetime
from typing import Literal, NewType

from msgspec import Struct

ConversationId = NewType("ConversationId", str)
Seq = NewType("Seq", int)
StaffId = NewType("StaffId", str)

Score = Literal["good", "ok", "bad"]


class Fact(
    Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True, omit_defaults=True
):
    """The base of every tagged value in the log."""


# --- Parties: who did it -------------------------------------------------------------------------


class Visitor(Fact, frozen=True, tag="visitor"):
    """The person on the website."""


class Assistant(Fact, frozen=True, tag="assistant"):
    """The AI."""


class System(Fact, frozen=True, tag="system"):
    """Joinline itself: timers, couriers, supervision."""


class Staff(Fact, frozen=True, kw_only=True, tag="staff"):
    """A named member of the team. `id` never changes; `name` is what the visitor reads."""

    id: StaffId
    name: str


Party = Visitor | Assistant | Staff | System


def author(party: Party) -> str:
    """The identity under which an idempotency key is unique: a new name does not make a new author."""
    match party:
        case Visitor():
            return "visitor"
        case Assistant():
            return "assistant"
        case System():
            return "system"
        case Staff(id=staff_id):
            return f"staff:{staff_id}"


# --- Events: what happened, in the past tense ----------------------------------------------------


class Opened(Fact, frozen=True, tag="Opened"):
    """The conversation began. What the browser says of the page is unverified text."""

    site: str
    page: str = ""
    title: str = ""
    locale: str = ""
    timezone: str = ""
    context: dict[str, str] = {}


class Said(Fact, frozen=True, tag="Said"):
    """Words between visitor and business, in Markdown."""

    text: str


class Noted(Fact, frozen=True, tag="Noted"):
    """Words for the team only: never shown to the visitor, never put into the model's prompt."""

    text: str


class Guided(Fact, frozen=True, tag="Guided"):
    """A private instruction to the assistant, used at its next turn."""

    text: str


class Joined(Fact, frozen=True, tag="Joined"):
    """A member of staff came in to observe."""


class Left(Fact, frozen=True, tag="Left"):
    """A member of staff went."""


class Renamed(Fact, frozen=True, tag="Renamed"):
    """A member of staff goes by another name from here on; `by` carries the old one."""

    name: str


class TookOver(Fact, frozen=True, tag="TookOver"):
    """The author holds the floor from this entry on."""


class HandedBack(Fact, frozen=True, tag="HandedBack"):
    """The assistant holds the floor from this entry on. By `System` when the holder was gone too long."""


class HelpWanted(Fact, frozen=True, tag="HelpWanted"):
    """A person is wanted. `step` 0 asks; 1, 2 ... are later steps of the same ladder; `last` is its end."""

    reason: str = ""
    step: int = 0
    last: bool = False


class Edited(Fact, frozen=True, tag="Edited"):
    """The text of the author's own entry `target` now reads `text`."""

    target: Seq
    text: str


class Retracted(Fact, frozen=True, tag="Retracted"):
    """The author took back the own entry `target`."""

    target: Seq


class Rated(Fact, frozen=True, tag="Rated"):
    """The visitor's verdict."""

    score: Score
    comment: str = ""


class Identified(Fact, frozen=True, tag="Identified"):
    """Who the visitor says to be; `verified` only when the website's server vouched for it."""

    name: str = ""
    email: str = ""
    user: str = ""
    verified: bool = False


class Undelivered(Fact, frozen=True, tag="Undelivered"):
    """Entry `target` did not reach `surface` in time; `retrying`: it is still tried; `late`: it arrived."""

    surface: str
    target: Seq
    reason: str
    retrying: bool = False
    late: bool = False


class Closed(Fact, frozen=True, tag="Closed"):
    """The conversation ended."""

    reason: str = ""


class Reopened(Fact, frozen=True, tag="Reopened"):
    """An ended conversation goes on."""


class Redacted(Fact, frozen=True, tag="Redacted"):
    """The text of entry `target` is not shown any more, to anyone."""

    target: Seq


Event = (
    Opened | Said | Noted | Guided | Joined | Left | Renamed | TookOver | HandedBack | HelpWanted | Edited
    | Retracted | Rated | Identified | Undelivered | Closed | Reopened | Redacted
)  # fmt: skip


# --- The log -------------------------------------------------------------------------------------


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event in the log of a conversation.

    `seq` counts 1, 2, 3 ... without a hole; `at` is UTC; `via` names the surface; `key` makes a repeat
    recognisable: (conversation, author, key) is unique for ever.
    """

    seq: Seq
    at: datetime
    event: Event
    by: Party
    via: str
    key: str


class Proposal(Struct, frozen=True, kw_only=True):
    """Events that somebody wants admitted; several stand or fall together.

    `floor` is the fence: the `since` of the floor that the author saw when deciding. The assistant and
    whoever takes over must give it. `head`, where it is given, is all that the author saw: one entry more,
    and the proposal is void. A proposal's first entry carries `key`, the others `key#1`, `key#2` ...
    """

    events: tuple[Event, ...]
    by: Party
    via: str
    key: str
    floor: Seq | None = None
    head: Seq | None = None

    def entry_keys(self) -> list[str]:
        """The key of each event's entry."""
        return [self.key if i == 0 else f"{self.key}#{i}" for i in range(len(self.events))]
