"""A Bolt app that writes down what it hears, on the local Slack, over sockets or signed HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from tests.eventually import eventually
from tests.fakes.slack import Slack

TAKE = {
    "type": "actions",
    "elements": [
        {
            "type": "button",
            "action_id": "take",
            "value": "c1",
            "text": {"type": "plain_text", "text": "Take over"},
        }
    ],
}


class Office:
    """A Bolt app that writes down what it hears."""

    def __init__(self, server: Slack) -> None:
        self.server = server
        self.heard: list[dict[str, Any]] = []
        self.bodies: list[dict[str, Any]] = []
        self.retries: list[Any] = []
        self.refuse = 0  # how many of the next requests are answered with 503
        self.delay = 0.0
        client = AsyncWebClient(token=server.bot_token, base_url=server.api_url)
        self.app = AsyncApp(client=client, signing_secret=server.signing_secret)
        self.app.use(self.first)
        self.app.event("message")(self.note)
        self.app.event("app_mention")(self.note)
        self.app.event("channel_archive")(self.note)
        self.app.event("channel_unarchive")(self.note)
        self.app.event("member_left_channel")(self.note)
        self.app.event("member_joined_channel")(self.note)
        self.app.action("take")(self.act)
        self.app.shortcut("guide")(self.act)
        self.app.view("guide")(self.submitted)
        self.errors: dict[str, str] = {}

    @property
    def client(self) -> AsyncWebClient:
        return self.app.client

    def texts(self) -> list[str]:
        return [e.get("text", "") for e in self.heard if e["type"] == "message"]

    async def first(self, req: Any, next_: Callable[[], Awaitable[Any]]) -> Any:
        self.retries.append(req.headers.get("x-slack-retry-num"))
        await asyncio.sleep(self.delay)
        if self.refuse:
            self.refuse -= 1
            return BoltResponse(status=503, body="")
        return await next_()

    async def note(self, event: dict[str, Any]) -> None:
        self.heard.append(event)

    async def act(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        self.bodies.append(body)

    async def submitted(self, ack: Any, body: dict[str, Any]) -> None:
        if self.errors:
            await ack(response_action="errors", errors=self.errors)
        else:
            await ack()
        self.bodies.append(body)

    async def acted(self) -> dict[str, Any]:
        await eventually(lambda: self.bodies)
        return self.bodies.pop()


@asynccontextmanager
async def by_socket(server: Slack) -> AsyncIterator[Office]:
    office, before = Office(server), len(server.sockets)
    handler = AsyncSocketModeHandler(office.app, server.app_token, ping_interval=0.2)
    await handler.connect_async()
    await eventually(lambda: len(server.sockets) == before + 1)
    try:
        yield office
    finally:
        await handler.close_async()


@asynccontextmanager
async def by_http(server: Slack) -> AsyncIterator[Office]:
    office = Office(server)

    async def answer(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await office.app.async_dispatch(await to_bolt_request(request)))

    application = web.Application()
    application.add_routes([web.post("/slack/events", answer), web.post("/slack/interactions", answer)])
    runner = web.AppRunner(application, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}/slack"
    await server.request_url(f"{base}/events", f"{base}/interactions")
    try:
        yield office
    finally:
        await runner.cleanup()
