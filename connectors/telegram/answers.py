"""What whoever acted in Telegram gets back: a mark on their message, words, an offer, a link in private.

The log has what they did by then. So an answer that Telegram does not take is tried a while, beside
everything else, and then let go.
"""

import asyncio
from collections.abc import Awaitable, Callable
from html import escape
import logging

from telegram import InlineKeyboardMarkup

from bridge.errors import Retry
from bridge.events import ConversationId
from connectors.telegram import layout
from connectors.telegram.calls import Calls, Rejected
from connectors.telegram.html import LIMIT, Part, parts
from connectors.telegram.topics import ref
from connectors.text import shorten
from connectors.threads.desk import Mark, Offer, Reply
from connectors.threads.ledger import Ledger
from connectors.threads.pace import Urgency

log = logging.getLogger(__name__)

TRIED_FOR = 600.0  # seconds
LINK = "Your personal link to this conversation. It opens it as you, so keep it to yourself:"
ANSWER = 200  # characters of what a press is answered with

_REACTIONS: dict[Mark, str] = {"sent": "👍", "noted": "✍", "done": "👌"}
_WORDS: dict[Mark, str] = {"sent": "Sent to the visitor.", "noted": "Kept as a note.", "done": "Done."}


class Answers:
    def __init__(self, *, calls: Calls, ledger: Ledger) -> None:
        self._calls = calls
        self._ledger = ledger
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Give what is asked for until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    def _later(self, give: Callable[[], Awaitable[None]]) -> None:
        if self._tasks is not None:
            self._tasks.create_task(self._try(give))

    async def _try(self, give: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                await give()
            except Retry as trouble:
                if loop.time() - began + trouble.after > TRIED_FOR:
                    log.warning("an answer to a member is let go: %s", trouble.reason)
                    return
                await asyncio.sleep(max(trouble.after, 1.0))
            except Rejected as error:
                log.warning("Telegram refuses an answer to a member: %s", error.text)
                return
            except Exception:
                log.exception("trouble with an answer to a member")
                return
            else:
                return

    # To a message

    def mark(self, chat: int, message: int, mark: Mark) -> None:
        if emoji := _REACTIONS.get(mark):
            self._later(lambda: self._mark(chat, message, emoji, _WORDS[mark]))

    async def _mark(self, chat: int, message: int, emoji: str, words: str) -> None:
        try:
            await self._calls.react(chat, message, emoji)
        except Rejected as error:
            if error.says("message to react not found"):
                return
            await self._send(chat, message, layout.line(words, limit=ANSWER), cid=None, offer=None)

    def say(
        self,
        chat: int,
        message: int,
        text: str,
        *,
        cid: ConversationId | None = None,
        offer: Offer | None = None,
    ) -> None:
        """A short silent reply to the member's message; with an offer, under a button."""
        self._later(lambda: self._send(chat, message, _said(text), cid=cid, offer=offer))

    async def _send(
        self, chat: int, message: int, words: Part, *, cid: ConversationId | None, offer: Offer | None
    ) -> None:
        keyboard: InlineKeyboardMarkup | None = layout.offer_button(offer) if offer else None
        sent = await self._calls.send(
            chat, words, reply_to=message, silent=True, keyboard=keyboard, urgency=Urgency.CONTROL
        )
        if cid is not None:
            await self._ledger.belongs(ref(chat, sent.message_id), cid)

    def offer_again(self, chat: int, message: int, reply: Reply) -> None:
        """The offer in `message` stands anew, from another view."""
        keyboard = layout.offer_button(reply.offer) if reply.offer else None

        async def edited() -> None:
            await self._calls.edit(
                chat, message, _said(reply.text), keyboard=keyboard, urgency=Urgency.CONTROL
            )

        self._later(edited)

    def remove(self, chat: int, message: int) -> None:
        self._later(lambda: self._calls.delete(chat, message))

    # To a press

    async def to_press(self, query: str, text: str, *, alert: bool = False) -> None:
        """At once or never: it waits for a few seconds only."""
        try:
            await self._calls.answer(query, shorten(text, ANSWER), alert=alert)
        except (Retry, Rejected) as error:
            log.warning("a press stays without an answer: %s", error)

    # In private

    async def link(self, user: int, link: str) -> str:
        """Send a personal link to its owner alone; what to tell them instead where that cannot be."""
        words = Part(html=f"{LINK}\n{escape(link)}", plain=f"{LINK}\n{link}")
        try:
            await self._calls.send(user, words, silent=True, urgency=Urgency.CONTROL)
        except Rejected:
            bot = await self._calls.me()
            return f"I may not write to you yet. Open t.me/{bot.username}, press Start there, then ask again."
        return ""

    def tell_privately(self, user: int, text: str) -> None:
        self._later(lambda: self._tell(user, text))

    async def _tell(self, user: int, text: str) -> None:
        await self._calls.send(user, _said(text), silent=True, urgency=Urgency.CONTROL)


def _said(text: str) -> Part:
    """Joinline's own words; names in them are anybody's, so nothing of it is read as Markdown."""
    lines = [layout.line(one, limit=500) for one in text.splitlines()]
    found = layout.block(*lines)
    return found if len(found.plain) <= LIMIT else parts(text)[0]
