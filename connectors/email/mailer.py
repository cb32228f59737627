"""One mail to one recipient over SMTP, and what the server's answer means."""

import asyncio
import contextlib
import logging
import ssl
from typing import Literal, Protocol

import aiosmtplib
from msgspec import Struct
from pydantic import SecretStr

from connectors.text import visible

log = logging.getLogger(__name__)


class Smtp(Protocol):
    """Where mail goes; `bridge.config_values.Smtp` is one."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def tls(self) -> Literal["tls", "starttls", "none"]: ...
    @property
    def user(self) -> str: ...
    @property
    def password(self) -> SecretStr: ...


class Accepted(Struct, frozen=True):
    pass


class Refused(Struct, frozen=True):
    """The server will never take this mail for this recipient."""

    reason: str


class Deferred(Struct, frozen=True):
    """The server does not take mail for this recipient now: greylisting, a full mailbox."""

    reason: str


class Trouble(Struct, frozen=True):
    """The server itself: not reached, not trusted, busy, gone in the middle."""

    reason: str


Verdict = Accepted | Refused | Deferred | Trouble


class Mailer:
    """`timeout` is for one answer of the server, `patience` for a whole mail."""

    def __init__(
        self,
        *,
        smtp: Smtp,
        hostname: str,
        timeout: float = 20.0,
        patience: float = 60.0,
        connections: int = 4,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._smtp = smtp
        self._hostname = hostname
        self._timeout = timeout
        self._patience = patience
        self._tls = tls_context or ssl.create_default_context()
        self._free = asyncio.Semaphore(connections)

    async def send(self, raw: bytes, *, sender: str, recipient: str) -> Verdict:
        """Hand over `raw`. A time-out after the data is Trouble: the same Message-ID is sent again."""
        async with self._free:
            client = self._client()
            verdict: Verdict
            try:
                async with asyncio.timeout(self._patience):
                    await client.connect()
                    await client.sendmail(sender, [recipient], raw)
            except aiosmtplib.SMTPRecipientsRefused as error:
                verdict = _of_recipient(error.recipients[0])
            except aiosmtplib.SMTPDataError as error:
                verdict = Refused(_said(error)) if _permanent(error.code) else Trouble(_said(error))
            except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
                verdict = Trouble(_said(error))
            else:
                verdict = Accepted()
            finally:
                await self._leave(client)
            return verdict

    async def reach(self) -> Accepted | Trouble:
        """Connect, encrypt and log in as for a mail, and go."""
        client = self._client()
        try:
            async with asyncio.timeout(self._patience):
                await client.connect()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return Trouble(_said(error))
        finally:
            await self._leave(client)
        return Accepted()

    def _client(self) -> aiosmtplib.SMTP:
        smtp = self._smtp
        return aiosmtplib.SMTP(
            hostname=smtp.host,
            port=smtp.port,
            username=smtp.user or None,
            password=smtp.password.get_secret_value() if smtp.user else None,
            local_hostname=self._hostname,
            timeout=self._timeout,
            use_tls=smtp.tls == "tls",
            start_tls=smtp.tls == "starttls",
            tls_context=None if smtp.tls == "none" else self._tls,
        )

    async def _leave(self, client: aiosmtplib.SMTP) -> None:
        """Say goodbye shortly: whatever comes of it, the mail was taken or not before."""
        with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            if client.is_connected:
                async with asyncio.timeout(2):
                    await client.quit()
        client.close()


def _permanent(code: int) -> bool:
    return 500 <= code < 600


def _of_recipient(error: aiosmtplib.SMTPRecipientRefused) -> Verdict:
    if error.code == 421:  # the server closes the connection, whoever the recipient is
        return Trouble(_said(error))
    return Refused(_said(error)) if _permanent(error.code) else Deferred(_said(error))


def _said(error: BaseException) -> str:
    """The server's own words, shortened, on one line."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        words = f"{error.code} {error.message}"
    elif isinstance(error, TimeoutError) and not isinstance(error, aiosmtplib.SMTPException):
        words = "the mail server took too long"
    else:
        words = str(error) or type(error).__name__
    return " ".join(visible(words).split())[:200]
