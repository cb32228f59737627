"""What processes call out to each other over Pub/Sub: logs that grew, and what is told. Heard or not: hints.

In a Cluster each bucket has a channel of its own, in its slot (sharded Pub/Sub); else there is one for all.
A message is MessagePack: the sender, "grew" or "told", and a list.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
import logging
from typing import Any

from msgspec import MsgspecError, msgpack
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError  # noqa: A004 - the client's own

from bridge.errors import StoreError
from bridge.store.redis import layout
from bridge.store.redis.clients import ERRORS, TIMEOUT, store_error
from bridge.store.redis.link import Command, Link

SILENCE = 10.0  # seconds until a silent connection is asked whether it lives
AGAIN = 0.5  # seconds until a lost one is opened again

Hear = Callable[[str, list[Any]], None]

log = logging.getLogger(__name__)
_decoder = msgpack.Decoder(tuple[str, str, list[Any]])


class Wakes:
    """`hear` is called with kind and list of whatever another process calls out."""

    def __init__(self, link: Link, *, sender: str, db: int, buckets: int, hear: Hear) -> None:
        self._link = link
        self.sender = sender
        self._db = db  # Pub/Sub knows no databases
        self._buckets = buckets
        self._hear = hear
        self._pubsub: PubSub | None = None
        self._listening: asyncio.Task[None] | None = None
        self.verb = "SPUBLISH" if self._link.spread else "PUBLISH"

    def channel(self, bucket: int) -> str:
        return layout.key(bucket, "wakes") if self._link.spread else f"joinline:wakes@{self._db}"

    def call_out(self, channel: str, kind: str, said: list[Any]) -> Command:
        """The command that tells the others."""
        return (self.verb, channel, msgpack.encode((self.sender, kind, said)))

    async def listeners(self) -> int:
        """How many processes listen, this one among them."""
        if isinstance(self._link.client, Redis):
            ((_, count),) = await self._link.client.pubsub_numsub(self.channel(0))
        else:
            node = self._link.client.get_node_from_key(self.channel(0))
            ((_, count),) = await self._link.client.pubsub_shardnumsub(self.channel(0), target_nodes=node)
        return int(count)

    async def start(self) -> None:
        """Listen from now on, until `close`."""
        try:
            sources = await self._subscribe()
        except ERRORS as error:
            raise store_error(self._link.where, error) from error
        self._listening = asyncio.create_task(self._listen(sources))

    async def close(self) -> None:
        if self._listening is not None:
            await _end([self._listening])
        await self._leave()

    async def _subscribe(self) -> list[PubSub]:
        """A connection to each server that has channels, every subscription confirmed."""
        pubsub = self._pubsub = self._link.client.pubsub()
        if not self._link.spread:
            await pubsub.subscribe(self.channel(0))
            sources = [pubsub]
        else:
            channels = [self.channel(bucket) for bucket in range(self._buckets)]
            await self._link.commands([("EXISTS", channel) for channel in channels])  # learns where they are
            await pubsub.ssubscribe(*channels)
            sources = list(pubsub.node_pubsub_mapping.values())  # type: ignore[attr-defined]
        async with asyncio.timeout(TIMEOUT):
            for source in sources:
                for _ in source.channels or source.shard_channels:
                    await source.get_message(timeout=None)
        return sources

    async def _leave(self) -> None:
        if self._pubsub is not None:
            with suppress(Exception):  # it is not needed any more, in whatever state it is
                await self._pubsub.aclose()  # type: ignore[no-untyped-call]
            self._pubsub = None

    async def _listen(self, sources: list[PubSub]) -> None:
        while True:
            following = [asyncio.create_task(self._follow(source)) for source in sources]
            try:
                await asyncio.wait(following, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _end(following)
            reasons = [str(task.exception()) for task in following if not task.cancelled()]
            log.warning("lost the connection for wake-ups: %s", "; ".join(reasons))
            sources = await self._come_back()

    async def _come_back(self) -> list[PubSub]:
        while True:
            await self._leave()
            await asyncio.sleep(AGAIN)
            try:
                return await self._subscribe()
            except (StoreError, TimeoutError, *ERRORS) as trouble:
                log.debug("no wake-ups yet: %s", trouble)
            except Exception:  # whatever the client stumbled over: it begins anew
                log.exception("no wake-ups yet")

    async def _follow(self, source: PubSub) -> None:
        asked = False
        while True:
            message = await source.get_message(timeout=SILENCE)
            if message is None:
                if asked:
                    raise ConnectionError("no answer for wake-ups")
                await source.ping()
            asked = message is None
            if message is None:
                continue
            match message["type"]:
                case "message" | "smessage":
                    self._take(message["data"])
                case "sunsubscribe":
                    raise ConnectionError("a bucket has moved")
                case _:
                    pass

    def _take(self, data: bytes) -> None:
        try:
            sender, kind, said = _decoder.decode(data)
        except MsgspecError:  # of another program, or of a later version
            return
        if sender != self.sender:
            self._hear(kind, said)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel until it is heard: before Python 3.12, `wait_for` in the client may overhear it."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=1.0)
    await asyncio.gather(*tasks, return_exceptions=True)  # whatever they ended with is known
