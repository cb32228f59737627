"""What happens in a conversation while the assistant is at work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from bridge import events as ev
from bridge.conversation import Conversation
from bridge.core import Batch, Bridge
from bridge.events import ConversationId, Entry, Seq
from bridge.pulse import Signal, StopWanted
from bridge.wire import DraftEnd

PATIENCE = 5  # a visitor who goes on writing is answered after so many times the quiet


class Watch:
    """`lost`: the assistant may not speak any more. `said`: the newest entry that an answer must cover."""

    def __init__(self, since: Seq) -> None:
        self._since = since
        self._changed = asyncio.Event()
        self._failure: Exception | None = None
        self.lost = False
        self.stop = False
        self.said = Seq(0)

    def verdict(self, seen: Seq) -> DraftEnd | None:
        """Why an answer that was begun at `seen` is void, or None."""
        if self._failure is not None:
            raise self._failure
        if self.lost:
            return "interrupted"
        if self.stop:
            return "stopped"
        return "rerun" if self.said > seen else None

    async def until_void(self, seen: Seq) -> DraftEnd:
        while (why := self.verdict(seen)) is None:
            self._changed.clear()
            await self._changed.wait()
        return why

    async def quiet(self, seconds: float) -> None:
        """Until the visitor has added nothing for `seconds`, so that a burst is one turn."""
        now = asyncio.get_running_loop().time
        last = now() + PATIENCE * seconds
        until = now() + seconds
        while not self.lost and self._failure is None:
            said = self.said
            self._changed.clear()
            try:
                async with asyncio.timeout_at(min(until, last)):
                    await self._changed.wait()
            except TimeoutError:
                return
            if self.said != said:
                until = now() + seconds

    def hear(self, signal: Signal) -> None:
        if isinstance(signal, StopWanted):
            self.stop = True
            self._changed.set()

    def see(self, batch: Batch) -> None:
        floor = batch.state.floor
        self.lost = self.lost or batch.state.closed or floor.since != self._since
        for entry in batch.entries:
            if _matters(entry):
                self.said = entry.seq
        self._changed.set()

    def fail(self, error: Exception) -> None:
        self._failure = error
        self._changed.set()


def _matters(entry: Entry) -> bool:
    match entry.event, entry.by:
        case ((ev.Said() | ev.Edited() | ev.Retracted()), ev.Visitor()) | (ev.Redacted(), _):
            return True
        case ev.Said(), ev.Assistant():  # another process has answered
            return True
        case _:
            return False


@asynccontextmanager
async def watching(bridge: Bridge, cid: ConversationId, state: Conversation) -> AsyncIterator[Watch]:
    """A watch over everything after `state`."""
    watch = Watch(state.floor.since)
    follower = asyncio.create_task(_follow(bridge, cid, state.head, watch))
    try:
        with bridge.pulse.listen(cid, watch.hear):
            yield watch
    finally:
        follower.cancel()
        await asyncio.wait([follower])


async def _follow(bridge: Bridge, cid: ConversationId, after: Seq, watch: Watch) -> None:
    try:
        async with aclosing(bridge.tail(cid, after)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                watch.see(batch)
    except Exception as error:  # noqa: BLE001 - whoever waits for the watch raises it
        watch.fail(error)
