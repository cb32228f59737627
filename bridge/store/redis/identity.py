"""Which incarnation of the store this is, and how one that forgot something gets a new name.

The log id stands in the store's own `meta` and in each bucket. Each bucket counts its appends, and each
process remembers the highest count that it has seen of each, and of each conversation the last entry. A
bucket without the log id was emptied; one whose count is lower than a process remembers lost appends, as
in a failover; and so did a log that has another entry, or none, where a process has seen one. Each time
the whole store gets a new log id, and with it every client starts anew. What nobody who is alive has seen
is not missed: a store that went back while no process was running is found out only by a client that
remembers an entry which its log does not have.
"""

import asyncio
import logging
from typing import cast
from uuid import uuid4

from bridge.errors import StoreError, WentBack
from bridge.store.redis import layout
from bridge.store.redis.link import Link
from bridge.store.redis.scripts import IDENTITY, TOLD
from bridge.store.redis.seen import Seen

log = logging.getLogger(__name__)

BACK = ("OTHERLOG", "WENTBACK")  # how scripts say that a bucket is not what this process knows


class Identity:
    """What was `seen` of the present incarnation; each has its own."""

    def __init__(self, link: Link) -> None:
        self.buckets = layout.BUCKETS
        self.seen = Seen("", 0)
        self._link = link
        self._asking = asyncio.Lock()

    @property
    def log_id(self) -> str:
        return self.seen.log_id

    async def find(self) -> None:
        """Learn the log id; make one where there is none, or where a bucket lost it."""
        told = await self._ask(instead_of="")
        logs = await self._logs()
        if told and not all(logs):
            log.warning("a part of the store is empty that was not: it gets a new log id")
            await self._ask(instead_of=self.log_id)
            logs = await self._logs()
        if not told or set(logs) != {self.log_id}:
            await self._tell_buckets()

    async def went_back(self, log_id: str, what: str) -> WentBack:
        """What to raise when a script that was sent with `log_id` says `what`; there is a new log id then."""
        async with self._asking:
            if self.log_id == log_id:
                found = self.log_id
                told = await self._ask(instead_of="")
                if self.log_id == found and told and (what.startswith("WENTBACK") or what.endswith("none")):
                    await self._ask(instead_of=found)
                    told = False
                if not told or self.log_id == found:
                    await self._tell_buckets()
                log.warning("the store is not what it was (%s): its log id is %s now", what, self.log_id)
        return self.lost()

    def lost(self) -> WentBack:
        return WentBack(
            f"{self._link.where}: the store was emptied, replaced or went back to an earlier state: "
            "what it still has is served under a new log id"
        )

    async def _ask(self, *, instead_of: str) -> bool:
        """Read the store's own meta, made where there is none; answers whether every bucket was told."""
        answer = await self._link.command(
            "EVAL", IDENTITY.text, 1, layout.META, instead_of, uuid4().hex, layout.BUCKETS, layout.VERSION
        )
        name, buckets, version, told = cast("list[bytes | None]", answer)
        if int(version or 0) > layout.VERSION:
            raise StoreError(
                f"{self._link.where}: its data has version {version!r}, this program knows up to "
                f"{layout.VERSION}: use the newer program"
            )
        self.buckets, log_id = int(buckets or 0), (name or b"").decode()
        if log_id != self.log_id:
            self.seen = Seen(log_id, self.buckets)
        return told == b"1"

    async def _logs(self) -> list[str]:
        keys = [layout.key(bucket, "meta") for bucket in range(self.buckets)]
        return [
            (x or b"").decode() for x in await self._link.commands([("HGET", key, "log") for key in keys])
        ]

    async def _tell_buckets(self) -> None:
        keys = [layout.key(bucket, "meta") for bucket in range(self.buckets)]
        await self._link.commands([("HSET", key, "log", self.log_id) for key in keys])
        await self._link.command("EVAL", TOLD.text, 1, layout.META, self.log_id)
