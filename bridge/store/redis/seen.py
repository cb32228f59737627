"""What this process has seen of the store, which every script compares with what is there."""

from collections import OrderedDict
from collections.abc import Iterable

from msgspec import msgpack

from bridge.events import ConversationId
from bridge.store.redis import layout

LASTS = 20_000  # conversations whose last entry is remembered


class Seen:
    """Of the incarnation `log_id`: each bucket's highest count of appends, and the last entries of logs."""

    def __init__(self, log_id: str, buckets: int) -> None:
        self.log_id = log_id
        self.counts = [0] * buckets
        self._lasts: OrderedDict[ConversationId, tuple[int, str]] = OrderedDict()

    def counted(self, bucket: int, count: int) -> None:
        self.counts[bucket] = max(count, self.counts[bucket])

    def stood(self, cid: ConversationId, seq: int, entry: bytes) -> None:
        """The log has `entry`, from its mark on, at `seq`. What was seen before may be newer than that."""
        if seq >= self._lasts.get(cid, (0, ""))[0]:
            self._lasts[cid] = (seq, entry[: layout.MARK].decode())
            self._lasts.move_to_end(cid)
        if len(self._lasts) > LASTS:
            self._lasts.popitem(last=False)

    def lasts(self, cids: Iterable[ConversationId]) -> bytes:
        """The last entries of `cids` as a script takes them: seq and mark in turn, 0 and "" for none."""
        found: list[str | int] = []
        for cid in cids:
            last = self._lasts.get(cid)
            if last is not None:
                self._lasts.move_to_end(cid)
            found += last or (0, "")
        return msgpack.encode(found)
