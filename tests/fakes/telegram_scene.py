"""What happens in a group, whoever does it: messages and topics, with the updates that the bot gets of them."""

from dataclasses import dataclass
from typing import Any

from tests.fakes.telegram_state import Chat, Json, Member, Message, Person, Topic, World, bad
from tests.fakes.telegram_updates import Updates

COLOURS = (7322096, 16766590, 13338331, 9367192, 16749490, 16478047)
MOST_NAME = 128


@dataclass
class Scene:
    world: World
    updates: Updates
    privacy: bool = False

    def bot_in(self, chat: Chat) -> Member:
        return chat.member(self.world.bot)

    def add(self, chat: Chat, sender: Person, **fields: Any) -> Message:
        message = self.world.put(chat, sender, **fields)
        self.tell(message)
        return message

    def tell(self, message: Message, *, edited: bool = False) -> None:
        """The bot hears of it, unless it wrote it, is not there, or its privacy mode forbids."""
        chat = self.world.chats[message.chat]
        if self._hears(chat, message):
            self.updates.add("edited_message" if edited else "message", self.world.json(message))

    def _hears(self, chat: Chat, message: Message) -> bool:
        if message.by_bot and message.service is None:
            return False
        if chat.person is not None:
            return True
        bot = self.bot_in(chat)
        if not bot.inside:
            return "left_chat_member" in (message.service or {})
        if not self.privacy or bot.admin or message.service is not None:
            return True
        name = f"@{self.world.bot.username}".lower()
        replied = chat.find(message.reply_to)
        addressed = any(
            (e.type == "bot_command" and ("@" not in e.text or e.text.lower().endswith(name)))
            or (e.type == "mention" and e.text.lower() == name)
            for e in message.entities
        )
        return addressed or (replied is not None and replied.by_bot)

    # Topics

    def open_topic(self, chat: Chat, by: Person, name: str, *, color: int = 0, icon: str = "") -> Topic:
        name = cleaned_name(name)
        color = color or COLOURS[0]
        if color not in COLOURS:
            raise bad("TOPIC_ICON_COLOR_INVALID")
        body: Json = {"name": name, "icon_color": color} | ({"icon_custom_emoji_id": icon} if icon else {})
        root = self.world.put(chat, by, service={"forum_topic_created": body})
        chat.topics[root.id] = Topic(root.id, name, color, by.id, icon or None)
        root.thread, root.in_topic = root.id, True
        self.tell(root)
        return chat.topics[root.id]

    def rename_topic(self, chat: Chat, topic: Topic, by: Person, name: str, icon: str | None = None) -> None:
        name = cleaned_name(name) if name else topic.name
        emoji = topic.icon if icon is None else icon or None
        if (name, emoji) == (topic.name, topic.icon):
            raise bad("TOPIC_NOT_MODIFIED")
        body: Json = {"name": name} if name != topic.name else {}
        if emoji != topic.icon:
            body["icon_custom_emoji_id"] = emoji or ""
        topic.name, topic.icon = name, emoji
        self.add(chat, by, thread=topic.id, service={"forum_topic_edited": body})

    def close_topic(self, chat: Chat, topic: Topic, by: Person, *, closed: bool) -> None:
        if topic.closed == closed:
            raise bad("TOPIC_NOT_MODIFIED")
        topic.closed = closed
        service: Json = {"forum_topic_closed": {}} if closed else {"forum_topic_reopened": {}}
        self.add(chat, by, thread=topic.id, service=service)

    def delete_topic(self, chat: Chat, topic: Topic) -> None:
        """With all its messages; nobody is told."""
        topic.deleted = True
        for message in chat.messages.values():
            if message.thread == topic.id:
                message.deleted = True

    def pin(self, chat: Chat, message: Message, by: Person) -> None:
        if message.pinned:
            raise bad("CHAT_NOT_MODIFIED")
        message.pinned = True
        thread = message.thread if message.in_topic else None
        pinned = {"pinned_message": self.world.json(message)}
        self.add(chat, by, thread=thread, service=pinned)

    # Members

    def bot_becomes(self, chat: Chat, by: Person, status: str, rights: frozenset[str]) -> None:
        before = self.bot_in(chat)
        after = Member(self.world.bot, status, rights if status == "administrator" else frozenset())
        chat.members[self.world.bot.id] = after
        body = {
            "chat": chat.json, "from": by.json, "date": int(self.world.now()),
            "old_chat_member": before.json, "new_chat_member": after.json,
        }  # fmt: skip
        self.updates.add("my_chat_member", body)
        bot = self.world.bot.json
        if before.inside and not after.inside:
            self.add(chat, by, service={"left_chat_member": bot})
        elif after.inside and not before.inside:
            self.add(chat, by, service={"new_chat_members": [bot]})

    def migrate(self, chat: Chat, by: Person, *, forum: bool) -> Chat:
        if chat.type != "group":
            raise bad("only a basic group becomes a supergroup")
        new = self.world.group(chat.title, "supergroup", forum=forum)
        new.members = dict(chat.members)
        self.add(chat, by, service={"migrate_to_chat_id": new.id})
        chat.migrated_to = new.id
        self.add(new, by, service={"migrate_from_chat_id": chat.id})
        return new


def cleaned_name(name: str) -> str:
    """A topic's name as it is kept: on one line, and cut at 128 characters."""
    name = " ".join(name.split())[:MOST_NAME].rstrip()
    if not name:
        raise bad("title must be non-empty")
    return name
