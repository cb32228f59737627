"""Mails one person about one conversation, or finds the reason not to; keeps the books either way."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
import logging
from typing import TypeVar
from weakref import WeakValueDictionary

from bridge import events as ev
from bridge.conversation import Conversation
from bridge.errors import Refused as Rejected
from bridge.events import ConversationId, Entry, Proposal, Seq, StaffId
from bridge.surface import Inlet
from connectors.email.compose import Person
from connectors.email.ledger import Held, Ledger, Sent
from connectors.email.mailer import Accepted, Mailer, Refused, Verdict
from connectors.email.occasions import Occasion, has_joined, lapsed
from connectors.email.writer import Writer

log = logging.getLogger(__name__)

NAME = "email"
LAST_CHANCE = 3.0  # seconds that a mail on its way gets when the process ends

T = TypeVar("T")


async def to_its_end(sending: Coroutine[None, None, T]) -> T:
    """A mail on its way is not cut off by the end of the process: it would come twice after the start.

    It also keeps cancellation out of aiosmtplib, where `asyncio.wait_for` of Python 3.11 can swallow it.
    """
    task = asyncio.create_task(sending)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=LAST_CHANCE)
        task.cancel()
        raise


class Dispatch:
    def __init__(
        self,
        *,
        ledger: Ledger,
        writer: Writer,
        mailer: Mailer,
        sender: str,
        staff: Mapping[str, Person],
        clock: Callable[[], datetime],
        per_hour: int,
        per_conversation: int,
    ) -> None:
        self.staff = staff
        self.per_hour = per_hour
        self._ledger = ledger
        self._writer = writer
        self._mailer = mailer
        self._sender = sender
        self._clock = clock
        self._per_conversation = per_conversation
        self._inlet: Inlet | None = None
        self._listening = asyncio.Event()
        self._one_at_a_time: WeakValueDictionary[tuple[ConversationId, StaffId], asyncio.Lock] = (
            WeakValueDictionary()
        )

    def listen(self, inlet: Inlet) -> None:
        self._inlet = inlet
        self._listening.set()

    async def core(self) -> Inlet:
        """The inlet, once the surface runs."""
        await self._listening.wait()
        assert self._inlet is not None
        return self._inlet

    async def log(self, cid: ConversationId) -> tuple[Conversation, Sequence[Entry]]:
        """The state, and every entry that made it."""
        core = await self.core()
        state = await core.state(cid)
        entries: list[Entry] = []
        while len(entries) < state.head and (more := await core.read(cid, after=len(entries))):
            entries += more
        return state, entries[: state.head]

    # A mail

    async def mail(self, cid: ConversationId, recipient: StaffId, found: Occasion) -> Verdict | None:
        """One mail, recorded; a refusal too, and told to staff. None where there is nothing to send."""
        one = self._one_at_a_time.setdefault((cid, recipient), asyncio.Lock())
        async with one:
            state, entries = await self.log(cid)
            if lapsed(found, state) or not await self._is_due(cid, recipient, found, state):
                return None
            hour = await self._ledger.reserve(recipient, cap=self.per_hour)
            if hour is None:
                await self._ledger.hold(Held(cid=cid, recipient=recipient, seq=found.seq, at=self._clock()))
                return None
            return await to_its_end(self._send(cid, recipient, found, state, entries, hour=hour))

    async def _send(
        self,
        cid: ConversationId,
        recipient: StaffId,
        found: Occasion,
        state: Conversation,
        entries: Sequence[Entry],
        *,
        hour: str,
    ) -> Verdict:
        verdict: Verdict | None = None
        try:
            person = self.staff[recipient]
            final = await self._counted(cid, recipient) + 1 >= self._per_conversation
            mail = await self._writer.notice(
                cid, recipient, found=found, person=person, state=state, entries=entries, final=final
            )
            verdict = await self.hand_over(mail.raw, person)
            if isinstance(verdict, Accepted):
                await self._ledger.record(cid, recipient, mail.sent)
                log.info("mail to %s about %s: %s, %d bytes", recipient, cid, found.kind, len(mail.raw))
        finally:
            if not isinstance(verdict, Accepted):
                await self._ledger.give_back(hour)
        if isinstance(verdict, Refused):
            await self.give_up(cid, recipient, found, head=state.head, reason=verdict.reason)
        return verdict

    async def _is_due(
        self, cid: ConversationId, recipient: StaffId, found: Occasion, state: Conversation
    ) -> bool:
        """Not to who has joined, wants none, has had enough, or knows it from a later mail."""
        if has_joined(state, recipient) or await self._ledger.wants_none(cid, recipient):
            return False
        if await self._ledger.has_told(cid, recipient, found.seq):
            return False
        return await self._counted(cid, recipient) < self._per_conversation

    async def _counted(self, cid: ConversationId, recipient: StaffId) -> int:
        """Mails that `recipient` got about `cid` without having asked for them."""
        return sum(not s.refused and not s.asked for s in await self._ledger.sent(cid, recipient))

    async def hand_over(self, raw: bytes, person: Person) -> Verdict:
        return await self._mailer.send(raw, sender=self._sender, recipient=person.email)

    # Words for staff

    async def give_up(
        self, cid: ConversationId, recipient: StaffId, found: Occasion, *, head: Seq, reason: str
    ) -> None:
        """Never try this mail again, and say so where staff see it."""
        log.warning("mail to %s about %s: given up", recipient, cid)
        await self._report(cid, recipient, found.seq, reason, phase="lost")
        refused = Sent(kind=found.kind, at=self._clock(), head=head, refused=reason, threaded=False)
        await self._ledger.record(cid, recipient, refused)

    async def still_trying(self, cid: ConversationId, recipient: StaffId, seq: Seq, reason: str) -> None:
        await self._report(cid, recipient, seq, reason, phase="retrying")

    async def arrived_late(self, cid: ConversationId, recipient: StaffId, seq: Seq) -> None:
        await self._report(cid, recipient, seq, "", phase="late")

    async def _report(
        self, cid: ConversationId, recipient: StaffId, seq: Seq, reason: str, *, phase: str
    ) -> None:
        person = self.staff.get(recipient)
        event = ev.Undelivered(
            surface=NAME,
            target=seq,
            reason=f"{person.name if person else recipient}: {reason}"[:300] if reason else "",
            retrying=phase == "retrying",
            late=phase == "late",
        )
        proposal = Proposal(events=(event,), by=ev.System(), via=NAME, key=f"mail:{seq}:{recipient}:{phase}")
        try:
            await (await self.core()).submit(cid, proposal)
        except Rejected as refusal:
            log.warning("mail: could not report in %s: %s", cid, refusal.code)
