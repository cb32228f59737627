"""Mirrors conversations into a Telegram group, and takes replies, commands and presses there."""

from bridge.house import Duty, House
from connectors.telegram.answers import Answers
from connectors.telegram.board import LOOK, TelegramBoard
from connectors.telegram.calls import BURST, EVERY, POLL, Calls
from connectors.telegram.doors import PATH, Polling, Webhook
from connectors.telegram.group import Group
from connectors.telegram.incoming import MARK, Incoming
from connectors.telegram.people import People
from connectors.telegram.settings import TelegramSettings
from connectors.telegram.surface import NAME, TelegramSurface
from connectors.telegram.topics import Topics
from connectors.threads.inbox import Inbox
from connectors.threads.kit import kit
from connectors.threads.ledger import Ledger


def install(house: House) -> None:
    """Add the surface, and the route that Telegram calls where it does."""
    settings = house.settings(TelegramSettings)
    surface, calls = build(house, settings)
    house.at_the_end(calls.close)
    house.add_surface(surface)


def build(
    house: House,
    settings: TelegramSettings,
    *,
    every: float = EVERY,
    burst: int = BURST,
    patience: float = 15.0,
    poll: int = POLL,
    look: float = LOOK,
    again: float = 30.0,
) -> tuple[TelegramSurface, Calls]:
    """The surface and what it asks Telegram with; the times are explained where they are used."""
    store, clock = house.bridge.store, house.bridge.clock
    group = Group(store=store, configured=settings.chat)
    calls = Calls(
        token=settings.token.get_secret_value(), api_url=settings.api_url, moved=group.moved,
        every=every, burst=burst, patience=patience, poll=poll, again=again,
    )  # fmt: skip
    topics = Topics(store=store, clock=clock)
    ledger = Ledger(store=store, surface=NAME, clock=clock)
    names: dict[int, str] = {}
    on_duty = tuple(tuple(map(int, group)) for group in settings.on_duty)
    board = TelegramBoard(
        calls=calls, group=group, topics=topics, ledger=ledger, inlet=house.bridge, clock=clock,
        on_duty=on_duty, names=names, look=look,
    )  # fmt: skip
    made = kit(
        house=house, name=NAME, label="Telegram", mark=MARK, board=board, ledger=ledger, settings=settings
    )
    people = People(calls=calls, group=group, staff=settings.staff)
    answers = Answers(calls=calls, ledger=ledger)
    incoming = Incoming(
        calls=calls, group=group, topics=topics, ledger=ledger, desk=made.desk, people=people,
        answers=answers, clock=clock,
    )  # fmt: skip
    inbox = Inbox(store=store, name=NAME, clock=clock, handle=incoming.handle, process=house.bridge.process)
    surface = TelegramSurface(
        calls=calls, group=group, people=people, threads=made.threads, cards=made.cards, inbox=inbox,
        parts=(answers, _door(house, settings, calls, inbox)), on_duty=on_duty, names=names,
    )  # fmt: skip
    return surface, calls


def _door(house: House, settings: TelegramSettings, calls: Calls, inbox: Inbox) -> Duty | Webhook:
    if settings.webhook_secret is None:
        polling = Polling(calls=calls, inbox=inbox)
        return Duty(house, "telegram poller", polling.run)  # a second poller is refused
    webhook = Webhook(
        calls=calls, inbox=inbox, url=f"{house.config.base_url}{PATH}",
        secret=settings.webhook_secret.get_secret_value(),
    )  # fmt: skip
    house.add_routes(webhook.routes())
    return webhook
