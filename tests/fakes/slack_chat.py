"""The chat.* and reactions.* methods, and how messages come to be, change and go."""

import copy
import json
from typing import Any

from tests.fakes.slack_blocks import Wrong, check_message
from tests.fakes.slack_state import Channel, Ephemeral, Message, Workspace
from tests.fakes.slack_text import Json

MOST_TEXT = 40_000
MOST_METADATA = 8_000


class Args:
    """The merged arguments of a call, whichever way they came."""

    def __init__(self, raw: Json) -> None:
        self.raw = raw

    def __contains__(self, name: str) -> bool:
        return self.raw.get(name) is not None

    def text(self, name: str) -> str:
        value = self.raw.get(name)
        return "" if value is None else str(value)

    def flag(self, name: str) -> bool:
        return self.raw.get(name) in (True, 1, "1", "true", "True")

    def number(self, name: str, default: int) -> int:
        try:
            return int(self.raw.get(name) or default)
        except ValueError:
            raise Wrong("invalid_limit") from None

    def parsed(self, name: str, wrong: str) -> Any:
        value = self.raw.get(name)
        if isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                raise Wrong(wrong) from None
        return value


class Chat(Workspace):
    """What is said."""

    scopes: set[str]

    def channel_for(self, args: Args, name: str = "channel") -> Channel:
        """The channel an app may see: a private one that it is not in does not exist."""
        wanted = args.text(name).lstrip("#")
        for channel in self.channels.values():
            if wanted in (channel.id, channel.name) and (
                channel.kind == "channel" or channel.archived or self.bot_user in channel.members
            ):
                return channel
        raise Wrong("channel_not_found")

    def writable(self, args: Args, name: str = "channel") -> Channel:
        channel = self.channel_for(args, name)
        if channel.archived:
            raise Wrong("is_archived")
        if self.bot_user not in channel.members and "chat:write.public" not in self.scopes:
            raise Wrong("not_in_channel")
        return channel

    # -- what happens to messages, whoever does it

    def event_of(self, message: Message) -> Json:
        event = {**message.wire(), **self._where(message.channel), "event_ts": message.ts}
        if not message.is_root and message.thread_ts:
            root = self.messages.get((message.channel, message.thread_ts))
            if root is not None:
                event["parent_user_id"] = root.user or root.bot_id or ""
                if message.broadcast:
                    event["root"] = self.wire(root)
        return event

    def wire(self, message: Message, *, metadata: str = "none") -> Json:
        """A message as histories show it, with its thread counted."""
        out = message.wire(metadata=metadata)
        replies = self.replies(message.channel, message.ts) if message.is_root else []
        if replies:
            users = list(dict.fromkeys(m.user or m.bot_id or "" for m in replies))
            count: Json = {"thread_ts": message.ts, "reply_count": len(replies), "reply_users": users}
            out |= {**count, "reply_users_count": len(users), "latest_reply": replies[-1].ts}
        return out

    def _where(self, channel: str) -> Json:
        return {"channel": channel, "channel_type": self.channels[channel].kind}

    def put(self, message: Message) -> Message:
        """A new message: kept, and told to the app where it is in the channel."""
        message.names = self.names
        self.messages[message.channel, message.ts] = message
        self.announce(self.event_of(message), self.channels[message.channel])
        self.mention(message)
        return message

    def mention(self, message: Message) -> None:
        """Tell the app once more, where somebody mentions it; also by an edit, which is told as such."""
        if f"<@{self.bot_user}" not in message.text or message.user == self.bot_user or message.bot_id:
            return
        about = ("user", "text", "ts", "client_msg_id", "team", "thread_ts", "parent_user_id", "blocks")
        event = {k: v for k, v in self.event_of(message).items() if k in (*about, "edited")}
        at = (message.edited or {}).get("ts", message.ts)
        mention = {"type": "app_mention", **event, "channel": message.channel, "event_ts": at}
        self.announce(mention, self.channels[message.channel])

    def changed(self, message: Message, before: Json) -> None:
        at = self.next_ts()
        event: Json = {"type": "message", "subtype": "message_changed", "message": self.wire(message)}
        event |= {"previous_message": before, **self._where(message.channel), "hidden": True}
        self.announce({**event, "ts": at, "event_ts": at}, self.channels[message.channel])

    def remove(self, message: Message) -> None:
        """A root with replies becomes a tombstone, as it does in Slack; everything else is gone."""
        before = self.wire(message)
        if message.is_root and self.replies(message.channel, message.ts):
            message.versions.append((message.text, message.blocks))
            message.subtype, message.user = "tombstone", "USLACKBOT"
            message.text, message.blocks, message.files = "This message was deleted.", [], []
            message.username = message.bot_id = message.app_id = message.metadata = None
            message.thread_ts = message.ts
            self.changed(message, before)
            return
        del self.messages[message.channel, message.ts]
        at = self.next_ts()
        event: Json = {
            "type": "message",
            "subtype": "message_deleted",
            "deleted_ts": message.ts,
            "hidden": True,
        }
        event |= {"previous_message": before, **self._where(message.channel), "ts": at, "event_ts": at}
        self.announce(event, self.channels[message.channel])
        root = self.messages.get((message.channel, message.thread_ts or ""))
        if root is not None and root.subtype == "tombstone" and not self.replies(message.channel, root.ts):
            self.remove(root)

    # -- chat.*

    def _content(self, args: Args) -> tuple[str, list[Json]]:
        text = args.text("text")
        blocks = args.parsed("blocks", "invalid_blocks_format")
        if "markdown_text" in args:
            if "text" in args or "blocks" in args:
                raise Wrong("markdown_text_conflict")
            blocks = [{"type": "markdown", "text": args.text("markdown_text")}]
        if not text and not blocks and not args.raw.get("attachments"):
            raise Wrong("no_text")
        if len(text) > MOST_TEXT:
            raise Wrong("msg_too_long")
        return text, check_message(blocks) if blocks else []

    def _metadata(self, args: Args) -> Json | None:
        metadata = args.parsed("metadata", "invalid_metadata_format")
        if not metadata:
            return None
        if not isinstance(metadata, dict):
            raise Wrong("invalid_metadata_format")
        kind, payload = metadata.get("event_type"), metadata.get("event_payload")
        if not isinstance(kind, str) or not kind or not isinstance(payload, dict):
            raise Wrong("invalid_metadata_schema")
        if len(str(payload)) > MOST_METADATA:
            raise Wrong("metadata_too_large")
        return {"event_type": kind, "event_payload": payload}

    def _author(self, args: Args) -> Json:
        """Who it appears from: a name of its own needs chat:write.customize and is ignored without."""
        own = {"bot_id": self.bot_id, "app_id": self.app_id, "team": self.team_id}
        asked = {k: args.text(k) or None for k in ("username", "icon_emoji", "icon_url")}
        if args.text("username") and "chat:write.customize" in self.scopes:
            return {**own, **asked, "subtype": "bot_message"}
        return {**own, "user": self.bot_user}

    def _thread(self, args: Args, channel: Channel) -> str | None:
        wanted = args.text("thread_ts") or None
        if wanted is None:
            return None
        root = self.messages.get((channel.id, wanted))
        if root is None:
            if self.deleted_root == "refuses":
                raise Wrong("thread_not_found")
            return None  # Slack posts it in the channel, and its answer has no message.thread_ts
        if not root.is_root:
            raise Wrong("cannot_reply_to_message")
        return wanted

    def post_message(self, args: Args) -> Json:
        channel = self.writable(args)
        text, blocks = self._content(args)
        metadata = self._metadata(args)
        author = self._author(args)
        thread_ts = self._thread(args, channel)
        broadcast = thread_ts is not None and args.flag("reply_broadcast")
        if broadcast:
            author["subtype"] = "thread_broadcast"
        message = Message(
            channel=channel.id,
            ts=self.next_ts(),
            text=text,
            blocks=blocks,
            thread_ts=thread_ts,
            metadata=metadata,
            broadcast=broadcast,
            **author,
        )
        names = args.flag("link_names") or args.text("parse") == "full"
        self.note_content(message.ts, text, blocks, names=names)
        self.put(message)
        return {"channel": channel.id, "ts": message.ts, "message": self.wire(message, metadata="all")}

    def _own(self, args: Args, refusal: str) -> Message:
        channel = self.channel_for(args)
        message = self.messages.get((channel.id, args.text("ts")))
        if message is None:
            raise Wrong("message_not_found")
        if message.bot_id != self.bot_id:
            raise Wrong(refusal)
        return message

    def update(self, args: Args) -> Json:
        """Blocks stay only where no text is given; metadata stays unless given."""
        message = self._own(args, "cant_update_message")
        if self.channels[message.channel].archived:
            raise Wrong("is_inactive")
        content = {"text", "blocks", "markdown_text"} & {k for k in args.raw if k in args}
        if args.flag("reply_broadcast") and content:
            raise Wrong("no_dual_broadcast_content_update")
        before = copy.deepcopy(self.wire(message))
        if content or not args.flag("reply_broadcast"):
            text, blocks = self._content(args)
            if len(text) > self.update_limit:
                raise Wrong("msg_too_long")
            metadata = self._metadata(args) if "metadata" in args else message.metadata
            message.metadata = metadata
            message.revise(text if "text" in args else message.text, blocks)
            names = args.flag("link_names") or args.text("parse") == "full"
            self.note_content(message.ts, text, blocks, names=names)
            message.edited = {"user": message.user or self.bot_id, "ts": self.next_ts()}
        else:
            message.broadcast, message.subtype = True, "thread_broadcast"
        self.changed(message, before)
        wire = self.wire(message, metadata="all")
        return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": wire}

    def delete(self, args: Args) -> Json:
        message = self._own(args, "cant_delete_message")
        self.remove(message)
        return {"channel": message.channel, "ts": args.text("ts")}

    def post_ephemeral(self, args: Args) -> Json:
        channel = self.writable(args)
        text, blocks = self._content(args)
        if args.text("user") not in channel.members:
            raise Wrong("user_not_in_channel")
        author = self._author(args)
        whisper = Ephemeral(
            channel=channel.id,
            ts=self.next_ts(),
            text=text,
            blocks=blocks,
            thread_ts=args.text("thread_ts") or None,
            username=author.get("username"),
            user=args.text("user"),
            names=self.names,
        )
        self.ephemerals.append(whisper)
        names = args.flag("link_names") or args.text("parse") == "full"
        self.note_content(whisper.ts, text, blocks, names=names)
        return {"message_ts": whisper.ts}

    def permalink(self, args: Args) -> Json:
        channel = self.channel_for(args)
        message = self.messages.get((channel.id, args.text("message_ts")))
        if message is None:
            raise Wrong("message_not_found")
        link = f"https://joinline.slack.test/archives/{channel.id}/p{message.ts.replace('.', '')}"
        if message.thread_ts and not message.is_root:
            link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
        return {"channel": channel.id, "permalink": link}

    # -- reactions.*

    def react(self, message: Message, user: str, name: str) -> None:
        users = message.reactions.setdefault(name, [])
        if user in users:
            raise Wrong("already_reacted")
        users.append(user)
        self._reaction("reaction_added", message, user, name)

    def unreact(self, message: Message, user: str, name: str) -> None:
        if user not in message.reactions.get(name, []):
            raise Wrong("no_reaction")
        message.reactions[name].remove(user)
        if not message.reactions[name]:
            del message.reactions[name]
        self._reaction("reaction_removed", message, user, name)

    def _reaction(self, kind: str, message: Message, user: str, name: str) -> None:
        item = {"type": "message", "channel": message.channel, "ts": message.ts}
        event = {"type": kind, "user": user, "reaction": name, "item": item, "event_ts": self.next_ts()}
        self.announce({**event, "item_user": message.user or ""}, self.channels[message.channel])

    def _reacted(self, args: Args) -> Message:
        channel = self.channel_for(args)
        if channel.archived:
            raise Wrong("is_archived")
        if self.bot_user not in channel.members:
            raise Wrong("not_in_channel")
        message = self.messages.get((channel.id, args.text("timestamp")))
        if message is None:
            raise Wrong("message_not_found")
        if not args.text("name").replace("_", "").replace("-", "").replace("+", "").isalnum():
            raise Wrong("invalid_name")
        return message

    def add_reaction(self, args: Args) -> Json:
        self.react(self._reacted(args), self.bot_user, args.text("name"))
        return {}

    def remove_reaction(self, args: Args) -> Json:
        self.unreact(self._reacted(args), self.bot_user, args.text("name"))
        return {}
