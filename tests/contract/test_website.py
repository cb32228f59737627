"""What the website connector answers over HTTP: settings for the right pages, vouching, the chat without scripts."""

from collections.abc import AsyncIterator
import hashlib
import hmac
import json
import re

import httpx2
import pytest
from starlette.requests import HTTPConnection

from bridge import events as ev
from bridge import wire
from bridge.config import build
from bridge.core import Bridge
from bridge.errors import FrameError
from bridge.events import ConversationId, Proposal
from bridge.house import House
from bridge.store.memory import MemoryStore
from connectors.website import connector as website
from connectors.website.visitors import Visitors, cid_of, new_token
from tests.running import SECRET

OURS = "https://chat.example.com"
SHOP = "https://www.acme.example"
OTHER = "https://other.example"
IDENTITY = "wZ3kR8pQ1vN6xT4mB9sL2dF7hJ5cG0yA"
FORM = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def house() -> House:
    acme = {"name": "Acme <b>", "origins": [SHOP], "identity_secret": IDENTITY, "accent": "#2f5d46"}
    values = {
        "base_url": OURS, "secret": SECRET, "store": "memory://",
        "sites": {"acme": acme, "other": {"name": "Other", "origins": [OTHER]}},
        "assistant": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "none"},
        "limits": {"messages_per_minute": 8},
    }  # fmt: skip
    built = House(config=build(values), bridge=Bridge(store=MemoryStore()))
    website.install(built)
    built.add_routes(built.statics.router())
    return built


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=house.app)
    async with httpx2.AsyncClient(transport=transport, base_url=OURS, trust_env=False) as client:
        yield client


async def log(house: House, cid: ConversationId) -> list[ev.Event]:
    return [e.event for e in await house.bridge.read(cid)]


# --- who may ask ----------------------------------------------------------------------------------


async def test_settings_go_to_the_site_s_own_pages(http: httpx2.AsyncClient) -> None:
    told = await http.get("/sites/acme/settings", headers={"Origin": SHOP})
    assert told.json() == {"name": "Acme <b>", "assistant": True, "accent": "#2f5d46"}
    assert told.headers["Access-Control-Allow-Origin"] == SHOP
    assert "Origin" in told.headers["Vary"]
    assert IDENTITY not in told.text
    for origin in (
        OTHER,
        "null",
        "http://www.acme.example",
        f"{SHOP}:8443",
        f"{SHOP}.evil.example",
        SHOP.upper(),
    ):
        refused = await http.get("/sites/acme/settings", headers={"Origin": origin})
        assert refused.status_code == 403
        assert refused.content == b""
        assert "Access-Control-Allow-Origin" not in refused.headers
        assert "Origin" in refused.headers["Vary"]
    own = await http.get("/sites/acme/settings", headers={"Origin": OURS})
    assert own.status_code == 200


async def test_an_unknown_site_is_a_constant_answer(http: httpx2.AsyncClient) -> None:
    paths = ("/sites/nobody/settings", "/sites/ACME/settings", "/sites/%2e%2e/settings", "/chat/nobody")
    answers = {
        (a.status_code, a.content) for path in paths for a in [await http.get(path, headers={"Origin": SHOP})]
    }
    assert answers == {(404, b"unknown\n")}


@pytest.mark.parametrize(
    ("site", "token", "origin", "good"),
    [
        ("acme", new_token(), SHOP, True),
        ("acme", new_token(), OURS, True),
        ("acme", new_token(), OTHER, False),
        ("acme", new_token(), None, False),
        ("nobody", new_token(), SHOP, False),
        ("acme", "short", SHOP, False),
        ("acme", new_token() + "x", SHOP, False),
        ("acme", "é" * 43, SHOP, False),
    ],
    ids=["its shop", "our page", "elsewhere", "no origin", "no site", "short", "long", "not ASCII"],
)
async def test_a_visitor_is_let_in_from_the_right_page_with_a_token(
    house: House, site: str, token: str, origin: str | None, *, good: bool
) -> None:
    visitors = Visitors(sites=house.config.sites, base_url=OURS)
    headers = [(b"origin", origin.encode())] if origin else []
    connection = HTTPConnection({"type": "http", "headers": headers})
    hello = wire.Hello(site=site, token=token)
    if good:
        guest = await visitors.greet(hello, connection)
        assert guest.cid == cid_of(site, token)
        assert (guest.audience, guest.by, guest.site) == ("visitor", ev.Visitor(), site)
    else:
        with pytest.raises(FrameError) as refused:
            await visitors.greet(hello, connection)
        assert refused.value.close_code == 4404


