"""The section `email` of the configuration."""

from typing import Annotated

from pydantic import Field

from bridge.config import Settings
from bridge.config_values import LOOPBACK, Count, Seconds, Sender, SmtpUrl


class EmailSettings(Settings):
    """How staff are told. Without this section nobody is told by mail."""

    smtp_url: SmtpUrl
    """The mail server: smtp+starttls://user:password@host:587, or smtps://, or smtp:// unencrypted."""
    sender: Annotated[Sender, Field(alias="from")]
    """The address of the business that mails come from, such as Acme Chat <chat@acme.example>."""
    timeout: Seconds = 30.0
    """Seconds that the mail server gets for one mail."""
    settle: Seconds = 8.0
    """Seconds at most after a visitor's first message until the mail goes, so that a burst is one mail."""
    per_conversation: Count = 3
    """Mails at most to one person about one conversation."""
    per_hour: Count = 30
    """Mails at most to one person in an hour; what comes on top is told in one digest."""

    def notes(self) -> list[str]:
        if self.smtp_url.tls == "none" and self.smtp_url.host not in LOOPBACK:
            return ["email.smtp_url: smtp:// sends links and passwords in the clear; use smtp+starttls://"]
        return []
