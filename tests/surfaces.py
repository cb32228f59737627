"""Pushed surfaces that show conversations, each with its platform, for the suite that all of them pass.

Another one joins by an entry in KINDS: a context that opens the platform, given a folder of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
import re
import shutil
import sys
from typing import Literal, Protocol

import pytest

from bridge import config, registry
from bridge.core import Bridge
from bridge.courier import Courier, Persistence
from bridge.errors import Retry
from bridge.events import ConversationId
from bridge.house import House
from bridge.store import Store
from bridge.surface import Surface
from connectors.threads.card import LABELS
from connectors.threads.desk import Member
from connectors.threads.kit import Kit as Parts
from connectors.threads.kit import kit
from connectors.threads.ledger import Ledger
from connectors.threads.settings import ThreadSettings
from connectors.threads.words import meaning
from tests.boards import MemoryBoard
from tests.eventually import eventually
from tests.fakes.slack import Slack
from tests.fakes.telegram import Person, TelegramServer
from tests.running import SECRET
from tests.slacking import Team as SlackTeam
from tests.telegramming import Team as TelegramTeam
from tests.telegramming import joined

PAGE = Path(__file__).parents[1] / "docs/how-to/add-a-platform.md"
QUICK = Persistence(first=0.01, longest=0.05, tell=0.1, scan=0.05)
ACME = {"acme": {"name": "Acme", "origins": ["https://www.acme.example"]}}


class Kind(Protocol):
    """A platform with a place for every conversation; it outlives the processes that use it.

    `two_way`: people answer there. `tells`: it can be asked whether it has done what nobody heard the end
    of; where it cannot, a process that dies at that moment shows one thing twice.
    """

    name: str
    two_way: bool
    tells: bool

    def running(self, store: Store) -> AbstractAsyncContextManager[Bridge]:
        """One process on `store`, from its start to its end: a bridge, the surface, its courier."""

    async def shown(self, cid: ConversationId) -> list[str]:
        """The texts that a person sees in the conversation's place, in order."""

    async def trouble(self, *, on: bool) -> None:
        """Whether the platform refuses everything."""

    async def forget(self, cid: ConversationId) -> None:
        """The platform loses the conversation's place."""

    async def says(self, cid: ConversationId, text: str) -> None:
        """Dana writes in the conversation's place, where people can."""

    async def presses(self, cid: ConversationId, action: Literal["take", "back"]) -> None:
        """Dana presses a button of its card."""


@asynccontextmanager
async def carried(bridge: Bridge, surface: Surface) -> AsyncIterator[Bridge]:
    courier = Courier(bridge=bridge, surface=surface, persistence=QUICK)
    tasks = [asyncio.create_task(courier.run()), asyncio.create_task(surface.run(bridge))]
    try:
        yield bridge
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def configured(**sections: object) -> config.Config:
    values = {"base_url": "http://127.0.0.1:8000", "secret": SECRET, "store": "memory://", "sites": ACME}
    return config.build(values | sections)


