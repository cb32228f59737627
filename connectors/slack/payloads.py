"""What we read of Slack's own objects; everything may be missing or null."""

import msgspec
from msgspec import Struct, field


class File(Struct):
    name: str | None = None
    title: str | None = None


class Attachment(Struct):
    is_share: bool | None = None


class Edit(Struct):
    ts: str = ""


class Message(Struct):
    ts: str = ""
    user: str | None = None
    text: str | None = None
    subtype: str | None = None
    thread_ts: str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    edited: Edit | None = None
    reply_count: int | None = None

    @property
    def bots(self) -> bool:
        return bool(self.bot_id or self.app_id or self.subtype == "bot_message")


class Event(Message):
    type: str = ""
    channel: str = ""
    channel_type: str | None = None
    parent_user_id: str | None = None
    team: str | None = None
    user_team: str | None = None
    source_team: str | None = None
    event_ts: str | None = None
    deleted_ts: str | None = None
    files: list[File] | None = None
    attachments: list[Attachment] | None = None
    message: Message | None = None
    previous_message: Message | None = None


class Kind(Struct):
    type: str = ""


class Id(Struct):
    id: str = ""
    team_id: str | None = None


class Callback(Struct):
    team_id: str = ""
    event: msgspec.Raw = field(default_factory=msgspec.Raw)


class Container(Struct):
    message_ts: str | None = None
    thread_ts: str | None = None
    channel_id: str | None = None


class Action(Struct):
    action_id: str = ""
    action_ts: str = ""
    value: str | None = None


class Input(Struct):
    value: str | None = None


class State(Struct):
    values: dict[str, dict[str, Input]] = {}


class View(Struct):
    id: str = ""
    callback_id: str = ""
    private_metadata: str = ""
    state: State | None = None


class Interaction(Struct):
    type: str = ""
    user: Id = field(default_factory=Id)
    team: Id | None = None
    channel: Id | None = None
    container: Container = field(default_factory=Container)
    message: Message | None = None
    actions: list[Action] = []
    view: View | None = None
    callback_id: str = ""
    trigger_id: str = ""
    response_url: str = ""
