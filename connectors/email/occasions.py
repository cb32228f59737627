"""Whom an entry is worth a mail, and when its reason has lapsed. Pure."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from bridge import events as ev
from bridge.conversation import Conversation
from bridge.events import Entry, Seq, StaffId


class Site(Protocol):
    """`staff` are the groups that are told one after the other; each holds keys of the staff list."""

    @property
    def name(self) -> str: ...
    @property
    def accent(self) -> str: ...
    @property
    def staff(self) -> Sequence[Sequence[str]]: ...


class Occasion(Struct, frozen=True, kw_only=True):
    """A reason to mail: a chat `started`, or a person is `wanted` at `step` of the ladder."""

    seq: Seq
    step: int | None = None
    last: bool = False

    @property
    def wanted(self) -> bool:
        return self.step is not None

    @property
    def kind(self) -> str:
        return f"help-{self.seq}" if self.wanted else "started"


def occasion(entry: Entry, *, begun: bool) -> Occasion | None:
    """What `entry` is worth; `begun` says whether the conversation was mailed before."""
    match entry.event, entry.by:
        case ev.Said(), ev.Visitor() if not begun:
            return Occasion(seq=entry.seq)
        case ev.HelpWanted(step=step, last=last), _:
            return Occasion(seq=entry.seq, step=step, last=last)
        case _:
            return None


def recipients(found: Occasion, groups: Sequence[Sequence[str]]) -> list[StaffId]:
    """Who is told: the first group, at each step the next one (or the last there is), at last everybody."""
    if not groups:
        return []
    told = (
        [name for group in groups for name in group]
        if found.last
        else groups[min(found.step or 0, len(groups) - 1)]
    )
    return [StaffId(name) for name in dict.fromkeys(told)]


def lapsed(found: Occasion, state: Conversation) -> bool:
    """Whether nobody is wanted any more. That a chat started stays worth a mail, however late."""
    if not found.wanted:
        return False
    return state.closed or state.help is None or state.help.seq > found.seq


def has_joined(state: Conversation, recipient: StaffId) -> bool:
    """Whether somebody came in, at some time, by this recipient's link."""
    return any(person.partition("~")[0] == recipient for person in state.people)
