"""The website: the widget's files and settings, the visitors' channel, and the chat without JavaScript."""

from pathlib import Path

from bridge.house import House
from connectors.website import page, routes
from connectors.website.visitors import Visitors

STATIC = Path(__file__).parent / "static"


def install(house: House) -> None:
    """Add what visitors need to the house."""
    config = house.config
    visitors = Visitors(sites=config.sites, base_url=config.base_url)
    channel = house.add_channel("/live/visitor", greet=visitors.greet, allows=visitors.allows)
    house.add_files("/widget", STATIC)
    house.statics.add_file("/widget.js", STATIC / "widget.js")
    house.add_routes(
        routes.router(
            bridge=house.bridge,
            sites=config.sites,
            visitors=visitors,
            assistant=config.assistant.kind != "none",
        )
    )
    house.add_routes(
        page.router(
            bridge=house.bridge,
            sites=config.sites,
            desk=channel.desk,
            visitors=visitors,
            base_url=config.base_url,
            assistant=config.assistant.kind != "none",
        )
    )
