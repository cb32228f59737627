"""The queue of updates, and the two ways in which they reach the bot."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
import json
from typing import Any

import aiohttp

from tests.fakes.telegram_state import Json, Refusal

KINDS = frozenset({
    "message", "edited_message", "channel_post", "edited_channel_post", "inline_query", "chosen_inline_result",
    "callback_query", "shipping_query", "pre_checkout_query", "poll", "poll_answer", "my_chat_member",
    "chat_member", "chat_join_request", "chat_boost", "removed_chat_boost", "message_reaction",
    "message_reaction_count", "business_connection", "business_message", "edited_business_message",
    "deleted_business_messages", "purchased_paid_media",
})  # fmt: skip
BY_DEFAULT = KINDS - {"chat_member", "message_reaction", "message_reaction_count"}
LONGEST_POLL = 50
OTHER_POLL = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
)
WEBHOOK_IS_SET = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"


@dataclass
class Webhook:
    url: str = ""
    secret: str = ""
    max_connections: int = 40
    failures: int = 0
    last_error: str = ""
    last_error_date: int = 0
    pause: float = 0.05  # seconds before a failed delivery is tried again
    statuses: list[int] = field(default_factory=list)  # what the bot's server answered


class Updates:
    def __init__(self, now: Callable[[], float]) -> None:
        self.all: list[Json] = []
        self.pending: list[Json] = []
        self.webhook = Webhook()
        self.allowed = BY_DEFAULT
        self.allowed_as_set: list[str] | None = None
        self._now = now
        self._next = 5000
        self._poll: asyncio.Future[Refusal | None] | None = None
        self._delivering: dict[Any, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None

    @property
    def polling(self) -> bool:
        return self._poll is not None

    def add(self, kind: str, body: Json) -> None:
        if kind not in self.allowed:
            return
        update = {"update_id": self._next, kind: body}
        self._next += 1
        self.all.append(update)
        self.pending.append(update)
        self._wake(None)
        self._deliver()

    def again(self, update_id: int) -> None:
        """Deliver what was already confirmed once more, as happens when an answer gets lost."""
        if all(u["update_id"] != update_id for u in self.pending):
            self.pending.append(next(u for u in self.all if u["update_id"] == update_id))
            self.pending.sort(key=lambda u: int(u["update_id"]))
        self._wake(None)
        self._deliver()

    def allow(self, wanted: list[str] | None) -> None:
        """Nothing said leaves the last choice; an empty list means the default."""
        if wanted is not None:
            kinds = frozenset(wanted) & KINDS
            self.allowed = kinds or BY_DEFAULT
            self.allowed_as_set = sorted(kinds) if kinds and kinds != BY_DEFAULT else None

    async def poll(self, offset: int, limit: int, timeout: float) -> list[Json]:
        if self.webhook.url:
            raise Refusal(409, WEBHOOK_IS_SET)
        if offset < 0:
            self.pending = self.pending[offset:]
        elif offset > 0:
            self.pending = [u for u in self.pending if u["update_id"] >= offset]
        if not self.pending and timeout > 0:
            await self._wait(min(timeout, LONGEST_POLL))
        return self.pending[:limit]

    async def _wait(self, timeout: float) -> None:
        self._wake(Refusal(409, OTHER_POLL))
        mine = self._poll = asyncio.get_running_loop().create_future()
        try:
            with suppress(TimeoutError):
                refusal = await asyncio.wait_for(mine, timeout)
                if refusal is not None:
                    raise refusal
        finally:
            if self._poll is mine:
                self._poll = None

    def _wake(self, refusal: Refusal | None) -> None:
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(refusal)
        self._poll = None

    def set_webhook(self, url: str, secret: str, max_connections: int) -> None:
        pause = self.webhook.pause
        self.webhook = Webhook(url, secret, max_connections, pause=pause)
        if url:
            self._wake(Refusal(409, "Conflict: terminated by setWebhook request"))
        self._deliver()

    def _deliver(self) -> None:
        """One delivery at a time for each chat or person, in order."""
        if not self.webhook.url:
            return
        for update in self.pending:
            key = _queue_of(update)
            if key not in self._delivering:
                task = asyncio.get_running_loop().create_task(self._deliver_queue(key))
                self._delivering[key] = task

    async def _deliver_queue(self, key: Any) -> None:
        try:
            while update := next((u for u in self.pending if _queue_of(u) == key), None):
                hook = self.webhook
                if not hook.url:
                    return
                if await self._post(hook, update):
                    self.pending = [u for u in self.pending if u is not update]
                else:
                    await asyncio.sleep(hook.pause)
        finally:
            del self._delivering[key]

    async def _post(self, hook: Webhook, update: Json) -> bool:
        self._session = self._session or aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        headers = {"Content-Type": "application/json"}
        if hook.secret:
            headers["X-Telegram-Bot-Api-Secret-Token"] = hook.secret
        try:
            async with self._session.post(hook.url, data=json.dumps(update), headers=headers) as answer:
                status = answer.status
                trouble = f"Wrong response from the webhook: {status} {answer.reason}"
        except (aiohttp.ClientError, TimeoutError):
            status, trouble = 0, "Connection refused"
        hook.statuses.append(status)
        if 200 <= status < 300:
            return True  # the last trouble is remembered all the same
        hook.failures += 1
        hook.last_error = trouble
        hook.last_error_date = int(self._now())
        return False

    async def close(self) -> None:
        self._wake(None)
        tasks = list(self._delivering.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()


def _queue_of(update: Json) -> Any:
    kind = next(name for name in update if name != "update_id")
    body = update[kind]
    return (kind, body["from"]["id"]) if kind == "callback_query" else body["chat"]["id"]
