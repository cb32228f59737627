"""A business whose team answers from Slack: the real server process, the local Slack, and what people see there."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
import re
from typing import Any, Literal

from tests.eventually import PATIENCE, eventually
from tests.fakes.slack import Slack
from tests.fakes.slack_state import Ephemeral, Message
from tests.fakes.smtp import SmtpServer
from tests.running import Server, free_port

Way = Literal["socket", "http"]

SOON = 2 * PATIENCE  # a channel takes about one post a second


class Room:
    """The channel as the team sees it, and the server behind it."""

    def __init__(self, *, way: Way) -> None:
        self.way = way
        self.slack = Slack()
        self.smtp = SmtpServer()
        self.server: Server
        self.lee = self.slack.add_user("lee", real_name="Lee Svensson", display_name="Lee")

    # The server

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)
        if self.way == "http":
            url = f"{self.server.url}/slack"
            await self.slack.request_url(f"{url}/events", f"{url}/interactions")
        else:
            await eventually(lambda: self.slack.sockets, within=SOON, what="the server opens a socket")

    async def kill(self) -> None:
        await asyncio.to_thread(self.server.kill)

    # What the channel shows

    @property
    def roots(self) -> list[Message]:
        """What stands in the channel itself and is the app's."""
        return [m for m in self.slack.roots(self.slack.channel) if m.bot_id == self.slack.bot_id]

    @property
    def root(self) -> Message:
        return self.roots[-1]

    @property
    def thread(self) -> list[Message]:
        """The replies in the newest thread."""
        return self.slack.replies(self.slack.channel, self.root.ts)

    def lines(self) -> list[str]:
        """The newest thread as it reads: the speaker, if it is not the app itself, and the words."""
        return [f"{self._speaker(m)}{m.shown}" for m in self.thread]

    def _speaker(self, message: Message) -> str:
        name = message.username or (self.slack.name_of(message.user or "") if not message.bot_id else "")
        return f"{name}: " if name else ""

    async def begun(self, number: int = 1) -> Message:
        await eventually(lambda: len(self.roots) == number, within=SOON, what=f"root {number}")
        return self.root

    async def reads(self, line: str, *, within: float = SOON) -> Message:
        """Wait until the newest thread has this line, which it then has once."""

        def found() -> Message | None:
            same = [m for m, read in zip(self.thread, self.lines(), strict=True) if read == line]
            assert len(same) <= 1, f"{line!r} stands there {len(same)} times"
            assert same, f"no line {line!r} in {self.lines()}"
            return same[0]

        message = await eventually(found, within=within)
        assert message is not None
        return message

    async def card(self, *words: str, buttons: list[str] | None = None) -> None:
        """Wait until the newest card reads so."""

        def fits() -> bool:
            assert [w for w in words if w not in self.root.shown] == [], self.root.shown
            assert buttons is None or [b.text for b in self.root.buttons] == buttons, self.root.buttons
            return True

        await eventually(fits, within=SOON)

    async def reaction(self, ts: str, *names: str) -> None:
        """Wait until the message is marked so, and not otherwise."""

        def marked() -> bool:
            message = self.slack.message(ts)
            assert sorted(message.reactions) == sorted(names), f"{message.text!r}: {message.reactions}"
            return True

        await eventually(marked, within=SOON)

    async def whispered(self, user: str, text: str, *, count: int = 1) -> Ephemeral:
        """Wait for words that only `user` sees, if need be once more; the newest of them."""

        def found() -> Ephemeral:
            seen = self.slack.seen_by(user)
            fitting = [e for e in seen if text in e.shown]
            assert len(fitting) >= count, f"{user} is not told {text!r}, only {[e.shown for e in seen]}"
            return fitting[-1]

        return await eventually(found, within=SOON)

    # What people do

    async def says(self, text: str, *, user: str | None = None, **options: Any) -> str:
        """Somebody, by default Lee, types in the newest thread; the ts."""
        return await self.slack.says(user or self.lee, text, thread=self.root.ts, **options)

    async def presses(
        self, action: str, *, user: str | None = None, ts: str | None = None, **options: Any
    ) -> None:
        """Somebody, by default Lee, presses a button, by default of the newest card."""
        pressed = await self.slack.presses(user or self.lee, ts or self.root.ts, action_id=action, **options)
        await pressed.done()
        assert pressed.acked, pressed.failures

    async def link_in_mail(self, recipient: str) -> str:
        """The personal link in the newest mail to `recipient`."""
        await eventually(lambda: self.smtp.to(recipient), within=SOON, what=f"a mail to {recipient}")
        text = self.smtp.to(recipient)[-1].part("plain")
        found = re.search(r"^(https?://\S+/join#\S+)\s*$", text, re.MULTILINE)
        assert found, text
        return found[1]


@asynccontextmanager
async def room(
    folder: Path,
    *,
    origin: str,
    way: Way = "socket",
    port: int | None = None,
    config: Mapping[str, Any] | None = None,
    slack: Mapping[str, Any] | None = None,
    before: Callable[[Room], object] | None = None,
    starts: bool = True,
) -> AsyncIterator[Room]:
    """`before` is called when Slack is there and the server is not; with `starts`, the server then starts."""
    here = Room(way=way)
    async with here.slack, here.smtp:
        key = {"app_token": here.slack.app_token}
        if way == "http":
            key = {"signing_secret": here.slack.signing_secret}
        section = {
            "bot_token": here.slack.bot_token, "channel": here.slack.channel, "api_url": here.slack.api_url,
            **key, **(slack or {}),
        }  # fmt: skip
        values = {
            "sites": {"acme": {"name": "Acme", "origins": [origin], "staff": ["dana"]}},
            "staff": {"dana": {"name": "Dana", "email": "dana@acme.example"}},
            "email": {"smtp_url": here.smtp.url, "from": "Acme Chat <chat@acme.example>", "settle": 1.0},
            "limits": {
                "messages_per_minute": 1000, "opened_per_ip_per_hour": 100_000, "sockets_per_ip": 2_000,
            },
            **(config or {}),
            "slack": section,
        }  # fmt: skip
        here.server = Server(folder, values, port=port or free_port())
        if before is not None:
            before(here)
        try:
            if starts:
                await here.start()
            yield here
        finally:
            here.server.kill()
