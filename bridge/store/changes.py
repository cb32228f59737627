"""Tells any number of listeners in this process which logs grew."""

from asyncio import Event
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from weakref import WeakSet

from bridge.events import ConversationId, Seq
from bridge.store import Growth

LIMIT = 10_000  # conversations kept for a listener that does not come; the oldest hints are dropped


class Changes:
    """The fan-out. A listener that is no longer referenced is forgotten."""

    def __init__(self) -> None:
        self._feeds: WeakSet[_Feed] = WeakSet()
        self._closed = False

    def listen(self) -> AsyncIterator[Growth]:
        """Everything published from this call on; ends when the store closes."""
        feed = _Feed()
        if self._closed:
            feed.close()
        else:
            self._feeds.add(feed)
        return feed

    def publish(self, growths: Iterable[Growth]) -> None:
        told = list(growths)
        for feed in self._feeds:
            feed.offer(told)

    def close(self) -> None:
        self._closed = True
        for feed in self._feeds:
            feed.close()


class _Feed(AsyncIterator[Growth]):
    """One listener's pending conversations, each once."""

    def __init__(self) -> None:
        self._pending: OrderedDict[ConversationId, Seq] = OrderedDict()
        self._ready = Event()
        self._closed = False

    def offer(self, growths: Iterable[Growth]) -> None:
        for growth in growths:
            self._pending[growth.cid] = growth.head
        while len(self._pending) > LIMIT:
            self._pending.popitem(last=False)
        self._ready.set()

    def close(self) -> None:
        self._closed = True
        self._ready.set()

    async def __anext__(self) -> Growth:
        while not self._pending:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return Growth(*self._pending.popitem(last=False))
