"""Which connectors there are, and when the configuration asks for one. The only place that names them.

A connector is a package with a module `connector`, whose `install(house)` is given the house and adds what
it brings: routes, a channel, a pushed surface. One that has a section in the configuration also has

- `settings`: the section's model, the module's one subclass of `Settings`; without the section the connector
  is not imported;
- `examination`: `examine(config, settings)` asks the other side whether the settings work there, for
  `joinline check --live`.
"""

from collections.abc import AsyncIterator
from functools import cache
from importlib import import_module
from typing import Any

from msgspec import Struct
from pydantic import Field, create_model

from bridge.config import Config, Settings
from bridge.house import House
from bridge.surface import Finding


class Connector(Struct, frozen=True):
    package: str
    section: str = ""  # empty: always installed


CONNECTORS = (
    Connector("connectors.website"),
    Connector("connectors.email", "email"),
    Connector("connectors.slack", "slack"),
    Connector("connectors.telegram", "telegram"),
    Connector("webjoin"),
)

MAILBOX = "connectors.email.mailbox"  # what the demo shows instead of a mail program


def install(house: House) -> None:
    """Install every connector that the configuration asks for."""
    for connector in CONNECTORS:
        if not connector.section or getattr(house.config, connector.section) is not None:
            import_module(f"{connector.package}.connector").install(house)


@cache
def configuration() -> type[Config]:
    """The model of the whole configuration: the core's keys, then each connector's."""
    sections: dict[str, Any] = {}
    for connector in CONNECTORS:
        if connector.section:
            model = _settings(connector)
            sections[connector.section] = (model | None, Field(default=None, description=model.__doc__))
    return create_model("Config", __base__=Config, __doc__=Config.__doc__, **sections)


def _settings(connector: Connector) -> type[Settings]:
    module = import_module(f"{connector.package}.settings")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Settings) and value.__module__ == module.__name__
    ]
    (model,) = found
    return model


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Ask the other side of every connector that the configuration asks for."""
    for connector in CONNECTORS:
        settings = getattr(config, connector.section) if connector.section else None
        if settings is not None:
            module = import_module(f"{connector.package}.examination")
            async for finding in module.examine(config, settings):
                yield finding
