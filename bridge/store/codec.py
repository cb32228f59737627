"""Entries and moments in the form in which the engines keep them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec import json

from bridge.events import Entry, Seq

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encoder = json.Encoder()
_entries = json.Decoder(list[Entry])


def encode_entries(entries: Sequence[Entry], *, after: Seq) -> list[bytes]:
    """Each entry as JSON. There must be at least one, and they must follow `after` without a hole."""
    if not entries:
        raise ValueError("an append needs at least one entry")
    for seq, entry in enumerate(entries, start=after + 1):
        if entry.seq != seq:
            raise ValueError(f"entry {entry.seq} stands where {seq} belongs")
    return [_encoder.encode(entry) for entry in entries]


def decode_entries(array: bytes | str) -> list[Entry]:
    """The entries of a JSON array."""
    return _entries.decode(array)


def microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
