"""Keeps the status cards true: each is drawn anew when its conversation moves, but not all the time."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
import logging

from bridge.errors import AnchorLost, Retry, Undeliverable
from bridge.events import ConversationId
from bridge.surface import Inlet
from connectors.threads.board import Board
from connectors.threads.card import Card, Site, card, elapsed
from connectors.threads.ledger import Ledger

log = logging.getLogger(__name__)

EVERY = 3.0  # seconds between two drawings of one card
WAITING = 60.0  # seconds until a card that tells a wait is drawn again
SLOWER = 10  # and, after a long wait, this part of it
REMEMBERED = 5_000


class Cards:
    def __init__(
        self,
        *,
        board: Board,
        ledger: Ledger,
        inlet: Inlet,
        sites: Mapping[str, Site],
        clock: Callable[[], datetime],
        every: float = EVERY,
    ) -> None:
        self._board = board
        self._ledger = ledger
        self._inlet = inlet
        self._sites = sites
        self._clock = clock
        self._every = every
        self._due: dict[ConversationId, float] = {}  # when, by the loop's clock
        self._kept: set[ConversationId] = set()  # due, and remembered so
        self._drawing: set[ConversationId] = set()
        self._drawn: dict[ConversationId, tuple[float, object]] = {}  # when, and what it looked like
        self._more = asyncio.Event()

    async def due(self, cid: ConversationId) -> None:
        """The card may have changed. Remembered over a crash."""
        self._plan(cid, 0.0)  # at once: whoever is drawing it now must not forget it
        if cid not in self._kept:
            await self._ledger.card_due(cid)
            self._kept.add(cid)

    def drew(self, cid: ConversationId, drawn: Card) -> None:
        """The card shows `drawn`, for it was made just now."""
        self._remember(cid, self._look(drawn))

    def _plan(self, cid: ConversationId, after: float) -> None:
        now = asyncio.get_running_loop().time()
        last, _ = self._drawn.get(cid, (-self._every, None))
        when = max(now + after, last + self._every)
        self._due[cid] = min(when, self._due.get(cid, when))
        self._more.set()

    async def _done(self, cid: ConversationId) -> None:
        self._kept.discard(cid)
        await self._ledger.card_done(cid)

    async def run(self) -> None:
        """Draw what is due until cancelled."""
        self._drawing.clear()
        self._kept.clear()
        for cid in await self._ledger.cards_due():
            self._plan(cid, 0.0)
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                self._more.clear()
                ready = [c for c, at in self._due.items() if at <= loop.time() and c not in self._drawing]
                for cid in ready:
                    del self._due[cid]
                    self._drawing.add(cid)
                    group.create_task(self._draw(cid))
                waits = [at - loop.time() for c, at in self._due.items() if c not in self._drawing]
                with suppress(TimeoutError):
                    # not wait_for: on Python 3.11 it may swallow a cancellation that comes with the event
                    async with asyncio.timeout(min(waits) if waits else None):
                        await self._more.wait()

    async def adopt(self) -> None:
        """Until cancelled, draw what other processes owe, which may be dead; one process does so."""
        while True:
            await asyncio.sleep(WAITING)
            for cid in await self._ledger.cards_due():
                if cid not in self._due and cid not in self._drawing:
                    self._plan(cid, 0.0)

    async def _draw(self, cid: ConversationId) -> None:
        try:
            await self._try(cid)
        except Retry as trouble:
            after = max(trouble.after, self._every)
            self._remember(cid, None, after=after - self._every)  # what becomes due meanwhile waits too
            self._plan(cid, after)
        except Exception:  # the store's trouble or a fault: this card is tried again, the others go on
            log.exception("trouble with the card of %s", cid)
            self._plan(cid, WAITING)
        finally:
            self._drawing.discard(cid)
            self._more.set()

    async def _try(self, cid: ConversationId) -> None:
        root = await self._ledger.root(cid)
        if root is None or root.lost or not root.anchor:
            await self._done(cid)
            return
        state = await self._inlet.state(cid)
        now = card(state, root.words, sites=self._sites)
        look: object = self._look(now)
        if self._drawn.get(cid, (0.0, None))[1] != look:
            try:
                await self._board.draw(root.anchor, now)
            except AnchorLost:
                await self._ledger.lose(cid, root.anchor)
                await self._done(cid)
                return
            except Undeliverable as verdict:
                log.warning("the card of %s cannot be drawn: %s", cid, verdict.reason)
                look = None
            self._remember(cid, look)
        if now.waiting_since is not None:
            waited = (self._clock() - now.waiting_since).total_seconds()
            self._plan(cid, max(WAITING, waited / SLOWER))
        elif cid not in self._due:
            await self._done(cid)

    def _look(self, now: Card) -> object:
        """Equal for cards that look the same; a wait looks different each minute."""
        wait = elapsed(now.waiting_since, self._clock()) if now.waiting_since else ""
        return (now, wait)

    def _remember(self, cid: ConversationId, look: object, *, after: float = 0.0) -> None:
        """The card looks like `look`, and rests as if it were drawn `after` seconds from now."""
        self._drawn.pop(cid, None)
        self._drawn[cid] = (asyncio.get_running_loop().time() + after, look)
        if len(self._drawn) > REMEMBERED:
            self._drawn.pop(next(iter(self._drawn)))
