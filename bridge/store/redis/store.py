"""The Store protocol over Redis."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any, Self, cast
from uuid import uuid4

from bridge.errors import LeaseLost, StoreError
from bridge.events import ConversationId, Entry, Seq
from bridge.store import FORGOTTEN, Cursor, Growth, Record, Standing, duty_of, is_duty_of
from bridge.store.address import Address
from bridge.store.changes import Changes
from bridge.store.codec import decode_entries, encode_entries, microseconds
from bridge.store.redis import layout, scripts
from bridge.store.redis.appends import Append, Appender, unconfirmed
from bridge.store.redis.batches import Batches
from bridge.store.redis.clients import store_error
from bridge.store.redis.guard import inspect
from bridge.store.redis.identity import BACK, Identity
from bridge.store.redis.link import Arg, Call, Command, Link
from bridge.store.redis.scripts import Script
from bridge.store.redis.wakes import Wakes
from bridge.store.told import Told

PURGED_AT_ONCE = 1_000
SCANNED_AT_ONCE = 1_000


class RedisStore:
    """See `Store`. Any number of processes may have it open."""

    def __init__(self, link: Link, identity: Identity, *, db: int, replicas: int, wait: float) -> None:
        sender = uuid4().hex
        self.alone = False
        self._link = link
        self._identity = identity
        self._sender, self._replicas, self._wait = sender, replicas, wait
        self._changes = Changes()
        self._told = Told()
        self._wakes = Wakes(link, sender=sender, db=db, buckets=identity.buckets, hear=self._hear)
        self._appends: Batches[Append, None] = Batches(
            Appender(
                link, identity, self._wakes, sender=sender, replicas=replicas, wait=wait, grown=self._grew
            ).append_all
        )
        self._tells: Batches[Command, None] = Batches(self._tell_all)
        self._closed = False

    @classmethod
    async def open(cls, address: Address, *, replicas: int = 0, wait: float = 1.0) -> Self:
        """Connect, and refuse a Redis that is not safe; a new one gets its log id."""
        link = Link(address)
        try:
            await inspect(link.client, link.where)
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
        cid.encode()  # what is no Unicode fails alone
        self._check_open()
        await self._appends.ask(Append(cid=cid, after=after, bodies=bodies, due=layout.micros(due)))

    async def confirm(self, cid: ConversationId) -> None:
        """A small write behind the log's, for WAIT speaks of what its own connection has written."""
        if not self._replicas:
            return
        bucket = self._bucket(cid)
        args = (self._identity.seen[bucket], duty_of("confirm", cid), self._sender, 1, 1_000)
        key, log_id = f"{layout.tag(bucket)}meta", self._identity.log_id
        call = Call(script=scripts.LEASE, key=key, log=log_id, args=args)
        answers = await self._link.run([call], replicas=self._replicas, wait=self._wait)
        if isinstance(answers.each[0], Exception):
            raise store_error(self._link.where, answers.each[0])
        if answers.confirmed < self._replicas:
            raise unconfirmed(self._link.where, answers.confirmed, self._replicas, self._wait)

    async def read(self, cid: ConversationId, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        if limit < 1:
            return []
        stored = await self._run(scripts.READ, cid, cid, max(after, 0), limit)
        return decode_entries(b"[%b]" % b",".join(entry[layout.ARRIVAL :] for entry in stored))

    async def heads(self, cids: Collection[ConversationId]) -> dict[ConversationId, Seq]:
        asked = self._by_bucket(cids)
        answers = await self._run_all(scripts.HEADS, asked)
        found: dict[ConversationId, Seq] = {}
        for group, heads in zip(asked.values(), answers, strict=True):
            found.update((cid, Seq(head)) for cid, head in zip(group, heads, strict=True) if head)
        if not asked:
            await self._link.command("EXISTS", layout.META)  # who asks for nothing asks whether it is there
        return found

    def known_head(self, cid: ConversationId) -> Seq | None:  # noqa: ARG002 - whichever it is
        """Another process may have appended at any moment."""
        return None

    def changes(self) -> AsyncIterator[Growth]:
        return self._changes.listen()

    def _grew(self, appends: Sequence[Append]) -> None:
        self._changes.publish([Growth(a.cid, Seq(a.after + len(a.bodies))) for a in appends])

    def _hear(self, kind: str, said: list[Any]) -> None:
        match kind, said:
            case "grew", [*pairs]:
                self._changes.publish(map(Growth, pairs[::2], pairs[1::2]))
            case "told", [str(topic), bytes(message)]:
                self._told.publish(topic, message)

    # The clock

    async def due(self, now: datetime, *, limit: int = 100) -> list[ConversationId]:
        return await self._first(scripts.DUE, microseconds(now), limit)

    async def arm(self, cid: ConversationId, due: datetime | None, *, head: Seq) -> None:
        await self._run(scripts.ARM, cid, cid, layout.micros(due), head)

    # Pushed surfaces

    async def cursor(self, surface: str, cid: ConversationId) -> Cursor:
        stored = await self._command("HGET", f"{layout.tag(self._bucket(cid))}cursor:{surface}", cid)
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
        if not await self._run(scripts.ADVANCE, cid, surface, cid, position, anchored, duty, fence):
            raise LeaseLost(f"{duty}: fence {fence} holds no longer")

    async def behind(self, surface: str, *, limit: int = 100) -> list[ConversationId]:
        return await self._first(scripts.BEHIND, surface, limit)

    async def find_anchor(self, surface: str, anchor: str) -> ConversationId | None:
        keys = [f"{layout.tag(bucket)}anchor:{surface}" for bucket in range(self._identity.buckets)]
        self._check_open()
        found = await self._link.commands([("HGET", key, anchor) for key in keys])
        return next((ConversationId(cid.decode()) for cid in found if cid is not None), None)

    # Between processes

    async def lease(self, duty: str, *, owner: str, lives: float) -> int | None:
        forgotten = int((lives + FORGOTTEN) * 1000)
        home = layout.duty_home(duty)
        fence = await self._run(scripts.LEASE, home, duty, owner, int(lives * 1_000_000), forgotten)
        return None if fence is None else int(fence)

    async def release(self, duty: str, *, owner: str) -> None:
        await self._run(scripts.RELEASE, layout.duty_home(duty), duty, owner)

    async def tell(self, topic: str, message: bytes) -> None:
        self._check_open()
        await self._tells.ask(self._wakes.call_out(self._bucket(topic), "told", [topic, message]))

    async def _tell_all(self, tells: Sequence[Command]) -> list[Exception | None]:
        await self._link.hint(tells)
        return [None] * len(tells)

    def told(self) -> AsyncIterator[tuple[str, bytes]]:
        return self._told.listen()

    # Records

    async def put(
        self, space: str, key: str, value: bytes, *, expires_at: datetime | None = None, new: bool = False
    ) -> bool:
        record = layout.pack([Record(key=key, value=value, expires_at=expires_at)])
        return bool(await self._run(scripts.PUT, space, space, int(new), *record))

    async def put_all(self, space: str, batch: Sequence[Record]) -> None:
        await self._run(scripts.PUT, space, space, 0, *layout.pack(batch))

    async def add(self, space: str, key: str, amount: int, *, expires_at: datetime | None = None) -> int:
        record = layout.pack([Record(key=key, value=b"", expires_at=expires_at)])
        return int(await self._run(scripts.ADD, space, space, amount, *record))

    async def get(self, space: str, key: str, *, now: datetime | None = None) -> bytes | None:
        stored = await self._command("HGET", f"{layout.tag(self._bucket(space))}values:{space}", key)
        if stored is None:
            return None
        record = layout.unpack(key, stored)
        expired = now is not None and record.expires_at is not None and record.expires_at <= now
        return None if expired else record.value

    async def delete(self, space: str, key: str) -> None:
        await self._run(scripts.DELETE, space, space, key)

    async def scan(self, space: str, prefix: str = "") -> list[Record]:
        found: list[Record] = []
        start, end = layout.lex_range(prefix)
        while True:
            some = await self._run(scripts.SCAN, space, space, start, end, SCANNED_AT_ONCE)
            found += [layout.unpack(k.decode(), v) for k, v in zip(some[::2], some[1::2], strict=True)]
            if len(some) < 2 * SCANNED_AT_ONCE:
                return found
            start = f"({found[-1].key}"

    async def purge(self, now: datetime) -> int:
        purged = 0
        for bucket in range(self._identity.buckets):
            count = PURGED_AT_ONCE
            while count == PURGED_AT_ONCE:
                todo = {bucket: (microseconds(now), PURGED_AT_ONCE)}
                (count,) = await self._run_all(scripts.PURGE, todo)
                purged += count
        return purged

    # Everything, to move a store

    async def conversations(self) -> AsyncIterator[list[ConversationId]]:
        for bucket in range(self._identity.buckets):
            (cids,) = await self._run_all(scripts.LOGS, {bucket: ()})
            yield [ConversationId(cid.decode()) for cid in cids]

    async def standings(self, cids: Collection[ConversationId]) -> dict[ConversationId, Standing]:
        asked = self._by_bucket(cids)
        answers = await self._run_all(scripts.STANDINGS, asked)
        pairs = zip(asked.values(), answers, strict=True)
        return {cid: layout.standing(s) for group, some in pairs for cid, s in zip(group, some, strict=True)}

    async def spaces(self) -> list[str]:
        answers = await self._run_all(scripts.SPACES, dict.fromkeys(range(self._identity.buckets), ()))
        return sorted(space.decode() for some in answers for space in some)

    async def others(self) -> int:
        self._check_open()
        return await self._wakes.listeners() - 1

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._appends.finish()
        await self._tells.finish()
        await self._wakes.close()
        await self._link.close()
        self._changes.close()
        self._told.close()

    # Asking Redis

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self._link.where}: the store is closed")

    def _bucket(self, text: str) -> int:
        return layout.bucket_of(text, self._identity.buckets)

    def _by_bucket(self, cids: Collection[ConversationId]) -> dict[int, tuple[ConversationId, ...]]:
        found: dict[int, list[ConversationId]] = {}
        for cid in cids:
            found.setdefault(self._bucket(cid), []).append(cid)
        return {bucket: tuple(group) for bucket, group in found.items()}

    async def _command(self, *command: Arg) -> bytes | None:
        self._check_open()
        return cast("bytes | None", await self._link.command(*command))

    async def _run(self, script: Script, home: str, *args: Arg) -> Any:  # noqa: ANN401 - what it answers
        return (await self._run_all(script, {self._bucket(home): args}))[0]

    async def _run_all(self, script: Script, todo: Mapping[int, tuple[Arg, ...]]) -> list[Any]:
        """The answers of `script` on each bucket of `todo`."""
        self._check_open()
        if not todo:
            return []
        log_id, seen = self._identity.log_id, self._identity.seen
        calls = [
            Call(script=script, key=f"{layout.tag(bucket)}meta", log=log_id, args=(seen[bucket], *args))
            for bucket, args in todo.items()
        ]
        answers = await self._link.run(calls)
        for bucket, answer in zip(todo, answers.each, strict=True):
            if isinstance(answer, Exception):
                if str(answer).startswith(BACK):
                    raise await self._identity.went_back(log_id, str(answer))
                raise store_error(self._link.where, answer) from answer
            if script.counts:
                seen[bucket] = max(seen[bucket], answer[0])
        return [answer[1] for answer in answers.each] if script.counts else answers.each

    async def _first(self, script: Script, what: Arg, limit: int) -> list[ConversationId]:
        """The lowest of what each bucket has, in order."""
        answers = await self._run_all(script, dict.fromkeys(range(self._identity.buckets), (what, limit)))
        ranked = [
            [(float(score), cid.decode()) for cid, score in zip(some[::2], some[1::2], strict=True)]
            for some in answers
        ]
        return [ConversationId(cid) for _, cid in islice(merge(*ranked, key=itemgetter(0)), limit)]
