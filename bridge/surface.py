"""What a pushed surface is: tell it what happened; it shows it or ignores it."""

from collections.abc import Sequence
from typing import NewType, Protocol

from msgspec import Struct

from bridge.conversation import Conversation
from bridge.errors import AnchorLost, Retry, Undeliverable
from bridge.events import ConversationId, Entry, Proposal, Seq

__all__ = ["Anchor", "AnchorLost", "Finding", "Inlet", "Post", "Receipt", "Retry", "Surface", "Undeliverable"]

Anchor = NewType("Anchor", str)


class Receipt(Struct, frozen=True, kw_only=True):
    """What `submit` answers: where the first event stands, and whether it stood there already."""

    seq: Seq
    head: Seq
    duplicate: bool = False


class Post(Struct, frozen=True, kw_only=True):
    """One entry for one surface.

    `anchor` is what the surface returned for this conversation before, or None; `latest` is the
    conversation as it stands now, which may be further than `entry`.
    """

    cid: ConversationId
    entry: Entry
    latest: Conversation
    anchor: Anchor | None


class Inlet(Protocol):
    """What a surface may ask of the core."""

    async def submit(self, cid: ConversationId, proposal: Proposal) -> Receipt: ...

    async def state(self, cid: ConversationId) -> Conversation: ...

    async def read(self, cid: ConversationId, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]: ...


class Finding(Struct, frozen=True, kw_only=True):
    """What `joinline check --live` found at `place`: what is so and, where that is not good, its mend."""

    place: str
    good: bool
    text: str
    mend: str = ""


class Surface(Protocol):
    """`deliver` returns the anchor, if it changed, and raises only Retry, AnchorLost, Undeliverable."""

    name: str

    async def run(self, inlet: Inlet) -> None: ...

    async def deliver(self, post: Post) -> Anchor | None: ...
