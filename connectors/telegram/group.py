"""The group that conversations are mirrored into: where it is now, and whether it has topics."""

import asyncio

from msgspec import Struct, json
from msgspec.structs import replace

from bridge.store import Store

SPACE = "telegram-group"


class Known(Struct, frozen=True, kw_only=True):
    """`forum`: it has topics; None until asked. `told`: it was said there that they are better."""

    chat: int
    forum: bool | None = None
    told: bool = False


class Group:
    """Remembered durably under the id that the configuration names, which goes on to work."""

    def __init__(self, *, store: Store, configured: int) -> None:
        self._store = store
        self._configured = configured
        self._known: Known | None = None
        self._changing = asyncio.Lock()
        self.changed = asyncio.Event()
        """Set whenever something else is known than before; whoever waits for it clears it."""

    async def now(self) -> Known:
        if self._known is None:
            raw = await self._store.get(SPACE, str(self._configured))
            self._known = Known(chat=self._configured) if raw is None else json.decode(raw, type=Known)
        return self._known

    async def moved(self, chat: int) -> None:
        """Telegram made another group of it, with another id; what is known of the old one is void."""
        async with self._changing:
            if (await self.now()).chat != chat:
                await self._keep(Known(chat=chat))

    async def has_topics(self, *, forum: bool) -> None:
        async with self._changing:
            known = await self.now()
            if known.forum != forum:
                await self._keep(replace(known, forum=forum))

    async def was_told(self) -> None:
        async with self._changing:
            await self._keep(replace(await self.now(), told=True))

    async def _keep(self, known: Known) -> None:
        await self._store.put(SPACE, str(self._configured), json.encode(known))
        self._known = known
        self.changed.set()
