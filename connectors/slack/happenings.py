"""What Slack tells us of, read out of its payloads: who did what, where. Pure.

What concerns nobody here is None: our own posts and other bots', joins and topics, link previews.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, json

from connectors.slack.payloads import Callback, Event, Interaction, Kind, State
from connectors.threads.inbox import Item, encoded

OPENS = "open"  # the action of a button that is a link

_TEXTS = {None, "file_share", "thread_broadcast", "me_message"}


class Typed(Struct, frozen=True, kw_only=True):
    """A new message. `root` is empty where it is in no thread, `parent` who began the thread.

    `team` is the workspace that hears of it, `home` the author's. `shares`: it forwards another message.
    """

    team: str
    home: str
    channel: str
    ts: str
    root: str
    parent: str
    user: str
    text: str
    files: tuple[str, ...]
    shares: bool
    direct: bool

    @property
    def key(self) -> str:
        return f"msg:{self.team}:{self.channel}:{self.ts}"

    @property
    def lane(self) -> str:
        return f"{self.channel}:{self.root or self.ts}"


class Reworded(Struct, frozen=True, kw_only=True):
    team: str
    home: str
    channel: str
    ts: str
    root: str
    user: str
    text: str
    revision: str

    @property
    def key(self) -> str:
        return f"edit:{self.channel}:{self.ts}:{self.revision}"

    @property
    def lane(self) -> str:
        return f"{self.channel}:{self.root}"


class Erased(Struct, frozen=True, kw_only=True):
    """`bots`: what is gone was a bot's."""

    team: str
    channel: str
    ts: str
    root: str
    user: str
    bots: bool

    @property
    def key(self) -> str:
        return f"gone:{self.channel}:{self.ts}"

    @property
    def lane(self) -> str:
        return f"{self.channel}:{self.root}"


class Pressed(Struct, frozen=True, kw_only=True):
    """`thread` is empty where the button is on a message that has no replies."""

    team: str
    home: str
    channel: str
    user: str
    action: str
    at: str
    value: str
    message: str
    thread: str
    response_url: str

    @property
    def key(self) -> str:
        return f"act:{self.at}:{self.user}:{self.action}"

    @property
    def lane(self) -> str:
        return f"{self.channel}:{self.thread or self.message}"


class Shortcut(Struct, frozen=True, kw_only=True):
    team: str
    home: str
    channel: str
    user: str
    name: str
    trigger: str
    root: str

    @property
    def key(self) -> str:
        return f"cut:{self.trigger}"

    @property
    def lane(self) -> str:
        return self.key  # it is only good for three seconds: it waits behind nothing


class Submitted(Struct, frozen=True, kw_only=True):
    team: str
    home: str
    user: str
    view: str
    name: str
    about: str
    text: str

    @property
    def key(self) -> str:
        return f"view:{self.view}"

    @property
    def lane(self) -> str:
        return self.key


Happening = Typed | Reworded | Erased | Pressed | Shortcut | Submitted


def item(body: Mapping[str, Any]) -> Item | None:
    """What to keep of a payload, if it says anything to us."""
    raw = encoded(body)
    found = read(raw)
    if isinstance(found, Pressed) and found.action == OPENS:
        return None  # the browser has opened it, and what was pressed may hold the link
    return None if found is None else Item(key=found.key, lane=found.lane, body=raw)


def read(raw: bytes) -> Happening | None:
    kind = json.decode(raw, type=Kind).type
    if kind == "event_callback":
        callback = json.decode(raw, type=Callback)
        if json.decode(callback.event, type=Kind).type not in ("message", "app_mention"):
            return None
        return _event(callback.team_id, json.decode(callback.event, type=Event))
    if kind in ("block_actions", "message_action", "view_submission"):
        return _interaction(json.decode(raw, type=Interaction))
    return None


def _event(team: str, event: Event) -> Happening | None:
    if event.subtype == "message_changed":
        return _changed(team, event)
    if event.subtype == "message_deleted":
        return _deleted(team, event)
    if event.bots or event.subtype not in _TEXTS or not event.user or not event.ts:
        return None
    if event.edited is not None:  # an edit that mentions the app is told as a mention, too
        return None
    thread = event.thread_ts or ""
    return Typed(
        team=team,
        home=_home(team, event),
        channel=event.channel,
        ts=event.ts,
        root="" if thread == event.ts else thread,
        parent=event.parent_user_id or "",
        user=event.user,
        text=event.text or "",
        files=tuple(f.name or f.title or "a file" for f in event.files or ()),
        shares=any(a.is_share for a in event.attachments or ()),
        direct=event.channel_type == "im" or event.channel.startswith("D"),
    )


def _changed(team: str, event: Event) -> Happening | None:
    now, before = event.message, event.previous_message
    if now is None:
        return None
    if now.subtype == "tombstone":
        bots = before is not None and before.bots
        user = (before.user if before else None) or ""
        return Erased(team=team, channel=event.channel, ts=now.ts, root=now.ts, user=user, bots=bots)
    if now.bots or not now.user or now.edited is None or (before and before.text == now.text):
        return None
    return Reworded(
        team=team,
        home=_home(team, event),
        channel=event.channel,
        ts=now.ts,
        root=now.thread_ts or now.ts,
        user=now.user,
        text=now.text or "",
        revision=now.edited.ts or event.event_ts or event.ts,
    )


def _deleted(team: str, event: Event) -> Happening | None:
    before, ts = event.previous_message, event.deleted_ts
    if before is None or not ts:
        return None
    root = before.thread_ts or ts
    if before.bots and root != ts:
        return None
    return Erased(
        team=team, channel=event.channel, ts=ts, root=root, user=before.user or "", bots=before.bots
    )


def _home(team: str, event: Event) -> str:
    """In a channel that workspaces share, authors are of another one."""
    return event.user_team or event.source_team or event.team or team


def _interaction(seen: Interaction) -> Happening | None:
    home = seen.user.team_id or (seen.team.id if seen.team else "")
    team = seen.team.id if seen.team else home
    user, on, box = seen.user.id, seen.message, seen.container
    channel = seen.channel.id if seen.channel else box.channel_id or ""
    if seen.type == "view_submission" and seen.view is not None:
        inputs = [i.value or "" for b in (seen.view.state or State()).values.values() for i in b.values()]
        return Submitted(
            team=team, home=home, user=user, view=seen.view.id, name=seen.view.callback_id,
            about=seen.view.private_metadata, text="\n".join(inputs),
        )  # fmt: skip
    if seen.type == "message_action" and on is not None:
        return Shortcut(
            team=team, home=home, channel=channel, user=user, name=seen.callback_id,
            trigger=seen.trigger_id, root=on.thread_ts or on.ts,
        )  # fmt: skip
    if seen.type != "block_actions" or not seen.actions:
        return None
    pressed = seen.actions[0]
    thread = box.thread_ts or (on.thread_ts if on else None) or ""
    return Pressed(
        team=team, home=home, channel=channel, user=user, action=pressed.action_id, at=pressed.action_ts,
        value=pressed.value or "", message=box.message_ts or (on.ts if on else ""), thread=thread,
        response_url=seen.response_url,
    )  # fmt: skip
