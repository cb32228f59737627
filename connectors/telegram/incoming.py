"""What people do in Telegram, made a request to the desk, and the desk's answer handed back."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
import json
import logging
import re

from telegram import CallbackQuery, Message, Update, User

from bridge.errors import Retry
from bridge.events import ConversationId
from bridge.surface import Anchor
from connectors.telegram.answers import Answers
from connectors.telegram.calls import Calls, patiently
from connectors.telegram.group import Group
from connectors.telegram.html import reading
from connectors.telegram.people import People
from connectors.telegram.presses import Presses
from connectors.telegram.topics import Topics, ref, topic_anchor
from connectors.threads.desk import NOT_PASSED_ON, Desk, Member, Reply
from connectors.threads.inbox import Early
from connectors.threads.ledger import Ledger
from connectors.threads.words import CommandLine, Meaning, NoteText, meaning

log = logging.getLogger(__name__)

NOT_STAFF = "Only the team can answer here, so this was not passed on."
ANONYMOUS = "Write as yourself to answer: an anonymous admin could be anybody."
FORWARDED = "A command that was forwarded, or sent through another bot, is not run."
FILE = "Files stay here: only text reaches the visitor."
WHERE = "This reaches no conversation: write in a conversation's own topic, or reply to one of its messages."
DELETE_WHAT = "Reply with /delete to a message of your own that is to be taken back."
STARTED = "Hello. I mirror chats of your website into your team's group; here I send you personal links."
PRIVATE = "I only listen in the team's group. Here I send personal links, when you ask for one there."
TROUBLE = "The link could not be sent; ask again."
MARK = "/"
ONCE_A_MINUTE = 60.0
MAKING = timedelta(seconds=20)  # for which what the bot made may be unknown here: it was not answered yet

_COMMAND = re.compile(r"/(?P<name>\w+)(?:@(?P<bot>\w+))?(?=\s|$)")


class Incoming:
    def __init__(
        self,
        *,
        calls: Calls,
        group: Group,
        topics: Topics,
        ledger: Ledger,
        desk: Desk,
        people: People,
        answers: Answers,
        clock: Callable[[], datetime],
    ) -> None:
        self._calls = calls
        self._group = group
        self._topics = topics
        self._ledger = ledger
        self._desk = desk
        self._people = people
        self._answers = answers
        self._clock = clock
        self._presses = Presses(group=group, ledger=ledger, desk=desk, people=people, answers=answers)
        self._told: dict[
            tuple[int, str], float
        ] = {}  # whom what was said to that need not be said all the time

    async def handle(self, body: bytes) -> None:
        update = Update.de_json(json.loads(body))
        if update.message is not None:
            await self._message(update.message)
        elif update.edited_message is not None:
            await self._edited(update.edited_message, revision=str(update.update_id))
        elif update.callback_query is not None:
            await self._pressed(update.callback_query)
        elif update.my_chat_member is not None:
            await self._moved_about(update.my_chat_member.chat.id)

    # Where it belongs

    async def _moved_about(self, chat: int) -> None:
        if await self._group.is_it(chat):
            self._people.forget()
            self._group.changed.set()

    async def _is_ours(self, message: Message) -> bool:
        if message.migrate_from_chat_id == (await self._group.now()).chat:
            await self._group.moved(message.chat.id)
            return False
        if not await self._group.is_it(message.chat.id):
            return False
        if message.migrate_to_chat_id:
            await self._group.moved(message.migrate_to_chat_id)
            return False
        if bool(message.chat.is_forum) != (await self._group.now()).forum:
            self._group.changed.set()  # the message may be an old one: whoever hears of it asks Telegram
        return True

    async def _conversation(self, message: Message) -> ConversationId | None:
        """By its topic; outside of topics, by the message that it replies to."""
        chat, above = message.chat.id, message.reply_to_message
        if message.is_topic_message and message.message_thread_id is not None:
            topic = await self._topics.get(topic_anchor(chat, message.message_thread_id))
            found = None if topic is None else topic.cid
        else:
            found = None if above is None else await self._ledger.owner(ref(chat, above.message_id))
        young = above is not None and max(self._clock(), message.date) - above.date < MAKING
        if found is None and young and await self._is_to_me(message):
            raise Early
        return found

    async def _is_to_me(self, message: Message) -> bool:
        """An answer to the bot; in a topic, what answers nobody else answers the making of the topic."""
        above = message.reply_to_message
        return above is not None and await self._is_me(above.from_user)

    async def _anchor(self, cid: ConversationId, message: Message) -> Anchor:
        """The thread that the message stands in; outside of topics, the conversation's own."""
        if message.is_topic_message and message.message_thread_id is not None:
            return topic_anchor(message.chat.id, message.message_thread_id)
        root = await self._ledger.root(cid)
        return root.anchor if root else Anchor("")

    async def _is_me(self, user: User | None) -> bool:
        return user is not None and user.id == (await patiently(self._calls.me, "who the bot is")).id

    # A message

    async def _message(self, message: Message) -> None:
        if message.chat.type == "private":
            self._in_private(message)
            return
        if not await self._is_ours(message):
            return
        if message.forum_topic_closed or message.forum_topic_reopened:
            await self._left(message, closed=message.forum_topic_closed is not None)
            return
        text = _text(message)
        if not text and message.effective_attachment is None:
            return  # another message of Telegram's own
        cid = await self._conversation(message)
        said = await self._meaning(text)
        if said is None:
            return
        if cid is None and not isinstance(said, CommandLine) and not await self._is_to_me(message):
            return  # talk among themselves
        member = await self._member(message, quiet=cid is None)
        if member is None:
            return
        if cid is None:
            self._say(message, WHERE)
        elif _anothers(message) and isinstance(said, CommandLine):
            self._say(message, FORWARDED)
        else:
            await self._said(cid, member, message, said if text else None)

    async def _left(self, message: Message, *, closed: bool) -> None:
        """Somebody closed or opened the topic: what comes next in it sets that right."""
        anchor = topic_anchor(message.chat.id, message.message_thread_id or 0)
        if await self._topics.get(anchor) is not None:
            await self._topics.change(anchor, closed=closed)

    async def _said(
        self, cid: ConversationId, member: Member, message: Message, said: Meaning | None
    ) -> None:
        if not message.is_topic_message:
            await self._ledger.belongs(_ref(message), cid)  # so that others may reply to it
        if isinstance(said, CommandLine) and said.line.split(maxsplit=1)[0].lower() == "delete":
            await self._delete(cid, member, message)
        elif said is not None:
            if _anothers(message):
                said = NoteText(
                    _words(said)
                )  # somebody else's words go to the visitor only when sent as one's own
            anchor = await self._anchor(cid, message)
            reply = await self._desk.typed(cid, member, anchor=anchor, ref=_ref(message), said=said)
            await self._answer(cid, member, message, reply)
        album = message.media_group_id
        if message.effective_attachment is not None and (
            album is None or self._may_tell(int(member.id), album)
        ):
            self._say(message, FILE)

    async def _answer(self, cid: ConversationId, member: Member, message: Message, reply: Reply) -> None:
        chat, number = message.chat.id, message.message_id
        text = reply.text
        if reply.link:
            try:
                text = await self._answers.link(int(member.id), reply.link)
            except Retry as trouble:
                text = f"{TROUBLE} {trouble.reason}"
        self._answers.mark(chat, number, "done" if reply.link and not text else reply.mark)
        if text:
            self._answers.say(chat, number, text, cid=cid, offer=reply.offer)

    async def _delete(self, cid: ConversationId, member: Member, message: Message) -> None:
        above = message.reply_to_message
        reply = None
        if above is not None and above.from_user is not None and str(above.from_user.id) == member.id:
            reply = await self._desk.deleted(cid, member, ref=_ref(above))
        await self._answer(cid, member, message, reply or Reply(text=DELETE_WHAT))

    async def _edited(self, message: Message, *, revision: str) -> None:
        if message.chat.type == "private" or not await self._is_ours(message):
            return
        text = _text(message)
        cid = await self._conversation(message)
        if cid is None:  # in a group without topics an answer may come before what it answers is known
            cid = await self._ledger.owner(_ref(message))
        if cid is None or not text or _anothers(message):
            return
        said = await self._meaning(text)
        member = await self._member(message, quiet=True)
        if said is None or member is None:
            return
        reply = await self._desk.edited(cid, member, ref=_ref(message), said=said, revision=revision)
        if reply is not None:
            await self._answer(cid, member, message, reply)
        elif isinstance(said, CommandLine):
            self._say(message, NOT_PASSED_ON)

    async def _meaning(self, text: str) -> Meaning | None:
        """None: a command for another bot."""
        found = _COMMAND.match(text)
        if found is not None and found["bot"]:
            me = await patiently(self._calls.me, "who the bot is")
            if found["bot"].lower() != (me.username or "").lower():
                return None
            text = f"/{found['name']}{text[found.end() :]}"
        return meaning(text, mark=MARK)

    # Who

    async def _member(self, message: Message, *, quiet: bool) -> Member | None:
        """Who wrote it, if they may; else they are told, unless `quiet`."""
        user = message.from_user
        if message.sender_chat is not None:
            if not quiet and message.sender_chat.id == message.chat.id:
                self._say(message, ANONYMOUS)
            return None
        if user is None or user.is_bot or message.is_automatic_forward:
            return None
        if not await self._people.may_answer(user.id):
            if not quiet and self._may_tell(user.id, NOT_STAFF):
                self._say(message, NOT_STAFF)
            return None
        return member_of(user)

    def _in_private(self, message: Message) -> None:
        user = message.from_user
        if user is None or user.is_bot:
            return
        text = STARTED if _text(message).startswith("/start") else PRIVATE
        if self._may_tell(user.id, text):
            self._answers.tell_privately(user.id, text)

    def _may_tell(self, user: int, text: str) -> bool:
        now = asyncio.get_running_loop().time()
        recent = {told: at for told, at in self._told.items() if now - at < ONCE_A_MINUTE}
        self._told = {(user, text): now} | recent
        return (user, text) not in recent

    def _say(self, message: Message, text: str) -> None:
        self._answers.say(message.chat.id, message.message_id, text)

    # A press

    async def _pressed(self, query: CallbackQuery) -> None:
        try:
            await self._presses.handle(query)
        except Retry as trouble:
            await self._answers.to_press(query.id, f"{TROUBLE} {trouble.reason}", alert=True)


def member_of(user: User) -> Member:
    return Member(id=str(user.id), name=user.full_name)


def _ref(message: Message) -> str:
    return ref(message.chat.id, message.message_id)


def _anothers(message: Message) -> bool:
    """Whether the words are somebody else's, or were put together by another bot."""
    return message.forward_origin is not None or message.via_bot is not None


def _text(message: Message) -> str:
    if message.text is not None:
        return reading(message.text, message.entities).strip()
    return reading(message.caption or "", message.caption_entities).strip()


def _words(said: Meaning) -> str:
    return said.line if isinstance(said, CommandLine) else said.text
