"""The unsubscribe page, and the demo's mailbox."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage

import aiosmtplib
from fastapi import FastAPI
import httpx2
import pytest

from bridge.events import ConversationId, StaffId
from bridge.store.memory import MemoryStore
from connectors.email import mailbox, routes
from connectors.email.ledger import Ledger
from tests.eventually import eventually
from tests.logs import START
from tests.mails import LINK, a_mail

ANN, DANA = ConversationId("ann"), StaffId("dana")


def browser(router) -> httpx2.AsyncClient:
    app = FastAPI()
    app.include_router(router)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1")


# --- unsubscribe -----------------------------------------------------------------------------------


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(store=MemoryStore(), clock=lambda: START, key=b"key")


async def test_looking_at_the_page_changes_nothing(ledger: Ledger) -> None:
    token = await ledger.subscription_token(ANN, DANA)
    async with browser(routes.router(ledger=ledger)) as client:
        for method in ("GET", "HEAD", "GET"):
            answer = await client.request(method, f"/mail/off/{token}")
            assert answer.status_code == 200
        assert "Stop these mails" in answer.text
        assert not await ledger.wants_none(ANN, DANA)


@pytest.mark.parametrize("body", ["List-Unsubscribe=One-Click", ""])
async def test_one_click_ends_the_mails_of_one_conversation_to_one_person(ledger: Ledger, body: str) -> None:
    token = await ledger.subscription_token(ANN, DANA)
    assert token == await ledger.subscription_token(ANN, DANA)
    async with browser(routes.router(ledger=ledger)) as client:
        for _ in range(2):
            answer = await client.post(
                f"/mail/off/{token}",
                content=body,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
            assert answer.status_code == 200
    assert await ledger.wants_none(ANN, DANA)
    assert not await ledger.wants_none(ANN, StaffId("sam"))
    assert not await ledger.wants_none(ConversationId("ben"), DANA)


async def test_an_unknown_token_is_not_found_whatever_it_is(ledger: Ledger) -> None:
    token = await ledger.subscription_token(ANN, DANA)
    async with browser(routes.router(ledger=ledger)) as client:
        answers = [
            await client.request(method, f"/mail/off/{wrong}")
            for method in ("GET", "POST")
            for wrong in ("x", token[:-1], token.upper(), token + "0", "%00")
        ]
    assert {a.status_code for a in answers} == {404}
    assert len({a.text for a in answers}) == 1
    assert not await ledger.wants_none(ANN, DANA)


async def test_the_page_is_kept_by_nobody_and_runs_nothing(ledger: Ledger) -> None:
    async with browser(routes.router(ledger=ledger)) as client:
        headers = (await client.get("/mail/off/x")).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


# --- mailbox ---------------------------------------------------------------------------------------


@asynccontextmanager
async def a_mailbox() -> AsyncIterator[tuple[mailbox.Mailbox, int]]:
    box = mailbox.Mailbox()
    port = await box.listen()
    try:
        yield box, port
    finally:
        await box.close()


async def send(port: int, raw: bytes, *recipients: str) -> None:
    await aiosmtplib.send(
        raw, sender="chat@acme.example", recipients=list(recipients), hostname="127.0.0.1", port=port,
        start_tls=False,
    )  # fmt: skip


async def test_a_mail_is_listed_and_read_in_three_views() -> None:
    async with a_mailbox() as (box, port), browser(mailbox.router(mailbox=box)) as client:
        assert "No mail yet" in (await client.get("/")).text
        await send(port, a_mail("Do you ship?"), "dana@acme.example")
        (brief,) = (await client.get("/api/mails")).json()
        assert brief["subject"] == "New chat on Acme: Do you ship?"
        assert brief["to"] == "Dana <dana@acme.example>"
        assert not brief["opened"]
        whole = (await client.get(f"/api/mails/{brief['id']}")).json()
        assert LINK in whole["text"].splitlines()
        assert LINK in whole["html"]
        assert ["Auto-Submitted", "auto-generated"] in whole["headers"]
        for view, found in (
            ("html", "<iframe"),
            ("text", f'href="{LINK}"'),
            ("headers", "X-Auto-Response-Suppress"),
        ):
            page = await client.get(f"/mails/{brief['id']}?view={view}")
            assert page.status_code == 200
            assert found in page.text
            assert "New chat on Acme: Do you ship?" in page.text
        assert (await client.get("/api/mails")).json()[0]["opened"]
        assert (await client.get("/mails/99")).status_code == 404


async def test_a_mail_is_shown_in_a_sandbox_whose_links_open_beside_it() -> None:
    evil = EmailMessage()
    evil["Subject"] = "<script>alert(1)</script>"
    evil["From"] = "x@evil.test"
    evil.set_content('javascript:alert(1) https://evil.test/"onclick=x <b>', subtype="plain")
    evil.add_alternative("<html><head></head><body><script>alert(1)</script></body></html>", subtype="html")
    async with a_mailbox() as (box, port), browser(mailbox.router(mailbox=box)) as client:
        await send(port, evil.as_bytes(), "dana@acme.example")
        body = await client.get("/mails/1/body")
        policy = body.headers["Content-Security-Policy"]
        sandbox = policy.partition(";")[0].split()
        assert sandbox[0] == "sandbox"
        assert not {"allow-scripts", "allow-same-origin", "allow-forms"} & set(sandbox)
        assert "allow-popups" in sandbox
        assert "default-src 'none'" in policy
        assert '<base target="_blank">' in body.text
        for view in ("html", "text", "headers"):
            page = await client.get(f"/mails/1?view={view}")
            assert "<script>alert" not in page.text
            assert 'href="javascript' not in page.text
            assert "script-src 'self'" in page.headers["Content-Security-Policy"]


async def test_a_mail_to_several_is_one_for_each_and_the_oldest_go_first() -> None:
    async with a_mailbox() as (box, port):
        await send(port, a_mail("hi"), "dana@acme.example", "sam@acme.example")
        assert [m.recipient for m in box.mails] == ["dana@acme.example", "sam@acme.example"]
        for _ in range(mailbox.KEPT // 2):
            await send(port, b"Subject: x\r\n\r\nx\r\n", "a@acme.example", "b@acme.example")
        assert len(box.mails) == mailbox.KEPT
        assert box.mails[0].id == 3


async def test_who_waits_hears_of_every_mail() -> None:
    async with a_mailbox() as (box, port):
        heard: list[int] = []

        async def listen() -> None:
            async for count in box.counts():
                heard.append(count)

        task = asyncio.create_task(listen())
        await eventually(lambda: heard == [0])
        await send(port, a_mail("hi"), "dana@acme.example")
        await eventually(lambda: heard == [0, 1])
        task.cancel()