class BoardKind:
    """The board in memory."""

    name = "board"
    tells = True
    two_way = True

    def __init__(self) -> None:
        self.board = MemoryBoard()
        self._numbers = count(1)
        self._parts: Parts | None = None

    @asynccontextmanager
    async def running(self, store: Store) -> AsyncIterator[Bridge]:
        bridge = Bridge(store=store)
        house = House(config=configured(), bridge=bridge)
        ledger = Ledger(store=store, surface=self.name, clock=bridge.clock)
        self._parts = kit(
            house=house, name=self.name, label="Board", mark="!", board=self.board, ledger=ledger,
            settings=ThreadSettings(),
        )  # fmt: skip
        async with carried(bridge, _Kitted(self.name, self._parts)):
            yield bridge

    async def shown(self, cid: ConversationId) -> list[str]:
        return self.board.shown(cid)

    async def trouble(self, *, on: bool) -> None:
        def refuse(_call: object, _cid: object) -> None:
            if on:
                raise Retry(0.05, "the board is wet")

        self.board.obey = refuse

    async def forget(self, cid: ConversationId) -> None:
        self.board.forget(cid)

    async def says(self, cid: ConversationId, text: str) -> None:
        assert self._parts is not None
        (place,) = [t for t in self.board.of(cid) if not t.gone]
        said, ref = meaning(text, mark="!"), f"{place.anchor}-{next(self._numbers)}"
        dana = Member(id="dana", name="Dana")
        await self._parts.desk.typed(cid, dana, anchor=place.anchor, ref=ref, said=said)

    async def presses(self, cid: ConversationId, action: Literal["take", "back"]) -> None:
        assert self._parts is not None
        since = self.board.of(cid)[-1].card.since
        key = str(next(self._numbers))
        await self._parts.desk.pressed(
            cid, Member(id="dana", name="Dana"), action=action, since=since, key=key
        )


class _Kitted:
    """What a connector makes of its kit."""

    def __init__(self, name: str, parts: Parts) -> None:
        self.name = name
        self.deliver = parts.threads.deliver
        self._cards = parts.cards

    async def run(self, _inlet: object) -> None:
        await self._cards.run()


class PageKind:
    """The surface of the page that says how to add one, installed as the page says."""

    name = "notebook"
    tells = True
    two_way = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "notes"
        self.folder.mkdir()

    @asynccontextmanager
    async def running(self, store: Store) -> AsyncIterator[Bridge]:
        bridge = Bridge(store=store)
        settings = configured(notebook={"folder": str(self.folder)})
        house = House(config=settings, bridge=bridge, persistence=QUICK)
        registry.install(house)
        parts = [part for name, part in house.background.items() if name.endswith(self.name)]
        tasks = [asyncio.create_task(part()) for part in parts]
        try:
            yield bridge
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def shown(self, cid: ConversationId) -> list[str]:
        path = self.folder / f"{cid}.txt"
        return path.read_text("utf-8").splitlines() if path.exists() else []

    async def trouble(self, *, on: bool) -> None:
        aside = self.folder.with_name("aside")
        if on:
            self.folder.rename(aside)
            self.folder.write_text("in the way")
        else:
            self.folder.unlink()
            aside.rename(self.folder)

    async def forget(self, cid: ConversationId) -> None:
        (self.folder / f"{cid}.txt").unlink()

    async def says(self, cid: ConversationId, text: str) -> None:
        raise NotImplementedError

    async def presses(self, cid: ConversationId, action: Literal["take", "back"]) -> None:
        raise NotImplementedError


@asynccontextmanager
async def memory_board(_folder: Path) -> AsyncIterator[Kind]:
    yield BoardKind()


@asynccontextmanager
async def page(folder: Path) -> AsyncIterator[Kind]:
    """Write the page's blocks where it says, and add its line to the registry."""
    text = PAGE.read_text("utf-8")
    package = folder / "connectors/notebook"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name, body in re.findall(r"`notebook/([a-z]+\.py)`(?:(?!```).)*?```py\n(.*?)```", text, re.DOTALL):
        (package / name).write_text(body, "utf-8")
    (line,) = re.findall(r"^ *Connector\((.*)\),$", text, re.MULTILINE)
    with pytest.MonkeyPatch.context() as patch:
        import connectors

        patch.setattr(connectors, "__path__", [*connectors.__path__, str(folder / "connectors")])
        added = registry.Connector(*re.findall(r'"([^"]+)"', line))
        patch.setattr(registry, "CONNECTORS", (*registry.CONNECTORS, added))
        registry.configuration.cache_clear()
        try:
            yield PageKind(folder)
        finally:
            registry.configuration.cache_clear()
            for name in [n for n in sys.modules if n.startswith("connectors.notebook")]:
                del sys.modules[name]
            shutil.rmtree(folder / "connectors")


