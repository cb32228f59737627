"""The group that conversations are mirrored into: where it is now, and whether it has topics."""

import asyncio

from msgspec import Struct, json
from msgspec.structs import replace

from bridge.store import Store

SPACE = "telegram-group"
AGAIN = 1.0  # seconds between two looks at what other processes learned, however much foreign chats say


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
        self._read_at = -AGAIN  # by the loop's clock
        self._changing = asyncio.Lock()
        self.changed = asyncio.Event()
        """Set whenever something else is known than before; whoever waits for it clears it."""

    async def now(self) -> Known:
        if self._known is not None:
            return self._known
        async with self._changing:
            return await self._read()

    async def is_it(self, chat: int) -> bool:
        """Whether `chat` is the group; before a no, what other processes learned is read again."""
        if (await self.now()).chat != chat:
            async with self._changing:
                if asyncio.get_running_loop().time() - self._read_at >= AGAIN:
                    await self._read()
        return (await self.now()).chat == chat

    async def moved(self, chat: int) -> None:
        """Telegram made another group of it, with another id; nobody knows yet whether that has topics."""
        async with self._changing:
            known = await self._read()
            if known.chat != chat:
                await self._keep(replace(known, chat=chat, forum=None))

    async def has_topics(self, *, forum: bool) -> None:
        async with self._changing:
            known = await self._read()
            if known.forum != forum:
                await self._keep(replace(known, forum=forum))

    async def was_told(self) -> None:
        async with self._changing:
            await self._keep(replace(await self._read(), told=True))

    async def _read(self) -> Known:
        """As whichever process learned it last."""
        self._read_at = asyncio.get_running_loop().time()
        raw = await self._store.get(SPACE, str(self._configured))
        found = Known(chat=self._configured) if raw is None else json.decode(raw, type=Known)
        if self._known not in (None, found):
            self.changed.set()
        self._known = found
        return found

    async def _keep(self, known: Known) -> None:
        await self._store.put(SPACE, str(self._configured), json.encode(known))
        self._known = known
        self.changed.set()