def test_a_conversation_s_id_tells_nothing_of_its_token_and_differs_by_site() -> None:
    token = new_token()
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", cid_of("acme", token))
    assert cid_of("acme", token) == cid_of("acme", token)
    assert cid_of("acme", token) != cid_of("other", token)
    assert token not in cid_of("acme", token)


# --- who the website's server says the visitor is ---------------------------------------------------


async def test_only_the_website_s_own_server_vouches(http: httpx2.AsyncClient, house: House) -> None:
    token = new_token()
    cid = cid_of("acme", token)
    opening = (ev.Opened(site="acme"), ev.Said(text="Hello"))
    await house.bridge.submit(cid, Proposal(events=opening, by=ev.Visitor(), via="test", key="1"))
    proof = hmac.new(IDENTITY.encode(), b"user-1", hashlib.sha256).hexdigest()

    async def vouch(origin: str = SHOP, **said: str) -> int:
        body = json.dumps({"token": token, "user": "user-1", "hash": proof} | said)
        return (await http.post("/sites/acme/vouch", content=body, headers={"Origin": origin})).status_code

    assert await vouch(hash="0" * 64) == 403
    assert await vouch(user="user-2") == 403
    assert await vouch(hash="") == 403
    assert await vouch(hash="é") == 403
    assert await vouch(user="") == 403
    assert await vouch(OTHER) == 404
    assert await vouch(token="nobody's") == 404
    assert await vouch(more="than that") == 404
    assert not (await house.bridge.state(cid)).visitor.verified
    assert [await vouch(), await vouch(), await vouch(hash=proof.upper())] == [204, 204, 204]
    assert (await house.bridge.state(cid)).visitor == ev.Identified(user="user-1", verified=True)
    assert len(await log(house, cid)) == 3
    assert await vouch(token=new_token()) == 409  # no conversation yet
    other = json.dumps({"token": token, "user": "user-1", "hash": proof})
    assert (
        await http.post("/sites/other/vouch", content=other, headers={"Origin": OTHER})
    ).status_code == 403


# --- without JavaScript ------------------------------------------------------------------------------


def fields(html: str, do: str) -> dict[str, str]:
    """The hidden fields of the form that does `do`."""
    form = next(f for f in re.findall(r"<form.*?</form>", html, re.DOTALL) if f'value="{do}"' in f)
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))


