"""Asks scripts and commands of buckets, and finds out from the answers that the store went back."""

from collections.abc import Collection, Mapping, Sequence
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any

from msgspec import Struct

from bridge.errors import StoreError
from bridge.events import ConversationId
from bridge.store.redis import layout
from bridge.store.redis.clients import store_error
from bridge.store.redis.identity import BACK, Identity
from bridge.store.redis.link import Arg, Call, Command, Link
from bridge.store.redis.scripts import Script


class Ask(Struct, frozen=True, kw_only=True):
    """What a script is asked on one bucket, which must still have what this process has seen of `cids`.

    It touches "meta", then `keys`, then their logs.
    """

    keys: Sequence[str] = ()
    args: Sequence[Arg] = ()
    cids: Collection[ConversationId] = ()


class Answers(Struct, frozen=True, kw_only=True):
    """What each bucket answered, or the error; `unconfirmed` says that too few replicas have it."""

    each: list[Any]
    unconfirmed: StoreError | None = None


class Buckets:
    def __init__(self, link: Link, identity: Identity, *, replicas: int, wait: float) -> None:
        self.closed = False
        self._link = link
        self._identity = identity
        self._replicas = replicas
        self._wait = wait

    def check_open(self) -> None:
        if self.closed:
            raise StoreError(f"{self._link.where}: the store is closed")

    def all(self) -> range:
        return range(self._identity.buckets)

    def of(self, text: str) -> int:
        return layout.bucket_of(text, self._identity.buckets)

    def by_bucket(self, cids: Collection[ConversationId]) -> dict[int, list[ConversationId]]:
        found: dict[int, list[ConversationId]] = {}
        for cid in cids:
            found.setdefault(self.of(cid), []).append(cid)
        return found

    async def commands(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands that may be sent twice."""
        self.check_open()
        return await self._link.commands(commands)

    async def run(
        self,
        script: Script,
        home: str,
        keys: Sequence[str],
        *args: Arg,
        cid: ConversationId | None = None,
        confirmed: bool = False,
    ) -> Any:  # noqa: ANN401 - what it answers
        """What `script` answers on the bucket of `home`."""
        asked = Ask(keys=keys, args=args, cids=() if cid is None else (cid,))
        return (await self.run_all(script, {self.of(home): asked}, confirmed=confirmed))[0]

    async def run_all(self, script: Script, asks: Mapping[int, Ask], *, confirmed: bool = False) -> list[Any]:
        """What it answers on each; with `confirmed`, once the replicas have what it wrote."""
        self.check_open()
        answers = await self.ask(script, asks, confirmed=confirmed)
        for answer in answers.each:
            if isinstance(answer, Exception):
                raise answer
        if answers.unconfirmed is not None:
            raise answers.unconfirmed
        return answers.each

    async def ask(self, script: Script, asks: Mapping[int, Ask], *, confirmed: bool = False) -> Answers:
        if not asks:
            return Answers(each=[])
        seen, replicas = self._identity.seen, self._replicas if confirmed else 0
        calls = [
            Call(
                script=script,
                keys=layout.keys(bucket, ("meta", *ask.keys), ask.cids),
                log=seen.log_id,
                args=(seen.counts[bucket], seen.lasts(ask.cids), *ask.args),
            )
            for bucket, ask in asks.items()
        ]
        ran = await self._link.run(calls, replicas=replicas, wait=self._wait)
        each: list[Any] = []
        for bucket, answer in zip(asks, ran.each, strict=True):
            if isinstance(answer, Exception) and str(answer).startswith(BACK):
                each.append(await self._identity.went_back(seen.log_id, str(answer)))
            elif isinstance(answer, Exception):
                each.append(store_error(self._link.where, answer))
            elif script.counts:
                seen.counted(bucket, answer[0])
                each.append(answer[1])
            else:
                each.append(answer)
        return Answers(each=each, unconfirmed=self._unconfirmed(ran.confirmed, replicas))

    def _unconfirmed(self, confirmed: int, replicas: int) -> StoreError | None:
        if confirmed >= replicas:
            return None
        return StoreError(
            f"{self._link.where}: {confirmed} of {replicas} replicas confirmed within {self._wait:g} s: "
            "start them again, or lower redis.replicas"
        )

    async def first(
        self, script: Script, keys: Sequence[str], what: Arg, *, limit: int
    ) -> list[ConversationId]:
        """The lowest of what each bucket has, in order."""
        answers = await self.run_all(script, dict.fromkeys(self.all(), Ask(keys=keys, args=(what, limit))))
        ranked = [
            [(float(score), cid.decode()) for cid, score in zip(some[::2], some[1::2], strict=True)]
            for some in answers
        ]
        return [ConversationId(cid) for _, cid in islice(merge(*ranked, key=itemgetter(0)), limit)]

    async def members(self, name: str) -> list[str]:
        """What the sets `name` of all buckets hold, in order."""
        found = await self.commands([("SMEMBERS", layout.key(bucket, name)) for bucket in self.all()])
        return sorted({member.decode() for some in found for member in some})
