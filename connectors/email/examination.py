"""Does the mail server take our mail? For `joinline check --live`; nothing is sent."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from bridge.config import Config
from bridge.surface import Finding
from connectors.email.mailer import Mailer, Trouble
from connectors.email.settings import EmailSettings


async def examine(config: Config, settings: EmailSettings) -> AsyncIterator[Finding]:
    """Whether the server can be reached, is trusted and knows the user."""
    hostname = urlsplit(config.base_url).hostname or "localhost"
    mailer = Mailer(smtp=settings.smtp_url, hostname=hostname, patience=settings.timeout)
    verdict = await mailer.reach()
    if isinstance(verdict, Trouble):
        yield Finding(
            place="email.smtp_url",
            good=False,
            text=f"{settings.smtp_url}: {verdict.reason}",
            mend="Check host, port, user and password, and that this machine may connect there.",
        )
    else:
        login = " and logged in" if settings.smtp_url.user else ""
        yield Finding(place="email.smtp_url", good=True, text=f"{settings.smtp_url}: connected{login}")
