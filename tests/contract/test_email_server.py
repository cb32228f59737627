"""How a mail is handed to a server: by login and encryption, or not at all."""

from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from connectors.email.mailer import Accepted, Mailer, Trouble
from tests.fakes.smtp import SmtpServer, certificate
from tests.office import DANA, SENDER, smtp_of

# --- the server's side -----------------------------------------------------------------------------


RAW = b"Subject: x\r\n\r\nhello\r\n"


@pytest.mark.parametrize(
    ("user", "password"), [("us@er", "p:@/ #%?ü"), ("joinline", "plain"), ("a b", "\"\\'<>&=+")]
)
async def test_credentials_with_any_character_log_in(tmp_path: Path, user: str, password: str) -> None:
    tls, trust = certificate(tmp_path)
    for implicit in (False, True):
        async with SmtpServer(tls=tls, implicit_tls=implicit, users={user: password}) as server:
            login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
            smtp = smtp_of(server.url.replace("://", f"://{login}"))
            mailer = Mailer(smtp=smtp, hostname="chat.acme.example", tls_context=trust)
            verdict = await mailer.send(RAW, sender=SENDER.address, recipient=DANA)
            assert verdict == Accepted()
            assert (server.mails[0].tls, server.mails[0].user) == (True, user)


async def test_wrong_credentials_are_trouble_of_the_server_not_of_the_recipient(tmp_path: Path) -> None:
    tls, trust = certificate(tmp_path)
    async with SmtpServer(tls=tls, users={"joinline": "right"}) as server:
        smtp = smtp_of(server.url.replace("://", "://joinline:wrong@"))
        mailer = Mailer(smtp=smtp, hostname="chat.acme.example", tls_context=trust)
        verdict = await mailer.send(RAW, sender=SENDER.address, recipient=DANA)
        assert isinstance(verdict, Trouble)
        assert "535" in verdict.reason


async def test_no_mail_leaves_without_the_encryption_that_was_asked_for(tmp_path: Path) -> None:
    tls, _ = certificate(tmp_path)
    async with AsyncExitStack() as stack:
        bare = await stack.enter_async_context(SmtpServer())
        strange = await stack.enter_async_context(SmtpServer(tls=tls))
        wrapped = await stack.enter_async_context(SmtpServer(tls=tls, implicit_tls=True))
        for server, url in (
            (bare, bare.url.replace("smtp:", "smtp+starttls:")),  # does not offer it
            (strange, strange.url),  # a certificate that nobody vouches for
            (wrapped, wrapped.url),
        ):
            mailer = Mailer(smtp=smtp_of(url), hostname="chat.acme.example", timeout=5)
            verdict = await mailer.send(RAW, sender=SENDER.address, recipient=DANA)
            assert isinstance(verdict, Trouble)
            assert not server.received
