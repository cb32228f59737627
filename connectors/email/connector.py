"""Tells staff by mail: when a chat starts, and when a person is wanted and nobody has come."""

from pathlib import Path
from urllib.parse import urlsplit

from bridge.house import House
from connectors.email.ledger import Ledger
from connectors.email.mailer import Mailer
from connectors.email.routes import router
from connectors.email.settings import EmailSettings
from connectors.email.surface import EmailSurface


def install(house: House) -> None:
    """Add the surface, the unsubscribe page, and the way to a new link."""
    config, store, clock = house.config, house.bridge.store, house.bridge.clock
    email = house.settings(EmailSettings)
    mailer = Mailer(
        smtp=email.smtp_url,
        hostname=urlsplit(config.base_url).hostname or "localhost",
        patience=email.timeout,
    )
    key = house.key("email")
    surface = EmailSurface(
        store=store,
        key=key,
        links=house.links,
        sites=config.sites,
        staff=config.staff,
        mailer=mailer,
        sender=email.sender,
        base_url=config.base_url,
        clock=clock,
        settle=email.settle,
        per_hour=email.per_hour,
        per_conversation=email.per_conversation,
    )
    house.add_surface(surface)
    house.add_duty("email rounds", surface.rounds)
    house.add_routes(router(ledger=Ledger(store=store, clock=clock, key=key)))
    house.statics.add("/mail/static/off.css", (Path(__file__).parent / "static/off.css").read_bytes())
    house.renew = surface.renew
