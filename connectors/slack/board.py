"""A Slack channel as a board: roots with cards, replies, and the way to find what nobody heard of."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
import logging

from bridge.errors import AnchorLost, Retry, Undeliverable
from bridge.events import ConversationId
from bridge.surface import Anchor
from connectors.slack import layout
from connectors.slack.calls import GONE, PAUSE, Busy, Calls, Json, Refusal, Unsure, verdict
from connectors.slack.people import Myself
from connectors.slack.places import Places
from connectors.threads.board import Piece, Spot
from connectors.threads.card import Card
from connectors.threads.pace import Pace, Urgency
from connectors.threads.shown import Call, Shown

log = logging.getLogger(__name__)

MARKED = "joinline"  # the metadata's event type
MARGIN = timedelta(minutes=61)  # our clock and Slack's may be an hour apart
LOOKS = 5_000  # cards whose last look is remembered

LONG = 5.0  # seconds of a pause that whoever waits should hear of
POSTS = (1.0, 3)  # Slack takes about one message a second in a channel, and a few more at once
UPDATES = (1.0, 5)


def anchored(channel: str, ts: str) -> Anchor:
    return Anchor(f"{channel}:{ts}")


class SlackBoard:
    """`posts` and `updates`: seconds between two, and how many at once."""

    def __init__(
        self,
        *,
        calls: Calls,
        myself: Myself,
        places: Places,
        channel: str,
        on_duty: Sequence[Sequence[str]],
        clock: Callable[[], datetime],
        posts: tuple[float, int] = POSTS,
        updates: tuple[float, int] = UPDATES,
    ) -> None:
        self._calls = calls
        self._myself = myself
        self._places = places
        self._channel = channel
        self._on_duty = on_duty
        self._clock = clock
        self._posts = Pace(every=posts[0], burst=posts[1])
        self._updates = Pace(every=updates[0], burst=updates[1])
        self._looks: dict[Anchor, Json] = {}  # what each card looks like
        self._not_sent: set[Spot] = set()  # where Slack has surely shown nothing

    @property
    def most_together(self) -> int:
        return 1

    async def begin(self, cid: ConversationId, card: Card, *, mark: str) -> Anchor:
        look = layout.card(card, cid, now=self._clock())
        quiet = {"unfurl_links": False, "unfurl_media": False, "link_names": False}
        said = await self._post(
            {"channel": self._channel, "metadata": _metadata(cid, mark=mark), **quiet, **look},
            urgency=Urgency.CONTROL,
        )
        anchor = anchored(self._channel, str(said["ts"]))
        await self._places.begun(anchor, cid)
        self._remember(anchor, look)
        return anchor

    async def find_thread(self, cid: ConversationId, *, mark: str, since: datetime) -> Anchor | None:
        wanted = _metadata(cid, mark=mark)
        ts = await self._search("conversations.history", wanted, since, channel=self._channel)
        if ts is None:
            return None
        anchor = anchored(self._channel, ts)
        await self._places.begun(anchor, cid)
        return anchor

    def pieces(self, group: Sequence[Shown]) -> list[Piece]:
        return layout.pieces(group, on_duty=self._on_duty)

    async def post(self, spot: Spot, piece: Piece, *, urgency: Urgency) -> str:
        channel, _, root = spot.anchor.partition(":")
        if isinstance(piece.shown, Call) and await self._is_gone(channel, root):
            raise AnchorLost  # before anybody is mentioned, who would be again in the next thread
        arguments = {"channel": channel, "thread_ts": root, "metadata": _of(spot), **layout.post(piece)}
        self._not_sent.discard(spot)
        try:
            said = await self._post(arguments, urgency=urgency, whose=spot.cid)
        except Unsure:
            raise
        except (Retry, Undeliverable):
            if len(self._not_sent) >= LOOKS:
                self._not_sent.clear()  # they are looked for, which does no harm
            self._not_sent.add(spot)
            raise
        ts = str(said["ts"])
        if (said.get("message") or {}).get("thread_ts") != root:
            # Without its root Slack shows a reply in the channel, where it is nobody's.
            await self._remove(channel, ts)
            raise AnchorLost
        return ts

    def hurry(self, cid: ConversationId) -> None:
        self._posts.hurry(cid)

    async def find(self, spot: Spot, *, since: datetime) -> str | None:
        if spot in self._not_sent:
            return None
        channel, _, root = spot.anchor.partition(":")
        try:
            return await self._search("conversations.replies", _of(spot), since, channel=channel, ts=root)
        except AnchorLost:  # without its root it may have gone astray, as in `post`
            stray = await self._search("conversations.history", _of(spot), since, channel=channel)
            if stray is not None:
                await self._remove(channel, stray)
            raise

    async def change(self, anchor: Anchor, message: str, piece: Piece | None) -> None:
        channel = anchor.partition(":")[0]
        if piece is None:
            await self._remove(channel, message)
            return
        look = {k: v for k, v in layout.post(piece).items() if k in ("text", "blocks", "link_names")}
        await self._update({"channel": channel, "ts": message, **look}, urgency=Urgency.WORDS)

    async def draw(self, anchor: Anchor, card: Card) -> None:
        cid = await self._places.owner(anchor)
        if cid is None:
            log.warning("slack: nobody knows whose card %s is", anchor)
            return
        look = layout.card(card, cid, now=self._clock())
        if self._looks.get(anchor) == look:
            return
        channel, _, root = anchor.partition(":")
        try:
            changed = await self._update({"channel": channel, "ts": root, **look}, urgency=Urgency.CARD)
        except Undeliverable as never:  # no reason to hold back what else there is to show
            log.warning("slack: the card of %s stays as it is: %s", cid, never.reason)
        else:
            if not changed:
                raise AnchorLost
        self._remember(anchor, look)

    # The calls

    @asynccontextmanager
    async def _turn(self, pace: Pace, urgency: Urgency, *, whose: str = "") -> AsyncIterator[None]:
        """Around a call; whoever would have to wait for long is told."""
        if pace.held > LONG:
            raise Busy(pace.held, PAUSE)
        await pace.turn(urgency, whose=whose)
        try:
            yield
        except Busy as busy:
            pace.hold(busy.after)
            raise

    async def _post(self, arguments: Json, *, urgency: Urgency, whose: str = "") -> Json:
        try:
            async with self._turn(self._posts, urgency, whose=whose):
                await self._myself.allowed()
                return await self._calls.do("chat.postMessage", **arguments)
        except Refusal as refusal:
            raise self._verdict(refusal, arguments["channel"]) from refusal

    async def _update(self, arguments: Json, *, urgency: Urgency) -> bool:
        """False: there is no such message of ours any more."""
        channel, ts = arguments["channel"], arguments["ts"]
        try:
            async with self._turn(self._updates, urgency):
                await self._calls.do("chat.update", **arguments)
        except Refusal as refusal:
            if refusal.code in GONE or (
                refusal.code == "cant_update_message" and await self._is_gone(channel, ts)
            ):
                return False
            raise self._verdict(refusal, channel) from refusal
        return True

    async def _remove(self, channel: str, ts: str) -> None:
        try:
            async with self._turn(self._updates, Urgency.WORDS):
                await self._calls.do("chat.delete", channel=channel, ts=ts)
        except Refusal as refusal:
            if refusal.code not in GONE:  # else there is nothing to do any more
                raise self._verdict(refusal, channel) from refusal

    async def _is_gone(self, channel: str, ts: str) -> bool:
        """Whether the root was deleted, of which a tombstone may be left."""
        try:
            said = await self._calls.ask("conversations.replies", channel=channel, ts=ts, limit=1)
        except Refusal as refusal:
            return refusal.code in GONE
        return any(m.get("ts") == ts and m.get("subtype") == "tombstone" for m in said.get("messages") or ())

    async def _search(self, method: str, wanted: Json, since: datetime, **where: str) -> str | None:
        """The message of ours that carries `wanted`."""
        oldest = f"{(since - MARGIN).timestamp():.6f}"
        try:
            await self._myself.ask()  # without the scope for it, Slack hides what messages carry
            async for page in self._calls.pages(
                method, **where, oldest=oldest, limit=200, include_all_metadata=True
            ):
                for message in page.get("messages") or ():
                    carried = message.get("metadata") or {}
                    if all(carried.get(key) == value for key, value in wanted.items()):
                        return str(message["ts"])
        except Refusal as refusal:
            raise self._verdict(refusal, where["channel"]) from refusal
        return None

    def _verdict(self, refusal: Refusal, channel: str) -> Retry | AnchorLost | Undeliverable:
        return verdict(refusal, left=channel != self._channel)

    def _remember(self, anchor: Anchor, look: Json) -> None:
        self._looks.pop(anchor, None)
        self._looks[anchor] = look
        if len(self._looks) > LOOKS:
            self._looks.pop(next(iter(self._looks)))


def _metadata(cid: ConversationId, **what: str | int) -> Json:
    return {"event_type": MARKED, "event_payload": {"cid": cid, **what}}


def _of(spot: Spot) -> Json:
    return _metadata(spot.cid, seq=spot.seq, part=spot.part)
