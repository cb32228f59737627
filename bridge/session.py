"""One client's view of one conversation: what it may send, and the frames it is sent. No transport."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing
from functools import lru_cache
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

from bridge import commands, pulse, wire
from bridge import events as ev
from bridge.conversation import Conversation
from bridge.core import Batch, Bridge
from bridge.errors import FrameError, Refused, WentBack
from bridge.events import ConversationId, Event, Party, Proposal, Seq, Staff, author
from bridge.limits import Rate


class Guest(Struct, frozen=True, kw_only=True):
    """Who is at the other end. `by` None is a preview: it reads, and nobody knows."""

    cid: ConversationId
    audience: wire.Audience
    by: Party | None
    via: str
    site: str = ""
    session: str = ""
    link: str = ""
    address: str = ""


class Ended(Exception):
    """A live session is over; `code` is one of a WebSocket's close codes."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Ending(Struct, frozen=True, kw_only=True):
    """Live sessions that end: those named, or those of a link, who joined by it or who preview."""

    code: int
    reason: str
    sessions: tuple[str, ...] = ()
    link: str = ""
    previews: bool = False

    def concerns(self, guest: Guest) -> bool:
        if self.link:
            return guest.link == self.link and (guest.session == "") == self.previews
        return guest.session != "" and guest.session in self.sessions


def current(by: Party, state: Conversation) -> Party:
    """The party under the name it goes by now; the log says which."""
    if isinstance(by, Staff) and (person := state.people.get(by.id)) is not None:
        return Staff(id=by.id, name=person.name)
    return by


# --- in: a frame becomes a proposal or a pulse ---------------------------------------------------


class Desk:
    """Answers inbound frames, whatever carried them."""

    def __init__(
        self, *, bridge: Bridge, page_url: str, visitor_rate: Rate, opening_rate: Rate, staff_rate: Rate
    ) -> None:
        self._bridge = bridge
        self._opening_rate = opening_rate
        self._page_url = page_url
        self._rates: dict[wire.Audience, Rate] = {"visitor": visitor_rate, "staff": staff_rate}

    async def answer(self, guest: Guest, frame: wire.Inbound) -> wire.Outbound | None:
        match frame:
            case wire.Propose() | wire.Command():
                try:
                    return await self._propose(guest, frame)
                except Refused as r:
                    return wire.Refusal(
                        key=frame.key,
                        code=r.code,
                        message=r.message,
                        holder=r.holder or "",
                        seconds=r.seconds,
                    )
                except WentBack:  # what came before it is sent again first
                    raise FrameError(1012, "the log went back") from None
            case wire.Typing(on=on):
                self._typing(guest, on=on)
            case wire.Stop():
                if guest.by is not None:
                    self._bridge.pulse.publish(guest.cid, pulse.StopWanted())
            case wire.Ping():
                return wire.Pong()
            case wire.Hello():
                raise FrameError(1008, "hello is said once")
        return None

    async def _propose(self, guest: Guest, frame: wire.Propose | wire.Command) -> wire.Outbound:
        if guest.by is None:
            raise Refused("not_allowed", "Join first.")
        state = await self._bridge.state(guest.cid)
        by = current(guest.by, state)
        key = _key(frame)
        known = state.keys.get((author(by), key))
        if isinstance(frame, wire.Command):
            if known is not None:  # its meaning depends on the state, which has moved by its own effect
                await self._bridge.confirm(guest.cid)
                return wire.Ack(key=frame.key, seq=known[0])
            if not isinstance(by, Staff):
                raise Refused("not_allowed", "Commands are for the team.")
            outcome = commands.run(frame.line.strip().removeprefix("/"), state, by)
            match outcome:
                case commands.Say(text=text):
                    return wire.Answer(key=frame.key, text=text)
                case commands.GiveLink():
                    return wire.Answer(key=frame.key, text=f"{self._page_url}/{guest.cid}")
                case events:
                    events = tuple(wire.clean_event(e) for e in events)
        else:
            events = tuple(self._own(guest, e) for e in frame.events)
        if known is None:
            if state.head == 0:
                self._opening_rate.check(guest.address)
            for _ in range(max(1, sum(isinstance(e, ev.Said) for e in events))):
                self._rates[guest.audience].check(f"{guest.cid}/{author(by)}")
        floor = Seq(frame.floor) if frame.floor is not None else None
        if floor is None and isinstance(frame, wire.Command) and isinstance(events[0], ev.TookOver):
            floor = state.floor.since
        proposal = Proposal(events=events, by=by, via=guest.via, key=key, floor=floor)
        receipt = await self._bridge.submit(guest.cid, proposal, anew=False)
        return wire.Ack(key=frame.key, seq=receipt.seq)

    def _own(self, guest: Guest, event: Event) -> Event:
        """What only the server knows is not taken from the client."""
        return replace(event, site=guest.site) if isinstance(event, ev.Opened) else event

    def _typing(self, guest: Guest, *, on: bool) -> None:
        if guest.by is None:
            return
        state = self._bridge.peek(guest.cid)
        by = current(guest.by, state)
        public = author(state.floor.holder) == author(by)
        self._bridge.pulse.publish(guest.cid, pulse.Typing(by=by, on=on, public=public))


def _key(frame: wire.Propose | wire.Command) -> str:
    """A command's key tells its line too: what the line means cannot be compared later, the line can."""
    if isinstance(frame, wire.Propose):
        return frame.key
    return f"{frame.key}.{blake2b(frame.line.encode(), digest_size=4).hexdigest()}"


