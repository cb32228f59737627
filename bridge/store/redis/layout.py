"""Where things are in Redis: buckets, whose keys share a hash tag, and what a record looks like.

Every conversation has a bucket, by a checksum of its id, and every space of records too. In a Cluster a
bucket is in one slot, so that one script reaches all of it. Their number is settled when a store is made.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime
import os
import struct
from zlib import crc32

from bridge.events import ConversationId, Seq
from bridge.store import Cursor, Record, Standing
from bridge.store.codec import microseconds, moment
from bridge.store.records import beyond

META = "joinline:meta"
BUCKETS = 32
VERSION = 1
ARRIVAL = 16  # digits before an entry: when it came, among all
MARK = 8  # letters behind them, by which the append is known again

_NEVER = (1 << 63) - 1
_HEADER = struct.Struct(">8sq")  # which call stored it, when it expires


def key(bucket: int, name: str) -> str:
    """The key `name` of a bucket; what they all are is in bucket.lua."""
    return f"joinline:{{b{bucket}}}:{name}"


def keys(bucket: int, names: Iterable[str], cids: Iterable[ConversationId]) -> tuple[str, ...]:
    """The keys `names`, then the logs of `cids`."""
    tag = key(bucket, "")
    return (*[tag + name for name in names], *[f"{tag}log:{cid}" for cid in cids])


def bucket_of(text: str, buckets: int) -> int:
    return crc32(text.encode()) % buckets


def home(name: str) -> str:
    """The text that settles the bucket of a duty or a topic: the conversation's id, where it is of one."""
    name, slash, cid = name.partition("/")
    return cid if slash else name


def space_keys(space: str) -> tuple[str, ...]:
    return (f"values:{space}", f"keys:{space}", f"expiry:{space}", "spaces")


def mark() -> bytes:
    return b64encode(os.urandom(6))


def micros(when: datetime | None) -> str:
    return "" if when is None else str(microseconds(when))


def pack(records: Sequence[Record]) -> list[str | bytes]:
    """Key, record and expiry in turn; every call has a name of its own."""
    name = os.urandom(8)
    args: list[str | bytes] = []
    for record in records:
        at = _NEVER if record.expires_at is None else microseconds(record.expires_at)
        args += [record.key, _HEADER.pack(name, at) + record.value, micros(record.expires_at)]
    return args


def unpack(key: str, stored: bytes) -> Record:
    _, at = _HEADER.unpack_from(stored)
    return Record(key=key, value=stored[_HEADER.size :], expires_at=None if at == _NEVER else moment(at))


def cursor(stored: bytes) -> Cursor:
    position, colon, anchor = stored.decode().partition(":")
    return Cursor(position=Seq(int(position)), anchor=anchor if colon else None)


def standing(surfaces: Iterable[str], head: int, due: float | None, *cursors: bytes | None) -> Standing:
    """What is kept of one conversation, with the cursor of each of `surfaces`."""
    found = {name: cursor(at) for name, at in zip(surfaces, cursors, strict=True) if at is not None}
    return Standing(
        head=Seq(head),
        due=None if due is None else moment(int(due)),
        cursors={name: at for name, at in found.items() if at != Cursor()},
    )


def lex_range(prefix: str) -> tuple[str, str]:
    """All keys that begin with `prefix`, as ZRANGEBYLEX takes it."""
    end = beyond(prefix)
    return (f"[{prefix}" if prefix else "-"), ("+" if end is None else f"({end}")
