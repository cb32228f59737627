"""The house: what a connector is given, and where it adds what it brings."""

from collections.abc import Awaitable, Callable
import hmac
from pathlib import Path
from typing import TypeVar

from fastapi import APIRouter, FastAPI

from bridge.config import Config, Settings
from bridge.core import Bridge
from bridge.courier import Courier, Persistence
from bridge.duty import alone
from bridge.fallback import Fallback
from bridge.limits import Places, Rate
from bridge.links import Link, Links
from bridge.live import Allows, Channel, Greet
from bridge.session import Desk, Ending
from bridge.statics import Statics
from bridge.surface import Surface

STAFF_MESSAGES_PER_MINUTE = 120

S = TypeVar("S", bound=Settings)

Background = Callable[[], Awaitable[None]]


class Duty:
    """A part that runs in one process at a time."""

    def __init__(self, house: "House", name: str, part: Background) -> None:
        self._house = house
        self._name = name
        self._part = part

    async def run(self) -> None:
        bridge = self._house.bridge
        await alone(bridge.store, self._name, owner=bridge.process, part=self._part)


class House:
    """Collaborators to take, and `add_...` to give. Complete before the first request."""

    def __init__(self, *, config: Config, bridge: Bridge, persistence: Persistence | None = None) -> None:
        self.config = config
        self.bridge = bridge
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self.statics = Statics()
        self.links = Links(
            store=bridge.store, base_url=config.base_url, clock=bridge.clock, lives=config.links.lives
        )
        self.rates: dict[str, Rate] = {}  # those that are one for all processes
        self.places = Places(config.limits.sockets, clock=bridge.clock)
        self.visitor_rate = self.share("visitor", Rate(config.limits.messages_per_minute, 60))
        self.opening_rate = self.share("opening", Rate(config.limits.opened_per_ip_per_hour, 3600))
        self.channels: list[Channel] = []
        self.background: dict[str, Background] = {}
        self.closing: list[Background] = []
        self.renew: Callable[[Link], Awaitable[None]] | None = None  # sends a new link to its recipient
        self._persistence = persistence
        self._desk = Desk(
            bridge=bridge,
            page_url=f"{config.base_url}/join/c",
            visitor_rate=self.visitor_rate,
            opening_rate=self.opening_rate,
            staff_rate=self.share("staff", Rate(STAFF_MESSAGES_PER_MINUTE, 60)),
        )

    def share(self, name: str, rate: Rate) -> Rate:
        """Let `rate` hold for all processes together."""
        self.rates[name] = rate
        return rate

    def key(self, purpose: str) -> bytes:
        """A signing key for one purpose, from the configured secret (as RFC 5869 expands, one block)."""
        secret = self.config.secret.get_secret_value().encode()
        return hmac.digest(secret, f"joinline {purpose}\x01".encode(), "sha256")

    def settings(self, kind: type[S]) -> S:
        """The connector's own section; it is installed only where there is one."""
        return next(
            v for name in type(self.config).model_fields if isinstance(v := getattr(self.config, name), kind)
        )

    def add_routes(self, router: APIRouter) -> None:
        self.app.include_router(router)

    def add_files(self, prefix: str, folder: Path) -> None:
        """Serve the folder's files under the URL prefix."""
        self.statics.add_folder(prefix, folder)

    def add_channel(self, prefix: str, *, greet: Greet, allows: Allows) -> Channel:
        """Open the live endpoints under `prefix` to whom `greet` lets in."""
        channel = Channel(
            prefix=prefix, bridge=self.bridge, desk=self._desk, greet=greet, allows=allows,
            limits=self.config.limits, places=self.places,
        )  # fmt: skip
        self.channels.append(channel)
        self.add_routes(channel.router())
        self.add_routes(Fallback(channel).router())
        return channel

    def add_surface(self, surface: Surface) -> None:
        """Let the surface listen, and a courier bring it the log."""
        courier = Courier(bridge=self.bridge, surface=surface, persistence=self._persistence)
        self.bridge.unseen.add(surface.name)
        self.add_background(f"courier {surface.name}", courier.run)
        self.add_background(f"surface {surface.name}", lambda: surface.run(self.bridge))

    def add_background(self, name: str, part: Background) -> None:
        """Run `part` for as long as the server runs; it is started again when it fails."""
        self.background[name] = part

    def add_duty(self, name: str, part: Background) -> None:
        """Run `part` in one process at a time, whichever; another takes it over when that one ends."""
        self.add_background(name, Duty(self, name, part).run)

    def at_the_end(self, close: Background) -> None:
        """Run `close` once nothing else runs any more."""
        self.closing.append(close)

    def end_here(self, ending: Ending) -> None:
        """End sessions that another process was told to end."""
        for channel in self.channels:
            channel.end_here(ending)

    def end_sessions(self, code: int, reason: str) -> None:
        """End every live session, and whoever comes now, so that clients come back elsewhere or later."""
        for channel in self.channels:
            channel.close(code, reason)
