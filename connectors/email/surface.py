"""The pushed surface "email": reads what happens and mails whom it concerns."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from bridge.conversation import Conversation
from bridge.errors import Retry, StoreError
from bridge.events import ConversationId, StaffId
from bridge.links import Link, Links
from bridge.store import Store
from bridge.surface import Anchor, Inlet, Post
from connectors.email.compose import Mailbox, Person
from connectors.email.dispatch import NAME, Dispatch, to_its_end
from connectors.email.ledger import Ledger
from connectors.email.mailer import Accepted, Deferred, Mailer, Trouble, Verdict
from connectors.email.occasions import Occasion, Site, occasion, recipients
from connectors.email.rounds import Persistence, Rounds
from connectors.email.writer import Writer

STALE = timedelta(days=1)  # a chat that ended and began longer ago is no news
QUIET = 2.0  # seconds without a word after an answer: the burst is over
RENEW_EVERY = timedelta(minutes=1)


class EmailSurface:
    """`settle` is how long a first message may wait for the rest of its burst; `per_hour` caps the mails to
    one person in an hour, `per_conversation` those about one conversation.
    """

    name = NAME

    def __init__(
        self,
        *,
        store: Store,
        key: bytes,
        links: Links,
        sites: Mapping[str, Site],
        staff: Mapping[str, Person],
        mailer: Mailer,
        sender: Mailbox,
        base_url: str,
        clock: Callable[[], datetime],
        settle: float = 8.0,
        per_hour: int = 12,
        per_conversation: int = 3,
        persistence: Persistence | None = None,
    ) -> None:
        self._sites = sites
        self._staff = staff
        self._clock = clock
        self._settle = settle
        self._persistence = persistence or Persistence()
        self._ledger = Ledger(store=store, clock=clock, key=key)
        self._writer = Writer(
            ledger=self._ledger, links=links, sites=sites, sender=sender, base_url=base_url, clock=clock
        )
        self._dispatch = Dispatch(
            ledger=self._ledger, writer=self._writer, mailer=mailer, sender=sender.address, staff=staff,
            clock=clock, per_hour=per_hour, per_conversation=per_conversation,
        )  # fmt: skip
        self._rounds = Rounds(
            dispatch=self._dispatch, ledger=self._ledger, writer=self._writer, clock=clock,
            persistence=self._persistence,
        )  # fmt: skip

    async def run(self, inlet: Inlet) -> None:
        """Nothing comes in by mail."""
        self._dispatch.listen(inlet)
        await asyncio.get_running_loop().create_future()

    async def rounds(self) -> None:
        """Until cancelled, mail what was put off or collected once its time has come."""
        while True:
            await self._rounds.once()
            await asyncio.sleep(self._persistence.rounds)

    async def deliver(self, post: Post) -> Anchor | None:
        found = occasion(post.entry, begun=post.anchor is not None)
        if found is None:
            return None
        try:
            return await self._tell(post, found)
        except (StoreError, OSError) as error:
            raise Retry(self._persistence.again, f"the store: {type(error).__name__}") from error

    async def renew(self, link: Link) -> None:
        """Mail a fresh link to whom `link` was for, and to nobody else; raises `Retry` when that fails.

        Once a minute at most: whoever holds an old link must not be able to flood its owner.
        """
        person = self._staff.get(link.recipient)
        if link.revoked or person is None or person.email != link.email:
            return
        if not await self._ledger.may_renew(link.cid, link.recipient, every=RENEW_EVERY):
            return
        verdict = await to_its_end(self._send_renewal(link, person))
        if not isinstance(verdict, Accepted):
            await self._ledger.forget_renewal(link.cid, link.recipient)
            raise Retry(self._persistence.again, verdict.reason)

    async def _send_renewal(self, link: Link, person: Person) -> Verdict:
        state, entries = await self._dispatch.log(link.cid)
        mail = await self._writer.notice(
            link.cid, link.recipient, found=None, person=person, state=state, entries=entries
        )
        verdict = await self._dispatch.hand_over(mail.raw, person)
        if isinstance(verdict, Accepted):
            await self._ledger.record(link.cid, link.recipient, mail.sent)
        return verdict

    async def _tell(self, post: Post, found: Occasion) -> Anchor | None:
        """Mail everyone whom it concerns. Trouble with the server is raised once all have been tried."""
        if post.latest.closed and self._clock() - post.entry.at > STALE:
            return None  # a surface that is new to an old store must not mail its whole history
        site = self._site(post.latest)
        told = [r for r in recipients(found, site.staff if site else ()) if r in self._staff]
        if not found.wanted:
            await self._burst(post)
        verdicts = await asyncio.gather(
            *(self._attempt(post.cid, r, found) for r in told), return_exceptions=True
        )
        for verdict in verdicts:
            if isinstance(verdict, BaseException):
                raise verdict
        for verdict in verdicts:
            if isinstance(verdict, Trouble):
                raise Retry(self._persistence.again, verdict.reason)
        return Anchor(f"mail:{post.cid}")

    async def _burst(self, post: Post) -> None:
        """Wait until the first message's burst is over: answered and quiet, or `settle` after it came."""
        core = await self._dispatch.core()
        age = (self._clock() - post.entry.at).total_seconds()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(self._settle - age, self._settle)
        while (left := deadline - loop.time()) > 0:
            await asyncio.sleep(min(0.25, left))
            state = await core.state(post.cid)
            answered = state.owed is None and state.messages > 1
            if state.last_at and answered and (self._clock() - state.last_at).total_seconds() >= QUIET:
                return

    async def _attempt(self, cid: ConversationId, recipient: StaffId, found: Occasion) -> Verdict | None:
        """A mail that the server puts off for this one recipient holds up nobody else."""
        if await self._ledger.owes(cid, recipient, found.seq):
            return None
        verdict = await self._dispatch.mail(cid, recipient, found)
        if isinstance(verdict, Deferred):
            await self._rounds.put_off(cid, recipient, found, verdict.reason)
        return verdict

    def _site(self, state: Conversation) -> Site | None:
        return self._sites.get(state.opened.site) if state.opened else None
