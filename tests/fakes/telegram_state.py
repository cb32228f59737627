"""What the Telegram server knows: people, chats, topics, messages, and how they look on the wire."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
import itertools
from typing import Any

from tests.fakes.telegram_text import Entity, units

Json = dict[str, Any]

BOT_RIGHTS = frozenset({
    "can_manage_chat", "can_delete_messages", "can_pin_messages", "can_manage_topics", "can_invite_users",
})  # fmt: skip
RIGHTS = (
    "can_manage_chat", "can_delete_messages", "can_manage_video_chats", "can_restrict_members",
    "can_promote_members", "can_change_info", "can_invite_users", "can_post_stories", "can_edit_stories",
    "can_delete_stories", "can_pin_messages", "can_manage_topics",
)  # fmt: skip
PERMISSIONS = {
    "can_send_messages": True, "can_send_audios": True, "can_send_documents": True, "can_send_photos": True,
    "can_send_videos": True, "can_send_video_notes": True, "can_send_voice_notes": True, "can_send_polls": True,
    "can_send_other_messages": True, "can_add_web_page_previews": True, "can_change_info": False,
    "can_invite_users": True, "can_pin_messages": False, "can_manage_topics": False,
}  # fmt: skip
ANONYMOUS = 1087968824  # @GroupAnonymousBot, the sender of what anonymous administrators write


class Refusal(Exception):
    """An error as the API answers it."""

    def __init__(self, code: int, description: str, parameters: Json | None = None) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters

    @property
    def body(self) -> Json:
        body: Json = {"ok": False, "error_code": self.code, "description": self.description}
        return body | ({"parameters": self.parameters} if self.parameters else {})


def bad(text: str) -> Refusal:
    return Refusal(400, f"Bad Request: {text}")


def forbidden(text: str) -> Refusal:
    return Refusal(403, f"Forbidden: {text}")


@dataclass(eq=False)
class Person:
    id: int
    first_name: str
    username: str | None = None
    last_name: str | None = None
    is_bot: bool = False
    started: bool = False  # has begun a private conversation with the bot
    blocked: bool = False

    @property
    def json(self) -> Json:
        optional = {"last_name": self.last_name, "username": self.username}
        return {"id": self.id, "is_bot": self.is_bot, "first_name": self.first_name} | _without_none(optional)


@dataclass
class Member:
    person: Person
    status: str = "member"
    rights: frozenset[str] = frozenset()
    anonymous: bool = False

    @property
    def inside(self) -> bool:
        return self.status in {"creator", "administrator", "member", "restricted"}

    @property
    def admin(self) -> bool:
        return self.status in {"creator", "administrator"}

    def may(self, right: str) -> bool:
        return self.status == "creator" or (self.status == "administrator" and right in self.rights)

    @property
    def json(self) -> Json:
        body: Json = {"user": self.person.json, "status": self.status}
        if self.status == "creator":
            return body | {"is_anonymous": self.anonymous}
        if self.status == "administrator":
            rights = {right: right in self.rights for right in RIGHTS}
            return body | rights | {"can_be_edited": False, "is_anonymous": self.anonymous}
        if self.status == "kicked":
            return body | {"until_date": 0}
        return body


@dataclass
class Topic:
    id: int
    name: str
    icon_color: int
    creator: int
    icon: str | None = None
    closed: bool = False
    deleted: bool = False
    worn: bool = False  # people write there as ever; no bot can, as its beginning is too long ago


@dataclass
class Button:
    text: str
    callback_data: str | None = None
    url: str | None = None

    @property
    def json(self) -> Json:
        return _without_none({"text": self.text, "callback_data": self.callback_data, "url": self.url})


@dataclass
class File:
    id: str
    name: str
    content: bytes
    kind: str = "document"  # or "photo"
    mime: str = "application/octet-stream"
    path: str = ""

    @property
    def json(self) -> Json:
        base = {"file_id": self.id, "file_unique_id": f"u{self.id}", "file_size": len(self.content)}
        if self.kind == "photo":
            return base | {"width": 640, "height": 480}
        return base | {"file_name": self.name, "mime_type": self.mime}


@dataclass(eq=False)
class Message:
    id: int
    chat: int
    sender: Person
    date: int
    shown: str = ""  # the text, or the caption, as a person sees it
    html: str = ""  # the text as it was sent
    entities: list[Entity] = field(default_factory=list)
    rows: list[list[Button]] = field(default_factory=list)
    thread: int | None = None  # the topic, or the first message of the replies it belongs to
    in_topic: bool = False
    reply_to: int | None = None
    silent: bool = False
    edited: int = 0
    edit_date: int | None = None
    deleted: bool = False
    pinned: bool = False
    service: Json | None = None  # the field that makes it a service message
    file: File | None = None
    origin: Json | None = None
    album: str | None = None
    via: str = ""  # the bot that it was sent through
    anonymous: bool = False
    by_bot: bool = False
    reactions: dict[int, str] = field(default_factory=dict)  # person id -> emoji

    @property
    def buttons(self) -> list[Button]:
        return [button for row in self.rows for button in row]

    @property
    def links(self) -> list[tuple[str, str]]:
        """What a tap leads to: text and address, of marked links and of those that Telegram finds."""
        return [(e.text, e.url or e.text) for e in self.entities if e.type in {"text_link", "url"}]

    def button(self, text_or_data: str) -> Button:
        for found in self.buttons:
            if text_or_data in {found.text, found.callback_data}:
                return found
        raise AssertionError(f"no button {text_or_data!r} on {self.id}, but {[b.text for b in self.buttons]}")


@dataclass
class Chat:
    id: int
    type: str
    title: str = ""
    forum: bool = False
    members: dict[int, Member] = field(default_factory=dict)
    topics: dict[int, Topic] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    permissions: dict[str, bool] = field(default_factory=lambda: dict(PERMISSIONS))
    migrated_to: int | None = None
    person: Person | None = None  # the other side of a private conversation
    ids: "itertools.count[int]" = field(
        default_factory=lambda: itertools.count(2)
    )  # 1 is the group's creation

    @property
    def pinned(self) -> list[Message]:
        return [m for m in self.messages.values() if m.pinned and not m.deleted]

    def find(self, message_id: int | None) -> Message | None:
        found = self.messages.get(message_id or 0)
        return None if found is None or found.deleted else found

    def member(self, person: Person) -> Member:
        return self.members.get(person.id) or Member(person, "left")

    def topic(self, thread: int | None) -> Topic | None:
        found = self.topics.get(thread or 0) if self.forum else None
        return None if found is None or found.deleted else found

    @property
    def json(self) -> Json:
        if self.person is not None:
            names = {"last_name": self.person.last_name, "username": self.person.username}
            return {"id": self.id, "type": "private", "first_name": self.person.first_name} | _without_none(
                names
            )
        return {"id": self.id, "type": self.type, "title": self.title} | (
            {"is_forum": True} if self.forum else {}
        )


def _without_none(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def entity_json(entity: Entity, people: dict[int, Person]) -> Json:
    body: Json = {"type": entity.type, "offset": entity.offset, "length": entity.length}
    if entity.user_id:
        body["user"] = people[entity.user_id].json
    more = {"url": entity.url, "language": entity.language, "custom_emoji_id": entity.emoji}
    return body | {name: value for name, value in more.items() if value}


class World:
    """Everything that stands, and nothing that happens."""

    def __init__(self, bot: Person, now: Callable[[], float]) -> None:
        self.bot = bot
        self.people: dict[int, Person] = {bot.id: bot}
        self.chats: dict[int, Chat] = {}
        self.files: dict[str, File] = {}
        self.now = now
        self._person_ids = itertools.count(10_001)
        self._group_ids = itertools.count(1001)
        self._file_ids = itertools.count(1)

    def person(self, first_name: str, username: str | None, last_name: str | None) -> Person:
        found = Person(next(self._person_ids), first_name, username, last_name)
        self.people[found.id] = found
        self.chats[found.id] = Chat(found.id, "private", person=found)
        return found

    def group(self, title: str, kind: str, *, forum: bool) -> Chat:
        number = next(self._group_ids)
        chat = Chat(-(10**12) - number if kind == "supergroup" else -number, kind, title, forum)
        self.chats[chat.id] = chat
        return chat

    def file(self, name: str, content: bytes, kind: str, mime: str) -> File:
        number = next(self._file_ids)
        found = File(
            f"file{number}", name, content, kind, mime, f"{kind}s/file_{number}{_suffix(name, kind)}"
        )
        self.files[found.id] = found
        return found

    def put(self, chat: Chat, sender: Person, **fields: Any) -> Message:
        """A new message, in the topic it is for, or in the thread of replies it continues."""
        message = Message(next(chat.ids), chat.id, sender, int(self.now()), **fields)
        message.by_bot = sender is self.bot
        replied = chat.find(message.reply_to)
        if message.thread is None and replied is not None and chat.type == "supergroup":
            message.thread = replied.thread or replied.id
        message.in_topic = chat.topic(message.thread) is not None
        chat.messages[message.id] = message
        return message

    def json(self, message: Message, *, nested: bool = False) -> Json:
        chat = self.chats[message.chat]
        body: Json = {"message_id": message.id, "date": message.date, "chat": chat.json}
        if message.anonymous:
            sender = Person(ANONYMOUS, "Group", "GroupAnonymousBot", is_bot=True)
            body |= {"from": sender.json, "sender_chat": chat.json}
        else:
            body["from"] = message.sender.json
        if message.edit_date:
            body["edit_date"] = message.edit_date
        if message.thread is not None:
            body["message_thread_id"] = message.thread
        if message.in_topic and chat.forum:
            body["is_topic_message"] = True
        if message.origin:
            body["forward_origin"] = message.origin
        replied = chat.find(message.reply_to) or (chat.find(message.thread) if message.in_topic else None)
        if replied is not None and replied.id != message.id and not nested:
            body["reply_to_message"] = self.json(replied, nested=True)
        if message.service:
            body |= message.service
        if message.file is not None:
            shape = [message.file.json] if message.file.kind == "photo" else message.file.json
            body[message.file.kind] = shape
        words = ("caption", "caption_entities") if message.file is not None else ("text", "entities")
        if message.shown:
            body[words[0]] = message.shown
        if message.entities:
            body[words[1]] = [entity_json(e, self.people) for e in message.entities]
        if message.via:
            body["via_bot"] = {
                "id": 777,
                "is_bot": True,
                "first_name": message.via,
                "username": f"{message.via}_bot",
            }
        if message.album:
            body["media_group_id"] = message.album
        if message.rows:
            body["reply_markup"] = {"inline_keyboard": [[b.json for b in row] for row in message.rows]}
        return body

    def known(self, entities: Iterable[Entity]) -> list[Entity]:
        """Without mentions of people whom the bot never met; Telegram drops those."""
        return [e for e in entities if not e.user_id or e.user_id in self.people]


def _suffix(name: str, kind: str) -> str:
    return f".{name.rpartition('.')[2]}" if "." in name else ".jpg" if kind == "photo" else ""


def fits(text: str, most: int) -> bool:
    return units(text) <= most
