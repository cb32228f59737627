"""What is said of a law, and how a log is read."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bridge import events as ev
from bridge.conversation import Conversation, fold
from bridge.events import Entry
from tests.harness.history import Log


@dataclass
class Verdict:
    """`counted`: what was looked at; `broken`: where the law did not hold."""

    law: int
    name: str
    counted: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def count(self, what: str, number: int = 1) -> None:
        self.counted[what] = self.counted.get(what, 0) + number

    def holds(self, it_does: object, otherwise: str) -> None:
        if not it_does:
            self.broken.append(otherwise)


def states(log: Log) -> Iterator[tuple[Conversation, Entry]]:
    """Each entry with the state before it."""
    state = Conversation()
    for entry in log:
        yield state, entry
        state = fold(state, entry)


def text_of(entry: Entry) -> str:
    return text_in(entry.event)


def text_in(event: ev.Event) -> str:
    match event:
        case ev.Said(text=text) | ev.Noted(text=text) | ev.Guided(text=text) | ev.Edited(text=text):
            return text
        case _:
            return ""


def type_of(entry: Entry) -> str:
    return type(entry.event).__name__
