"""Which conversation a thread of Slack belongs to, also where it has only just begun."""

import asyncio

from msgspec import Struct

from bridge.events import ConversationId
from bridge.store import Store
from bridge.surface import Anchor
from connectors.threads.ledger import Ledger

PATIENCE = 20.0  # seconds that a thread of the bot's may be unknown to us: its post was not answered yet
LOOK = 0.1


class Place(Struct, frozen=True, kw_only=True):
    """`followed`: the conversation does not go on in a later thread than this."""

    cid: ConversationId
    followed: bool


class Places:
    def __init__(self, *, store: Store, ledger: Ledger, surface: str, patience: float = PATIENCE) -> None:
        self._store = store
        self._ledger = ledger
        self._surface = surface
        self._patience = patience

    async def begun(self, anchor: Anchor, cid: ConversationId) -> None:
        await self._ledger.belongs(anchor, cid)

    async def owner(self, anchor: Anchor) -> ConversationId | None:
        """The ledger knows it at once, and for a time; the courier later, and for ever."""
        return await self._ledger.owner(anchor) or await self._store.find_anchor(self._surface, anchor)

    async def find(self, anchor: Anchor) -> Place | None:
        cid = await self.owner(anchor)
        if cid is None:
            return None
        root = await self._ledger.root(cid)
        followed = root is not None and root.anchor in (anchor, "")
        return Place(cid=cid, followed=followed)

    async def await_one(self, anchor: Anchor) -> Place | None:
        """The same for a thread that the bot may have begun a moment ago."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        place = await self.find(anchor)
        while place is None and loop.time() < deadline:
            await asyncio.sleep(LOOK)
            place = await self.find(anchor)
        return place

    async def thread(self, cid: ConversationId) -> Anchor | None:
        """Where the conversation is followed."""
        root = await self._ledger.root(cid)
        return root.anchor if root is not None and root.anchor and not root.lost else None

    async def lose(self, anchor: Anchor) -> None:
        """Slack says that the root is gone."""
        place = await self.find(anchor)
        if place is not None:
            await self._ledger.lose(place.cid, anchor)
