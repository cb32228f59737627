"""The methods of the Bot API, as far as a connector for groups needs them."""

# ruff: noqa: N802 - they are named as in the Bot API

from collections.abc import Callable
from dataclasses import dataclass
import re
from typing import Any

from telegram.constants import ReactionEmoji

from tests.fakes.telegram_args import Args
from tests.fakes.telegram_ground import Ground
from tests.fakes.telegram_scene import Scene
from tests.fakes.telegram_state import (
    Json,
    Member,
    bad,
)

BIGGEST_DOWNLOAD = 20 * 2**20
MOST_ANSWER = 200
TOO_OLD = "query is too old and response timeout expired or query ID is invalid"


@dataclass
class Query:
    """A press of a button that waits for its answer."""

    id: str
    person_id: int
    message_id: int
    at: float
    over: bool = False


@dataclass
class Answer:
    id: str
    person_id: int
    message_id: int
    text: str
    alert: bool
    url: str


class Methods(Ground):
    def __init__(self, scene: Scene, callback_lifetime: float = 30.0) -> None:
        super().__init__(scene)
        self.queries: dict[str, Query] = {}
        self.answers: list[Answer] = []
        self.menus: dict[str, list[Json]] = {}
        self.callback_lifetime = callback_lifetime
        names = [name for name in vars(Methods) if re.match(r"[a-z]+[A-Z]", name)]
        self.by_name: dict[str, tuple[str, Callable[[Args], Any]]] = {
            name.lower(): (name, vars(Methods)[name].__get__(self)) for name in names
        }

    # About the bot

    def getMe(self, args: Args) -> Json:
        more = {"can_join_groups": True, "can_read_all_group_messages": not self.scene.privacy}
        return (
            self.world.bot.json | more | {"supports_inline_queries": False, "can_connect_to_business": False}
        )

    def setMyCommands(self, args: Args) -> bool:
        commands = args.json("commands") or []
        for one in commands:
            if not re.fullmatch(r"[a-z0-9_]{1,32}", one["command"].removeprefix("/")):
                raise bad("BOT_COMMAND_INVALID")
            if not 1 <= len(one["description"]) <= 256:
                raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
        if len(commands) > 100:
            raise bad("BOT_COMMANDS_TOO_MUCH")
        self.menus[self.scope(args)] = commands
        return True

    def getMyCommands(self, args: Args) -> list[Json]:
        return self.menus.get(self.scope(args), [])

    def deleteMyCommands(self, args: Args) -> bool:
        self.menus.pop(self.scope(args), None)
        return True

    # Updates

    async def getUpdates(self, args: Args) -> list[Json]:
        self.updates.allow(args.json("allowed_updates"))
        limit = min(max(args.number("limit") or 100, 1), 100)
        return await self.updates.poll(args.number("offset"), limit, args.number("timeout"))

    def setWebhook(self, args: Args) -> bool:
        url, secret = args.text("url"), args.text("secret_token")
        if url and not re.match(r"https?://[^/\s]+", url):
            raise bad("bad webhook: An HTTPS URL must be provided for webhook")
        if len(secret) > 256:
            raise bad("secret token is too long")
        if not re.fullmatch(r"[\w-]*", secret, re.ASCII):
            raise bad("secret token contains unallowed characters")
        if args.flag("drop_pending_updates"):
            self.updates.pending.clear()
        if url:
            self.updates.allow(args.json("allowed_updates"))
        self.updates.set_webhook(url, secret, args.number("max_connections") or 40)
        return True

    def deleteWebhook(self, args: Args) -> bool:
        if args.flag("drop_pending_updates"):
            self.updates.pending.clear()
        self.updates.set_webhook("", "", 40)
        return True

    def getWebhookInfo(self, args: Args) -> Json:
        hook = self.updates.webhook
        body: Json = {
            "url": hook.url, "has_custom_certificate": False, "pending_update_count": len(self.updates.pending),
        }  # fmt: skip
        if hook.url:
            body |= {"max_connections": hook.max_connections, "ip_address": "127.0.0.1"}
        if hook.last_error:
            body |= {"last_error_date": hook.last_error_date, "last_error_message": hook.last_error}
        if self.updates.allowed_as_set:
            body["allowed_updates"] = self.updates.allowed_as_set
        return body

    # About chats

    def getChat(self, args: Args) -> Json:
        chat = self.chat(args, write=False)
        gifts = dict.fromkeys(
            (
                "unlimited_gifts",
                "limited_gifts",
                "unique_gifts",
                "premium_subscription",
                "gifts_from_channels",
            ),
            True,
        )
        body = chat.json | {"accent_color_id": 1, "max_reaction_count": 11, "accepted_gift_types": gifts}
        if chat.person is None:
            body["permissions"] = chat.permissions
        if chat.pinned:
            body["pinned_message"] = self.world.json(chat.pinned[-1])
        return body

    def getChatMember(self, args: Args) -> Json:
        chat = self.chat(args, write=False)
        person = self.world.people.get(args.number("user_id"))
        if person is None:
            raise bad("user not found")
        return chat.member(person).json

    def getChatAdministrators(self, args: Args) -> list[Json]:
        chat = self.chat(args, write=False)
        if chat.person is not None:
            raise bad("there are no administrators in the private chat")
        mine = self.world.bot
        return [
            m.json for m in chat.members.values() if m.admin and (m.person is mine or not m.person.is_bot)
        ]

    def getChatMemberCount(self, args: Args) -> int:
        return sum(m.inside for m in self.chat(args, write=False).members.values())

    # Messages

    def sendMessage(self, args: Args) -> Json:
        return self.send(args, "text")

    def sendDocument(self, args: Args) -> Json:
        return self.send(args, "caption", lambda: args.file("document", self.world))

    def sendPhoto(self, args: Args) -> Json:
        return self.send(args, "caption", lambda: args.file("photo", self.world))

    def editMessageText(self, args: Args) -> Json:
        message = self.editable(args)
        if message.file is not None:
            raise bad("there is no text in the message to edit")
        before = self.look(message)
        formatted, rows = args.formatted("text", self.world), args.rows()
        message.shown, message.entities, message.rows = formatted.text, formatted.entities, rows
        edited = self.edited(message, before)
        message.html = args.text("text")
        return edited

    def editMessageReplyMarkup(self, args: Args) -> Json:
        message = self.editable(args)
        before, message.rows = self.look(message), args.rows()
        return self.edited(message, before)

    def deleteMessage(self, args: Args) -> bool:
        chat = self.chat(args)
        message = self.message(chat, args, "delete")
        own = message.by_bot or chat.person is not None
        root = message.service is not None and "forum_topic_created" in message.service
        if root or not (own or self.scene.bot_in(chat).may("can_delete_messages")):
            raise bad("message can't be deleted")
        message.deleted = True
        return True

    def pinChatMessage(self, args: Args) -> bool:
        chat = self.pinner(args)
        self.scene.pin(chat, self.message(chat, args, "pin"), self.world.bot)
        return True

    def unpinChatMessage(self, args: Args) -> bool:
        chat = self.pinner(args)
        if not args.number("message_id") and not chat.pinned:
            raise bad("message to unpin not found")
        message = self.message(chat, args, "unpin") if args.number("message_id") else chat.pinned[-1]
        message.pinned = False
        return True

    def unpinAllForumTopicMessages(self, args: Args) -> bool:
        self.pinner(args)
        chat, topic = self.topic(args, "can_pin_messages", "edit")
        for message in chat.pinned:
            message.pinned = message.pinned and message.thread != topic.id
        return True

    def setMessageReaction(self, args: Args) -> bool:
        chat = self.chat(args)
        message = self.message(chat, args, "react")
        emoji = [one.get("emoji") for one in args.json("reaction") or []]
        if len(emoji) > 1:
            raise bad("REACTIONS_TOO_MANY")
        if any(one not in set(ReactionEmoji) for one in emoji):
            raise bad("REACTION_INVALID")
        message.reactions.pop(self.world.bot.id, None)
        if emoji:
            message.reactions[self.world.bot.id] = emoji[0]
        return True

    def sendChatAction(self, args: Args) -> bool:
        self.chat(args)  # in whichever topic, also a deleted one
        if not re.fullmatch(
            r"(typing|upload_\w+|record_\w+|choose_sticker|find_location)", args.text("action")
        ):
            raise bad("wrong parameter action in request")
        return True

    # Topics

    def createForumTopic(self, args: Args) -> Json:
        chat = self.chat(args)
        if not chat.forum:
            raise bad("the chat is not a forum")
        bot: Member = self.scene.bot_in(chat)
        if not (bot.may("can_manage_topics") or chat.permissions["can_manage_topics"]):
            raise bad("not enough rights to create a topic")
        topic = self.scene.open_topic(
            chat, self.world.bot, args.text("name"),
            color=args.number("icon_color"), icon=args.text("icon_custom_emoji_id"),
        )  # fmt: skip
        body = {"message_thread_id": topic.id, "name": topic.name, "icon_color": topic.icon_color}
        return body | ({"icon_custom_emoji_id": topic.icon} if topic.icon else {})

    def editForumTopic(self, args: Args) -> bool:
        chat, topic = self.topic(args, "can_manage_topics", "edit")
        icon = args.text("icon_custom_emoji_id") if args.has("icon_custom_emoji_id") else None
        if args.text("name") or icon is not None:
            self.scene.rename_topic(chat, topic, self.world.bot, args.text("name"), icon)
        return True

    def closeForumTopic(self, args: Args) -> bool:
        chat, topic = self.topic(args, "can_manage_topics", "close or open")
        self.scene.close_topic(chat, topic, self.world.bot, closed=True)
        return True

    def reopenForumTopic(self, args: Args) -> bool:
        chat, topic = self.topic(args, "can_manage_topics", "close or open")
        self.scene.close_topic(chat, topic, self.world.bot, closed=False)
        return True

    def deleteForumTopic(self, args: Args) -> bool:
        chat, topic = self.topic(args, "can_delete_messages", "delete")
        self.scene.delete_topic(chat, topic)
        return True

    # Buttons and files

    def answerCallbackQuery(self, args: Args) -> bool:
        query = self.queries.get(args.text("callback_query_id"))
        if query is None or query.over or self.world.now() - query.at > self.callback_lifetime:
            raise bad(TOO_OLD)
        if len(args.text("text")) > MOST_ANSWER:
            raise bad("MESSAGE_TOO_LONG")
        query.over = True
        self.answers.append(
            Answer(query.id, query.person_id, query.message_id, args.text("text"), args.flag("show_alert"), args.text("url"))
        )  # fmt: skip
        return True

    def getFile(self, args: Args) -> Json:
        found = self.world.files.get(args.text("file_id"))
        if found is None:
            raise bad("invalid file_id")
        if len(found.content) > BIGGEST_DOWNLOAD:
            raise bad("file is too big")
        size = {"file_size": len(found.content), "file_path": found.path}
        return {"file_id": found.id, "file_unique_id": f"u{found.id}"} | size
