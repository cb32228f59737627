"""A local Slack: Web API, Socket Mode and signed HTTP requests, with people in it, and faults on demand.

    async with Slack() as server:                      # 127.0.0.1, a free port, this event loop
        ann = server.add_user("ann", display_name="Ann")           # in server.channel
        client = AsyncWebClient(token=server.bot_token, base_url=server.api_url)

Names
    server.api_url bot_token app_token signing_secret channel team_id app_id bot_id bot_user scopes subscriptions
    server.tells_scopes = True     False: no answer says which scopes the token has
    server.add_user(name, *, real_name, display_name, channels, is_bot, team) -> id     a member of `channel`
    server.add_channel(name, *, kind="channel"|"group"|"im", members=(), bot=True) -> id
    server.users[id] .display_name .real_name .deleted     server.channels[id] .members .archived .kind .name

People (async; `channel=` where it is not the first one)
    says(user, text, *, thread=root_ts, channel, broadcast=False, wire=False) -> ts
        text is what is typed; &, <, > and URLs go out as Slack's client encodes them, <@U..> stays a mention;
        wire=True sends it exactly as given. A mention of server.bot_user also makes an app_mention, as does an edit
        that has one; only that of an edit is `edited`.
    edits(user, ts, text)  deletes(user, ts)  unfurls(ts, url)  reacts(user, ts, name)  unreacts(...)
    bot_says(text, *, thread, channel) -> ts               another app's post
    shares_file(user, name, data, *, text, thread, channel, mimetype) -> ts
    presses(user, ts, *, action_id, value=None, stale=False) -> Delivery   a button of a message or an ephemeral
    shortcut(user, callback_id, ts) -> Delivery            a message shortcut
    submits(user, view_id, {block_id: {action_id: text}}) -> Delivery, settled; errors are in view.errors
    joins(user) leaves(user) kick_bot() invite_bot() archive() unarchive(invite=True)
    revoke_token(error="token_revoked")  restore_token(new=None)           (not async)

What is there
    roots(channel=None) -> [Message]     thread(channel, root_ts) -> [Message], root first    message(ts)
    Message: channel ts text blocks thread_ts username icon_emoji user bot_id subtype metadata edited reactions
        ({name: [users]}) files broadcast is_root versions ([(text, blocks)] it had before)
        .shown: what a person reads (blocks if any, else text; marks like * stay)   .buttons: [(text, action_id, value)]
        .urls: every address a click could open, buttons' too
    ephemerals / seen_by(user) -> [Ephemeral]: channel user ts thread_ts text blocks shown buttons urls gone
    views -> [View]: id user title callback_id private_metadata inputs ([(block_id, action_id)]) shown open errors view
    files[id]: name data mimetype title user shares
    mentions -> [Mention(kind, target, ts)]: each live mention in what the app sent (posts, edits, ephemerals);
        kind is user, group, here, channel or everyone. An escaped one is none.
    links -> [Link(url, label, ts)]: live <url|label> links (label None: the URL itself shows)
    calls -> [Call(method, args, at, outcome, answer, hasty)]; calls_of("chat.postMessage", outcome="ok")
        outcome: ok, an error, 429, 500 ..., lost, dropped; hasty: before an earlier Retry-After was over

Events going out
    deliveries -> [Delivery(kind, payload, event, event_id, attempts, acked, lost, answer, failures, sockets)];
        await delivery.done();  delivery(ts_or_event_id) finds the latest one for a message or an event
    Socket Mode by default; sockets are taken in turn. What is not acknowledged in `outbound.ack_timeout` (0.5 s) goes
        out again after each of `outbound.retry_delays` (0, 0.5, 2.5 s), then is lost. Presses are never repeated.
    outbound.waits_for_socket: True keeps events while no socket is there; False loses them once retries are over.
    outbound.instead_of_hello = {"type": "disconnect", "reason": "link_disabled"}     as where Socket Mode is off
    await request_url(events_url, interactions_url, verify=True)    signed HTTP from now on    use_sockets()
    sign(body, timestamp=None) -> headers of a signed request, to forge with
    emit(event, channel_id=None) -> Delivery   any event of your own   interaction(payload) -> Delivery
    redeliver(delivery | ts | event_id) -> Delivery    the same event_id once more, also long after an ack
    hold()  release(order=None)  with reorder(): ...   events held, then released (reorder: last first)
    cut_sockets() (reset)   await close_sockets() (close frame)   await disconnect_sockets(reason)   sockets

Faults (method may be "*"; each returns a Fault; oldest fitting one first; times=None: until mend())
    fail(method, error=..., times=1, channel=None, when=lambda args: ..., done=False)    done: does the work first
    limit(method, seconds, times=1, channel=None)       429; times=None: for `seconds` from the first one on
    lose(method, times=1, channel=None, when=None)      work done, connection cut, no answer
    drop(method, ...)  nothing done, connection cut     breaks(method, status=503, done=False)   slow(method, seconds)
    mend(method=None)
    posts_per_second = 1.0, post_burst = 3              429 beyond, for each channel
    trigger_seconds = 3.0                               trigger ids serve once, that long
    update_limit = 4000                                 longest text of chat.update, else msg_too_long
    deleted_root = "unthreads" | "refuses"              see below

Choices where Slack's documentation is silent
    A reply to a root that is gone. Slack's documented errors of chat.postMessage hold none for it, and developers
    report that it posts in the channel with ok: true and no `message.thread_ts`: "unthreads", the default.
    "refuses" answers thread_not_found. A root with replies becomes a tombstone (message_changed, subtype tombstone)
    and its thread lives on; when the last reply goes, the tombstone goes too. A reply's ts as thread_ts gives
    cannot_reply_to_message, which is stricter than Slack; so is that elements need an action_id.
    Archiving puts the app out of the channel, as developers report; after unarchive(invite=False) it gets
    not_in_channel until invite_bot(). unarchive() has somebody invite it at once.
    block_actions on an ephemeral message carry no `message`, only container and response_url.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
import time
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.fakes.slack_people import People
from tests.fakes.slack_socket import Delivery, Socket
from tests.fakes.slack_state import Call, Channel, User
from tests.fakes.slack_text import Json

SCOPES = (
    "chat:write chat:write.customize channels:history channels:read groups:history groups:read app_mentions:read"
    " reactions:read reactions:write files:read files:write users:read metadata.message:read commands"
)
SUBSCRIPTIONS = (
    "message.channels message.groups app_mention channel_archive channel_unarchive group_archive group_unarchive"
    " member_left_channel member_joined_channel"
)


class Slack(People):
    """See the module."""

    def __init__(
        self,
        *,
        bot_token: str = "xoxb-1-joinline",
        app_token: str = "xapp-1-joinline",
        signing_secret: str = "8f742231b10e8888abcd99yyyzzz85a5",
        scopes: str = SCOPES,
        subscriptions: str = SUBSCRIPTIONS,
    ) -> None:
        super().__init__(bot_token=bot_token, app_token=app_token, signing_secret=signing_secret)
        self.signing_secret = signing_secret
        self.scopes = set(scopes.split())
        self.subscriptions = set(subscriptions.split())
        self.host, self.port = "127.0.0.1", 0
        self._runner: web.AppRunner | None = None
        bot = User(self.bot_user, "joinline", "Joinline", "Joinline", is_bot=True, team=self.team_id)
        self.users[bot.id] = bot
        self.names[bot.id] = "Joinline"
        self.channel = "C0SUPPORT"
        self.channels[self.channel] = Channel(self.channel, "support", members=[self.bot_user])
        self.names[self.channel] = "support"

    @property
    def api_url(self) -> str:
        return f"{self.base}/api/"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.outbound.close()
        await self.refuse()

    async def listen(self) -> None:
        """Accept connections, on the same port as before."""
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.add_routes(self.routes())
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=0.05, handle_signals=False
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.base = f"http://{self.host}:{self.port}"

    async def refuse(self) -> None:
        """Slack is down: refuse connections and drop the open ones; events still wait."""
        if self._runner is not None:
            self.outbound.cut()
            await self._runner.cleanup()
            self._runner = None

    # -- events

    def announce(self, event: Json, channel: Channel | None = None) -> None:
        """To the app, if it subscribes to that and, where it concerns a channel, is in it."""
        if channel is not None and self.bot_user not in channel.members:
            return
        name = str(event["type"])
        if name == "message" and channel is not None:
            name = {"channel": "message.channels", "group": "message.groups", "im": "message.im"}[
                channel.kind
            ]
        if name in self.subscriptions:
            self._push(event)

    def emit(self, event: Json, channel: str | None = None) -> Delivery:
        """Any event, as it is; `channel` and the timestamps are added where they are missing."""
        extra = {"channel": channel, "channel_type": self.channels[channel].kind} if channel else {}
        return self._push({**extra, "event_ts": self.next_ts(), **event})

    def _push(self, event: Json) -> Delivery:
        who = {"enterprise_id": None, "team_id": self.team_id, "user_id": self.bot_user}
        payload = {
            "token": "deprecated",
            "team_id": self.team_id,
            "context_team_id": self.team_id,
            "context_enterprise_id": None,
            "api_app_id": self.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{self.number():09d}",
            "event_time": int(time.time()),
            "authorizations": [{**who, "is_bot": True, "is_enterprise_install": False}],
            "is_ext_shared_channel": False,
            "event_context": "4-joinline",
        }
        return self.outbound.push(Delivery("events_api", payload))

    def interaction(self, payload: Json) -> Delivery:
        return self.outbound.push(Delivery("interactive", payload))

    @property
    def deliveries(self) -> list[Delivery]:
        return self.outbound.deliveries

    def delivery(self, key: str) -> Delivery:
        """The latest delivery of an event_id, or of the message event of a ts."""
        for delivery in reversed(self.deliveries):
            if key == delivery.event_id:
                return delivery
            if delivery.event.get("type") == "message" and key == delivery.event.get("ts"):
                return delivery
        raise AssertionError(f"nothing was delivered for {key}")

    def redeliver(self, what: Delivery | str) -> Delivery:
        return self.outbound.again(self.delivery(what) if isinstance(what, str) else what)

    def hold(self) -> None:
        self.outbound.hold()

    def release(self, order: Callable[[list[Delivery]], list[Delivery]] | None = None) -> None:
        self.outbound.release(order)

    def reorder(self) -> AbstractContextManager[None]:
        return self.outbound.reorder()

    @property
    def sockets(self) -> list[Socket]:
        """Those that are open and not on their way out."""
        return self.outbound.live

    def cut_sockets(self) -> None:
        self.outbound.cut()

    async def close_sockets(self) -> None:
        await self.outbound.close_sockets()

    async def disconnect_sockets(self, reason: str = "refresh_requested") -> None:
        await self.outbound.disconnect(reason)

    async def request_url(
        self, events_url: str, interactions_url: str | None = None, *, verify: bool = True
    ) -> None:
        """Signed HTTP from now on; `verify` sends the challenge first, as Slack does."""
        if verify:
            await self.outbound.verify(events_url)
        self.outbound.urls = (events_url, interactions_url or events_url)

    def use_sockets(self) -> None:
        self.outbound.urls = None

    def sign(self, body: bytes | str, timestamp: float | None = None) -> dict[str, str]:
        return self.outbound.sign(body, timestamp)

    async def quiet(self, within: float = 10.0) -> None:
        """Wait until every delivery is acknowledged or lost."""
        await asyncio.gather(
            *(d.done(within) for d in list(self.deliveries) if d not in (self.outbound.held or []))
        )

    def calls_of(self, method: str, *, outcome: str | None = None) -> list[Call]:
        return [c for c in self.calls if c.method == method and outcome in (None, c.outcome)]
