"""What is never stored: typing, presence, the assistant's draft as it streams."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from msgspec import Struct

from bridge import wire
from bridge.events import ConversationId, Party, Seq, Staff, StaffId, author

ABSENT = 10_000  # absences remembered; who is forgotten counts from the start of the process


class Typing(Struct, frozen=True, kw_only=True):
    """`public`: the visitor may know of it; what an observer types is nobody else's business."""

    by: Party
    on: bool
    public: bool = False


class Draft(Struct, kw_only=True):
    """The assistant's answer to visitor message `turn`, as far as it has come; `since` is its fence."""

    turn: Seq
    since: Seq
    text: str = ""


class PresenceChanged(Struct, frozen=True):
    pass


class StopWanted(Struct, frozen=True):
    """Somebody pressed "Stop answer"."""


Signal = Typing | wire.Draft | wire.DraftOver | PresenceChanged | StopWanted
Listener = Callable[[Signal], None]


class _Room:
    """The pulse of one conversation."""

    def __init__(self) -> None:
        self.listeners: set[Listener] = set()
        self.here: dict[str, list[Party]] = {}  # author -> one party a connection
        self.typing: dict[str, Typing] = {}  # author -> the sign that said so
        self.draft: Draft | None = None

    def note(self, signal: Typing) -> None:
        if signal.on:
            self.typing[author(signal.by)] = signal
        else:
            self.typing.pop(author(signal.by), None)


class Pulse:
    """Tells every listener in this process; a listener must not block and must not raise."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._rooms: dict[ConversationId, _Room] = {}
        self._left: dict[tuple[ConversationId, StaffId], datetime] = {}
        self._started = clock()

    @contextmanager
    def listen(self, cid: ConversationId, listener: Listener) -> Iterator[None]:
        """Hand every signal of `cid` to `listener`; a draft that is under way comes first, whole."""
        room = self._rooms.setdefault(cid, _Room())
        room.listeners.add(listener)
        try:
            if room.draft is not None:
                draft = room.draft
                listener(wire.Draft(turn=draft.turn, since=draft.since, at=0, text=draft.text))
            yield
        finally:
            room.listeners.discard(listener)
            self._forget(cid, room)

    def publish(self, cid: ConversationId, signal: Signal) -> None:
        room = self._rooms.get(cid)
        if room is None:
            return
        if isinstance(signal, Typing):
            room.note(signal)
        for listener in tuple(room.listeners):
            listener(signal)

    # The draft

    def stream(self, cid: ConversationId, draft: Draft, text: str) -> None:
        """Add `text` to the draft and show it."""
        room = self._rooms.setdefault(cid, _Room())
        room.draft = draft
        at = len(draft.text)
        draft.text += text
        self.publish(cid, wire.Draft(turn=draft.turn, since=draft.since, at=at, text=text))

    def end_draft(self, cid: ConversationId, draft: Draft, why: wire.DraftEnd) -> None:
        room = self._rooms.get(cid)
        if room is not None and room.draft is draft:
            room.draft = None
        self.publish(cid, wire.DraftOver(turn=draft.turn, since=draft.since, why=why))
        if room is not None:
            self._forget(cid, room)

    # Presence

    @contextmanager
    def present(self, cid: ConversationId, party: Party) -> Iterator[None]:
        """`party` has a live connection for as long as the context lasts."""
        room = self._rooms.setdefault(cid, _Room())
        who = author(party)
        room.here.setdefault(who, []).append(party)
        self.publish(cid, PresenceChanged())
        try:
            yield
        finally:
            room.here[who].remove(party)
            if not room.here[who]:
                del room.here[who]
                if isinstance(party, Staff):
                    self._note_absence(cid, party.id)
                typing = room.typing.get(who)
                if typing is not None:  # an observer's leave shows to no visitor
                    self.publish(cid, Typing(by=typing.by, on=False, public=typing.public))
            self.publish(cid, PresenceChanged())
            self._forget(cid, room)

    def _note_absence(self, cid: ConversationId, staff: StaffId) -> None:
        self._left.pop((cid, staff), None)
        self._left[cid, staff] = self._clock()
        if len(self._left) > ABSENT:
            self._left.pop(next(iter(self._left)))

    def here(self, cid: ConversationId) -> list[Party]:
        """Everyone with a live connection, once each."""
        room = self._rooms.get(cid)
        return [parties[-1] for parties in room.here.values()] if room else []

    def absent_since(self, cid: ConversationId, party: Party) -> datetime | None:
        """Since when a member of staff has had no connection; None when connected or not staff.

        Who was never seen counts from the start of this process: after a restart everyone gets the time
        to come back.
        """
        if not isinstance(party, Staff):
            return None
        room = self._rooms.get(cid)
        if room is not None and author(party) in room.here:
            return None
        return self._left.get((cid, party.id), self._started)

    def _forget(self, cid: ConversationId, room: _Room) -> None:
        if not room.listeners and not room.here and room.draft is None:
            self._rooms.pop(cid, None)
