"""A Telegram group as a board: a forum topic for each conversation, or replies where it has no topics.

Telegram cannot be asked what was posted. So a message whose answer got lost, or that was on its way when
the process died, may show twice, and a topic may stand empty beside the one that is used; nothing but the
request itself lies between what is remembered.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from hashlib import sha256
import logging
from weakref import WeakValueDictionary

from msgspec.structs import replace
from telegram import InlineKeyboardMarkup, Message

from bridge.conversation import Conversation
from bridge.errors import AnchorLost, Retry, Undeliverable
from bridge.events import ConversationId, Staff
from bridge.surface import Anchor, Inlet
from connectors.telegram import layout
from connectors.telegram.calls import Calls, Rejected
from connectors.telegram.group import Group, Known
from connectors.telegram.html import Part
from connectors.telegram.topics import Topic, Topics, message_of, ref, reply_anchor, topic_anchor
from connectors.threads.board import Piece, Spot
from connectors.threads.card import Card
from connectors.threads.ledger import Ledger
from connectors.threads.pace import Urgency
from connectors.threads.shown import Call, Shown, Speech

log = logging.getLogger(__name__)

BEHIND = 5.0  # seconds of delay from which entries share messages
TOGETHER = 15
_SWITCHED_OFF = "Topics were switched off in the Telegram group; replies are used instead."
LOOK = 60.0  # seconds until a group without topics is asked again whether it has some
PROBES = 3  # refusals in a row after which a topic that is there is given up: some take no bot any more


class TelegramBoard:
    """`on_duty` are the groups of users that a call mentions; `names` are theirs, by id."""

    def __init__(
        self,
        *,
        calls: Calls,
        group: Group,
        topics: Topics,
        ledger: Ledger,
        inlet: Inlet,
        clock: Callable[[], datetime],
        on_duty: Sequence[Sequence[int]],
        names: Mapping[int, str],
        look: float = LOOK,
    ) -> None:
        self._calls = calls
        self._group = group
        self._topics = topics
        self._ledger = ledger
        self._inlet = inlet
        self._clock = clock
        self._on_duty = on_duty
        self._names = names
        self._look = look
        self._looked = -look
        self._chat = 0  # as last known, for hints
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._refused: dict[str, int] = {}  # how often in a row a topic that is there took no message

    @property
    def most_together(self) -> int:
        return TOGETHER if self._calls.delay(self._chat) > BEHIND else 1

    def pieces(self, group: Sequence[Shown]) -> list[Piece]:
        return layout.pieces(group, on_duty=self._on_duty, names=self._names)

    # The thread

    async def begin(self, cid: ConversationId, card: Card, *, mark: str) -> Anchor:
        """A topic with the card in it; in a group without topics the card."""
        try:
            async with _verdicts():
                known = await self._known()
                if known.forum:
                    return await self._begin_topic(cid, known.chat, card, mark)
                return await self._begin_replies(cid, known.chat, card, mark)
        except _NoThread:
            await self._group.has_topics(forum=False)
        raise Retry(0.0, _SWITCHED_OFF)

    async def _begin_topic(self, cid: ConversationId, chat: int, card: Card, mark: str) -> Anchor:
        name = layout.title(card)
        thread = (await self._calls.create_topic(chat, name)).message_thread_id
        anchor = topic_anchor(chat, thread)
        await self._topics.keep(anchor, Topic(cid=cid, chat=chat, thread=thread, title=name))
        await self._topics.made(mark, anchor)
        await self.draw(anchor, card)
        return anchor

    async def _begin_replies(self, cid: ConversationId, chat: int, card: Card, mark: str) -> Anchor:
        nowhere = Topic(cid=cid, chat=chat, thread=0)
        sent = await self._send_card(chat, nowhere, card)
        anchor = reply_anchor(chat, sent.message_id)
        await self._topics.keep(anchor, replace(nowhere, card=sent.message_id))
        await self._topics.made(mark, anchor)
        await self._ledger.belongs(ref(chat, sent.message_id), cid)
        return anchor

    async def find_thread(self, cid: ConversationId, *, mark: str, since: datetime) -> Anchor | None:  # noqa: ARG002
        """What was made and remembered; Telegram itself cannot be asked."""
        return await self._topics.find(mark)

    # Messages

    async def post(self, spot: Spot, piece: Piece, *, urgency: Urgency) -> str:
        silent = not _is_loud(piece.shown, await self._inlet.state(spot.cid))
        async with self._at(spot.anchor) as (known, topic):
            sent = await self._send(
                known.chat,
                topic,
                _part(piece),
                reply_to=_card_in(topic, known.chat),
                silent=silent,
                urgency=urgency,
                whose=spot.cid,
            )
            name = ref(known.chat, sent.message_id)
            await self._ledger.belongs(name, spot.cid)
        return name

    def hurry(self, cid: ConversationId) -> None:
        self._calls.hurry(self._chat, cid)

    async def find(self, spot: Spot, *, since: datetime) -> str | None:  # noqa: ARG002
        return None

    async def change(self, anchor: Anchor, message: str, piece: Piece | None) -> None:
        async with self._at(anchor) as (known, _):
            chat, number = message_of(message)
            if chat != known.chat:
                return  # it stands in a group that is no more
            if piece is None:
                await self._calls.delete(chat, number)
            else:
                await self._calls.edit(chat, number, _part(piece))

    # The card

    async def draw(self, anchor: Anchor, card: Card) -> None:
        lock = self._locks.setdefault(anchor, asyncio.Lock())  # of drawings alone: no words wait for a card
        async with lock, self._at(anchor) as (known, before):
            topic = await self._draw_card(anchor, before, known.chat, card)
            if topic.thread and topic.chat == known.chat and (await self._group.now()).forum:
                await self._dress(anchor, topic, card)

    async def _draw_card(self, anchor: Anchor, topic: Topic, chat: int, card: Card) -> Topic:
        """Unless it looks like that already: an edit takes a turn from somebody's words."""
        number = _card_in(topic, chat)
        words, buttons = layout.card_message(card, now=self._clock()), layout.card_buttons(card)
        look = sha256(f"{words.html}\n{buttons.to_json()}".encode()).hexdigest()
        if number and look == topic.look:
            return topic
        if number and await self._calls.edit(chat, number, words, keyboard=buttons, urgency=Urgency.CARD):
            return await self._topics.change(anchor, look=look)
        sent = await self._send_card(chat, topic, card)
        await self._ledger.belongs(ref(chat, sent.message_id), topic.cid)
        thread = topic.thread if topic.chat == chat else 0
        return await self._topics.change(
            anchor, chat=chat, thread=thread, card=sent.message_id, pinned=False, look=look
        )

    async def _send_card(self, chat: int, topic: Topic, card: Card) -> Message:
        words, buttons = layout.card_message(card, now=self._clock()), layout.card_buttons(card)
        return await self._send(chat, topic, words, keyboard=buttons, urgency=Urgency.CONTROL)

    async def _dress(self, anchor: Anchor, topic: Topic, card: Card) -> None:
        """The topic around the card: pinned, with its title, open or closed. What is done is kept at once."""
        chat, ended = topic.chat, card.stage == "ended"
        if not ended:
            await self._set_closed(anchor, closed=False)
        if not topic.pinned:
            try:
                await self._calls.pin(chat, topic.card)
                await self._topics.change(anchor, pinned=True)
            except Rejected as error:
                if error.no_thread:
                    raise
                log.warning("the card is not pinned, let the bot pin messages: %s", error.text)
        if (name := layout.title(card)) != topic.title:
            await self._calls.rename_topic(chat, topic.thread, name)
            await self._topics.change(anchor, title=name)
        if ended:
            await self._set_closed(anchor, closed=True)

    async def _set_closed(self, anchor: Anchor, *, closed: bool) -> None:
        topic = await self._topics.at(anchor)
        if topic.closed != closed:
            change = self._calls.close_topic if closed else self._calls.reopen_topic
            await change(topic.chat, topic.thread)
            await self._topics.change(anchor, closed=closed)

    # Where it all goes

    async def _known(self) -> Known:
        """The group as it is now; one without topics is asked from time to time whether that is still so."""
        known = await self._group.now()
        loop = asyncio.get_running_loop()
        if not known.forum and (known.forum is None or loop.time() - self._looked >= self._look):
            self._looked = loop.time()
            known = await self._ask_for_topics()
        self._chat = known.chat
        return known

    async def _ask_for_topics(self) -> Known:
        chat = await self._calls.chat((await self._group.now()).chat)
        await self._group.has_topics(forum=bool(chat.is_forum))
        return await self._group.now()

    @asynccontextmanager
    async def _at(self, anchor: Anchor) -> AsyncIterator[tuple[Known, Topic]]:
        """What Telegram says against it becomes what a board may raise."""
        topic = await self._topics.at(anchor)
        try:
            async with _verdicts():
                known = await self._known()
                if known.forum and not (topic.thread and topic.chat == known.chat):
                    raise AnchorLost  # the group has topics by now: the conversation gets one
                yield known, topic
        except _NoThread:
            await self._verify(anchor)

    async def _verify(self, anchor: Anchor) -> None:
        """Telegram says so of live topics too. AnchorLost only where the topic does not even take the title
        that it has, or goes on to take no message.
        """
        topic = await self._topics.at(anchor)  # its title may have changed meanwhile
        try:
            if not (await self._ask_for_topics()).forum:
                raise Retry(0.0, _SWITCHED_OFF)
        except Rejected as error:
            raise Retry(2.0, f"Telegram refuses: {error.text}") from None
        try:
            await self._calls.rename_topic(topic.chat, topic.thread, topic.title, urgency=Urgency.CONTROL)
        except Rejected as error:
            if error.no_forum:
                raise Retry(2.0, _SWITCHED_OFF) from None
            log.warning("topic %d is gone: %s", topic.thread, error.text)
            self._refused.pop(anchor, None)
            raise AnchorLost from None
        self._refused[anchor] = self._refused.get(anchor, 0) + 1
        if self._refused[anchor] >= PROBES:
            log.warning("topic %d is there and takes no message: another one is made", topic.thread)
            del self._refused[anchor]
            raise AnchorLost
        raise Retry(2.0, "Telegram could not find a topic that is there.")

    async def _send(
        self,
        chat: int,
        topic: Topic,
        words: Part,
        *,
        reply_to: int = 0,
        silent: bool = True,
        keyboard: InlineKeyboardMarkup | None = None,
        urgency: Urgency,
        whose: str = "",
    ) -> Message:
        """Into the topic; where the group has none any more, as a reply to the card."""
        put = partial(
            self._calls.send, chat, words, silent=silent, keyboard=keyboard, urgency=urgency, whose=whose
        )
        if topic.thread and topic.chat == chat and (await self._group.now()).forum:
            anchor = topic_anchor(chat, topic.thread)
            try:
                sent = await put(thread=topic.thread)
            except Rejected as error:
                if not error.says("topic_closed"):
                    raise
                await self._calls.reopen_topic(chat, topic.thread)
                await self._topics.change(anchor, closed=False)
                sent = await put(thread=topic.thread)
            if sent.message_thread_id == topic.thread:
                self._refused.pop(anchor, None)
                return sent
            log.warning("topics are switched off in the group: replies are used instead")
            await self._group.has_topics(forum=False)
            await self._calls.delete(chat, sent.message_id)
        return await put(reply_to=reply_to)


class _NoThread(Exception):
    pass


@asynccontextmanager
async def _verdicts() -> AsyncIterator[None]:
    """What Telegram refuses becomes `_NoThread`, or what a board may raise."""
    try:
        yield
    except Rejected as error:
        if error.no_thread or error.no_forum:
            raise _NoThread from None
        if error.says("message to be replied not found", "group chat was upgraded", "topic_closed"):
            raise Retry(2.0, f"Telegram refuses: {error.text}") from None
        raise Undeliverable(f"Telegram refuses it: {error.text}") from None


def _part(piece: Piece) -> Part:
    return Part(html=piece.text, plain=piece.plain)


def _card_in(topic: Topic, chat: int) -> int:
    """The card's message, unless it stands in a group that is no more."""
    return topic.card if topic.chat == chat else 0


def _is_loud(shown: Shown, state: Conversation) -> bool:
    """A call for a person, and the visitor's words while a person is wanted or answers."""
    if isinstance(shown, Call):
        return True
    by_visitor = isinstance(shown, Speech) and shown.role == "visitor"
    return by_visitor and (state.help is not None or isinstance(state.floor.holder, Staff))
