"""Every request to the Bot API: its pace, its time-outs, and what its errors mean.

Out of here come answers, `Retry` with a reason for people, and `Rejected`: a no to this very call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
import logging
import os
from typing import Any, TypeVar

from telegram import (
    Bot,
    BotCommandScopeChat,
    ChatFullInfo,
    ChatMember,
    ForumTopic,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    Message,
    ReplyParameters,
    User,
    WebhookInfo,
)
from telegram.constants import ParseMode
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
    TimedOut,
)
from telegram.request import HTTPXRequest

from bridge.errors import Retry
from connectors.telegram.html import Part
from connectors.threads.pace import Pace, Urgency

log = logging.getLogger(__name__)

logging.getLogger("telegram").setLevel(logging.WARNING)  # below, it prints what people write
logging.getLogger("telegram.request").setLevel(logging.CRITICAL)  # and here the answers that it cannot read
os.environ["PTB_TIMEDELTA"] = "true"  # the library's own switch for RetryAfter.retry_after as a timedelta

UPDATES = ("message", "edited_message", "callback_query", "my_chat_member")
EVERY, BURST = 4.0, 4  # Telegram takes 20 messages in a minute for a group, all its topics together
LONG = 5.0  # seconds of a wait that others than the one who waits should hear of
CROWD = 120.0  # seconds in the queue, after which whoever waits comes again
POLL = 30  # seconds

T = TypeVar("T")

_RIGHTS = (
    "not enough rights", "have no rights", "need administrator rights", "chat_admin_required",
    "chat_write_forbidden", "administrator rights in the",
)  # fmt: skip
_GONE = ("message to edit not found", "message_id_invalid", "message can't be edited")
_NO_THREAD = ("message thread not found", "topic_id_invalid", "topic_deleted")


class Rejected(Exception):
    """A 400, or in a private chat a 403; `text` is in lower case."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text.lower()

    def says(self, *phrases: str) -> bool:
        return any(phrase in self.text for phrase in phrases)

    @property
    def no_thread(self) -> bool:
        return self.says(*_NO_THREAD)

    @property
    def no_forum(self) -> bool:
        return self.says("is not a forum")


