"""What every method of the Bot API begins with: which chat, which message, which topic, and may the bot."""

from collections.abc import Callable
from typing import Any

from tests.fakes.telegram_args import Args
from tests.fakes.telegram_scene import Scene
from tests.fakes.telegram_state import (
    Chat,
    File,
    Json,
    Message,
    Refusal,
    Topic,
    World,
    bad,
    entity_json,
    forbidden,
)
from tests.fakes.telegram_updates import Updates

NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current "
    "content and reply markup of the message"
)


class Ground:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.world: World = scene.world
        self.updates: Updates = scene.updates

    def chat(self, args: Args, *, write: bool = True) -> Chat:
        if not args.text("chat_id"):
            raise bad("chat_id is empty")
        chat = self.world.chats.get(args.number("chat_id"))
        if chat is None:
            raise bad("chat not found")
        if chat.person is not None:
            if not chat.person.started:
                raise forbidden("bot can't initiate conversation with a user")
            if chat.person.blocked and write:
                raise forbidden("bot was blocked by the user")
            return chat
        if chat.migrated_to is not None:
            to = {"migrate_to_chat_id": chat.migrated_to}
            raise Refusal(400, "Bad Request: group chat was upgraded to a supergroup chat", to)
        bot = self.scene.bot_in(chat)
        if bot.status == "kicked":
            raise forbidden(f"bot was kicked from the {chat.type} chat")
        if not bot.inside:
            raise forbidden(f"bot is not a member of the {chat.type} chat")
        return chat

    def message(self, chat: Chat, args: Args, purpose: str) -> Message:
        found = chat.find(args.number("message_id"))
        if found is None:
            raise bad(f"message to {purpose} not found")
        return found

    def thread(self, chat: Chat, args: Args) -> Topic | None:
        """The topic to write to; in a group without topics what is asked for is ignored."""
        wanted = args.number("message_thread_id")
        if not wanted or (chat.person is None and not chat.forum):
            return None
        topic = chat.topic(wanted)
        if topic is None or topic.worn:
            raise bad("message thread not found")
        return topic

    def topic(self, args: Args, right: str, purpose: str) -> tuple[Chat, Topic]:
        chat = self.chat(args)
        if not chat.forum:
            raise bad("the chat is not a forum")
        topic = chat.topic(args.number("message_thread_id"))
        if topic is None:
            raise bad("TOPIC_ID_INVALID")
        if not self.scene.bot_in(chat).may(right) and topic.creator != self.world.bot.id:
            raise bad(f"not enough rights to {purpose} the topic")
        return chat, topic

    def scope(self, args: Args) -> str:
        scope = args.json("scope") or {"type": "default"}
        if "chat_id" in scope:
            self.chat(Args({"chat_id": scope["chat_id"]}, {}))
        place = [scope["type"], scope.get("chat_id"), scope.get("user_id"), args.text("language_code")]
        return ":".join(str(part) for part in place if part)

    def place(self, args: Args, kind: str) -> tuple[Chat, Json]:
        """Where a new message goes: its chat, its topic, what it replies to."""
        chat = self.chat(args)
        bot = self.scene.bot_in(chat)
        if chat.person is None and not bot.admin and not chat.permissions["can_send_messages"]:
            raise bad(f"not enough rights to send {kind} to the chat")
        topic = self.thread(chat, args)
        reply = args.json("reply_parameters") or {}
        wanted = int(reply.get("message_id") or args.number("reply_to_message_id"))
        optional = reply.get("allow_sending_without_reply") or args.flag("allow_sending_without_reply")
        replied = chat.find(wanted)
        if wanted and replied is None and not optional:
            raise bad("message to be replied not found")
        if topic is None and replied is not None and replied.in_topic:
            topic = chat.topic(replied.thread)
        if topic is not None and topic.closed and not bot.may("can_manage_topics"):
            raise bad("TOPIC_CLOSED")
        return chat, {"thread": topic.id if topic else None, "reply_to": replied.id if replied else None}

    def send(self, args: Args, words: str, file: Callable[[], File] | None = None) -> Json:
        chat, where = self.place(args, "text messages" if file is None else "documents")
        formatted = args.formatted(words, self.world)
        rows = args.rows()
        found = file() if file is not None else None
        message = self.world.put(
            chat, self.world.bot, shown=formatted.text, html=args.text(words), entities=formatted.entities,
            rows=rows, silent=args.flag("disable_notification"), file=found, **where,
        )  # fmt: skip
        return self.world.json(message)

    def editable(self, args: Args) -> Message:
        chat = self.chat(args)
        message = self.message(chat, args, "edit")
        if not message.by_bot or message.service is not None:
            raise bad("message can't be edited")
        return message

    def edited(self, message: Message, before: Any) -> Json:
        if self.look(message) == before:
            raise bad(NOT_MODIFIED)
        message.edited += 1
        message.edit_date = int(self.world.now())
        return self.world.json(message)

    def look(self, message: Message) -> Any:
        entities = [entity_json(e, self.world.people) for e in message.entities]
        return message.shown, entities, [[b.json for b in row] for row in message.rows]

    def pinner(self, args: Args) -> Chat:
        chat = self.chat(args)
        bot = self.scene.bot_in(chat)
        if chat.person is None and not (bot.may("can_pin_messages") or chat.permissions["can_pin_messages"]):
            raise bad("not enough rights to manage pinned messages in the chat")
        return chat
