"""Looks on beside the servers: when each entry came into its log, and when the machine stood still."""

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from bridge.errors import StoreError
from bridge.events import ConversationId, Seq
from bridge.store import Store
from tests.harness.history import Down, History, Outage

EVERY = 0.2  # seconds


class Watch:
    def __init__(self, history: History) -> None:
        self._history = history
        self._heads: dict[ConversationId, Seq] = {}

    async def the_logs(self, store: Store, cids: Callable[[], Collection[str]]) -> None:
        """Until cancelled, note between which two looks each entry came."""
        before = datetime.now(UTC)
        while True:
            now = datetime.now(UTC)
            try:
                async with asyncio.timeout(1.0):
                    heads = await store.heads([ConversationId(cid) for cid in cids()])
            except (StoreError, OSError, TimeoutError):
                heads = None
            if heads is not None:
                self._note(heads, before)
                before = now
            await asyncio.sleep(EVERY)

    def _note(self, heads: dict[ConversationId, Seq], before: datetime) -> None:
        """`before`: when the last look began, so that the entry was not there yet when it came back."""
        now = datetime.now(UTC)
        for cid, head in heads.items():
            for seq in range(self._heads.get(cid, 0) + 1, head + 1):
                self._history.seen[cid, seq] = (before, now)
        self._heads |= heads

    async def the_machine(self) -> None:
        """Where everybody waits for a processor, nobody is late. What starves the harness starves the servers."""
        loop, history = asyncio.get_running_loop(), self._history
        while True:
            began = loop.time()
            await asyncio.sleep(0.1)
            late = loop.time() - began - 0.1
            if late > 0.5:
                now = datetime.now(UTC)
                since = now - timedelta(seconds=late)
                history.outages.append(Outage(what="machine", kind="starved", began=since, ended=now))
                history.downs += [Down(server, since, now) for server in range(history.servers)]
