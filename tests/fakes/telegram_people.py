"""What people do in Telegram's own apps, as tests write it down."""

from collections.abc import Iterable
import itertools

from tests.fakes.telegram_methods import Methods, Query
from tests.fakes.telegram_scene import Scene
from tests.fakes.telegram_state import (
    BOT_RIGHTS,
    Button,
    Chat,
    File,
    Json,
    Member,
    Message,
    Person,
    Refusal,
    Topic,
    bad,
)
from tests.fakes.telegram_text import Formatted, clean, trimmed, units, with_live
from tests.fakes.telegram_updates import Updates


class People:
    """Mixed into the server; `chat` is a chat id, and the first group where it is left out."""

    def __init__(self, scene: Scene, methods: Methods) -> None:
        self.scene = scene
        self.world = scene.world
        self.methods = methods
        self._updates: Updates = scene.updates
        self._query_ids = itertools.count(700_001)

    # Who and where

    @property
    def bot(self) -> Person:
        return self.world.bot

    @property
    def chat_id(self) -> int:
        """The first group."""
        groups = [chat for chat in self.world.chats if chat < 0]
        assert groups, "no group was added"
        return groups[0]

    def chat(self, chat: int | None = None) -> Chat:
        return self.world.chats[self.chat_id if chat is None else chat]

    def add_person(
        self, first_name: str, *, username: str | None = None, last_name: str | None = None
    ) -> Person:
        return self.world.person(first_name, username, last_name)

    def add_group(
        self,
        title: str = "Desk",
        *,
        forum: bool = True,
        kind: str = "supergroup",
        bot: str = "administrator",
        rights: Iterable[str] = BOT_RIGHTS,
        owner: Person | None = None,
    ) -> int:
        owner = owner or self.add_person("Olga", username="olga")
        chat = self.world.group(title, kind, forum=forum and kind == "supergroup")
        self.join(owner, chat=chat.id, status="creator")
        self.join(self.bot, chat=chat.id, status=bot, rights=rights if bot == "administrator" else ())
        return chat.id

    def join(
        self,
        person: Person,
        *,
        chat: int | None = None,
        status: str = "member",
        rights: Iterable[str] = (),
        anonymous: bool = False,
    ) -> None:
        """What a person is in a group from now on, also "left" or "kicked"; no update is sent."""
        self.chat(chat).members[person.id] = Member(person, status, frozenset(rights), anonymous)

    def _owner(self, chat: Chat) -> Person:
        return next(m.person for m in chat.members.values() if m.status == "creator")

    def _topic(self, thread: int, chat: Chat) -> Topic:
        topic = chat.topic(thread)
        if topic is None:
            raise bad("message thread not found")
        return topic

    # Messages

    async def says(
        self,
        person: Person,
        text: str,
        *,
        chat: int | None = None,
        topic: int | None = None,
        reply_to: int | None = None,
        forwarded: Person | str | None = None,
        anonymous_admin: bool = False,
        file: File | None = None,
        album: str | None = None,
        via: str = "",
    ) -> int:
        """`via`: the name of the bot whose inline result it is."""
        where = self._enter(person, self.chat(chat), topic)
        found = with_live(trimmed(Formatted(clean(text), [])))
        if (not found.text and file is None) or units(found.text) > (4096 if file is None else 1024):
            raise bad("message text is empty" if not found.text else "message is too long")
        message = self.scene.add(
            where, person, shown=found.text, html=text, entities=found.entities, thread=topic, reply_to=reply_to,
            origin=_origin(forwarded, int(self.world.now())), file=file, album=album,
            via=via, anonymous=anonymous_admin or where.member(person).anonymous,
        )  # fmt: skip
        return message.id

    def _enter(self, person: Person, chat: Chat, topic: int | None) -> Chat:
        """People who never were in a group join it as they write; those sent away cannot."""
        if chat.person is not None:
            person.started = True
            return chat
        if chat.migrated_to is not None:
            raise bad("group chat was upgraded to a supergroup chat")
        member = chat.members.setdefault(person.id, Member(person))
        if not member.inside:
            raise Refusal(403, f"Forbidden: {person.first_name} is not a member of the chat")
        if topic is not None and self._topic(topic, chat).closed and not member.may("can_manage_topics"):
            raise bad("TOPIC_CLOSED")
        return chat

    async def sends_file(
        self,
        person: Person,
        name: str,
        content: bytes,
        *,
        caption: str = "",
        photo: bool = False,
        mime: str = "application/octet-stream",
        chat: int | None = None,
        topic: int | None = None,
        reply_to: int | None = None,
        album: str | None = None,
    ) -> int:
        """Files of one `album` are messages of their own, which are shown together."""
        file = self.world.file(name, content, "photo" if photo else "document", mime)
        return await self.says(
            person, caption, chat=chat, topic=topic, reply_to=reply_to, file=file, album=album
        )

    async def edits(self, person: Person, message_id: int, text: str, *, chat: int | None = None) -> None:
        message = self.message(message_id, chat=chat)
        if message.sender is not person or message.deleted:
            raise bad("message can't be edited")
        found = with_live(trimmed(Formatted(clean(text), [])))
        message.shown, message.html, message.entities = found.text, text, found.entities
        message.edited += 1
        message.edit_date = int(self.world.now())
        self.scene.tell(message, edited=True)

    async def deletes(self, message_id: int, *, chat: int | None = None) -> None:
        """A person deletes a message; bots are not told."""
        self.message(message_id, chat=chat).deleted = True

    async def presses(
        self, person: Person, message_id: int, text_or_data: str, *, chat: int | None = None
    ) -> str:
        """A press of a button with data; returns the id of the query that waits for its answer."""
        message = self.message(message_id, chat=chat)
        assert not message.deleted, f"message {message_id} was deleted"
        button: Button = message.button(text_or_data)
        assert button.callback_data is not None, f"{button.text!r} opens {button.url}"
        query = Query(str(next(self._query_ids)), person.id, message_id, self.world.now())
        self.methods.queries[query.id] = query
        self._updates.add("callback_query", {
            "id": query.id, "from": person.json, "message": self.world.json(message),
            "chat_instance": str(message.chat), "data": button.callback_data,
        })  # fmt: skip
        return query.id

    def expire(self, query_id: str) -> None:
        """The query is too old to be answered."""
        self.methods.queries[query_id].over = True

    async def reacts(
        self, person: Person, message_id: int, emoji: str | None, *, chat: int | None = None
    ) -> None:
        """A reaction, or none any more. The bot hears of it where it is an administrator and asked to."""
        message = self.message(message_id, chat=chat)
        before = message.reactions.pop(person.id, None)
        if emoji is not None:
            message.reactions[person.id] = emoji
        where = self.chat(message.chat)
        if where.person is not None or self.scene.bot_in(where).admin:
            self._updates.add("message_reaction", {
                "chat": where.json, "message_id": message.id, "user": person.json, "date": int(self.world.now()),
                "old_reaction": _reaction(before), "new_reaction": _reaction(emoji),
            })  # fmt: skip

    # Topics

    async def opens_topic(self, person: Person, name: str, *, chat: int | None = None) -> int:
        return self.scene.open_topic(self.chat(chat), person, name).id

    async def renames_topic(
        self, thread: int, name: str, *, by: Person | None = None, chat: int | None = None
    ) -> None:
        where = self.chat(chat)
        self.scene.rename_topic(where, self._topic(thread, where), by or self._owner(where), name)

    async def closes_topic(self, thread: int, *, by: Person | None = None, chat: int | None = None) -> None:
        where = self.chat(chat)
        self.scene.close_topic(where, self._topic(thread, where), by or self._owner(where), closed=True)

    async def reopens_topic(self, thread: int, *, by: Person | None = None, chat: int | None = None) -> None:
        where = self.chat(chat)
        self.scene.close_topic(where, self._topic(thread, where), by or self._owner(where), closed=False)

    async def deletes_topic(self, thread: int, *, chat: int | None = None) -> None:
        where = self.chat(chat)
        self.scene.delete_topic(where, self._topic(thread, where))

    async def switches_topics_off(self, chat: int | None = None) -> None:
        """The group shows one list of messages; bots are not told, and topics come back when switched on."""
        self.chat(chat).forum = False

    async def switches_topics_on(self, chat: int | None = None) -> None:
        self.chat(chat).forum = True

    # The bot's place

    async def kicks_bot(
        self, chat: int | None = None, *, status: str = "kicked", by: Person | None = None
    ) -> None:
        where = self.chat(chat)
        self.scene.bot_becomes(where, by or self._owner(where), status, frozenset())

    async def returns_bot(
        self,
        chat: int | None = None,
        *,
        status: str = "administrator",
        rights: Iterable[str] = BOT_RIGHTS,
        by: Person | None = None,
    ) -> None:
        where = self.chat(chat)
        self.scene.bot_becomes(where, by or self._owner(where), status, frozenset(rights))

    async def demotes_bot(
        self, chat: int | None = None, *, rights: Iterable[str] | None = None, by: Person | None = None
    ) -> None:
        """To a plain member, or to an administrator with fewer rights."""
        status = "member" if rights is None else "administrator"
        where = self.chat(chat)
        self.scene.bot_becomes(where, by or self._owner(where), status, frozenset(rights or ()))

    async def migrates(
        self, chat: int | None = None, *, forum: bool = False, by: Person | None = None
    ) -> int:
        """A basic group becomes a supergroup; returns its new id."""
        where = self.chat(chat)
        return self.scene.migrate(where, by or self._owner(where), forum=forum).id

    async def starts_bot(self, person: Person) -> None:
        """In private, with /start."""
        person.started, was_blocked, person.blocked = True, person.blocked, False
        if was_blocked:
            self._private_status(person, "kicked", "member")
        await self.says(person, "/start", chat=person.id)

    async def blocks_bot(self, person: Person) -> None:
        person.blocked = True
        self._private_status(person, "member", "kicked")

    def _private_status(self, person: Person, old: str, new: str) -> None:
        self._updates.add("my_chat_member", {
            "chat": self.world.chats[person.id].json, "from": person.json, "date": int(self.world.now()),
            "old_chat_member": Member(self.bot, old).json, "new_chat_member": Member(self.bot, new).json,
        })  # fmt: skip

    # What is seen

    def message(self, message_id: int, *, chat: int | None = None) -> Message:
        return self.chat(chat).messages[message_id]

    def messages(self, chat: int | None = None) -> list[Message]:
        """What stands in a chat now, without what only tells of changes."""
        return [m for m in self.chat(chat).messages.values() if not m.deleted and m.service is None]

    def topic_messages(self, thread: int | None, *, chat: int | None = None) -> list[Message]:
        """What stands in a topic; with None, what stands outside of every topic."""
        inside = [m for m in self.messages(chat) if thread is not None or not m.in_topic]
        return [m for m in inside if thread is None or (m.in_topic and m.thread == thread)]

    def service_messages(self, thread: int | None = None, *, chat: int | None = None) -> list[Message]:
        found = [m for m in self.chat(chat).messages.values() if m.service is not None and not m.deleted]
        return [m for m in found if thread is None or m.thread == thread]

    def private_messages(self, person: Person) -> list[Message]:
        return self.messages(person.id)

    def topics(self, chat: int | None = None) -> list[Topic]:
        return list(self.chat(chat).topics.values())

    def menu(self, chat: int | None = None) -> dict[str, str]:
        """The commands that a group offers; without one, those for everywhere."""
        scope = "default" if chat is None else f"chat:{chat}"
        return {one["command"]: one["description"] for one in self.methods.menus.get(scope, [])}


def _origin(forwarded: Person | str | None, date: int) -> Json | None:
    if forwarded is None:
        return None
    if isinstance(forwarded, str):
        return {"type": "hidden_user", "date": date, "sender_user_name": forwarded}
    return {"type": "user", "date": date, "sender_user": forwarded.json}


def _reaction(emoji: str | None) -> list[Json]:
    return [] if emoji is None else [{"type": "emoji", "emoji": emoji}]
