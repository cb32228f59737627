"""Writes a mail for one person: gathers thread, link and words, and composes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256

from msgspec import Struct

from bridge.conversation import Conversation
from bridge.events import ConversationId, Entry, StaffId
from bridge.links import Links
from connectors.email import compose, palette
from connectors.email.compose import Envelope, Mailbox, Missed, Notice, Person
from connectors.email.headers import atom, message_id
from connectors.email.ledger import Held, Ledger, Sent
from connectors.email.occasions import Occasion, Site
from connectors.email.summary import summarise

MAX_URLS = 1000


class Written(Struct, frozen=True, kw_only=True):
    """A mail, and what is recorded of it once the server has it."""

    raw: bytes
    sent: Sent


class Writer:
    def __init__(
        self,
        *,
        ledger: Ledger,
        links: Links,
        sites: Mapping[str, Site],
        sender: Mailbox,
        base_url: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._links = links
        self._sites = sites
        self._sender = sender
        self._domain = sender.address.rpartition("@")[2]
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._urls: dict[tuple[ConversationId, StaffId], str] = {}

    async def notice(
        self,
        cid: ConversationId,
        recipient: StaffId,
        *,
        found: Occasion | None,
        person: Person,
        state: Conversation,
        entries: Sequence[Entry],
        final: bool = False,
    ) -> Written:
        """A mail about one conversation, in its thread; without an occasion, the renewal of a link."""
        site = self._sites.get(state.opened.site if state.opened else "")
        name = site.name if site else ""
        summary = summarise(entries, state)
        thread = [s for s in await self._ledger.sent(cid, recipient) if s.threaded]
        base = thread[0].subject.removeprefix("Re: ") if thread else compose.subject(name, summary)
        kind = found.kind if found else f"renewed-{len(thread)}"
        own = (cid, recipient, kind) if thread else (cid, recipient)
        envelope = Envelope(
            sender=self._sender,
            to=person,
            at=self._clock(),
            message_id=message_id(self._domain, *own),
            list_name=f"{name} chat",
            list_id=f"{atom(state.opened.site if state.opened else 'chat')}.chat.{self._domain}",
            references=tuple(s.message_id for s in thread),
            unsubscribe=f"{self._base_url}/mail/off/{await self._ledger.subscription_token(cid, recipient)}",
        )
        told = Notice(
            site=name,
            accent=site.accent if site else palette.light()["accent"],
            summary=summary,
            heading=compose.heading(found, summary),
            why=compose.why(found, summary, site=name),
            link=await self._link(cid, recipient, person, anew=found is None),
            subject=f"Re: {base}" if thread else base,
            final=final,
        )
        raw = compose.notice(envelope, told)
        sent = Sent(
            kind=kind, at=envelope.at, head=state.head, message_id=envelope.message_id, subject=told.subject,
            asked=found is None,
        )  # fmt: skip
        return Written(raw=raw, sent=sent)

    async def digest(
        self,
        recipient: StaffId,
        person: Person,
        held: Sequence[tuple[Held, Conversation, Sequence[Entry]]],
        *,
        cap: int,
    ) -> tuple[bytes, int]:
        """One mail about many conversations, and how many of them it lists."""
        missed = []
        for item, state, entries in held[: compose.LISTED]:
            site = self._sites.get(state.opened.site if state.opened else "")
            link = await self._link(item.cid, recipient, person)
            missed.append(
                Missed(summary=summarise(entries, state), site=site.name if site else "", link=link)
            )
        mark = sha256("/".join(f"{item.cid}:{item.seq}" for item, _, _ in held).encode()).hexdigest()[:16]
        envelope = Envelope(
            sender=self._sender,
            to=person,
            at=self._clock(),
            message_id=message_id(self._domain, "digest", recipient, mark),
            list_name="Chats",
            list_id=f"digest.chat.{self._domain}",
        )
        accent = palette.light()["accent"]
        return compose.digest(envelope, missed, total=len(held), cap=cap, accent=accent)

    async def _link(
        self, cid: ConversationId, recipient: StaffId, person: Person, *, anew: bool = False
    ) -> str:
        """The recipient's link: the one this process mailed before, while it is good."""
        known = self._urls.get((cid, recipient))
        if known is not None and not anew:
            found = await self._links.find(known.rpartition("#")[2])
            if found is not None and self._links.judge(found[1]) == "good":
                return known
        url = await self._links.mint(cid, recipient, name=person.name, email=person.email)
        if len(self._urls) >= MAX_URLS:
            del self._urls[next(iter(self._urls))]
        self._urls[cid, recipient] = url
        return url
