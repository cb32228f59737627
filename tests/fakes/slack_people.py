"""What people do in Slack, and what happens to the channel and the app there."""

import copy
import mimetypes
import secrets
import uuid

from tests.fakes.slack_socket import Delivery
from tests.fakes.slack_state import Channel, Ephemeral, Message, Shown, StoredFile, User, View
from tests.fakes.slack_text import Json, rich_text, typed
from tests.fakes.slack_web import WebApi


class People(WebApi):
    channel: str

    def add_user(
        self,
        name: str,
        *,
        real_name: str | None = None,
        display_name: str = "",
        channels: tuple[str, ...] | None = None,
        is_bot: bool = False,
        team: str = "",
    ) -> str:
        """A person, by default a member of the first channel; its id."""
        user = User(f"U{self.number():03d}{name.upper()[:6]}", name, real_name or name.title(), display_name)
        user.is_bot, user.team = is_bot, team or self.team_id
        self.users[user.id] = user
        self.names[user.id] = self.name_of(user.id)
        for channel in (self.channel,) if channels is None else channels:
            self.channels[channel].members.append(user.id)
        return user.id

    def add_channel(
        self, name: str, *, kind: str = "channel", members: tuple[str, ...] = (), bot: bool = True
    ) -> str:
        """A channel (`kind` channel, group or im), with the app in it unless `bot` is False; its id."""
        letter = "D" if kind == "im" else "C"
        channel = Channel(f"{letter}{self.number():03d}{name.upper()[:6]}", name, kind, list(members))
        if bot:
            channel.members.append(self.bot_user)
        self.channels[channel.id] = channel
        self.names[channel.id] = name
        return channel.id

    # -- messages

    async def says(
        self,
        user: str,
        text: str,
        *,
        thread: str | None = None,
        channel: str | None = None,
        broadcast: bool = False,
        wire: bool = False,
    ) -> str:
        """Type it; `wire` sends the text exactly as given, instead of as Slack's client would. The ts."""
        sent = text if wire else typed(text)
        return self.put(self._by(user, sent, thread, channel, broadcast=broadcast)).ts

    def _by(
        self, user: str, sent: str, thread: str | None, channel: str | None, *, broadcast: bool = False
    ) -> Message:
        where = self.channels[channel or self.channel]
        assert user in where.members, f"{user} is not in {where.id}"
        assert not where.archived, f"{where.id} is archived"
        assert thread is None or (where.id, thread) in self.messages, f"no root {thread} in {where.id}"
        return Message(
            channel=where.id,
            ts=self.next_ts(),
            text=sent,
            blocks=[rich_text(sent, secrets.token_hex(2))] if sent else [],
            thread_ts=thread,
            user=user,
            client_msg_id=str(uuid.uuid4()),
            team=self.users[user].team,
            broadcast=broadcast,
            subtype="thread_broadcast" if broadcast else None,
        )

    async def edits(self, user: str, ts: str, text: str, *, wire: bool = False) -> None:
        message = self.message(ts)
        assert message.user == user, f"{user} did not write {ts}"
        before = copy.deepcopy(self.wire(message))
        sent = text if wire else typed(text)
        message.revise(sent, [rich_text(sent, secrets.token_hex(2))])
        message.edited = {"user": user, "ts": self.next_ts()}
        self.changed(message, before)
        self.mention(message)

    async def deletes(self, user: str, ts: str) -> None:
        """Anybody may delete here, as workspace admins may."""
        self.remove(self.message(ts))

    async def unfurls(self, ts: str, url: str) -> None:
        """Slack adds a preview: message_changed, though nobody edited."""
        message = self.message(ts)
        before = copy.deepcopy(self.wire(message))
        message.attachments.append({"from_url": url, "id": 1, "fallback": url, "title": url})
        self.changed(message, before)

    async def reacts(self, user: str, ts: str, name: str) -> None:
        self.react(self.message(ts), user, name)

    async def unreacts(self, user: str, ts: str, name: str) -> None:
        self.unreact(self.message(ts), user, name)

    async def bot_says(self, text: str, *, thread: str | None = None, channel: str | None = None) -> str:
        """Another app's post."""
        message = Message(
            channel=channel or self.channel,
            ts=self.next_ts(),
            text=text,
            blocks=[],
            thread_ts=thread,
            bot_id="B0OTHER",
            app_id="A0OTHER",
            username="otherbot",
            subtype="bot_message",
        )
        return self.put(message).ts

    async def shares_file(
        self,
        user: str,
        name: str,
        data: bytes = b"data",
        *,
        text: str = "",
        thread: str | None = None,
        channel: str | None = None,
        mimetype: str | None = None,
    ) -> str:
        stored = StoredFile(
            f"F{self.number():06d}", name, secrets.token_urlsafe(9), title=name, user=user, data=data
        )
        stored.mimetype = mimetype or mimetypes.guess_type(name)[0] or "application/octet-stream"
        stored.complete = True
        self.files[stored.id] = stored
        message = self._by(user, typed(text), thread, channel)
        message.subtype, message.files = "file_share", [self.file_wire(stored)]
        stored.shares.append((message.channel, message.ts, thread))
        return self.put(message).ts

    # -- interactions

    def _found(self, user: str, ts: str) -> Shown:
        whispers = [e for e in self.ephemerals if e.ts == ts and e.user == user]
        return whispers[0] if whispers else self.message(ts)

    def _head(self, kind: str, user: str) -> Json:
        name = self.users[user].name
        team = {"id": self.team_id, "domain": "joinline"}
        return {
            "type": kind,
            "token": "deprecated",
            "api_app_id": self.app_id,
            "team": team,
            "user": {"id": user, "username": name, "name": name, "team_id": self.users[user].team},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    async def presses(
        self, user: str, ts: str, *, action_id: str, value: str | None = None, stale: bool = False
    ) -> Delivery:
        """Press a button of a message or of an ephemeral; with `stale`, one that is gone from it meanwhile."""
        on = self._found(user, ts)
        assert not (isinstance(on, Ephemeral) and on.gone), "that ephemeral is gone"
        button = on.find_button(action_id, value, stale=stale)
        keys = ("action_id", "block_id", "text", "value", "style", "url")
        action = {
            "type": "button",
            **{k: button[k] for k in keys if k in button},
            "action_ts": self.next_ts(),
        }
        whispered = isinstance(on, Ephemeral)
        container: Json = {
            "type": "message",
            "message_ts": ts,
            "channel_id": on.channel,
            "is_ephemeral": whispered,
        }
        if on.thread_ts:
            container["thread_ts"] = on.thread_ts
        payload = {
            **self._head("block_actions", user),
            "trigger_id": self.new_trigger(user),
            "container": container,
            "channel": {"id": on.channel, "name": self.channels[on.channel].name},
            "state": {"values": {}},
            "response_url": self.new_response_url(on, user),
            "actions": [action],
        }
        if isinstance(on, Message):  # Slack keeps no ephemeral message, so it sends none
            payload["message"] = self.wire(on)
        return self.outbound.push(Delivery("interactive", payload))

    async def shortcut(self, user: str, callback_id: str, ts: str) -> Delivery:
        """A message shortcut."""
        on = self.message(ts)
        payload = {
            **self._head("message_action", user),
            "action_ts": self.next_ts(),
            "callback_id": callback_id,
            "trigger_id": self.new_trigger(user),
            "response_url": self.new_response_url(on, user),
            "message_ts": ts,
            "channel": {"id": on.channel, "name": self.channels[on.channel].name},
            "message": self.wire(on),
        }
        return self.outbound.push(Delivery("interactive", payload))

    async def submits(self, user: str, view_id: str, values: dict[str, dict[str, str]]) -> Delivery:
        """Submit a modal: {block_id: {action_id: text}}; its errors end in `view.errors`, else it closes."""
        view = next(v for v in self.views if v.id == view_id)
        assert view.open, f"view {view_id} is closed"
        assert view.user == user, f"view {view_id} is shown to {view.user}"
        kinds = {b["block_id"]: b["element"]["type"] for b in view.view["blocks"] if b["type"] == "input"}
        assert set(values) <= set(kinds), f"no such input: {set(values) - set(kinds)}"
        state = {
            block: {action: {"type": kinds[block], "value": text} for action, text in inside.items()}
            for block, inside in values.items()
        }
        payload = {
            **self._head("view_submission", user),
            "trigger_id": self.new_trigger(user),
            "view": self.view_wire(view, state),
            "response_urls": [],
        }
        delivery = await self.outbound.push(Delivery("interactive", payload)).done()
        self._submitted(view, delivery)
        return delivery

    def _submitted(self, view: View, delivery: Delivery) -> None:
        answer = delivery.answer or {}
        view.errors = dict(answer.get("errors") or {})
        if delivery.acked and answer.get("response_action", "clear") == "clear":
            view.open = False
        elif answer.get("response_action") == "update":
            view.view = answer["view"]

    # -- the channel and the app

    def _system(self, channel: Channel, user: str, subtype: str, text: str) -> None:
        message = Message(channel.id, self.next_ts(), text, [], user=user, subtype=subtype)
        self.put(message)

    async def joins(self, user: str, channel: str | None = None) -> None:
        where = self.channels[channel or self.channel]
        where.members.append(user)
        self._membership("member_joined_channel", where, user)
        self._system(where, user, "channel_join", f"<@{user}> has joined the channel")

    async def leaves(self, user: str, channel: str | None = None) -> None:
        """Also the app itself (`server.bot_user`), which then hears of nothing more there."""
        where = self.channels[channel or self.channel]
        where.members.remove(user)
        self._membership("member_left_channel", where, user, always=True)
        if user == self.bot_user:
            kind = "group_left" if where.kind == "group" else "channel_left"
            self.announce({"type": kind, "channel": where.id, "event_ts": self.next_ts()})
        self._system(where, user, "channel_leave", f"<@{user}> has left the channel")

    def _membership(self, kind: str, channel: Channel, user: str, *, always: bool = False) -> None:
        letter = "G" if channel.kind == "group" else "C"
        event = {
            "type": kind,
            "user": user,
            "channel": channel.id,
            "channel_type": letter,
            "team": self.team_id,
        }
        self.announce({**event, "event_ts": self.next_ts()}, None if always else channel)

    async def archive(self, channel: str | None = None, *, by: str | None = None) -> None:
        """Which puts the app out of the channel, too."""
        where = self.channels[channel or self.channel]
        where.archived = True
        self._archiving(where, by, "archive")
        if self.bot_user in where.members:
            where.members.remove(self.bot_user)
            where.ejected = True

    async def unarchive(
        self, channel: str | None = None, *, by: str | None = None, invite: bool = True
    ) -> None:
        """And have the app back, unless `invite` is False."""
        where = self.channels[channel or self.channel]
        where.archived = False
        self._archiving(where, by, "unarchive")
        if where.ejected and invite:
            await self.joins(self.bot_user, where.id)
        where.ejected = False

    def _archiving(self, channel: Channel, by: str | None, what: str) -> None:
        """Of public channels everybody hears, of private ones only who is in."""
        private = channel.kind == "group"
        user = by or next((m for m in channel.members if m != self.bot_user), self.bot_user)
        kind = f"{'group' if private else 'channel'}_{what}"
        event = {"type": kind, "channel": channel.id, "user": user, "event_ts": self.next_ts()}
        self.announce(event, channel if private else None)

    async def kick_bot(self, channel: str | None = None) -> None:
        await self.leaves(self.bot_user, channel)

    async def invite_bot(self, channel: str | None = None) -> None:
        await self.joins(self.bot_user, channel)

    def revoke_token(self, error: str = "token_revoked") -> None:
        """The bot's token is dead (token_revoked, account_inactive or invalid_auth) until `restore_token`."""
        self.dead_tokens[self.bot_token] = error

    def restore_token(self, new: str | None = None) -> None:
        """The old token lives again, or a new one takes its place."""
        if new is None:
            self.dead_tokens.clear()
        self.bot_token = new or self.bot_token