class Calls:
    def __init__(
        self,
        *,
        token: str,
        api_url: str,
        moved: Callable[[int], Awaitable[None]],
        every: float = EVERY,
        burst: int = BURST,
        patience: float = 15.0,
        poll: int = POLL,
        again: float = 30.0,
    ) -> None:
        """`moved` hears the group's new id; `patience` is how long an answer may take, in seconds, and
        `again` how long to wait where somebody has to mend something first.
        """
        self._requests = [
            HTTPXRequest(connection_pool_size=size, connect_timeout=5, read_timeout=patience, pool_timeout=30)
            for size in (1, 16)
        ]
        # A bot that is not initialised works the same; `initialize` would raise errors that tell the token.
        self._bot = Bot(
            token, base_url=f"{api_url}/bot", base_file_url=f"{api_url}/file/bot",
            get_updates_request=self._requests[0], request=self._requests[1],
        )  # fmt: skip
        self._moved = moved
        self._every, self._burst, self._poll, self._again = every, burst, poll, again
        self._paces: dict[int, Pace] = {}
        self._held: dict[int, float] = {}  # until when, by the loop's clock
        self._me: User | None = None

    async def close(self) -> None:
        for request in self._requests:
            await request.shutdown()

    # The bot and the way in

    async def me(self) -> User:
        if self._me is None:
            self._me = await self._ask(self._bot.get_me)
        return self._me

    async def updates(self, offset: int | None) -> list[dict[str, Any]]:
        """Updates as Telegram sends them: one that the library cannot read must not stop the others.

        The library warns of its own method's name, hence the capital, which Telegram takes for the same.
        """
        asked = {"offset": offset, "timeout": round(self._poll), "allowed_updates": UPDATES}
        wanted = {name: value for name, value in asked.items() if value is not None}
        found: list[dict[str, Any]] = await self._ask(
            lambda: self._bot.do_api_request("GetUpdates", wanted, read_timeout=self._poll + 10)
        )
        return found

    async def set_webhook(self, url: str, secret: str) -> None:
        try:
            await self._ask(
                lambda: self._bot.set_webhook(
                    url, secret_token=secret, allowed_updates=UPDATES, max_connections=10
                )
            )
        except Rejected as error:
            raise Retry(2 * self._again, f"Telegram will not call {url}: {error.text}") from None

    async def delete_webhook(self) -> None:
        await self._ask(self._bot.delete_webhook)

    async def webhook(self) -> WebhookInfo:
        return await self._ask(self._bot.get_webhook_info)

    async def menu(self, chat: int, commands: Sequence[tuple[str, str]]) -> None:
        scope = BotCommandScopeChat(chat)
        await self._ask(lambda: self._bot.set_my_commands(commands, scope), chat, looks=True)

    async def answer(self, query: str, text: str, *, alert: bool) -> None:
        """Answer a press; one that is too old needs no answer any more."""
        try:
            await self._ask(lambda: self._bot.answer_callback_query(query, text or None, alert))
        except Rejected as error:
            if not error.says("query is too old", "query id is invalid"):
                raise

    # The group

    async def chat(self, chat: int) -> ChatFullInfo:
        return await self._ask(lambda: self._bot.get_chat(chat), chat, looks=True)

    async def member(self, chat: int, user: int) -> ChatMember:
        return await self._ask(lambda: self._bot.get_chat_member(chat, user), chat, looks=True)

    async def create_topic(self, chat: int, name: str) -> ForumTopic:
        return await self._ask(lambda: self._bot.create_forum_topic(chat, name), chat)

    async def rename_topic(
        self, chat: int, thread: int, name: str, *, urgency: Urgency = Urgency.CARD
    ) -> None:
        await self._change_topic(
            lambda: self._bot.edit_forum_topic(chat, thread, name), chat, urgency=urgency
        )

    async def close_topic(self, chat: int, thread: int) -> None:
        await self._change_topic(lambda: self._bot.close_forum_topic(chat, thread), chat)

    async def reopen_topic(self, chat: int, thread: int) -> None:
        await self._change_topic(lambda: self._bot.reopen_forum_topic(chat, thread), chat)

    async def _change_topic(
        self, request: Callable[[], Awaitable[bool]], chat: int, *, urgency: Urgency | None = None
    ) -> None:
        try:
            await self._ask(request, chat, urgency)
        except Rejected as error:
            if not error.says("topic_not_modified"):
                raise

    # Messages

    async def send(
        self,
        chat: int,
        words: Part,
        *,
        thread: int = 0,
        reply_to: int = 0,
        silent: bool = True,
        keyboard: InlineKeyboardMarkup | None = None,
        urgency: Urgency = Urgency.WORDS,
        whose: str = "",
    ) -> Message:
        reply = ReplyParameters(reply_to, allow_sending_without_reply=True) if reply_to else None

        async def sent(text: str, mode: str | None) -> Message:
            return await self._ask(
                lambda: self._bot.send_message(
                    chat, text, parse_mode=mode, message_thread_id=thread or None, reply_parameters=reply,
                    disable_notification=silent, reply_markup=keyboard, link_preview_options=_NO_PREVIEW,
                ), chat, urgency, whose=whose,
            )  # fmt: skip

        return await _as_html_or_plain(sent, words)

    async def edit(
        self,
        chat: int,
        message: int,
        words: Part,
        *,
        keyboard: InlineKeyboardMarkup | None = None,
        urgency: Urgency = Urgency.WORDS,
    ) -> bool:
        """Whether the message is there, and reads so now."""

        async def edited(text: str, mode: str | None) -> Message | bool:
            return await self._ask(
                lambda: self._bot.edit_message_text(
                    text, chat, message, parse_mode=mode, reply_markup=keyboard,
                    link_preview_options=_NO_PREVIEW,
                ), chat, urgency,
            )  # fmt: skip

        try:
            await _as_html_or_plain(edited, words)
        except Rejected as error:
            if error.says(*_GONE):
                return False
            if not error.says("message is not modified"):
                raise
        return True

    async def delete(self, chat: int, message: int) -> None:
        """One that is gone, or too old for it, is no trouble."""
        try:
            await self._ask(lambda: self._bot.delete_message(chat, message), chat)
        except Rejected as error:
            log.info("a message stays: %s", error.text)

    async def pin(self, chat: int, message: int) -> None:
        await self._ask(lambda: self._bot.pin_chat_message(chat, message, disable_notification=True), chat)

    async def react(self, chat: int, message: int, emoji: str) -> None:
        await self._ask(lambda: self._bot.set_message_reaction(chat, message, emoji), chat)

    # How fast, and what came of it

    def delay(self, chat: int) -> float:
        """Seconds until a message of little urgency would be sent."""
        return self._pace(chat).delay

    def hurry(self, chat: int, whose: str) -> None:
        """What waits in the name of `whose` is as urgent as can be."""
        self._pace(chat).hurry(whose)

    def _pace(self, chat: int) -> Pace:
        return self._paces.setdefault(chat, Pace(every=self._every, burst=self._burst))

    async def _ask(
        self,
        request: Callable[[], Awaitable[T]],
        chat: int = 0,
        urgency: Urgency | None = None,
        *,
        whose: str = "",
        looks: bool = False,
    ) -> T:
        """What Telegram limits holds up its chat; `looks`: not this, which puts nothing there."""
        if not looks:
            self._check_held(chat)
        if urgency is not None and chat < 0:
            await self._turn(chat, urgency, whose)
        try:
            return await request()
        except ChatMigrated as error:
            log.warning("the group is another one now: %d", error.new_chat_id)
            await self._moved(error.new_chat_id)
            raise Retry(0.0, "The Telegram group has become another one; the new one is used.") from None
        except TelegramError as error:
            raise self._verdict(
                error, chat, looks=looks
            ) from None  # what it was raised from may tell the URL

    async def _turn(self, chat: int, urgency: Urgency, whose: str) -> None:
        """A turn at the chat's pace; whoever would wait for long because Telegram says so is told."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        turn = loop.create_task(self._pace(chat).turn(urgency, whose=whose))
        try:
            while not (await asyncio.wait({turn}, timeout=1.0))[0]:
                self._check_held(chat)
                if loop.time() - began > CROWD:
                    raise Retry(LONG, "More is to be shown in Telegram than it takes.")
        finally:
            turn.cancel()

    def _check_held(self, chat: int) -> None:
        left = self._held.get(chat, 0.0) - asyncio.get_running_loop().time()
        if left > LONG:
            raise Retry(left, _WAIT)

    def _verdict(self, error: TelegramError, chat: int, *, looks: bool) -> Retry | Rejected:
        text = error.message.lower()
        match error:
            case RetryAfter():
                wait = error.retry_after
                seconds = wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
                if chat and not looks:
                    self._held[chat] = asyncio.get_running_loop().time() + seconds
                    self._pace(chat).hold(seconds)
                return Retry(seconds, _WAIT)
            case InvalidToken():
                return Retry(2 * self._again, _TOKEN)
            case Forbidden() if chat > 0:
                return Rejected(text)
            case Forbidden():
                return Retry(self._again, _KICKED)
            case Conflict():
                return Retry(self._again / 3, _CONFLICT)
            case TimedOut():
                return Retry(2.0, "Telegram did not answer in time.")
            case BadRequest() if "chat not found" in text and chat < 0:
                return Retry(2 * self._again, _NO_GROUP)
            case BadRequest() if any(phrase in text for phrase in _RIGHTS) and "pin" not in text:
                return Retry(self._again, _RIGHTS_MISSING.format(error.message))
            case BadRequest():
                return Rejected(text)
            case _:
                log.info("Telegram's trouble: %s", type(error).__name__)
                return Retry(2.0, "Telegram cannot be reached, or is in trouble itself.")


async def patiently(ask: Callable[[], Awaitable[T]], what: str) -> T:
    """Ask Telegram until it answers; `what` says in the log what it is asked for."""
    while True:
        try:
            return await ask()
        except Retry as trouble:
            log.warning("Telegram could not be asked %s: %s", what, trouble.reason)
            await asyncio.sleep(min(max(trouble.after, 1.0), 60.0))


async def _as_html_or_plain(put: Callable[[str, str | None], Awaitable[T]], words: Part) -> T:
    """Where Telegram cannot read the markup, the same words once more without it."""
    try:
        return await put(words.html, ParseMode.HTML)
    except Rejected as error:
        if not error.says("can't parse entities"):
            raise
        log.warning("Telegram could not read the markup; sent without it")
        return await put(words.plain, None)


_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
_WAIT = "Telegram wants a pause before it takes more."
_TOKEN = "Telegram refuses the bot's token: set telegram.token to the one that @BotFather shows."  # noqa: S105
_KICKED = "The bot was removed from the Telegram group: add it again and make it an admin."
_CONFLICT = "Another program takes this bot's updates: run one server for a bot, with a token of its own."
_NO_GROUP = "Telegram does not know the group: check telegram.chat, and add the bot to that group."
_RIGHTS_MISSING = (
    "The bot may not do that in the Telegram group ({}): make it an admin that may manage topics."
)
