"""The Store protocol over Redis."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any, Self
from uuid import uuid4

from bridge.errors import LeaseLost
from bridge.events import ConversationId, Entry, Seq
from bridge.store import FORGOTTEN, Cursor, Growth, Record, Standing, is_duty_of
from bridge.store.address import Address
from bridge.store.changes import Changes
from bridge.store.codec import decode_entries, encode_entries, microseconds
from bridge.store.redis import layout, scripts
from bridge.store.redis.appends import Append, Appender
from bridge.store.redis.batches import Batches
from bridge.store.redis.buckets import Ask, Buckets
from bridge.store.redis.guard import look_at_all
from bridge.store.redis.identity import Identity
from bridge.store.redis.link import Arg, Link
from bridge.store.redis.scripts import Script
from bridge.store.redis.wakes import Wakes
from bridge.store.told import Told

PURGED_AT_ONCE = 1_000
SCANNED_AT_ONCE = 1_000


class RedisStore:
    """See `Store`. Any number of processes may have it open."""

    def __init__(self, link: Link, identity: Identity, *, db: int, replicas: int, wait: float) -> None:
        self.alone = False
        self._link = link
        self._identity = identity
        self._buckets = Buckets(link, identity, replicas=replicas, wait=wait)
        self._changes = Changes()
        self._told = Told()
        self._wakes = Wakes(link, sender=uuid4().hex, db=db, buckets=identity.buckets, hear=self._hear)
        appender = Appender(self._buckets, identity, self._wakes, grown=self._grew)
        lanes = identity.buckets if link.spread else 1  # what one server cannot take now delays no other
        self._appends = [Batches[Append, None](appender.append_all) for _ in range(lanes)]
        self._tells = Batches[tuple[str, bytes], None](self._tell_all)

    @classmethod
    async def open(cls, address: Address, *, replicas: int = 0, wait: float = 1.0) -> Self:
        """Connect, and refuse a Redis that is not safe; a new one gets its log id."""
        link = Link(address)
        try:
            await look_at_all(link.client, link.where)
            identity = Identity(link)
            await identity.find()
            store = cls(link, identity, db=address.db, replicas=replicas, wait=wait)
            await store._wakes.start()
        except BaseException:
            await link.close()
            raise
        return store

    @property
    def log_id(self) -> str:
        return self._identity.log_id

    # The log

    async def append(
        self, cid: ConversationId, entries: Sequence[Entry], *, after: Seq, due: datetime | None
    ) -> None:
        bodies = encode_entries(entries, after=after)
        bucket = self._buckets.of(cid)  # what is no Unicode fails alone
        self._buckets.check_open()
        seen, mark = self._identity.seen, layout.mark()
        marked = [mark + body for body in bodies]
        append = Append(
            cid=cid, bucket=bucket, after=after, entries=marked, due=layout.micros(due), seen=seen
        )
        await self._appends[bucket % len(self._appends)].ask(append)

    async def confirm(self, cid: ConversationId) -> None:
        await self._buckets.run(scripts.CONFIRM, cid, (), cid=cid, confirmed=True)

    async def read(self, cid: ConversationId, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        if limit < 1:
            return []
        after, seen = max(after, 0), self._identity.seen
        stored = await self._buckets.run(scripts.READ, cid, (), after, limit, cid=cid)
        if stored:
            seen.stood(cid, after + len(stored), stored[-1][layout.ARRIVAL :])
        return decode_entries(b"[%b]" % b",".join(e[layout.ARRIVAL + layout.MARK :] for e in stored))

    async def heads(self, cids: Collection[ConversationId]) -> dict[ConversationId, Seq]:
        groups = self._buckets.by_bucket(cids)
        asks = {bucket: Ask(cids=group) for bucket, group in groups.items()}
        answers = await self._buckets.run_all(scripts.HEADS, asks)
        if not asks:  # who asks for nothing asks whether it is there
            await self._buckets.commands([("EXISTS", layout.META)])
        found: dict[ConversationId, Seq] = {}
        for group, heads in zip(groups.values(), answers, strict=True):
            found.update((cid, Seq(head)) for cid, head in zip(group, heads, strict=True) if head)
        return found

    def known_head(self, cid: ConversationId) -> Seq | None:  # noqa: ARG002 - whichever it is
        """Another process may have appended at any moment."""
        return None

    def changes(self) -> AsyncIterator[Growth]:
        return self._changes.listen()

    def _grew(self, appends: Sequence[Append]) -> None:
        self._changes.publish([Growth(a.cid, Seq(a.after + len(a.entries))) for a in appends])

    def _hear(self, kind: str, said: list[Any]) -> None:
        pairs = zip(said[::2], said[1::2], strict=False)
        match kind:
            case "grew":
                self._changes.publish(Growth(cid, head) for cid, head in pairs)
            case "told":
                for topic, message in pairs:
                    if isinstance(topic, str) and isinstance(message, bytes):
                        self._told.publish(topic, message)

    # The clock

    async def due(self, now: datetime, *, limit: int = 100) -> list[ConversationId]:
        return await self._buckets.first(scripts.DUE, ["due"], microseconds(now), limit=limit)

    async def arm(self, cid: ConversationId, due: datetime | None, *, head: Seq) -> None:
        await self._buckets.run(scripts.ARM, cid, ["due"], cid, layout.micros(due), head, cid=cid)

    # Pushed surfaces

    async def cursor(self, surface: str, cid: ConversationId) -> Cursor:
        key = layout.key(self._buckets.of(cid), f"cursor:{surface}")
        (stored,) = await self._buckets.commands([("HGET", key, cid)])
        return layout.cursor(stored or b"0")

    async def advance(
        self,
        surface: str,
        cid: ConversationId,
        *,
        position: Seq,
        anchor: str | None = None,
        lease: tuple[str, int] | None = None,
    ) -> None:
        duty, fence = lease or ("", "")
        if lease and not is_duty_of(duty, cid):
            raise ValueError(f"{duty} is no duty of conversation {cid}")
        anchored = "" if anchor is None else f":{anchor}"
        kept = [f"{name}:{surface}" for name in ("behind", "cursor", "anchor")]
        keys = ["logs", "surfaces", *kept, f"lease:{duty}"]
        args = (surface, cid, position, anchored, duty, fence)
        if not await self._buckets.run(scripts.ADVANCE, cid, keys, *args, cid=cid):
            raise LeaseLost(f"{duty}: fence {fence} holds no longer")

    async def behind(self, surface: str, *, limit: int = 100) -> list[ConversationId]:
        keys = ["logs", "surfaces", f"behind:{surface}"]
        return await self._buckets.first(scripts.BEHIND, keys, surface, limit=limit)

    async def find_anchor(self, surface: str, anchor: str) -> ConversationId | None:
        keys = [layout.key(bucket, f"anchor:{surface}") for bucket in self._buckets.all()]
        found = await self._buckets.commands([("HGET", key, anchor) for key in keys])
        return next((ConversationId(cid.decode()) for cid in found if cid is not None), None)

    # Between processes

    async def lease(self, duty: str, *, owner: str, lives: float) -> int | None:
        args = (owner, int(lives * 1_000_000), int((lives + FORGOTTEN) * 1000))
        fence = await self._buckets.run(scripts.LEASE, layout.home(duty), [f"lease:{duty}"], *args)
        return None if fence is None else int(fence)

    async def release(self, duty: str, *, owner: str) -> None:
        await self._buckets.run(scripts.RELEASE, layout.home(duty), [f"lease:{duty}"], owner)

    async def tell(self, topic: str, message: bytes) -> None:
        self._buckets.check_open()
        await self._tells.ask((topic, message))

    async def _tell_all(self, tells: Sequence[tuple[str, bytes]]) -> list[Exception | None]:
        said: dict[str, list[Any]] = {}
        for topic, message in tells:
            channel = self._wakes.channel(self._buckets.of(layout.home(topic)))
            said.setdefault(channel, []).extend((topic, message))
        await self._link.hint([self._wakes.call_out(channel, "told", some) for channel, some in said.items()])
        return [None] * len(tells)

    def told(self) -> AsyncIterator[tuple[str, bytes]]:
        return self._told.listen()

    # Records

    async def put(
        self, space: str, key: str, value: bytes, *, expires_at: datetime | None = None, new: bool = False
    ) -> bool:
        record = layout.pack([Record(key=key, value=value, expires_at=expires_at)])
        return bool(await self._change(scripts.PUT, space, space, int(new), *record))

    async def put_all(self, space: str, batch: Sequence[Record]) -> None:
        await self._change(scripts.PUT, space, space, 0, *layout.pack(batch))

    async def add(self, space: str, key: str, amount: int, *, expires_at: datetime | None = None) -> int:
        record = layout.pack([Record(key=key, value=b"", expires_at=expires_at)])
        return int(await self._change(scripts.ADD, space, space, amount, *record))

    async def delete(self, space: str, key: str) -> None:
        await self._change(scripts.DELETE, space, key)

    async def _change(self, script: Script, space: str, *args: Arg) -> Any:  # noqa: ANN401 - what it answers
        return await self._buckets.run(script, space, layout.space_keys(space), *args, confirmed=True)

    async def get(self, space: str, key: str, *, now: datetime | None = None) -> bytes | None:
        values = layout.key(self._buckets.of(space), f"values:{space}")
        (stored,) = await self._buckets.commands([("HGET", values, key)])
        if stored is None:
            return None
        record = layout.unpack(key, stored)
        expired = now is not None and record.expires_at is not None and record.expires_at <= now
        return None if expired else record.value

    async def scan(self, space: str, prefix: str = "") -> list[Record]:
        found: list[Record] = []
        keys = layout.space_keys(space)[:2]
        start, end = layout.lex_range(prefix)
        while True:
            some = await self._buckets.run(scripts.SCAN, space, keys, start, end, SCANNED_AT_ONCE)
            found += [layout.unpack(k.decode(), v) for k, v in zip(some[::2], some[1::2], strict=True)]
            if len(some) < 2 * SCANNED_AT_ONCE:
                return found
            start = f"({found[-1].key}"

    async def purge(self, now: datetime) -> int:
        purged = 0
        for space in await self.spaces():
            count, keys = PURGED_AT_ONCE, layout.space_keys(space)[:3]
            while count == PURGED_AT_ONCE:
                count = await self._buckets.run(scripts.PURGE, space, keys, microseconds(now), PURGED_AT_ONCE)
                purged += count
        return purged

    # Everything, to move a store

    async def conversations(self) -> AsyncIterator[list[ConversationId]]:
        for bucket in self._buckets.all():
            (cids,) = await self._buckets.commands([("ZRANGE", layout.key(bucket, "logs"), 0, -1)])
            yield [ConversationId(cid.decode()) for cid in cids]

    async def standings(self, cids: Collection[ConversationId]) -> dict[ConversationId, Standing]:
        surfaces = await self._buckets.members("surfaces")
        answers = await self._buckets.commands(
            [
                (verb, layout.key(self._buckets.of(cid), name), *which)
                for cid in cids
                for verb, name, *which in (
                    ("LLEN", f"log:{cid}"),
                    ("ZSCORE", "due", cid),
                    *(("HGET", f"cursor:{surface}", cid) for surface in surfaces),
                )
            ]
        )
        each = zip(*[iter(answers)] * (2 + len(surfaces)), strict=True)
        return {cid: layout.standing(surfaces, *one) for cid, one in zip(cids, each, strict=True)}

    async def spaces(self) -> list[str]:
        spaces = await self._buckets.members("spaces")
        keys = [layout.key(self._buckets.of(space), f"values:{space}") for space in spaces]
        held = await self._buckets.commands([("EXISTS", key) for key in keys])
        return [space for space, there in zip(spaces, held, strict=True) if there]

    async def others(self) -> int:
        self._buckets.check_open()
        return await self._wakes.listeners() - 1

    async def close(self) -> None:
        if self._buckets.closed:
            return
        self._buckets.closed = True
        for appends in self._appends:
            await appends.finish()
        await self._tells.finish()
        await self._wakes.close()
        await self._link.close()
        self._changes.close()
        self._told.close()
