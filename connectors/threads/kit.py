"""What every chat platform's connector is made of, put together around its board."""

from typing import Protocol

from msgspec import Struct

from bridge.events import ConversationId, Staff
from bridge.house import House
from connectors.threads.board import Board
from connectors.threads.cards import Cards
from connectors.threads.desk import Desk, ThreadText
from connectors.threads.ledger import Ledger
from connectors.threads.surface import Mirror, Threads


class Settings(Protocol):
    """What the configuration of each platform says."""

    @property
    def mirror(self) -> Mirror: ...

    @property
    def thread_text(self) -> ThreadText: ...


class Kit(Struct, frozen=True, kw_only=True):
    ledger: Ledger
    cards: Cards
    threads: Threads
    desk: Desk


def kit(
    *, house: House, name: str, label: str, mark: str, board: Board, ledger: Ledger, settings: Settings
) -> Kit:
    """`name` is the surface's in the log, `label` the platform's among people; `mark` begins a command."""
    bridge, sites = house.bridge, house.config.sites

    async def give_link(cid: ConversationId, staff: Staff) -> str:
        return await house.links.mint(cid, staff.id, name=staff.name, email="")

    cards = Cards(board=board, ledger=ledger, inlet=bridge, sites=sites, clock=bridge.clock)
    house.add_duty(f"{name} cards", cards.adopt)
    threads = Threads(
        name=name, board=board, ledger=ledger, cards=cards, inlet=bridge, sites=sites,
        mirror=settings.mirror, clock=bridge.clock,
    )  # fmt: skip
    bridge.observe(threads.grew)
    desk = Desk(
        surface=name,
        label=label,
        inlet=bridge,
        ledger=ledger,
        thread_text=settings.thread_text,
        give_link=give_link,
        mark=mark,
    )
    return Kit(ledger=ledger, cards=cards, threads=threads, desk=desk)
