"""The methods that look things up, and those for views and files."""

import base64
import secrets
import time
from typing import TypeVar

from tests.fakes.slack_blocks import Wrong, check_view
from tests.fakes.slack_chat import Args, Chat
from tests.fakes.slack_state import Channel, Message, StoredFile, View
from tests.fakes.slack_text import Json

T = TypeVar("T")


class Lookups(Chat):
    def auth_test(self, args: Args) -> Json:
        ids = {"team_id": self.team_id, "user_id": self.bot_user, "bot_id": self.bot_id}
        names = {"url": "https://joinline.slack.test/", "team": "Joinline", "user": "joinline"}
        return {**names, **ids, "is_enterprise_install": False}

    # -- conversations.*

    def info(self, args: Args) -> Json:
        return {"channel": self.channel_for(args).wire(self.bot_user)}

    def list_channels(self, args: Args) -> Json:
        kinds = {"public_channel": "channel", "private_channel": "group", "im": "im"}
        wanted = {kinds.get(k) for k in (args.text("types") or "public_channel").split(",")}
        seen = [
            c.wire(self.bot_user)
            for c in self.channels.values()
            if c.kind in wanted
            and (c.kind == "channel" or self.bot_user in c.members)
            and not (args.flag("exclude_archived") and c.archived)
        ]
        page, cursor = _page(seen, args, 100)
        return {"channels": page, "response_metadata": {"next_cursor": cursor}}

    def members(self, args: Args) -> Json:
        page, cursor = _page(self.channel_for(args).members, args, 100)
        return {"members": page, "response_metadata": {"next_cursor": cursor}}

    def _readable(self, args: Args) -> Channel:
        channel = self.channel_for(args)
        if self.bot_user not in channel.members:
            raise Wrong("not_in_channel")
        return channel

    def _depth(self, args: Args) -> str:
        """How much of the metadata is shown."""
        return (
            "all" if args.flag("include_all_metadata") and "metadata.message:read" in self.scopes else "type"
        )

    def conversation_replies(self, args: Args) -> Json:
        channel = self._readable(args)
        root = self.messages.get((channel.id, args.text("ts")))
        if root is None:
            raise Wrong("thread_not_found")
        found = [m for m in self.thread(channel.id, root.ts) if m is root or _within(m, args)]
        page, cursor = _page(found, args, 1000)
        out = {"messages": [self.wire(m, metadata=self._depth(args)) for m in page], "has_more": bool(cursor)}
        return {**out, "response_metadata": {"next_cursor": cursor}} if cursor else out

    def history(self, args: Args) -> Json:
        channel = self._readable(args)
        here = [m for m in self.messages.values() if m.channel == channel.id and (m.is_root or m.broadcast)]
        found = sorted((m for m in here if _within(m, args)), key=lambda m: m.ts, reverse=True)
        page, cursor = _page(found, args, 100)
        out = {"messages": [self.wire(m, metadata=self._depth(args)) for m in page], "has_more": bool(cursor)}
        return {**out, "response_metadata": {"next_cursor": cursor}} if cursor else out

    def user_info(self, args: Args) -> Json:
        user = self.users.get(args.text("user"))
        if user is None:
            raise Wrong("user_not_found")
        return {"user": user.wire()}

    # -- views.*

    def open_view(self, args: Args) -> Json:
        view = check_view(args.parsed("view", "invalid_arguments"))
        opened = View(
            f"V{self.number():06d}", self._spend(args.text("trigger_id")), view, secrets.token_hex(6)
        )
        self.views.append(opened)
        return {"view": self.view_wire(opened)}

    def _spend(self, trigger: str) -> str:
        if trigger not in self.triggers:
            raise Wrong("invalid_trigger_id")
        born, user, used = self.triggers[trigger]
        if used:
            raise Wrong("exchanged_trigger_id")
        if time.monotonic() - born > self.trigger_seconds:
            raise Wrong("expired_trigger_id")
        self.triggers[trigger] = (born, user, True)
        return user

    def update_view(self, args: Args) -> Json:
        outside = args.text("external_id")
        found = [
            v
            for v in self.views
            if args.text("view_id") == v.id or (outside and v.view.get("external_id") == outside)
        ]
        if not found or not found[0].open:
            raise Wrong("not_found")
        if args.text("hash") not in ("", found[0].hash):
            raise Wrong("hash_conflict")
        found[0].view = check_view(args.parsed("view", "invalid_arguments"))
        found[0].hash = secrets.token_hex(6)
        return {"view": self.view_wire(found[0])}

    def view_wire(self, view: View, values: Json | None = None) -> Json:
        ids = {"id": view.id, "team_id": self.team_id, "app_id": self.app_id, "bot_id": self.bot_id}
        rest = {
            "hash": view.hash,
            "root_view_id": view.id,
            "previous_view_id": None,
            "app_installed_team_id": self.team_id,
        }
        defaults = {
            "private_metadata": "",
            "callback_id": "",
            "submit": None,
            "close": None,
            "external_id": "",
        }
        return {**defaults, **view.view, **ids, **rest, "state": {"values": values or {}}}

    # -- files.*

    def upload_url(self, args: Args) -> Json:
        if not args.text("filename"):
            raise Wrong("invalid_arguments")
        if args.number("length", 0) <= 0:
            raise Wrong("file_upload_size_restricted")
        name = args.text("filename")
        stored = StoredFile(
            f"F{self.number():06d}", name, secrets.token_urlsafe(9), title=name, user=self.bot_user
        )
        self.files[stored.id] = stored
        return {"upload_url": f"{self.base}/upload/v1/{stored.id}/{stored.secret}", "file_id": stored.id}

    def complete_upload(self, args: Args) -> Json:
        files = []
        for asked in args.parsed("files", "invalid_arguments") or []:
            stored = self.files.get(asked.get("id", ""))
            if stored is None or stored.data is None:
                raise Wrong("file_not_found")
            files.append((stored, asked.get("title")))
        where = args.text("channel_id") or args.text("channels")
        channels = [self.writable(Args({"channel": c})) for c in where.split(",") if c]
        for stored, title in files:
            stored.complete, stored.title = True, title or stored.name
        for channel in channels:
            message = Message(
                channel=channel.id,
                ts=self.next_ts(),
                text=args.text("initial_comment"),
                blocks=[],
                thread_ts=self._thread(args, channel),
                user=self.bot_user,
                bot_id=self.bot_id,
                app_id=self.app_id,
                team=self.team_id,
                subtype="file_share",
                files=[self.file_wire(stored) for stored, _ in files],
            )
            for stored, _ in files:
                stored.shares.append((channel.id, message.ts, message.thread_ts))
            self.note_content(message.ts, message.text, [])
            self.put(message)
        return {"files": [self.file_wire(stored) for stored, _ in files]}

    def file_info(self, args: Args) -> Json:
        stored = self.files.get(args.text("file"))
        if stored is None or not stored.complete:
            raise Wrong("file_not_found")
        shares: dict[str, dict[str, list[Json]]] = {}
        for channel, ts, thread_ts in stored.shares:
            kind = "public" if self.channels[channel].kind == "channel" else "private"
            share = {"ts": ts, "thread_ts": thread_ts} if thread_ts else {"ts": ts}
            shares.setdefault(kind, {}).setdefault(channel, []).append(share)
        return {"file": {**self.file_wire(stored), "shares": shares}, "comments": []}

    def file_wire(self, stored: StoredFile) -> Json:
        url = f"{self.base}/files-pri/{self.team_id}-{stored.id}"
        return {
            "id": stored.id,
            "name": stored.name,
            "title": stored.title,
            "mimetype": stored.mimetype,
            "filetype": stored.name.rpartition(".")[2],
            "user": stored.user,
            "size": len(stored.data or b""),
            "mode": "hosted",
            "is_external": False,
            "url_private": f"{url}/{stored.name}",
            "url_private_download": f"{url}/download/{stored.name}",
            "permalink": f"https://joinline.slack.test/files/{stored.user}/{stored.id}/{stored.name}",
        }


def _within(message: Message, args: Args) -> bool:
    oldest, latest = args.text("oldest"), args.text("latest")
    at = float(message.ts)
    if args.flag("inclusive"):
        return (not oldest or at >= float(oldest)) and (not latest or at <= float(latest))
    return (not oldest or at > float(oldest)) and (not latest or at < float(latest))


def _page(items: list[T], args: Args, most: int) -> tuple[list[T], str]:
    start = 0
    if args.text("cursor"):
        try:
            start = int(base64.b64decode(args.text("cursor"), validate=True))
        except ValueError:
            raise Wrong("invalid_cursor") from None
    limit = args.number("limit", most)
    if limit <= 0 or limit > 1000:
        raise Wrong("invalid_limit")
    end = start + min(limit, 1000)
    more = end < len(items)
    return items[start:end], base64.b64encode(str(end).encode()).decode() if more else ""
