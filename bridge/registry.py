"""Which connectors there are, and when the configuration asks for one. The only place that names them.

A connector is a package with `install(house)`, which is given the house and adds what it brings: routes,
a channel, a pushed surface. It is imported only when it is asked for.
"""

from collections.abc import Callable
from importlib import import_module

from bridge.config import Config
from bridge.house import House


def _always(_config: Config) -> bool:
    return True


CONNECTORS: dict[str, Callable[[Config], bool]] = {
    "connectors.website": _always,
    "connectors.email": lambda config: config.email is not None,
    "webjoin": _always,
}


MAILBOX = "connectors.email.mailbox"  # what the demo shows instead of a mail program


def install(house: House) -> None:
    """Install every connector that the configuration asks for."""
    for package, wanted in CONNECTORS.items():
        if wanted(house.config):
            import_module(package).install(house)
