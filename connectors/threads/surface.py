"""A pushed surface made of a chat platform's threads: one thread for each conversation, begun once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
import logging
import secrets
from typing import Literal

from msgspec.structs import replace

from bridge import events as ev
from bridge.conversation import Conversation
from bridge.errors import AnchorLost, StoreError, Undeliverable
from bridge.events import ConversationId, Entry, Seq, Staff, author
from bridge.surface import Anchor, Inlet, Post
from connectors.threads.board import Board, Spot
from connectors.threads.card import Site, card
from connectors.threads.cards import Cards
from connectors.threads.desk import typed_as
from connectors.threads.ledger import Ledger, Placed, Root
from connectors.threads.pace import Urgency
from connectors.threads.shown import Call, Change, Notice, Shown, Speech, reads_now, shown

log = logging.getLogger(__name__)

Mirror = Literal["all", "when_wanted"]

STALE = timedelta(days=1)  # a thread is begun for what happened since; not for an old store's whole past
LOOK = 2.0  # seconds between two looks at the log while words wait
TOGETHER = 20  # entries in one message where a thread is begun late


class Threads:
    """Brings the log to `board`, entry by entry, and no message twice where the platform can tell."""

    def __init__(
        self,
        *,
        name: str,
        board: Board,
        ledger: Ledger,
        cards: Cards,
        inlet: Inlet,
        sites: Mapping[str, Site],
        mirror: Mirror,
        clock: Callable[[], datetime],
    ) -> None:
        self._name = name
        self._board = board
        self._ledger = ledger
        self._cards = cards
        self._inlet = inlet
        self._sites = sites
        self._mirror = mirror
        self._clock = clock
        self._slow: dict[ConversationId, Seq] = {}  # whose words are being posted, and may have to wait

    def grew(self, cid: ConversationId, state: Conversation) -> None:
        """Whoever waits behind words that have time need not wait for long."""
        if cid in self._slow and _is_urgent_after(self._slow[cid], state):
            self._board.hurry(cid)

    async def deliver(self, post: Post) -> Anchor | None:
        root = await self._ledger.root(post.cid)
        if post.anchor is not None and (root is None or root.lost):
            raise AnchorLost
        if root is None or post.anchor != root.anchor:  # not begun, or cut off before the courier heard of it
            if not self._begins(post, root):
                return None
            root = await self._begin(post, root)
        try:
            await self._show(post, root)
        except AnchorLost:
            await self._ledger.lose(post.cid, root.anchor)
            raise
        await self._cards.due(post.cid)
        return root.anchor

    # The beginning

    def _begins(self, post: Post, root: Root | None) -> bool:
        """Whether this entry gives the conversation a thread."""
        if root is not None:
            return True
        if self._clock() - post.entry.at > STALE:
            return False
        if self._mirror == "when_wanted":
            return post.latest.help is not None or isinstance(post.latest.floor.holder, Staff)
        return isinstance(post.entry.event, ev.Said | ev.HelpWanted | ev.TookOver)

    async def _begin(self, post: Post, root: Root | None) -> Root:
        """The conversation's thread, with everything before `post.entry`; goes on where it was cut off."""
        cid = post.cid
        before = await self._entries(cid, upto=post.entry.seq)
        anchor = Anchor("")
        if root is None or root.lost:
            root = self._new_root(before)
            await self._ledger.begin_root(cid, root)
        elif not root.anchor:
            found = await self._board.find_thread(cid, mark=root.mark, since=root.began_at)
            anchor = found or anchor
        else:
            anchor = root.anchor
        drawn = card(post.latest, root.words, sites=self._sites)
        fresh = not anchor
        if fresh:
            anchor = await self._board.begin(cid, drawn, mark=root.mark)
        root = replace(root, anchor=anchor)
        await self._ledger.change_root(cid, root.mark, lambda r: replace(r, anchor=anchor))
        try:
            if not fresh:
                await self._board.draw(anchor, drawn)
            self._cards.drew(cid, drawn)
            await self._backfill(cid, root, before[:-1], post)
        except AnchorLost:
            await self._ledger.lose(cid, anchor)
            raise
        return root

    def _new_root(self, before: Sequence[Entry]) -> Root:
        said = (e for e in before if isinstance(e.event, ev.Said) and isinstance(e.by, ev.Visitor))
        first = next(said, None)
        return Root(
            mark=secrets.token_hex(8),
            words_seq=first.seq if first else Seq(0),
            words=_words(before, first.seq) if first else "",
            began_at=self._clock(),
        )

    async def _backfill(self, cid: ConversationId, root: Root, before: Sequence[Entry], post: Post) -> None:
        now = reads_now(before, post.latest, surface=self._name)
        here = {e.seq for e in before if await self._stands(e, root)}
        group: list[tuple[Seq, Shown]] = []
        for seq, each in now.items():
            if seq == root.words_seq or seq in here:
                continue
            seen = Notice(text=each.text) if isinstance(each, Call) else each  # whoever is on duty heard it
            placed = await self._placed(cid, root.anchor, seq)
            if placed is None and len(group) < TOGETHER:
                group.append((seq, seen))
                continue
            await self._recall(cid, root, group)
            group = [(seq, seen)] if placed is None else []
            if placed is not None and placed.group[0] == seq:  # it may have been cut off
                await self._recall(cid, root, [(s, now[s]) for s in placed.group if s in now])
        await self._recall(cid, root, group)

    async def _recall(self, cid: ConversationId, root: Root, group: Sequence[tuple[Seq, Shown]]) -> None:
        """Place what is past; what cannot be shown keeps nothing else from being."""
        try:
            if group:
                await self._place(cid, root.anchor, group, since=root.began_at)
        except Undeliverable as verdict:
            if len(group) == 1:
                log.warning("%s: entry %s of %s: %s", self._name, group[0][0], cid, verdict.reason)
                return
            for one in group:
                await self._recall(cid, root, [one])

    # One entry

    async def _show(self, post: Post, root: Root) -> None:
        cid, entry = post.cid, post.entry
        seen = shown(entry, post.latest, surface=self._name)
        if seen is None or entry.seq == root.words_seq:
            return
        if isinstance(seen, Change):
            await self._change(post, root, seen.target)
            return
        if isinstance(seen, Speech) and await self._stands(entry, root):
            return
        placed = await self._placed(cid, root.anchor, entry.seq)
        if placed is not None and placed.group[0] != entry.seq:
            if not placed.sending:
                return  # it shows together with an earlier one
            group = [(entry.seq, seen)]  # that one was given up
        elif placed is not None:
            group = await self._group(cid, placed.group, post)
        else:
            company = [] if isinstance(seen, Call) else await self._company(post, root)
            group = [(entry.seq, seen), *company]
        await self._place(cid, root.anchor, group, since=entry.at, came=entry.at)

    async def _stands(self, entry: Entry, root: Root) -> bool:
        """Whether a member typed it in this very thread, where it stands already; not in an earlier one."""
        ref = typed_as(entry, self._name)
        return ref is not None and await self._ledger.typed_in(ref) == root.anchor

    async def _company(self, post: Post, root: Root) -> list[tuple[Seq, Shown]]:
        """What follows the entry and may share its message, where the platform cannot keep up."""
        most = self._board.most_together
        found: list[tuple[Seq, Shown]] = []
        if most <= 1:
            return found
        for entry in await self._inlet.read(post.cid, after=post.entry.seq, limit=most - 1):
            seen = shown(entry, post.latest, surface=self._name)
            if isinstance(seen, Change | Call) or typed_as(entry, self._name):
                break
            if seen is not None and entry.seq != root.words_seq:
                found.append((entry.seq, seen))
        return found

    async def _group(self, cid: ConversationId, group: Sequence[Seq], post: Post) -> list[tuple[Seq, Shown]]:
        """How the entries of `group` read, as far as the log has been shown."""
        upto = max(post.entry.seq, group[-1])
        entries = [e for e in await self._entries(cid, upto=upto) if e.seq >= group[0]]
        now = reads_now(entries, post.latest, surface=self._name)
        return [(seq, now[seq]) for seq in group if seq in now]

    async def _place(
        self,
        cid: ConversationId,
        anchor: Anchor,
        group: Sequence[tuple[Seq, Shown]],
        *,
        since: datetime,
        came: datetime | None = None,
    ) -> None:
        """Show `group`, as far as it does not show already; `came`: when its first entry did, if known."""
        first = group[0][0]
        pieces = self._board.pieces([seen for _, seen in group])
        seqs = tuple(seq for seq, _ in group)
        at = came or await self._came(cid, first)
        placed = await self._ledger.placed(cid, anchor, first)
        if placed is None or placed.group != seqs or placed.at != at:
            placed = Placed(group=seqs, at=at)
        async with self._urgency(cid, group) as urgency:
            for part in range(len(placed.messages), len(pieces)):
                spot = Spot(cid=cid, anchor=anchor, seq=first, part=part)
                message = None
                if placed.sending:
                    message = await self._board.find(spot, since=since)
                else:
                    placed = replace(placed, sending=True)
                    await self._ledger.place(cid, anchor, placed)
                if message is None:
                    message = await self._board.post(spot, pieces[part], urgency=urgency)
                placed = replace(placed, messages=(*placed.messages, message), sending=False)
                await self._ledger.place(cid, anchor, placed)

    @asynccontextmanager
    async def _urgency(
        self, cid: ConversationId, group: Sequence[tuple[Seq, Shown]]
    ) -> AsyncIterator[Urgency]:
        """Words that have time are urgent all the same where something urgent comes after them: when they
        are posted, or as `grew` hears while they wait.
        """
        last = group[-1][0]
        if not all(_has_time(seen) for _, seen in group):
            yield Urgency.CONTROL
            return
        self._slow[cid] = last
        looking = asyncio.create_task(self._look(cid))
        try:
            urgent = _is_urgent_after(last, await self._inlet.state(cid))
            yield Urgency.CONTROL if urgent else Urgency.WORDS
        finally:
            looking.cancel()
            self._slow.pop(cid, None)

    async def _look(self, cid: ConversationId) -> None:
        """Look at the log from time to time: nobody tells what another server has appended."""
        while True:
            await asyncio.sleep(LOOK)
            with suppress(StoreError, OSError):
                await self._inlet.state(cid)

    async def _placed(self, cid: ConversationId, anchor: Anchor, seq: Seq) -> Placed | None:
        """Where the entry shows, or was about to; not where one shows that the store has lost."""
        placed = await self._ledger.placed(cid, anchor, seq)
        if placed is None or placed.at != await self._came(cid, placed.group[0]):
            return None
        return placed

    async def _came(self, cid: ConversationId, seq: Seq) -> datetime | None:
        entries = await self._inlet.read(cid, after=seq - 1, limit=1)
        return entries[0].at if entries else None

    async def _change(self, post: Post, root: Root, target: Seq) -> None:
        cid, anchor = post.cid, root.anchor
        if target == root.words_seq:
            entries = await self._entries(cid, upto=post.entry.seq)
            words = _words(entries, target)
            await self._ledger.change_root(cid, root.mark, lambda r: replace(r, words=words))
            return
        placed = await self._placed(cid, anchor, target)
        if placed is None:
            if typed_as(post.entry, self._name) is None:  # else only their author can change them there
                anew = [(post.entry.seq, seen) for _, seen in await self._group(cid, (target,), post)]
                if anew:
                    await self._place(cid, anchor, anew, since=post.entry.at)
            return
        group = await self._group(cid, placed.group if placed.messages else (target,), post)
        pieces = self._board.pieces([seen for _, seen in group])
        for part, message in enumerate(placed.messages):
            await self._board.change(anchor, message, pieces[part] if part < len(pieces) else None)
        if len(pieces) < len(placed.messages):  # what comes back one day is shown anew
            await self._ledger.place(cid, anchor, replace(placed, messages=placed.messages[: len(pieces)]))
        elif len(pieces) > len(placed.messages):
            await self._place(cid, anchor, group, since=post.entry.at)

    async def _entries(self, cid: ConversationId, *, upto: Seq) -> list[Entry]:
        found: list[Entry] = []
        while chunk := await self._inlet.read(cid, after=len(found)):
            found += chunk
            if found[-1].seq >= upto:
                break
        return found[:upto]


def _words(entries: Sequence[Entry], seq: Seq) -> str:
    """How the visitor's words at `seq` read after `entries`."""
    words = ""
    for entry in entries:
        match entry.event:
            case ev.Said(text=text) if entry.seq == seq:
                words = text
            case ev.Edited(target=target, text=text) if target == seq:
                words = text
            case ev.Retracted(target=target) | ev.Redacted(target=target) if target == seq:
                words = ""
            case _:
                pass
    return words


def _has_time(seen: Shown) -> bool:
    """Words of the team's own side; what the visitor says and who answers have none."""
    return isinstance(seen, Speech) and seen.role != "visitor"


def _is_urgent_after(seq: Seq, state: Conversation) -> bool:
    """Whether something in the log after `seq` has no time."""
    spoken = (state.words.get(Seq(s)) for s in range(seq + 1, state.head + 1))
    by_visitor = any(w is not None and w.author == author(ev.Visitor()) for w in spoken)
    called = state.help is not None and state.help.told > seq
    return by_visitor or called or state.closed or state.floor.since > seq
