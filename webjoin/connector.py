"""The join page: personal links, the staff's live channel, and the page they open."""

from pathlib import Path

from bridge.house import House
from webjoin.guests import Guests
from webjoin.routes import router


def install(house: House) -> None:
    """Add the page, its calls and the staff's channel."""
    base_url = house.config.base_url
    guests = Guests(links=house.links, store=house.bridge.store, base_url=base_url)
    channel = house.add_channel("/live/staff", greet=guests.greet, allows=guests.allows)
    house.add_files("/join/static", Path(__file__).parent / "static")
    house.add_routes(
        router(
            bridge=house.bridge,
            links=house.links,
            base_url=base_url,
            sites=house.config.sites,
            renew=house.renew,
            end=channel.end,
        )
    )
