"""What the one who acted gets to see: a mark on their message, words that only they read.

It is tried for a while, as nobody should have to guess whether their words were sent; but it holds up
nobody: the log has what counts.
"""

import asyncio
from collections.abc import Awaitable, Callable
import logging

from bridge.errors import Retry
from connectors.slack.calls import PAUSE, Busy, Calls, Json, Refusal

log = logging.getLogger(__name__)

TRIED_FOR = 600.0  # seconds
LONGEST = 30.0  # seconds between two tries, unless Slack wants a longer pause
DONE_ALREADY = {"already_reacted", "no_reaction", "message_not_found", "404"}

Courteous = Callable[[], Awaitable[object]]


class Courtesy:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._group: asyncio.TaskGroup | None = None
        self._held: dict[str, float] = {}  # until when Slack wants no such call, by the loop's clock

    async def run(self) -> None:
        """Try again what Slack did not take at once, until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    async def react(self, channel: str, ts: str, name: str) -> None:
        await self._do("reactions.add", channel=channel, timestamp=ts, name=name)

    async def unreact(self, channel: str, ts: str, name: str) -> None:
        await self._do("reactions.remove", channel=channel, timestamp=ts, name=name)

    async def whisper(self, channel: str, user: str, look: Json, *, thread: str) -> None:
        """Words for `user` alone. Slack shows those for a thread only where the thread has replies."""
        arguments: Json = {"channel": channel, "user": user, "link_names": False, **look}
        if thread:
            arguments["thread_ts"] = thread
        await self._do("chat.postEphemeral", **arguments)

    async def dismiss(self, response_url: str) -> None:
        """Take away the words that were pressed."""
        if response_url:
            await self._try("response_url", lambda: self._calls.dismiss(response_url))

    async def _do(self, method: str, **arguments: object) -> None:
        await self._try(method, lambda: self._calls.do(method, **arguments))

    async def _try(self, what: str, call: Courteous, *, late: float = 0.0) -> None:
        """`late`: for how many seconds it has been tried."""
        now = asyncio.get_running_loop().time
        try:
            if (held := self._held.get(what, 0.0) - now()) > 0:
                raise Busy(held, PAUSE)
            await call()
        except Refusal as refusal:
            if refusal.code not in DONE_ALREADY:
                log.warning("slack: %s is refused: %s", what, refusal.code)
        except Retry as trouble:
            if isinstance(trouble, Busy):
                self._held[what] = now() + trouble.after
            after = max(trouble.after, min(late, LONGEST))
            if late + after <= TRIED_FOR and self._group is not None:
                self._group.create_task(self._later(what, call, after=after, late=late))
            else:
                log.warning("slack: %s is left out: %s", what, trouble.reason)

    async def _later(self, what: str, call: Courteous, *, after: float, late: float) -> None:
        await asyncio.sleep(after)
        await self._try(what, call, late=late + after)
