"""What stands where on a platform: remembered durably, so that nothing is shown twice and edits find it."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct, json
from msgspec.structs import replace

from bridge.events import ConversationId, Seq, StaffId
from bridge.store import Record, Store
from bridge.surface import Anchor

KEPT = timedelta(days=180)  # after which an edit no longer finds what it is about
TOLD = timedelta(days=1)


class Root(Struct, frozen=True, kw_only=True):
    """How a conversation's thread began. `anchor` is empty from the decision to begin until it is known.

    `mark` tells this thread's root from an earlier one's. The card quotes entry `words_seq`, which now
    reads `words`. `lost`: the platform says that the thread is gone.
    """

    mark: str
    words_seq: Seq
    words: str
    began_at: datetime
    anchor: Anchor = Anchor("")
    lost: bool = False


class Placed(Struct, frozen=True, kw_only=True):
    """The messages that show entries `group`, in order; `sending`: one more was on its way.

    `at` is when the first of them came: in a store that went back another entry may have its number.
    """

    group: tuple[Seq, ...]
    at: datetime | None = None
    messages: tuple[str, ...] = ()
    sending: bool = False


class Ledger:
    """One surface's. `group[0]` is what a group is known by; its other entries point there."""

    def __init__(self, *, store: Store, surface: str, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._surface = surface
        self._clock = clock
        self._changing = asyncio.Lock()
        self._roots = f"{surface}-root"
        self._placed = f"{surface}-placed"
        self._places = f"{surface}-place"
        self._typed = f"{surface}-typed"
        self._told = f"{surface}-told"
        self._cards = f"{surface}-card"

    # The thread

    async def root(self, cid: ConversationId) -> Root | None:
        raw = await self._store.get(self._roots, cid)
        return None if raw is None else json.decode(raw, type=Root)

    async def begin_root(self, cid: ConversationId, root: Root) -> None:
        async with self._changing:
            await self._keep(cid, root)

    async def change_root(self, cid: ConversationId, mark: str, change: Callable[[Root], Root]) -> None:
        """Change the root that has `mark`; one that has taken its place stays as it is."""
        async with self._changing:
            root = await self.root(cid)
            if root is not None and root.mark == mark:
                await self._keep(cid, change(root))

    async def lose(self, cid: ConversationId, anchor: Anchor) -> None:
        """The platform says that `anchor` is gone."""
        root = await self.root(cid)
        if root is not None and root.anchor == anchor:
            await self.change_root(cid, root.mark, lambda r: replace(r, lost=True))

    async def _keep(self, cid: ConversationId, root: Root) -> None:
        await self._store.put(self._roots, cid, json.encode(root))

    # What was shown in it

    async def placed(self, cid: ConversationId, anchor: Anchor, seq: Seq) -> Placed | None:
        """Where the entry shows, or was about to."""
        raw = await self._store.get(self._placed, self._key(cid, anchor, seq))
        if raw is None:
            return None
        found = json.decode(raw, type=Placed)
        if found.group[0] != seq:
            raw = await self._store.get(self._placed, self._key(cid, anchor, found.group[0]))
            found = found if raw is None else json.decode(raw, type=Placed)
        return found if seq in found.group else None

    async def place(self, cid: ConversationId, anchor: Anchor, placed: Placed) -> None:
        """Remember the group under its first entry and, from the beginning on, under the others."""
        expires = self._clock() + KEPT
        first, *others = placed.group
        batch = [Record(key=self._key(cid, anchor, first), value=json.encode(placed), expires_at=expires)]
        if not placed.messages:
            pointer = json.encode(Placed(group=(first,)))
            keys = (self._key(cid, anchor, seq) for seq in others)
            batch += [Record(key=key, value=pointer, expires_at=expires) for key in keys]
        await self._store.put_all(self._placed, batch)

    def _key(self, cid: ConversationId, anchor: Anchor, seq: Seq) -> str:
        return f"{cid}/{anchor}/{seq}"

    # Which conversation a message belongs to, where the platform has no threads to tell

    async def belongs(self, message: str, cid: ConversationId) -> None:
        await self._store.put(self._places, message, cid.encode(), expires_at=self._clock() + KEPT)

    async def owner(self, message: str) -> ConversationId | None:
        raw = await self._store.get(self._places, message)
        return None if raw is None else ConversationId(raw.decode())

    async def shown_upto(self, cid: ConversationId) -> Seq:
        """How far the log has been shown."""
        return (await self._store.cursor(self._surface, cid)).position

    # Whom a refusal has told who answers, and which message of theirs it was that was refused

    async def told(self, cid: ConversationId, who: StaffId) -> tuple[Seq, str]:
        raw = await self._store.get(self._told, f"{cid}/{who}")
        return (Seq(0), "") if raw is None else json.decode(raw, type=tuple[Seq, str])

    async def tell(self, cid: ConversationId, who: StaffId, since: Seq, key: str) -> None:
        expires = self._clock() + TOLD
        await self._store.put(self._told, f"{cid}/{who}", json.encode((since, key)), expires_at=expires)

    # In which thread a member typed message `ref`

    async def typed(self, ref: str, anchor: Anchor) -> None:
        await self._store.put(self._typed, ref, anchor.encode(), expires_at=self._clock() + KEPT)

    async def typed_in(self, ref: str) -> Anchor | None:
        raw = await self._store.get(self._typed, ref)
        return None if raw is None else Anchor(raw.decode())

    # Cards that are to be drawn anew

    async def card_due(self, cid: ConversationId) -> None:
        await self._store.put(self._cards, cid, b"1")

    async def card_done(self, cid: ConversationId) -> None:
        await self._store.delete(self._cards, cid)

    async def cards_due(self) -> Sequence[ConversationId]:
        return [ConversationId(record.key) for record in await self._store.scan(self._cards)]
