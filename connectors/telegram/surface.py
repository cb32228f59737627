"""The pushed surface "telegram": brings the log to a group, and what its members do to the desk."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
import logging
from typing import Protocol

from bridge.commands import REGISTRY
from bridge.errors import Retry
from bridge.surface import Anchor, Inlet, Post
from connectors.telegram import layout
from connectors.telegram.calls import Calls, Rejected
from connectors.telegram.group import Group
from connectors.telegram.people import People
from connectors.threads.cards import Cards
from connectors.threads.inbox import Inbox
from connectors.threads.pace import Urgency
from connectors.threads.surface import Threads

log = logging.getLogger(__name__)

NAME = "telegram"
BETTER = (
    "This group has no topics, so chats stand here mixed: answer one by replying to its messages. "
    "With topics each chat gets its own place: open the group's settings, switch Topics on, and let me "
    "manage them (as an admin with “Manage Topics”)."
)
MENU = (
    *((c.name, f"{c.argument} {c.summary}".strip()) for c in REGISTRY.values()),
    ("delete", "As a reply to a message of yours: take it back."),
)


class Part(Protocol):
    """What runs as long as the surface does."""

    async def run(self) -> None: ...


class TelegramSurface:
    """`names` is filled with what the people on duty are called, by id."""

    name = NAME

    def __init__(
        self,
        *,
        calls: Calls,
        group: Group,
        people: People,
        threads: Threads,
        cards: Cards,
        inbox: Inbox,
        parts: Sequence[Part],
        on_duty: Sequence[Sequence[int]],
        names: dict[int, str],
    ) -> None:
        self._calls = calls
        self._group = group
        self._people = people
        self._threads = threads
        self._parts: tuple[Part, ...] = (inbox, cards, *parts)
        self._on_duty = on_duty
        self._names = names

    async def deliver(self, post: Post) -> Anchor | None:
        return await self._threads.deliver(post)

    async def run(self, inlet: Inlet) -> None:  # noqa: ARG002 - the desk has it
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(part.run())
            group.create_task(self._settle())

    async def _settle(self) -> None:
        """Look at the group at the start, and whenever something about it is another than before."""
        while True:
            self._group.changed.clear()
            wait: float | None = None
            for step in (self._look, self._offer_menu, self._learn_names, self._say_that_topics_are_better):
                wait = await self._try(step)
                if wait is not None:
                    break
            try:
                async with asyncio.timeout(wait):  # `wait_for` of Python 3.11 can swallow a cancel
                    await self._group.changed.wait()
            except TimeoutError:
                continue

    async def _try(self, step: Callable[[], Awaitable[None]]) -> float | None:
        """None when it is done, or refused for good; else when to try again."""
        try:
            await step()
        except Retry as trouble:
            log.warning("Telegram: %s", trouble.reason)
            return min(max(trouble.after, 1.0), 60.0)
        except Rejected as error:
            log.warning("Telegram refuses: %s", error.text)
        return None

    async def _look(self) -> None:
        chat = await self._calls.chat((await self._group.now()).chat)
        await self._group.has_topics(forum=bool(chat.is_forum))

    async def _offer_menu(self) -> None:
        await self._calls.menu((await self._group.now()).chat, MENU)

    async def _learn_names(self) -> None:
        for user in {user for group in self._on_duty for user in group} - set(self._names):
            if name := await self._people.name(user):
                self._names[user] = name

    async def _say_that_topics_are_better(self) -> None:
        known = await self._group.now()
        if known.forum is False and not known.told:
            words = layout.line(BETTER, limit=1000)
            await self._calls.send(known.chat, words, urgency=Urgency.CONTROL)
            await self._group.was_told()
