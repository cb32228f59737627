"""A chat platform in memory: threads, cards and messages, and every trouble that one can have."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Literal

from msgspec import Struct

from bridge.errors import AnchorLost, Retry, Undeliverable
from bridge.events import ConversationId
from bridge.surface import Anchor
from connectors.threads.board import Piece, Spot
from connectors.threads.card import Card
from connectors.threads.pace import Urgency
from connectors.threads.shown import Shown, Speech

LONGEST = 90  # characters of one message


class Message(Struct, kw_only=True):
    id: str
    spot: Spot
    text: str
    urgency: Urgency
    shown: Shown
    changed: int = 0
    gone: bool = False


class Thread(Struct, kw_only=True):
    cid: ConversationId
    anchor: Anchor
    mark: str
    card: Card
    draws: int = 0
    gone: bool = False
    messages: list[Message] = []

    @property
    def texts(self) -> list[str]:
        return [m.text for m in self.messages if not m.gone]


Call = Literal["begin", "find_thread", "post", "find", "change", "draw"]


class MemoryBoard:
    """See `Board`. `obey` is asked before each call does its work, `lose` after it; either may raise.

    `refuses` is a text that no message may hold. `sees` says whether the platform can be asked what it has.
    """

    def __init__(self, *, most_together: int = 1, sees: bool = True) -> None:
        self.most_together = most_together
        self.threads: list[Thread] = []
        self.calls: list[Call] = []
        self.hurried: list[ConversationId] = []
        self.open = asyncio.Event()  # closed, it lets posts wait
        self.open.set()
        self.refuses = ""
        self.sees = sees
        self.obey: Callable[[Call, ConversationId], None] = lambda _call, _cid: None
        self.lose: Callable[[Call, ConversationId], None] = lambda _call, _cid: None
        self._numbers = count(1)

    # What a person sees and does

    def of(self, cid: ConversationId) -> list[Thread]:
        """Every thread that the conversation ever had."""
        return [t for t in self.threads if t.cid == cid]

    def shown(self, cid: ConversationId) -> list[str]:
        """The texts in its thread now, in order, after the words that its card quotes."""
        standing = [t for t in self.of(cid) if not t.gone]
        assert len(standing) <= 1, f"{cid} is forked"
        return [f"[{t.card.words}]" for t in standing if t.card.words] + [
            x for t in standing for x in t.texts
        ]

    def forget(self, cid: ConversationId) -> None:
        for thread in self.of(cid):
            thread.gone = True

    # The board

    async def begin(self, cid: ConversationId, card: Card, *, mark: str) -> Anchor:
        self._enter("begin", cid)
        anchor = Anchor(f"t{next(self._numbers)}")
        self.threads.append(Thread(cid=cid, anchor=anchor, mark=mark, card=card))
        self.lose("begin", cid)
        return anchor

    async def find_thread(self, cid: ConversationId, *, mark: str, since: datetime) -> Anchor | None:
        self._enter("find_thread", cid)
        found = [t.anchor for t in self.of(cid) if t.mark == mark and not t.gone and self.sees]
        self.lose("find_thread", cid)
        return found[0] if found else None

    def pieces(self, group: Sequence[Shown]) -> list[Piece]:
        text = "\n".join(map(_line, group))
        parts = [text[at : at + LONGEST] for at in range(0, len(text), LONGEST)] or [""]
        return [Piece(text=part, plain=part, shown=group[0]) for part in parts]

    async def post(self, spot: Spot, piece: Piece, *, urgency: Urgency) -> str:
        self._enter("post", spot.cid)
        await self.open.wait()
        thread = self._thread(spot.anchor)
        if self.refuses and self.refuses in piece.text:
            raise Undeliverable("the platform refuses it")
        message = Message(
            id=f"m{next(self._numbers)}", spot=spot, text=piece.text, urgency=urgency, shown=piece.shown
        )
        thread.messages.append(message)
        self.lose("post", spot.cid)
        return message.id

    def hurry(self, cid: ConversationId) -> None:
        self.hurried.append(cid)

    async def find(self, spot: Spot, *, since: datetime) -> str | None:
        self._enter("find", spot.cid)
        standing = (m for m in self._thread(spot.anchor).messages if not m.gone)
        found = [m.id for m in standing if m.spot == spot and self.sees]
        self.lose("find", spot.cid)
        return found[0] if found else None

    async def change(self, anchor: Anchor, message: str, piece: Piece | None) -> None:
        thread = self._thread(anchor)
        self._enter("change", thread.cid)
        for found in thread.messages:
            if found.id == message and not found.gone:
                found.changed += 1
                found.gone = piece is None
                found.text = piece.text if piece else found.text
        self.lose("change", thread.cid)

    async def draw(self, anchor: Anchor, card: Card) -> None:
        thread = self._thread(anchor)
        self._enter("draw", thread.cid)
        thread.card = card
        thread.draws += 1
        self.lose("draw", thread.cid)

    def _enter(self, call: Call, cid: ConversationId) -> None:
        self.calls.append(call)
        self.obey(call, cid)

    def _thread(self, anchor: Anchor) -> Thread:
        found = next(t for t in self.threads if t.anchor == anchor)
        if found.gone:
            raise AnchorLost
        return found


def _line(shown: Shown) -> str:
    if not isinstance(shown, Speech):
        return f"* {shown.text}"
    text = "(taken back)" if shown.text is None else shown.text + (" (edited)" if shown.changed else "")
    note = "" if shown.kind == "said" else f" [{shown.kind}]"
    return f"{shown.name}{note}: {text}"


def busy(*_: object) -> None:
    """For `obey` and `lose`: the platform has no time."""
    raise Retry(0.01, "the platform is busy")
