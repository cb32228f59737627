"""Moves all that a store holds into another one: logs, due moments, cursors, records; then compares both.

What is there already is left where it is the same, so who is interrupted begins again and goes on. From
beginning to end a record in the target says what it is filled from: a server does not start on it, and
nothing else can be moved into it. Leases and what stands in no store are not moved: they are for now.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import sha256
from typing import Literal

from msgspec import Struct, json

from bridge.errors import Conflict, StoreError
from bridge.events import ConversationId, Entry, Seq
from bridge.store import Record, Standing, Store

SPACE = "transfer"
KEY = "from"
BATCH = 50  # conversations under way at once
PAGE = 200  # entries or records read or stored at once

EMPTY = "name a new file, another database of that Redis, or empty it first, and run this again"


class Progress(Struct, frozen=True, kw_only=True):
    """`done` of `total`, where that is known, are copied or compared; `entries` are those in them."""

    step: Literal["copied", "compared"]
    what: Literal["conversations", "records"]
    done: int
    total: int | None
    entries: int = 0


class Transferred(Struct, frozen=True, kw_only=True):
    """What the target holds now. `new` where it did not before."""

    conversations: int = 0
    entries: int = 0
    records: int = 0
    new: bool = True


class _Mark(Struct, kw_only=True):
    """Stands in the target: the `log_id` of the store that it is filled from, and whether that is done."""

    source: str
    done: bool = False


Tell = Callable[[Progress], None]


async def transfer(source: Store, target: Store, *, tell: Tell) -> Transferred:
    """Copy, compare, and answer what was moved. After a StoreError the target is not to be used."""
    await _alone(source, "--from")
    await _alone(target, "--to")
    if source.log_id == target.log_id:
        raise StoreError("--from and --to are the same store")
    if await _begin(source, target):
        return Transferred(new=False)
    known = [cid async for page in source.conversations() for cid in page]
    await _copy_conversations(source, target, known, tell)
    await _copy_records(source, target, tell)
    entries = await _compare_conversations(source, target, known, tell)
    records = await _compare_records(source, target, tell)
    await _alone(source, "--from")
    mark = json.encode(_Mark(source=source.log_id, done=True))
    await target.put(SPACE, KEY, mark)
    return Transferred(conversations=len(known), entries=entries, records=records)


async def refuse_unfinished(store: Store) -> None:
    """Raise StoreError where `store` is being filled, or its filling was interrupted."""
    mark = await _mark(store)
    if mark is not None and not mark.done:
        raise StoreError("this store is not filled yet: run the same `joinline migrate` again to its end")


async def _mark(store: Store) -> _Mark | None:
    stored = await store.get(SPACE, KEY)
    return None if stored is None else json.decode(stored, type=_Mark)


async def _alone(store: Store, which: str) -> None:
    if others := await store.others():
        raise StoreError(f"{which}: {_count(others, 'other process')} has it open: stop every server on it")


async def _begin(source: Store, target: Store) -> bool:
    """Mark the target; whether all that is in the source was moved into it before."""
    await refuse_unfinished(source)
    mark = await _mark(target)
    if mark is not None and mark.source == source.log_id:
        return mark.done
    held = [cid async for page in target.conversations() for cid in page]
    if mark is not None and not mark.done:
        raise StoreError(f"--to: it is half filled from another store: {EMPTY}")
    if mark is not None or held or await target.spaces():
        raise StoreError(f"--to: it holds {_count(len(held), 'conversation')} of its own: {EMPTY}")
    await target.put(SPACE, KEY, json.encode(_Mark(source=source.log_id)))
    return False


# --- Copying -------------------------------------------------------------------------------------


async def _copy_conversations(source: Store, target: Store, known: list[ConversationId], tell: Tell) -> None:
    entries, surfaces = 0, set[str]()
    for start in range(0, len(known), BATCH):
        batch = known[start : start + BATCH]
        here, there = await source.standings(batch), await target.standings(batch)
        for surface in {name for standing in here.values() for name in standing.cursors} - surfaces:
            await target.behind(surface, limit=1)  # from here on it keeps what the surface waits for
            surfaces.add(surface)
        try:
            async with asyncio.TaskGroup() as group:
                for cid in batch:
                    group.create_task(_copy(source, target, cid, here[cid], there[cid]))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        entries += sum(standing.head for standing in here.values())
        done = start + len(batch)
        tell(Progress(step="copied", what="conversations", done=done, total=len(known), entries=entries))


async def _copy(source: Store, target: Store, cid: ConversationId, here: Standing, there: Standing) -> None:
    for surface, cursor in here.cursors.items():  # before the log: nothing is ever delivered again
        if there.cursors.get(surface) != cursor:
            await target.advance(surface, cid, position=cursor.position, anchor=cursor.anchor)
    if here.head == there.head and here.due != there.due:
        await target.arm(cid, here.due, head=here.head)
    head = there.head
    async for entries in _entries(source, cid, after=head, up_to=here.head):
        try:
            await target.append(cid, entries, after=head, due=here.due)
        except Conflict as conflict:
            raise StoreError(f"--to: somebody else writes there: {cid} is at {conflict.head}") from None
        head = entries[-1].seq


async def _entries(
    store: Store, cid: ConversationId, *, after: int = 0, up_to: Seq
) -> AsyncIterator[list[Entry]]:
    while after < up_to:
        entries = await store.read(cid, after=after, limit=min(PAGE, up_to - after))
        if not entries:
            return
        yield entries
        after = entries[-1].seq


async def _copy_records(source: Store, target: Store, tell: Tell) -> None:
    """Make the target's records those of the source."""
    count = 0
    theirs, ours = await source.spaces(), await target.spaces()
    for space in sorted({*theirs, *ours} - {SPACE}):
        here, there = await _records(source, space), await _records(target, space)
        for key in there.keys() - here.keys():
            await target.delete(space, key)
        new = [record for key, record in here.items() if there.get(key) != record]
        for start in range(0, len(new), PAGE):
            await target.put_all(space, new[start : start + PAGE])
            tell(Progress(step="copied", what="records", done=count + start, total=None))
        count += len(here)
    tell(Progress(step="copied", what="records", done=count, total=count))