class SlackKind:
    name = "slack"
    tells = True
    two_way = True

    def __init__(self, server: Slack) -> None:
        self.server = server
        self.dana = server.add_user("dana", display_name="Dana")
        self._team: SlackTeam | None = None

    @asynccontextmanager
    async def running(self, store: Store) -> AsyncIterator[Bridge]:
        self._team = SlackTeam(self.server, store=store, tell=0.1)
        async with self._team.open():
            yield self._team.bridge

    async def _root(self, cid: ConversationId) -> str:
        assert self._team is not None
        root = await self._team.surface._kit.ledger.root(cid)
        return root.anchor.partition(":")[2] if root else ""

    async def shown(self, cid: ConversationId) -> list[str]:
        thread = self.server.thread(self.server.channel, await self._root(cid))
        return [m.shown for m in thread if m.bot_id]

    async def trouble(self, *, on: bool) -> None:
        if on:
            self.server.breaks("*", 503, times=None)
        else:
            self.server.mend()

    async def forget(self, cid: ConversationId) -> None:
        await self.server.deletes(self.dana, await self._root(cid))
        await self.server.quiet()

    async def says(self, cid: ConversationId, text: str) -> None:
        await self.server.says(self.dana, text, thread=await self._root(cid))

    async def presses(self, cid: ConversationId, action: Literal["take", "back"]) -> None:
        await eventually(lambda: self.server.sockets)  # Slack tells of a press once, or never
        await self.server.presses(self.dana, await self._root(cid), action_id=action)


@asynccontextmanager
async def slack(_folder: Path) -> AsyncIterator[Kind]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connectors.slack.calls.MEND", 0.1)
        patch.setattr("connectors.slack.calls.AGAIN", 0.1)
        async with Slack() as server:
            server.posts_per_second = 1000.0
            server.post_burst = 1000
            yield SlackKind(server)


class TelegramKind:
    name = "telegram"
    tells = False
    two_way = True

    def __init__(self, server: TelegramServer) -> None:
        self.server = server
        self._dana: Person | None = None
        self._team: TelegramTeam | None = None

    @asynccontextmanager
    async def running(self, store: Store) -> AsyncIterator[Bridge]:
        self._team = TelegramTeam(self.server, store=store, tell=0.1)
        async with self._team.open():
            self._dana = self._dana or joined(self._team, "Dana")
            yield self._team.bridge

    async def _topic(self, cid: ConversationId) -> int:
        assert self._team is not None
        raw = (await self._team.store.cursor("telegram", cid)).anchor
        return int(raw.partition(":")[2]) if raw else 0

    async def shown(self, cid: ConversationId) -> list[str]:
        topic = await self._topic(cid)
        return [m.shown for m in self.server.topic_messages(topic) if m.by_bot] if topic else []

    async def trouble(self, *, on: bool) -> None:
        if on:
            self.server.fail("*", 502, "Bad Gateway", times=None)
        else:
            self.server.heal()

    async def forget(self, cid: ConversationId) -> None:
        await self.server.deletes_topic(await self._topic(cid))

    async def says(self, cid: ConversationId, text: str) -> None:
        assert self._dana is not None
        await self.server.says(self._dana, text.replace("!", "/"), topic=await self._topic(cid))

    async def presses(self, cid: ConversationId, action: Literal["take", "back"]) -> None:
        assert self._dana is not None
        card = self.server.topic_messages(await self._topic(cid))[0]
        await self.server.presses(self._dana, card.id, LABELS[action])


@asynccontextmanager
async def telegram(_folder: Path) -> AsyncIterator[Kind]:
    async with TelegramServer() as server:
        server.messages_per_minute = 10_000
        server.add_group("Desk")
        yield TelegramKind(server)


KINDS: dict[str, Callable[[Path], AbstractAsyncContextManager[Kind]]] = {
    "board": memory_board,
    "page": page,
    "slack": slack,
    "telegram": telegram,
}
