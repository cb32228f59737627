"""What is mailed by the clock: what a server put off for one recipient, and the digests of full hours."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
import logging

from msgspec import Struct
from msgspec.structs import replace

from bridge.conversation import Conversation
from bridge.errors import StoreError
from bridge.events import ConversationId, Entry, StaffId
from connectors.email.compose import Person
from connectors.email.dispatch import Dispatch, to_its_end
from connectors.email.ledger import HOUR, Held, Ledger, Owed, Sent
from connectors.email.mailer import Accepted, Deferred, Refused, Trouble, Verdict
from connectors.email.occasions import Occasion, has_joined, occasion
from connectors.email.writer import Writer

log = logging.getLogger(__name__)


class Persistence(Struct, frozen=True, kw_only=True):
    """How long a mail that was put off is tried, with pauses from `first` to `longest`; in seconds.

    Staff hear of it after `tell`; it is given up after `give_up`. `again`: the pause after trouble with the
    server itself; `rest`: that of all digests after one of them met trouble; `rounds`: between looks.
    """

    again: float = 5.0
    rounds: float = 5.0
    first: float = 30.0
    longest: float = 900.0
    tell: float = 60.0
    give_up: float = 4 * 3600.0
    rest: float = 30.0


class Rounds:
    def __init__(
        self,
        *,
        dispatch: Dispatch,
        ledger: Ledger,
        writer: Writer,
        clock: Callable[[], datetime],
        persistence: Persistence,
    ) -> None:
        self._dispatch = dispatch
        self._ledger = ledger
        self._writer = writer
        self._clock = clock
        self._persistence = persistence
        self._resting_until: datetime | None = None

    async def once(self) -> None:
        for owed in await self._ledger.owed():
            if owed.next_at <= self._clock():
                await self._keep_going(self._pay(owed), what=f"mail to {owed.recipient} about {owed.cid}")
        if self._resting_until is not None and self._clock() < self._resting_until:
            return
        for recipient, held in (await self._ledger.held()).items():
            if await self._ledger.taken(recipient) < self._dispatch.per_hour:
                await self._keep_going(self._digest(recipient, held), what=f"digest to {recipient}")

    async def _keep_going(self, work: Coroutine[None, None, None], *, what: str) -> None:
        """One mail that cannot be written must not keep the others."""
        try:
            await work
        except (StoreError, OSError):
            raise
        except Exception:
            log.exception("%s", what)

    # Owed

    async def put_off(self, cid: ConversationId, recipient: StaffId, found: Occasion, reason: str) -> None:
        """Remember a mail that the server does not take for this recipient yet."""
        now = self._clock()
        owed = Owed(cid=cid, recipient=recipient, seq=found.seq, since=now, next_at=now, tries=0)
        await self._ledger.owe(self._later(owed, reason))

    def _later(self, owed: Owed, reason: str) -> Owed:
        pause = min(self._persistence.first * 2**owed.tries, self._persistence.longest)
        next_at = self._clock() + timedelta(seconds=pause)
        return replace(owed, tries=owed.tries + 1, next_at=next_at, reason=reason)

    async def _pay(self, owed: Owed) -> None:
        await self._ledger.owe(self._later(owed, owed.reason))  # a failure from here on finds it put off
        core = await self._dispatch.core()
        read = await core.read(owed.cid, after=owed.seq - 1, limit=1)
        found = occasion(read[0], begun=False) if read else None
        verdict: Verdict | None = None
        if found is not None and owed.recipient in self._dispatch.staff:
            verdict = await self._dispatch.mail(owed.cid, owed.recipient, found)
        if found is not None and isinstance(verdict, Deferred | Trouble):
            await self._still_owed(self._later(owed, verdict.reason), found)
            return
        await self._ledger.settle(owed)
        if owed.told and not isinstance(verdict, Refused):
            await self._dispatch.arrived_late(owed.cid, owed.recipient, owed.seq)

    async def _still_owed(self, owed: Owed, found: Occasion) -> None:
        waited = (self._clock() - owed.since).total_seconds()
        if waited >= self._persistence.give_up:
            head = (await (await self._dispatch.core()).state(owed.cid)).head
            await self._dispatch.give_up(owed.cid, owed.recipient, found, head=head, reason=owed.reason)
            await self._ledger.settle(owed)
            return
        if waited >= self._persistence.tell and not owed.told:
            await self._dispatch.still_trying(owed.cid, owed.recipient, owed.seq, owed.reason)
            owed = replace(owed, told=True)
        await self._ledger.owe(owed)

    # Digests

    async def _digest(self, recipient: StaffId, held: Sequence[Held]) -> None:
        """One mail for what was held while the person's hour was full."""
        person = self._dispatch.staff.get(recipient)
        wanted: list[tuple[Held, Conversation, Sequence[Entry]]] = []
        for item in held:
            state, entries = await self._dispatch.log(item.cid)
            off = await self._ledger.wants_none(item.cid, recipient)
            off = off or await self._ledger.has_told(item.cid, recipient, item.seq)
            if person is None or off or has_joined(state, recipient):
                await self._ledger.let_go(item)
            else:
                wanted.append((item, state, entries))
        if wanted and person is not None:
            await to_its_end(self._send_digest(recipient, person, wanted))

    async def _send_digest(
        self, recipient: StaffId, person: Person, wanted: Sequence[tuple[Held, Conversation, Sequence[Entry]]]
    ) -> None:
        hour = await self._ledger.reserve(recipient, cap=self._dispatch.per_hour)
        if hour is None:
            return
        verdict: Verdict | None = None
        try:
            raw, listed = await self._writer.digest(recipient, person, wanted, cap=self._dispatch.per_hour)
            verdict = await self._dispatch.hand_over(raw, person)
        finally:
            if not isinstance(verdict, Accepted):
                await self._ledger.give_back(hour)
        match verdict:
            case Accepted():
                for item, state, _ in wanted[:listed]:
                    await self._told(item, state)
            case Refused(reason=reason):
                for item, state, _ in wanted[:listed]:
                    found = Occasion(seq=item.seq)
                    await self._dispatch.give_up(item.cid, recipient, found, head=state.head, reason=reason)
                    await self._ledger.let_go(item)
            case Trouble(reason=reason) | Deferred(reason=reason):
                self._resting_until = self._clock() + timedelta(seconds=self._persistence.rest)
                for item, _, _ in wanted:
                    await self._still_held(item, reason)

    async def _told(self, item: Held, state: Conversation) -> None:
        sent = Sent(kind=f"digest-{item.seq}", at=self._clock(), head=state.head, threaded=False)
        await self._ledger.record(item.cid, item.recipient, sent)
        await self._ledger.let_go(item)
        if item.told:
            await self._dispatch.arrived_late(item.cid, item.recipient, item.seq)

    async def _still_held(self, item: Held, reason: str) -> None:
        overdue = (self._clock() - item.at - HOUR).total_seconds()
        if overdue >= self._persistence.tell and not item.told:
            await self._dispatch.still_trying(item.cid, item.recipient, item.seq, reason)
            await self._ledger.let_go(item)
            await self._ledger.hold(replace(item, told=True))
