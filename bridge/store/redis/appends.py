"""Appends to many conversations in one round trip: a script call for each bucket."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from bridge.errors import Conflict, StoreError
from bridge.events import ConversationId
from bridge.store.redis import layout
from bridge.store.redis.clients import store_error
from bridge.store.redis.identity import BACK, Identity
from bridge.store.redis.link import Arg, Call, Link
from bridge.store.redis.scripts import APPEND
from bridge.store.redis.wakes import Wakes


class Append(Struct, frozen=True, kw_only=True):
    cid: ConversationId
    after: int
    bodies: list[bytes]
    due: str


def unconfirmed(where: str, confirmed: int, replicas: int, wait: float) -> StoreError:
    return StoreError(
        f"{where}: {confirmed} of {replicas} replicas confirmed within {wait:g} s: "
        "start them again, or lower redis.replicas"
    )


class Appender:
    """Carries out batches, and tells `grown` what the batch added."""

    def __init__(
        self,
        link: Link,
        identity: Identity,
        wakes: Wakes,
        *,
        sender: str,
        replicas: int,
        wait: float,
        grown: Callable[[Sequence[Append]], None],
    ) -> None:
        self._link = link
        self._identity = identity
        self._wakes = wakes
        self._sender = sender
        self._replicas = replicas
        self._wait = wait
        self._grown = grown

    async def append_all(self, appends: Sequence[Append]) -> list[Exception | None]:
        """What became of each; a later append sees the earlier ones."""
        buckets: dict[int, list[int]] = {}
        for place, append in enumerate(appends):
            buckets.setdefault(layout.bucket_of(append.cid, self._identity.buckets), []).append(place)
        log_id, seen = self._identity.log_id, self._identity.seen
        calls = [self._call(bucket, [appends[p] for p in places]) for bucket, places in buckets.items()]
        answers = await self._link.run(calls, replicas=self._replicas, wait=self._wait)
        outcomes: list[Exception | None] = [None] * len(appends)
        back: StoreError | None = None
        for (bucket, places), answer in zip(buckets.items(), answers.each, strict=True):
            if isinstance(answer, Exception):
                error = store_error(self._link.where, answer)
                if str(answer).startswith(BACK):
                    error = back = back or await self._identity.went_back(log_id, str(answer))
                for place in places:
                    outcomes[place] = error
                continue
            count, heads = answer
            seen[bucket] = max(seen[bucket], count)
            for place, head in zip(places, heads, strict=True):
                if head != appends[place].after:
                    outcomes[place] = Conflict(head)
        done = [append for append, outcome in zip(appends, outcomes, strict=True) if outcome is None]
        if done and answers.confirmed < self._replicas:
            error = unconfirmed(self._link.where, answers.confirmed, self._replicas, self._wait)
            return [outcome or error for outcome in outcomes]
        self._grown(done)
        return outcomes

    def _call(self, bucket: int, appends: Sequence[Append]) -> Call:
        args: list[Arg] = [
            self._identity.seen[bucket], self._wakes.verb, self._wakes.channel(bucket), self._sender,
        ]  # fmt: skip
        for append in appends:
            args += [append.cid, append.after, append.due, len(append.bodies), *append.bodies]
        return Call(
            script=APPEND, key=f"{layout.tag(bucket)}meta", log=self._identity.log_id, args=tuple(args)
        )