# --- out: the log and the pulse become frames ----------------------------------------------------


class Feed:
    """The frames for one guest: welcome, history, then everything as it happens.

    `room` frames may wait for a slow client; then the log waits too, and pulses are dropped.
    """

    def __init__(self, *, bridge: Bridge, guest: Guest, hello: wire.Hello, room: int) -> None:
        self._bridge = bridge
        self._guest = guest
        self._hello = hello
        self._shown: wire.View | None = None
        self._past = Seq(0)  # until when entries are history, told one client; 0: all is live
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(room)

    async def welcome(self) -> wire.Welcome | wire.Reset:
        """The first frame; `Reset` where the client's past is not this log's."""
        bridge, guest, hello = self._bridge, self._guest, self._hello
        state = await bridge.state(guest.cid)
        if hello.after and not await self._known(state):
            return wire.Reset(log=bridge.store.log_id)
        you = wire.You(role=guest.audience, cid=guest.cid if guest.audience == "staff" else "")
        if isinstance(guest.by, Staff):
            by = current(guest.by, state)
            you = replace(you, id=guest.by.id, name=by.name if isinstance(by, Staff) else "")
        self._shown = wire.view(state, guest.audience)
        self._past = state.head if hello.after < state.head else Seq(0)
        return wire.Welcome(log=bridge.store.log_id, you=you, state=self._shown, more=self._past > 0)

    async def _known(self, state: Conversation) -> bool:
        """Whether what the client has is the beginning of this log, as far as it tells."""
        bridge, hello = self._bridge, self._hello
        if hello.log not in ("", bridge.store.log_id) or hello.after > state.head:
            return False
        if hello.mark is None:
            return True
        try:
            return hello.after > 0 and await bridge.at(self._guest.cid, hello.after) == hello.mark
        except WentBack:
            return False

    async def run(self) -> None:
        """Fill the queue until cancelled: the log waits for room, pulses do not."""
        bridge, guest = self._bridge, self._guest
        with ExitStack() as stack:
            stack.enter_context(bridge.pulse.listen(guest.cid, self._pulse))
            if guest.by is not None:
                stack.enter_context(bridge.pulse.present(guest.cid, guest.by))
            if guest.audience == "staff":
                self._pulse(pulse.PresenceChanged())
            try:
                async for frame in self.batches():
                    await self.queue.put(frame)
            except WentBack:  # whoever comes back with more than there is is told to begin anew
                raise Ended(1012, "the log went back") from None

    async def batches(self) -> AsyncIterator[bytes]:
        """The log from where the client stands, as frames."""
        async with aclosing(self._bridge.tail(self._guest.cid, self._hello.after)) as tail:  # type: ignore[type-var]
            async for batch in tail:
                frame = self._frame(batch)
                if frame is not None:
                    yield frame

    def _frame(self, batch: Batch) -> bytes | None:
        """`batch` for this audience, encoded once for all of it; None where it would tell nothing.

        What was in the log at the welcome is this client's own business, and its end is always told.
        """
        audience = self._guest.audience
        view = wire.view(batch.state, audience)
        shown, self._shown = self._shown, view
        if self._past:
            more = batch.entries[-1].seq < self._past
            self._past = self._past if more else Seq(0)
            return wire.encode(wire.Entries(lines=_lines(batch, audience), state=view, more=more))
        if audience not in batch.frames:
            frame = wire.Entries(lines=_lines(batch, audience), state=view)
            batch.frames[audience] = wire.encode(frame) if frame.lines else b""
        if batch.frames[audience]:
            return batch.frames[audience]
        return wire.encode(wire.Entries(lines=[], state=view)) if view != shown else None

    def _pulse(self, signal: pulse.Signal) -> None:
        guest = self._guest
        if isinstance(signal, pulse.PresenceChanged):
            frame = self._presence() if guest.audience == "staff" else None
        elif (
            isinstance(signal, pulse.Typing)
            and guest.by is not None
            and author(signal.by) == author(guest.by)
        ):
            frame = None
        else:
            frame = _encoded(signal, guest.audience)
        if frame is not None and not self.queue.full():
            self.queue.put_nowait(frame)

    def _presence(self) -> bytes:
        state = self._bridge.peek(self._guest.cid)
        here = [current(p, state) for p in self._bridge.pulse.here(self._guest.cid)]
        staff = [wire.Here(id=p.id, name=p.name) for p in here if isinstance(p, Staff)]
        return wire.encode(wire.Presence(here=staff, visitor=any(isinstance(p, ev.Visitor) for p in here)))


def _lines(batch: Batch, audience: wire.Audience) -> list[wire.Line]:
    lines = (wire.line(e, audience, batch.state) for e in batch.entries)
    return [line for line in lines if line is not None]


@lru_cache(maxsize=512)
def _encoded(signal: pulse.Signal, audience: wire.Audience) -> bytes | None:
    """A pulse for an audience: encoded once, however many are shown it."""
    match signal:
        case pulse.Typing(by=by, on=on, public=public):
            hidden = audience == "visitor" and not public
            return None if hidden else wire.encode(wire.TypingView(who=wire.who(by, audience), on=on))
        case wire.Draft() | wire.DraftOver():
            return wire.encode(signal)
        case _:
            return None
