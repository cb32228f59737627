"""What a press of a button in Telegram does. Every press is answered, as its app waits for that."""

import asyncio
import logging

from telegram import CallbackQuery, Message

from bridge.events import ConversationId, Seq
from connectors.telegram import layout
from connectors.telegram.answers import Answers
from connectors.telegram.group import Group
from connectors.telegram.people import People
from connectors.telegram.topics import ref
from connectors.threads.card import Action
from connectors.threads.desk import Desk, Member, Offer
from connectors.threads.ledger import Ledger

log = logging.getLogger(__name__)

NOT_STAFF = "Only the team can do that."
UNKNOWN = "This button does nothing any more."
LINK_SENT = "The link is in your private chat with me."
END_AGAIN = "Press End once more to end the conversation for the visitor."
SURE_WITHIN = 30.0  # seconds between the two presses of End


class Presses:
    def __init__(self, *, group: Group, ledger: Ledger, desk: Desk, people: People, answers: Answers) -> None:
        self._group = group
        self._ledger = ledger
        self._desk = desk
        self._people = people
        self._answers = answers
        self._ending: dict[tuple[ConversationId, int], float] = {}

    async def handle(self, query: CallbackQuery) -> None:
        user, message = query.from_user, query.message
        if message is None or not await self._group.is_it(message.chat.id):
            await self._answers.to_press(query.id, UNKNOWN)
            return
        cid = await self._ledger.owner(ref(message.chat.id, message.message_id))
        what = layout.pressed(query.data or "")
        if cid is None or what is None:
            await self._answers.to_press(query.id, UNKNOWN)
        elif not await self._people.may_answer(user.id):
            await self._answers.to_press(query.id, NOT_STAFF, alert=True)
        else:
            member = Member(id=str(user.id), name=user.full_name)
            if isinstance(what, Offer):
                await self._take_and_send(query, cid, member, what)
            else:
                await self._act(query, cid, member, *what)

    async def _act(
        self, query: CallbackQuery, cid: ConversationId, member: Member, action: Action, since: Seq
    ) -> None:
        if action == "close" and not self._is_sure(cid, query.from_user.id):
            await self._answers.to_press(query.id, END_AGAIN, alert=True)
            return
        reply = await self._desk.pressed(cid, member, action=action, since=since, key=query.id)
        if reply.link:
            trouble = await self._answers.link(query.from_user.id, reply.link)
            await self._answers.to_press(query.id, trouble or LINK_SENT, alert=bool(trouble))
        else:
            await self._answers.to_press(query.id, reply.text or "Done.", alert=bool(reply.text))

    def _is_sure(self, cid: ConversationId, user: int) -> bool:
        """Whether this is the second press of a short while."""
        now = asyncio.get_running_loop().time()
        self._ending = {who: at for who, at in self._ending.items() if now - at < SURE_WITHIN}
        if self._ending.pop((cid, user), None) is not None:
            return True
        self._ending[cid, user] = now
        return False

    async def _take_and_send(
        self, query: CallbackQuery, cid: ConversationId, member: Member, offer: Offer
    ) -> None:
        reply = await self._desk.take_and_send(cid, member, offer)
        await self._answers.to_press(query.id, reply.text or "Sent to the visitor.", alert=bool(reply.text))
        message = query.message
        if not isinstance(message, Message):
            return  # too old for Telegram to tell more of it
        chat, number = message.chat.id, message.message_id
        if reply.mark == "sent":
            self._answers.remove(chat, number)
            above = message.reply_to_message
            if above is not None:
                self._answers.mark(chat, above.message_id, "sent")
        elif reply.offer is not None:
            self._answers.offer_again(chat, number, reply)
