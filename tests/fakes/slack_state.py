"""What is in the workspace: channels, users, messages, files, views, and the calls that were made."""

import asyncio
from collections.abc import Callable
import copy
from dataclasses import dataclass, field
from html import unescape
import itertools
import secrets
import time

from tests.fakes import slack_text as reading
from tests.fakes.slack_text import Button, Json, Link, Mention

NOISE = {"channel_join", "channel_leave", "channel_archive", "channel_unarchive", "group_join", "group_leave"}


@dataclass(eq=False)
class User:
    id: str
    name: str
    real_name: str
    display_name: str = ""
    is_bot: bool = False
    deleted: bool = False
    team: str = ""

    def wire(self) -> Json:
        profile = {
            "real_name": self.real_name,
            "display_name": self.display_name,
            "real_name_normalized": self.real_name,
            "display_name_normalized": self.display_name,
            "image_48": f"https://avatars.slack.test/{self.id}.png",
            "team": self.team,
        }
        return {
            "id": self.id,
            "team_id": self.team,
            "name": self.name,
            "real_name": self.real_name,
            "deleted": self.deleted,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "tz": "Europe/Berlin",
            "profile": profile,
        }


@dataclass(eq=False)
class Channel:
    id: str
    name: str
    kind: str = "channel"  # channel, group (private) or im
    members: list[str] = field(default_factory=list)
    archived: bool = False
    ejected: bool = False  # archiving put the app out of it

    def wire(self, bot_user: str) -> Json:
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": self.kind == "channel",
            "is_group": False,
            "is_im": self.kind == "im",
            "is_mpim": False,
            "is_private": self.kind == "group",
            "is_archived": self.archived,
            "is_member": bot_user in self.members,
            "is_general": False,
            "is_shared": False,
            "num_members": len(self.members),
        }


@dataclass(eq=False)
class Shown:
    """What messages and ephemeral messages share: content, and how a person sees it."""

    channel: str
    ts: str
    text: str
    blocks: list[Json]
    thread_ts: str | None = None
    username: str | None = None  # the name it was posted under, where that is not the app's own
    icon_emoji: str | None = None
    icon_url: str | None = None
    names: dict[str, str] = field(default_factory=dict, repr=False)  # ids -> names, to show mentions with
    versions: list[tuple[str, list[Json]]] = field(default_factory=list, repr=False)  # what it was before

    @property
    def shown(self) -> str:
        return reading.shown(self.text, self.blocks, self.names)

    @property
    def buttons(self) -> list[Button]:
        return reading.buttons(self.blocks)

    @property
    def urls(self) -> list[str]:
        """Every address that a click could open."""
        by_buttons = [e["url"] for e in reading.elements(self.blocks) if e.get("url")]
        return [link.url for link in reading.links(self.text, self.blocks)] + [
            unescape(u) for u in by_buttons
        ]

    def revise(self, text: str, blocks: list[Json]) -> None:
        self.versions.append((self.text, self.blocks))
        self.text, self.blocks = text, blocks

    def find_button(self, action_id: str, value: str | None, *, stale: bool) -> Json:
        earlier = [blocks for _, blocks in reversed(self.versions)] if stale else []
        for blocks in [self.blocks, *earlier]:
            for element in reading.elements(blocks):
                if element["action_id"] == action_id and value in (None, element.get("value")):
                    return element
        raise AssertionError(f"no button {action_id!r} (value {value!r}) here, only {self.buttons}")


@dataclass(eq=False)
class Message(Shown):
    user: str | None = None  # None where the post has a name of its own
    bot_id: str | None = None
    app_id: str | None = None
    subtype: str | None = None
    metadata: Json | None = None
    client_msg_id: str | None = None
    edited: Json | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)
    files: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    broadcast: bool = False
    team: str = ""

    @property
    def is_root(self) -> bool:
        return self.thread_ts in (None, self.ts)

    def wire(self, *, metadata: str = "none") -> Json:
        """`metadata` is none, type or all."""
        out: Json = {"type": "message", "text": self.text, "ts": self.ts}
        for key in ("user", "bot_id", "app_id", "subtype", "username", "client_msg_id", "edited", "files"):
            if value := getattr(self, key):
                out[key] = copy.deepcopy(value)
        if self.username:
            emoji = {"emoji": self.icon_emoji} if self.icon_emoji else {}
            out["icons"] = emoji or ({"image_48": self.icon_url} if self.icon_url else {})
        elif self.bot_id:
            out["bot_profile"] = {
                "id": self.bot_id,
                "app_id": self.app_id,
                "name": "joinline",
                "deleted": False,
            }
        if self.team:
            out["team"] = self.team
        if self.blocks:
            out["blocks"] = copy.deepcopy(self.blocks)
        if self.attachments:
            out["attachments"] = copy.deepcopy(self.attachments)
        if self.thread_ts:
            out["thread_ts"] = self.thread_ts
        if self.reactions:
            out["reactions"] = [
                {"name": n, "users": list(u), "count": len(u)} for n, u in self.reactions.items()
            ]
        if self.metadata and metadata != "none":
            all_of_it = metadata == "all"
            out["metadata"] = (
                copy.deepcopy(self.metadata) if all_of_it else {"event_type": self.metadata["event_type"]}
            )
        return out


