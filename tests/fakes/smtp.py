"""A mail server on loopback that speaks real SMTP, and fails in the ways that real ones do."""

import asyncio
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
import ssl
import subprocess
from types import TracebackType
from typing import Self
import warnings

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from msgspec import Struct


class Received(Struct, frozen=True, kw_only=True):
    """A mail that reached the server. `acknowledged` is False where the sender never heard of it."""

    sender: str
    recipient: str
    raw: bytes
    tls: bool
    user: str
    acknowledged: bool

    @property
    def mail(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)

    def part(self, kind: str) -> str:
        """The decoded text of the `plain` or `html` part."""
        found = self.mail.get_body((kind,))
        assert found is not None
        return found.get_content()


class SmtpServer:
    """Use as a context manager. Everything but TLS and users may be changed while it runs."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        users: dict[str, str] | None = None,
    ) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.received: list[Received] = []
        self.refused: list[str] = []  # recipients that were turned away, once each time
        self.connections = 0
        self.reject: dict[str, str] = {}  # recipient -> the answer to RCPT, such as "550 5.1.1 No such user"
        self.answer_sender: str | None = None  # the answer to every MAIL FROM
        self.answer_data: str | None = None  # the answer after every DATA
        self.drop_after_data = 0  # how many of the next mails are taken without a word
        self.delay = 0.0  # seconds before MAIL FROM is answered
        self.delay_data = 0.0  # seconds before a mail that was taken is acknowledged
        self._tls = tls
        self._implicit = implicit_tls
        self._users = users
        self._server: asyncio.Server | None = None
        self._open: set[_Protocol] = set()

    @property
    def mails(self) -> list[Received]:
        """What was acknowledged."""
        return [r for r in self.received if r.acknowledged]

    def to(self, recipient: str) -> list[Received]:
        return [r for r in self.mails if r.recipient == recipient]

    @property
    def url(self) -> str:
        scheme = "smtps" if self._implicit else "smtp+starttls" if self._tls else "smtp"
        return f"{scheme}://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()

    async def listen(self) -> None:
        """Accept connections, on the same port as before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connection, self.host, self.port, ssl=self._tls if self._implicit else None
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse connections from now on, and drop the open ones."""
        if self._server is not None:
            self._server.close()
            for protocol in tuple(self._open):
                protocol.drop()
            await self._server.wait_closed()
            self._server = None

    def _connection(self) -> asyncio.Protocol:
        self.connections += 1
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")  # it has TLS already
            return _Protocol(
                self,
                hostname="mx.test",
                loop=asyncio.get_running_loop(),
                tls_context=None if self._implicit else self._tls,
                require_starttls=self._tls is not None and not self._implicit,
                auth_required=self._users is not None,
                auth_require_tls=not self._implicit and self._tls is not None,
                authenticator=self._authenticate,
            )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        assert self._users is not None
        assert isinstance(data, LoginPassword)
        user, password = data.login.decode(), data.password.decode()
        return AuthResult(success=self._users.get(user) == password, handled=False, auth_data=user)

    # What aiosmtpd calls

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await asyncio.sleep(self.delay)
        if self.answer_sender:
            return self.answer_sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := self.reject.get(address):
            self.refused.append(address)
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: "_Protocol", session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answer_data:
            return self.answer_data
        dropped = self.drop_after_data > 0
        assert isinstance(envelope.content, bytes)
        for recipient in envelope.rcpt_tos:
            self.received.append(
                Received(
                    sender=envelope.mail_from or "",
                    recipient=recipient,
                    raw=envelope.content,
                    tls=self._implicit or session.ssl is not None,
                    user=str(session.auth_data or ""),
                    acknowledged=not dropped,
                )
            )
        if dropped:
            self.drop_after_data -= 1
            server.drop()
            await asyncio.get_running_loop().create_future()  # cancelled with the connection
        await asyncio.sleep(self.delay_data)
        return "250 OK: queued"


class _Protocol(SMTP):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.event_handler._open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler._open.discard(self)
        super().connection_lost(error)

    def drop(self) -> None:
        """Cut the connection without a word."""
        if isinstance(self.transport, asyncio.Transport):
            with suppress(AttributeError):  # Python 3.11.2's, where an encrypted one is cut twice
                self.transport.abort()


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for 127.0.0.1, and a client's that trusts it."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=mx.test",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=cert)
