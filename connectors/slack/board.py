"""A Slack channel as a board: roots with cards, replies, and the way to find what nobody heard of."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
import logging

from bridge.errors import AnchorLost, Retry, Undeliverable
from bridge.events import ConversationId
from bridge.surface import Anchor
from connectors.slack import layout
from connectors.slack.calls import PAUSE, Busy, Calls, Json, Refusal, Unsure, verdict
from connectors.threads.board import Piece, Spot
from connectors.threads.card import Card
from connectors.threads.ledger import Ledger
from connectors.threads.pace import Pace, Urgency
from connectors.threads.shown import Shown

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
        ledger: Ledger,
        channel: str,
        on_duty: Sequence[Sequence[str]],
        clock: Callable[[], datetime],
        posts: tuple[float, int] = POSTS,
        updates: tuple[float, int] = UPDATES,
    ) -> None:
        self._calls = calls
        self._ledger = ledger
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
        await self._ledger.belongs(anchor, cid)
        self._remember(anchor, look)
        return anchor

    async def find_thread(self, cid: ConversationId, *, mark: str, since: datetime) -> Anchor | None:
        pages = self._pages("conversations.history", since, channel=self._channel)
        async for message in pages:
            payload = _payload(message)
            if payload.get("cid") == cid and payload.get("mark") == mark:
                anchor = anchored(self._channel, str(message["ts"]))
                await self._ledger.belongs(anchor, cid)
                return anchor
        return None

    def pieces(self, group: Sequence[Shown]) -> list[Piece]:
        return layout.pieces(group, on_duty=self._on_duty)

    async def post(self, spot: Spot, piece: Piece, *, urgency: Urgency) -> str:
        channel, _, root = spot.anchor.partition(":")
        metadata = _metadata(spot.cid, seq=spot.seq, part=spot.part)
        arguments = {"channel": channel, "thread_ts": root, "metadata": metadata, **layout.post(piece)}
        self._not_sent.discard(spot)
        try:
            said = await self._post(arguments, urgency=urgency, whose=spot.cid)
        except Unsure:
            raise
        except (Retry, Undeliverable):
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
        async for message in self._pages("conversations.replies", since, channel=channel, ts=root):
            payload = _payload(message)
            if (payload.get("cid"), payload.get("seq"), payload.get("part")) == (
                spot.cid,
                spot.seq,
                spot.part,
            ):
                return str(message["ts"])
        return None

    async def change(self, anchor: Anchor, message: str, piece: Piece | None) -> None:
        channel = anchor.partition(":")[0]
        if piece is None:
            await self._remove(channel, message)
            return
        look = {k: v for k, v in layout.post(piece).items() if k in ("text", "blocks", "link_names")}
        await self._update({"channel": channel, "ts": message, **look}, urgency=Urgency.WORDS)

    async def draw(self, anchor: Anchor, card: Card) -> None:
        cid = await self._ledger.owner(anchor)
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

    async def _post(self, arguments: Json, *, urgency: Urgency, whose: str = "") -> Json:
        if self._posts.held > LONG:
            raise Busy(self._posts.held, PAUSE)
        await self._posts.turn(urgency, whose=whose)
        try:
            return await self._calls.do("chat.postMessage", **arguments)
        except Busy as busy:
            self._posts.hold(busy.after)
            raise
        except Refusal as refusal:
            raise verdict(refusal) from refusal

    async def _update(self, arguments: Json, *, urgency: Urgency) -> bool:
        """False: there is no such message of ours any more."""
        await self._updates.turn(urgency)
        try:
            await self._calls.do("chat.update", **arguments)
        except Busy as busy:
            self._updates.hold(busy.after)
            raise
        except Refusal as refusal:
            why = verdict(refusal)
            if isinstance(why, AnchorLost) or (
                refusal.code == "cant_update_message"
                and await self._is_gone(arguments["channel"], arguments["ts"])
            ):
                return False
            raise why from refusal
        return True

    async def _remove(self, channel: str, ts: str) -> None:
        await self._updates.turn(Urgency.WORDS)
        try:
            await self._calls.do("chat.delete", channel=channel, ts=ts)
        except Busy as busy:
            self._updates.hold(busy.after)
            raise
        except Refusal as refusal:
            why = verdict(refusal)
            if not isinstance(why, AnchorLost):  # else it is gone already
                raise why from refusal

    async def _is_gone(self, channel: str, ts: str) -> bool:
        """Whether the root was deleted, of which a tombstone may be left."""
        try:
            said = await self._calls.ask("conversations.replies", channel=channel, ts=ts, limit=1)
        except Refusal as refusal:
            return isinstance(verdict(refusal), AnchorLost)
        return any(m.get("ts") == ts and m.get("subtype") == "tombstone" for m in said.get("messages") or ())

    async def _pages(self, method: str, since: datetime, **where: str) -> AsyncIterator[Json]:
        oldest = f"{(since - MARGIN).timestamp():.6f}"
        try:
            async for page in self._calls.pages(
                method, **where, oldest=oldest, limit=200, include_all_metadata=True
            ):
                for message in page.get("messages") or ():
                    yield message
        except Refusal as refusal:
            raise verdict(refusal) from refusal

    def _remember(self, anchor: Anchor, look: Json) -> None:
        self._looks.pop(anchor, None)
        self._looks[anchor] = look
        if len(self._looks) > LOOKS:
            self._looks.pop(next(iter(self._looks)))


def _metadata(cid: ConversationId, **what: str | int) -> Json:
    return {"event_type": MARKED, "event_payload": {"cid": cid, **what}}


def _payload(message: Json) -> Json:
    metadata = message.get("metadata") or {}
    return (metadata.get("event_payload") or {}) if metadata.get("event_type") == MARKED else {}
