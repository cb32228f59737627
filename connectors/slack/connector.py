"""Mirrors conversations into threads of a Slack channel, and takes replies and commands there."""

import logging

from bridge.house import House
from connectors.slack.doors import router
from connectors.slack.settings import SlackSettings
from connectors.slack.surface import SlackSurface

QUIET = ("slack_bolt", "slack_sdk", "aiohttp")  # below WARNING they print what people write


def install(house: House) -> None:
    """Add the surface and, where Slack is to call us, its routes."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    settings = house.settings(SlackSettings)
    surface = SlackSurface(house=house, settings=settings)
    house.add_surface(surface)
    if settings.signing_secret is not None:
        house.add_routes(router(app=surface.app, signing_secret=settings.signing_secret.get_secret_value()))
    house.at_the_end(surface.close)