async def test_a_whole_conversation_by_forms(http: httpx2.AsyncClient, house: House) -> None:
    page = await http.get("/chat/acme")
    assert "set-cookie" not in page.headers
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert "Chat with Acme &lt;b&gt;" in page.text

    first = fields(page.text, "say") | {"text": "<script>alert(1)</script>\r\nHello"}
    sent = await http.post("/chat/acme", data=first, headers=FORM)
    assert (sent.status_code, sent.headers["Location"]) == (303, "/chat/acme")
    cookie = sent.headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Secure", "Path=/chat/acme"):
        assert part in cookie
    token = http.cookies["joinline-chat-acme"]
    cid = cid_of("acme", token)
    repeated = await http.post("/chat/acme", data=first, headers=FORM)  # the button pressed twice
    assert repeated.status_code == 303
    assert [type(e) for e in await log(house, cid)] == [ev.Opened, ev.Said]

    frame = await http.get("/chat/acme/log")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\nHello" in frame.text
    assert '<meta http-equiv="refresh"' in frame.text
    assert "frame-ancestors 'self'" in frame.headers["Content-Security-Policy"]
    state = await house.bridge.state(cid)
    answer = Proposal(
        events=(ev.Said(text="We **do** ship."),),
        by=ev.Assistant(),
        via="ai",
        key="1",
        floor=state.floor.since,
    )
    await house.bridge.submit(cid, answer)
    frame = await http.get("/chat/acme/log")
    assert "We do ship." in frame.text
    assert "refresh" not in frame.text

    page = await http.get("/chat/acme")
    assert token not in page.text
    wanted = await http.post("/chat/acme", data=fields(page.text, "help"), headers=FORM)
    assert wanted.status_code == 303
    page = await http.get("/chat/acme")
    assert "Waiting for a person" in page.text
    assert "We&#39;ve asked the team" in (await http.get("/chat/acme/log")).text
    wrong = await http.post(
        "/chat/acme", data=fields(page.text, "email") | {"email": "no address"}, headers=FORM
    )
    assert wrong.status_code == 409
    assert "Enter an email address like name@example.com." in wrong.text
    await http.post(
        "/chat/acme", data=fields(page.text, "email") | {"email": "maria@example.org"}, headers=FORM
    )
    page = await http.get("/chat/acme")
    assert "maria@example.org" in page.text
    await http.post("/chat/acme", data=fields(page.text, "end"), headers=FORM)
    page = await http.get("/chat/acme")
    assert "Rate this conversation" in page.text
    rated = fields(page.text, "rate") | {"score": "good", "comment": "Fine"}
    await http.post("/chat/acme", data=rated, headers=FORM)
    assert (await house.bridge.state(cid)).rated == ev.Rated(score="good", comment="Fine")
    page = await http.get("/chat/acme")
    await http.post("/chat/acme", data=fields(page.text, "anew"), headers=FORM)
    assert "joinline-chat-acme" not in http.cookies
    assert "How can we help?" in (await http.get("/chat/acme")).text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": SHOP},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {},
    ],
)
async def test_a_form_of_another_page_is_refused(
    http: httpx2.AsyncClient, house: House, headers: dict[str, str]
) -> None:
    said = fields((await http.get("/chat/acme")).text, "say") | {"text": "Forged"}
    assert (await http.post("/chat/acme", data=said, headers=headers)).status_code == 404
    assert await log(house, cid_of("acme", said["token"])) == []


async def test_what_was_typed_is_not_lost_to_a_refusal(http: httpx2.AsyncClient) -> None:
    page = await http.get("/chat/acme")
    said = fields(page.text, "say") | {"text": "x" * 4_100}
    refused = await http.post("/chat/acme", data=said, headers=FORM)
    assert refused.status_code == 409
    assert "Message is too long (4,100 of 4,000 characters)." in refused.text
    assert "x" * 4_100 in refused.text
    assert "set-cookie" not in refused.headers
    for _ in range(10):
        page = await http.get("/chat/acme")
        last = await http.post("/chat/acme", data=fields(page.text, "say") | {"text": "again"}, headers=FORM)
    assert last.status_code == 409
    assert "sending messages too quickly" in last.text


@pytest.mark.parametrize(
    "body", [b"", b"do=say", b"do=say&text=x&key=%20&token=x", b"\xff", b"do=dance", b"x" * 70_000]
)
async def test_a_form_that_is_no_form_changes_nothing(http: httpx2.AsyncClient, body: bytes) -> None:
    headers = FORM | {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await http.post("/chat/acme", content=body, headers=headers)).status_code == 404


# --- files --------------------------------------------------------------------------------------------


async def test_the_files_travel_without_comments_to_any_page(http: httpx2.AsyncClient) -> None:
    for path in ("/widget.js", "/widget/panel.js", "/widget/look.js"):
        got = await http.get(path, headers={"Origin": "https://anywhere.example"})
        assert got.status_code == 200
        assert "/**" not in got.text
        assert got.headers["Access-Control-Allow-Origin"] == "*"
        assert got.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert got.headers["Content-Type"].startswith("text/javascript")
    assert (await http.get("/widget/types.d.ts")).status_code == 404


def test_the_loader_s_colours_are_the_design_s() -> None:
    """The launcher shows before tokens.css is there."""
    tokens = (website.STATIC.parents[2] / "bridge" / "web" / "tokens.css").read_text("utf-8")
    loader = (website.STATIC / "widget.js").read_text("utf-8")
    light, dark = (
        re.search(r"--accent: (#\w+); --on-accent: (#\w+)", part)
        for part in loader.split(":host([data-color-scheme=dark])")
    )
    assert light
    assert dark
    assert f"--accent: {light[1]};" in tokens
    assert f"--accent: {dark[1]};" in tokens
    assert f"--on-accent: {dark[2]};" in tokens