async def _records(store: Store, space: str) -> dict[str, Record]:
    return {record.key: record for record in await store.scan(space)}


# --- Comparing -----------------------------------------------------------------------------------


async def _compare_conversations(
    source: Store, target: Store, known: Sequence[ConversationId], tell: Tell
) -> int:
    """Hold both against each other, as they are now; how many entries there are."""
    entries = 0
    extra = {cid async for page in target.conversations() for cid in page} ^ set(known)
    if extra:
        raise _differs(f"conversation {min(extra)} is in one of them only")
    for start in range(0, len(known), BATCH):
        batch = known[start : start + BATCH]
        here, there = await source.standings(batch), await target.standings(batch)
        for cid in batch:
            if here[cid] != there[cid]:
                raise _differs(f"conversation {cid}: {_which(here[cid], there[cid])}")
        hashes = [(_hash(source, cid, here[cid]), _hash(target, cid, there[cid])) for cid in batch]
        pairs = await asyncio.gather(*(asyncio.gather(*pair) for pair in hashes))
        for cid, (wanted, found) in zip(batch, pairs, strict=True):
            if wanted != found:
                raise _differs(f"conversation {cid}: its entries are not the same")
        entries += sum(standing.head for standing in here.values())
        done = start + len(batch)
        tell(Progress(step="compared", what="conversations", done=done, total=len(known), entries=entries))
    return entries


async def _hash(store: Store, cid: ConversationId, standing: Standing) -> bytes:
    found = sha256()
    async for entries in _entries(store, cid, up_to=standing.head):
        for entry in entries:
            found.update(json.encode(entry) + b"\n")
    return found.digest()


def _which(here: Standing, there: Standing) -> str:
    if here.head != there.head:
        return f"{here.head} entries, and {there.head} in the copy"
    if here.due != there.due:
        return "its due moment is not the same"
    return "the cursors of its surfaces are not the same"


async def _compare_records(source: Store, target: Store, tell: Tell) -> int:
    done = 0
    spaces = {*await source.spaces(), *await target.spaces()} - {SPACE}
    for space in sorted(spaces):
        here, there = await _records(source, space), await _records(target, space)
        if len(here) != len(there) or _hash_of(here) != _hash_of(there):
            raise _differs(f"the records of {space}: {len(here)}, and {len(there)} in the copy")
        done += len(here)
        tell(Progress(step="compared", what="records", done=done, total=None))
    tell(Progress(step="compared", what="records", done=done, total=done))
    return done


def _hash_of(records: dict[str, Record]) -> bytes:
    return sha256(json.encode(sorted(records.values(), key=lambda record: record.key))).digest()


def _differs(what: str) -> StoreError:
    return StoreError(
        f"the copy is not what it is a copy of: {what}. Empty the target, and run this again; "
        "the source is as it was"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
