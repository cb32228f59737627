"""What is never stored: typing, presence, the assistant's draft as it streams."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from msgspec import Struct

from bridge import wire
from bridge.elsewhere import GONE, Elsewhere
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
Tell = Callable[[ConversationId, Signal], None]


class _Room:
    """The pulse of one conversation."""

    def __init__(self) -> None:
        self.listeners: set[Listener] = set()
        self.here: dict[str, list[Party]] = {}  # author -> one party a connection
        self.typing: dict[str, Typing] = {}  # author -> the sign that said so
        self.draft: Draft | None = None
        self.own: Draft | None = None  # the draft that this process streams
        self.heard_at: datetime | None = None  # when another process last told of the draft

    def note(self, signal: Typing) -> None:
        if signal.on:
            self.typing[author(signal.by)] = signal
        else:
            self.typing.pop(author(signal.by), None)


class Pulse:
    """Tells every listener in this process; a listener must not block and must not raise.

    `link` gives it a way to tell other processes, too; what they tell comes in by `hear_...`, and is told
    again for as long as it is so.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._rooms: dict[ConversationId, _Room] = {}
        self._left: dict[tuple[ConversationId, StaffId], datetime] = {}
        self._started = clock()
        self._elsewhere: Elsewhere[ConversationId, list[Party]] = Elsewhere(clock)
        self._others: Tell | None = None

    def link(self, others: Tell) -> None:
        """Tell other processes, too, by `others`."""
        self._others = others

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
        self._show(cid, signal)
        if self._others is not None:
            self._others(cid, signal)

    def _show(self, cid: ConversationId, signal: Signal) -> None:
        """Hand `signal` to everybody who listens in this process."""
        room = self._rooms.get(cid)
        if room is None:
            return
        if isinstance(signal, Typing):
            room.note(signal)
        for listener in tuple(room.listeners):
            listener(signal)

    # From other processes

    def hear_presence(self, sender: str, cid: ConversationId, parties: list[Party]) -> None:
        """`parties` are all who are connected there."""
        before = self._elsewhere.put(sender, cid, parties or None) or []
        staying = {author(party) for party in parties}
        for party in before:
            if author(party) not in staying and not self._is_here(cid, party):
                self._miss(cid, party)
        if before != parties:
            self._show(cid, PresenceChanged())

    def _miss(self, cid: ConversationId, party: Party) -> None:
        """Who was connected elsewhere is connected nowhere."""
        if isinstance(party, Staff):
            self._note_absence(cid, party.id)
        room = self._rooms.get(cid)
        typing = room.typing.get(author(party)) if room else None
        if typing is not None:
            self._show(cid, Typing(by=typing.by, on=False, public=typing.public))

    def hear_signal(self, cid: ConversationId, signal: Signal) -> None:
        match signal:
            case wire.Draft():
                if not self._hear_draft(cid, signal):
                    return  # a part is missing; the whole comes with the next heartbeat
            case wire.DraftOver(turn=turn, since=since):
                room = self._rooms.get(cid)
                if room is not None and room.draft is not None:
                    if (room.draft.turn, room.draft.since) == (turn, since):
                        room.draft = None
                    self._forget(cid, room)
            case _:
                pass
        self._show(cid, signal)

    def _hear_draft(self, cid: ConversationId, part: wire.Draft) -> bool:
        """Keep it for whoever comes, also where nobody listens yet; False where it does not fit."""
        room = self._rooms.get(cid) or _Room()
        known = room.draft
        if part.at == 0:
            room.draft = Draft(turn=part.turn, since=part.since, text=part.text)
        elif known and (known.turn, known.since, len(known.text)) == (part.turn, part.since, part.at):
            known.text += part.text
        else:
            return False
        room.heard_at = self._clock()
        self._rooms[cid] = room
        return True

    def expire(self) -> None:
        """What a process that has fallen silent had is over: its connections, its drafts."""
        for sender, cid in self._elsewhere.gone():
            self.hear_presence(sender, cid, [])
        for cid, room in list(self._rooms.items()):
            draft, at = room.draft, room.heard_at
            if draft is not None and draft is not room.own and at is not None and self._clock() - at > GONE:
                self.hear_signal(cid, wire.DraftOver(turn=draft.turn, since=draft.since, why="interrupted"))

    # For other processes

    def connected(self, cid: ConversationId) -> list[Party]:
        """Everyone with a live connection to this process, once each."""
        room = self._rooms.get(cid)
        return [parties[-1] for parties in room.here.values()] if room else []

    def occupied(self) -> list[ConversationId]:
        return [cid for cid, room in self._rooms.items() if room.here]

    def drafts(self) -> list[tuple[ConversationId, wire.Draft]]:
        """The drafts that this process streams, whole."""
        return [
            (cid, wire.Draft(turn=room.draft.turn, since=room.draft.since, at=0, text=room.draft.text))
            for cid, room in self._rooms.items()
            if room.draft is not None and room.draft is room.own
        ]

    # The draft

    def stream(self, cid: ConversationId, draft: Draft, text: str) -> None:
        """Add `text` to the draft and show it."""
        room = self._rooms.setdefault(cid, _Room())
        room.draft = room.own = draft
        at = len(draft.text)
        draft.text += text
        self.publish(cid, wire.Draft(turn=draft.turn, since=draft.since, at=at, text=text))

    def end_draft(self, cid: ConversationId, draft: Draft, why: wire.DraftEnd) -> None:
        room = self._rooms.get(cid)
        if room is not None and room.draft is draft:
            room.draft = room.own = None
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
        """Everyone with a live connection, once each, whichever process has it."""
        found = {author(party): party for parties in self._elsewhere.of(cid) for party in parties}
        return list((found | {author(party): party for party in self.connected(cid)}).values())

    def _is_here(self, cid: ConversationId, party: Party) -> bool:
        return any(author(found) == author(party) for found in self.here(cid))

    def absent_since(self, cid: ConversationId, party: Party) -> datetime | None:
        """Since when a member of staff has had no connection; None when connected or not staff.

        Who was never seen counts from the start of this process: after a restart everyone gets the time
        to come back.
        """
        if not isinstance(party, Staff):
            return None
        if self._is_here(cid, party):
            return None
        return self._left.get((cid, party.id), self._started)

    def _forget(self, cid: ConversationId, room: _Room) -> None:
        if not room.listeners and not room.here and room.draft is None:
            self._rooms.pop(cid, None)
