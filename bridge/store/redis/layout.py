"""Where things are in Redis: buckets, whose keys share a hash tag, and what a record looks like.

Every conversation has a bucket, by a checksum of its id, and every space of records too. In a Cluster a
bucket is in one slot, so that one script reaches all of it. Their number is settled when a store is made.
"""

from collections.abc import Sequence
from datetime import datetime
import os
import struct
from typing import Any
from zlib import crc32

from bridge.events import Seq
from bridge.store import Cursor, Record, Standing
from bridge.store.codec import microseconds, moment
from bridge.store.records import beyond

META = "joinline:meta"
BUCKETS = 32
VERSION = 1
ARRIVAL = 16  # digits before an entry: when it came, among all

_NEVER = (1 << 63) - 1
_HEADER = struct.Struct(">8sq")  # which call stored it, when it expires


def tag(bucket: int) -> str:
    return f"joinline:{{b{bucket}}}:"


def bucket_of(text: str, buckets: int) -> int:
    return crc32(text.encode()) % buckets


def duty_home(duty: str) -> str:
    """The text that settles the bucket of a duty: the conversation's id, where it is for one."""
    name, slash, cid = duty.partition("/")
    return cid if slash else name


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


def standing(stored: list[Any]) -> Standing:
    """What the script says of one conversation: head, due moment or "", then surfaces and cursors in turn."""
    head, due, *cursors = stored
    found = {n.decode(): cursor(c) for n, c in zip(cursors[::2], cursors[1::2], strict=True)}
    return Standing(
        head=head,
        due=moment(int(due)) if due else None,
        cursors={name: at for name, at in found.items() if at != Cursor()},
    )


def lex_range(prefix: str) -> tuple[str, str]:
    """All keys that begin with `prefix`, as ZRANGEBYLEX takes it."""
    end = beyond(prefix)
    return (f"[{prefix}" if prefix else "-"), ("+" if end is None else f"({end}")