@dataclass(eq=False)
class Ephemeral(Shown):
    """A message that only `user` sees."""

    user: str = ""
    gone: bool = False  # dismissed, or deleted through its response_url


@dataclass(eq=False)
class View:
    id: str
    user: str
    view: Json
    hash: str
    open: bool = True
    errors: dict[str, str] = field(default_factory=dict)  # what the app answered to a submission

    @property
    def callback_id(self) -> str:
        return str(self.view.get("callback_id", ""))

    @property
    def private_metadata(self) -> str:
        return str(self.view.get("private_metadata", ""))

    @property
    def title(self) -> str:
        return str(self.view["title"]["text"])

    @property
    def shown(self) -> str:
        return reading.shown("", self.view["blocks"], {})

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """(block_id, action_id) of each input."""
        blocks = [b for b in self.view["blocks"] if b["type"] == "input"]
        return [(b["block_id"], b["element"]["action_id"]) for b in blocks]


@dataclass(eq=False)
class StoredFile:
    id: str
    name: str
    secret: str
    mimetype: str = "application/octet-stream"
    title: str = ""
    user: str = ""
    data: bytes | None = None
    complete: bool = False
    shares: list[tuple[str, str, str | None]] = field(default_factory=list)  # channel, ts, thread_ts


@dataclass(eq=False)
class Call:
    """A call of the Web API. `outcome` is ok, an error, 429, 500 ..., lost (done, unanswered) or dropped."""

    method: str
    args: Json
    token: str
    at: float  # time.monotonic()
    outcome: str = "pending"
    answer: Json = field(default_factory=dict)
    hasty: bool = False  # came before the Retry-After it had been told was over

    @property
    def channel(self) -> str:
        return str(self.args.get("channel", ""))


class Workspace:
    """State, and the way it is looked up. What happens to it is in the classes that build on this one."""

    team_id = "T0JOIN"
    app_id = "A0JOIN"
    bot_id = "B0JOIN"
    bot_user = "U0JOINBOT"

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.users: dict[str, User] = {}
        self.messages: dict[tuple[str, str], Message] = {}
        self.ephemerals: list[Ephemeral] = []
        self.views: list[View] = []
        self.files: dict[str, StoredFile] = {}
        self.calls: list[Call] = []
        self.mentions: list[Mention] = []
        self.links: list[Link] = []
        self.triggers: dict[str, tuple[float, str, bool]] = {}  # id -> born, user, used
        self.response_urls: dict[str, tuple[Shown, str, int]] = {}  # token -> message, user, uses
        self.trigger_seconds = 3.0
        self.deleted_root = "unthreads"
        self.update_limit = 4_000
        self.base = ""
        self.names: dict[str, str] = {}
        self._last_ts = 0
        self._numbers = itertools.count(1)

    def next_ts(self) -> str:
        """Unique and rising, close to the real time."""
        self._last_ts = max(self._last_ts + 100, time.time_ns() // 1000)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def number(self) -> int:
        return next(self._numbers)

    def announce(self, event: Json, channel: Channel | None = None) -> None:
        raise NotImplementedError

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, call)

    def thread(self, channel: str, root_ts: str) -> list[Message]:
        """The root, if it is still there, and its replies in order."""
        found = [m for m in self.messages.values() if m.channel == channel]
        return sorted((m for m in found if root_ts in (m.ts, m.thread_ts)), key=lambda m: m.ts)

    def replies(self, channel: str, root_ts: str) -> list[Message]:
        return [m for m in self.thread(channel, root_ts) if m.ts != root_ts]

    def roots(self, channel: str | None = None) -> list[Message]:
        """What stands in the channel itself, without replies, broadcasts and joining and leaving."""
        here = [m for m in self.messages.values() if channel in (None, m.channel)]
        return sorted((m for m in here if m.is_root and m.subtype not in NOISE), key=lambda m: m.ts)

    def message(self, ts: str) -> Message:
        found = [m for m in self.messages.values() if m.ts == ts]
        assert found, f"no message {ts}"
        return found[0]

    def seen_by(self, user: str) -> list[Ephemeral]:
        return [e for e in self.ephemerals if e.user == user and not e.gone]

    def new_trigger(self, user: str) -> str:
        trigger = f"{self.number()}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self.triggers[trigger] = (time.monotonic(), user, False)
        return trigger

    def new_response_url(self, on: Shown, user: str) -> str:
        token = secrets.token_urlsafe(12)
        self.response_urls[token] = (on, user, 0)
        return f"{self.base}/actions/{self.team_id}/{token}"

    def name_of(self, user: str) -> str:
        known = self.users.get(user)
        return (known.display_name or known.real_name) if known else user

    def note_content(self, ts: str, text: str, blocks: list[Json], *, names: bool = False) -> None:
        """Remember what in the app's words is live."""
        self.mentions += [m._replace(ts=ts) for m in reading.mentions(text, blocks, names=names)]
        self.links += [link._replace(ts=ts) for link in reading.links(text, blocks)]
