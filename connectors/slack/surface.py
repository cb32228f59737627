"""The pushed surface "slack": conversations as threads of one channel, and what members do there."""

import asyncio
from collections.abc import Mapping
import logging
from typing import Any

from msgspec import MsgspecError

from bridge.house import House
from bridge.surface import Anchor, Inlet, Post
from connectors.slack.board import POSTS, UPDATES, SlackBoard
from connectors.slack.calls import Calls
from connectors.slack.courtesy import Courtesy
from connectors.slack.doors import Socket, bolt
from connectors.slack.happenings import item
from connectors.slack.incoming import MARK, Incoming
from connectors.slack.people import Myself, People
from connectors.slack.places import Places
from connectors.slack.settings import SlackSettings
from connectors.threads.inbox import Inbox
from connectors.threads.kit import kit
from connectors.threads.ledger import Ledger

log = logging.getLogger(__name__)

NAME = "slack"


class SlackSurface:
    """`posts` and `updates`: as for the board; `ping`: seconds between two looks at the socket."""

    name = NAME

    def __init__(
        self,
        *,
        house: House,
        settings: SlackSettings,
        posts: tuple[float, int] = POSTS,
        updates: tuple[float, int] = UPDATES,
        ping: float = 5.0,
        patience: float = 10.0,
    ) -> None:
        store, clock = house.bridge.store, house.bridge.clock
        self._calls = calls = Calls(
            token=settings.bot_token.get_secret_value(), api_url=settings.api_url, patience=patience
        )
        ledger = Ledger(store=store, surface=NAME, clock=clock)
        places = Places(store=store, ledger=ledger, surface=NAME)
        self._myself = Myself(calls)
        board = SlackBoard(
            calls=calls, myself=self._myself, places=places, channel=settings.channel,
            on_duty=settings.on_duty, clock=clock, posts=posts, updates=updates,
        )  # fmt: skip
        self._kit = kit(
            house=house, name=NAME, label="Slack", mark=MARK, board=board, ledger=ledger, settings=settings
        )
        self._courtesy = Courtesy(calls)
        self._inbox = Inbox(
            store=store, name=NAME, clock=clock, handle=self._handle, process=house.bridge.process
        )
        self._incoming = Incoming(
            channel=settings.channel, calls=calls, myself=self._myself,
            people=People(calls=calls, staff=settings.staff, channel=settings.channel),
            places=places, desk=self._kit.desk, courtesy=self._courtesy, handled=self._inbox.handled,
        )  # fmt: skip
        self.app = bolt(calls, self._keep)
        app_token = settings.app_token
        self._socket = None
        if app_token is not None:
            self._socket = Socket(
                app=self.app, calls=calls, app_token=app_token.get_secret_value(), ping=ping
            )

    async def run(self, inlet: Inlet) -> None:  # noqa: ARG002 - the kit has been given it
        """Listen and keep the cards true until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kit.cards.run())
            group.create_task(self._courtesy.run())
            group.create_task(self._inbox.run())
            group.create_task(self._myself.run())
            if self._socket is not None:
                group.create_task(self._socket.run())

    async def deliver(self, post: Post) -> Anchor | None:
        return await self._kit.threads.deliver(post)

    async def close(self) -> None:
        await self._calls.close()

    async def _keep(self, body: Mapping[str, Any]) -> None:
        try:
            found = item(body)
        except MsgspecError as error:  # it would come again and again
            log.warning("slack: a payload is not as Slack's should be, and is left out: %s", error)
            return
        if found is not None:
            await self._inbox.accept([found])

    async def _handle(self, body: bytes) -> None:
        await self._incoming.handle(body)
