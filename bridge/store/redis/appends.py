"""Appends to many conversations in one round trip: a script call for each bucket."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct, msgpack

from bridge.errors import Conflict
from bridge.events import ConversationId
from bridge.store.redis.buckets import Ask, Buckets
from bridge.store.redis.identity import Identity
from bridge.store.redis.link import Arg
from bridge.store.redis.scripts import APPEND
from bridge.store.redis.seen import Seen
from bridge.store.redis.wakes import Wakes


class Append(Struct, frozen=True, kw_only=True):
    """`seen` is what there was when it was asked for: it is worth nothing in another incarnation."""

    cid: ConversationId
    bucket: int
    after: int
    entries: list[bytes]
    due: str
    seen: Seen


class Appender:
    """Carries out batches, and tells `grown` what the batch added. Knows `surfaces` to keep posted."""

    def __init__(
        self,
        buckets: Buckets,
        identity: Identity,
        wakes: Wakes,
        *,
        grown: Callable[[Sequence[Append]], None],
    ) -> None:
        self.surfaces: set[str] = set()
        self._buckets = buckets
        self._identity = identity
        self._wakes = wakes
        self._grown = grown

    async def append_all(self, appends: Sequence[Append]) -> list[Exception | None]:
        """What became of each; a later append sees the earlier ones."""
        seen = self._identity.seen
        outcomes: list[Exception | None] = [None] * len(appends)
        places: dict[int, list[int]] = {}
        for place, append in enumerate(appends):
            if append.seen is seen:
                places.setdefault(append.bucket, []).append(place)
            else:
                outcomes[place] = self._identity.lost()
        asks = {bucket: self._ask(bucket, [appends[p] for p in some]) for bucket, some in places.items()}
        answers = await self._buckets.ask(APPEND, asks, confirmed=True)
        done: list[Append] = []
        again: list[int] = []
        for some, answer in zip(places.values(), answers.each, strict=True):
            heads: list[Any] = [answer] * len(some) if isinstance(answer, Exception) else answer
            if isinstance(heads[0], bytes):
                self.surfaces.update(surface.decode() for surface in heads)
                again += some
                continue
            for place, head in zip(some, heads, strict=True):
                append = appends[place]
                outcomes[place] = _outcome(append, head, answers.unconfirmed)
                if outcomes[place] is None:
                    seen.stood(append.cid, append.after + len(append.entries), append.entries[-1])
                    done.append(append)
        self._grown(done)
        if again:
            for place, outcome in zip(again, await self.append_all([appends[p] for p in again]), strict=True):
                outcomes[place] = outcome
        return outcomes

    def _ask(self, bucket: int, appends: Sequence[Append]) -> Ask:
        cids = list(dict.fromkeys(append.cid for append in appends))
        surfaces = [f"{name}:{surface}" for surface in self.surfaces for name in ("behind", "cursor")]
        wakes = self._wakes
        args: list[Arg] = [
            msgpack.encode((wakes.verb, wakes.channel(bucket), wakes.sender, [*self.surfaces]))
        ]
        for append in appends:
            args += [append.cid, append.after, append.due, len(append.entries), *append.entries]
        return Ask(keys=["logs", "due", "surfaces", *surfaces], args=args, cids=cids)


def _outcome(append: Append, head: int | Exception, unconfirmed: Exception | None) -> Exception | None:
    """What it means that an append met `head`."""
    if isinstance(head, Exception):
        return head
    return unconfirmed if head == append.after else Conflict(head)
