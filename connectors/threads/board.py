"""What a chat platform must be able to do so that conversations can be mirrored into its threads."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from bridge.events import ConversationId, Seq
from bridge.surface import Anchor
from connectors.threads.card import Card
from connectors.threads.pace import Urgency
from connectors.threads.shown import Shown


class Piece(Struct, frozen=True, kw_only=True):
    """One message of the platform: `text` in its own markup, `plain` without any.

    `shown` is the first thing that it shows, for the speaker, the icon and the noise that it makes.
    """

    text: str
    plain: str
    shown: Shown


class Spot(Struct, frozen=True, kw_only=True):
    """Where a message belongs: piece `part` of what shows entry `seq`."""

    cid: ConversationId
    anchor: Anchor
    seq: Seq
    part: int


class Board(Protocol):
    """A platform's threads. Every method may raise Retry, AnchorLost or Undeliverable, and nothing else.

    A method that raises `Retry` may have done its work all the same: `find` and `find_thread` are asked
    before anything is done again, where a platform can tell.
    """

    @property
    def most_together(self) -> int:
        """How many entries may share a message just now; 1 while the platform keeps up."""

    async def begin(self, cid: ConversationId, card: Card, *, mark: str) -> Anchor:
        """Make the conversation's thread, with its card; `mark` is found again by `find_thread`."""

    async def find_thread(self, cid: ConversationId, *, mark: str, since: datetime) -> Anchor | None:
        """The thread that `begin` made at or after `since` though nobody heard of it."""

    def pieces(self, group: Sequence[Shown]) -> list[Piece]:
        """The messages that show `group`, at least one; each speaker is named where there are several."""

    async def post(self, spot: Spot, piece: Piece, *, urgency: Urgency) -> str:
        """Show it; the message's id."""

    def hurry(self, cid: ConversationId) -> None:
        """Whatever waits to be posted for the conversation is as urgent as can be from now on."""

    async def find(self, spot: Spot, *, since: datetime) -> str | None:
        """The message that `post` made at `spot`, at or after `since`, though nobody heard of it."""

    async def change(self, anchor: Anchor, message: str, piece: Piece | None) -> None:
        """Let a message read otherwise; None: it is not needed any more. One that is gone is no trouble."""

    async def draw(self, anchor: Anchor, card: Card) -> None:
        """Show the card as it is now."""
