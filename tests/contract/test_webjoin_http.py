"""The join page as an HTTP client meets it: an inert document, strict calls, a name for each person."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
import re

import httpx2
import pytest

from bridge import events as ev
from bridge.links import MAX_SESSIONS
from tests.callers import Caller, live, token
from tests.eventually import eventually
from tests.joining import Joining, joining, staff
from webjoin import connector as webjoin


@pytest.fixture
async def page() -> AsyncIterator[Joining]:
    async with joining() as found:
        await found.open()
        yield found


@pytest.fixture
async def dana(page: Joining) -> AsyncIterator[Caller]:
    async with Caller(page) as caller:
        yield caller


# --- the document --------------------------------------------------------------------------------


async def test_twenty_visits_and_a_head_change_nothing_and_are_all_alike(page: Joining, dana: Caller) -> None:
    link = await page.link()
    before = await page.bridge.read(page.cid)
    paths = ["/join", f"/join/{token(link)}", "/join/nothing-of-the-kind", f"/join/c/{page.cid}", "/join/c/x"]
    for path in paths * 4:
        got = await dana.http.get(path)
        assert got.status_code == 200
        assert got.content == (await dana.http.get("/join")).content
        assert "set-cookie" not in got.headers
    for path in paths:
        head = await dana.http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert "set-cookie" not in head.headers
    assert "Norway" not in got.text
    assert await page.bridge.read(page.cid) == before
    assert await page.links.sessions(page.mark(link)) == []
    assert (await dana.join(link)).status_code == 200  # and the link still opens


async def test_the_document_locks_itself_in(page: Joining, dana: Caller) -> None:
    headers = (await dana.http.get("/join")).headers
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-robots-tag"] == "noindex"
    assert headers["x-content-type-options"] == "nosniff"
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": f"'self' {page.url.replace('http', 'ws')}",
        "img-src": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


async def test_everything_the_document_names_is_served_and_nothing_is_inline(dana: Caller) -> None:
    document = (await dana.http.get("/join")).text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', document)
    assert "/join/static/start.js" in addresses
    for address in addresses:
        assert (await dana.http.get(address)).status_code == 200, address
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\bsrc=)", document)


# --- preview -------------------------------------------------------------------------------------


async def test_a_preview_tells_what_the_page_needs_and_changes_nothing(page: Joining, dana: Caller) -> None:
    link = await page.link()
    before = await page.bridge.read(page.cid)
    found = await dana.call("preview", {"token": token(link)})
    assert found.status_code == 200
    told = found.json()
    assert {k: told[k] for k in ("cid", "site", "email", "name", "id")} == {
        "cid": page.cid, "site": "Acme", "email": "d...@acme.example", "name": "Sales desk",
        "id": "",
    }  # fmt: skip
    assert (told["state"]["controller"], told["state"]["visitor"]["name"]) == ("ai", "Maria")
    assert "desk@acme.example" not in found.text
    assert "Norway" not in found.text
    assert "set-cookie" not in found.headers
    assert found.headers["cache-control"] == "no-store"
    assert await page.bridge.read(page.cid) == before


async def test_every_token_that_opens_nothing_gets_the_same_404(page: Joining, dana: Caller) -> None:
    good = token(await page.link())
    altered = ("B" if good[0] != "B" else "C") + good[1:]
    wrong = [
        "",
        "x",
        "A" * 43,
        good[:-1],
        good + "A",
        altered,
        good.swapcase(),
        f" {good}",
        "\ufffd",
        "a" * 3000,
    ]
    answers = [await dana.call("preview", {"token": t}) for t in wrong]
    answers += [await dana.join(f"#{t}") for t in wrong]
    answers.append(await dana.call("resume", {"cid": page.cid}))
    answers.append(await dana.call("resume", {"cid": "another"}))
    answers.append(await dana.call("off", {"cid": page.cid}))
    answers.append(await dana.call("leave", {"cid": "../../etc"}))
    assert {a.status_code for a in answers} == {404}
    assert len({a.content for a in answers}) == 1
    assert len({tuple(sorted((k, v) for k, v in a.headers.items() if k != "date")) for a in answers}) == 1


async def test_expired_and_revoked_links_are_gone_and_say_which(page: Joining, dana: Caller) -> None:
    expired, revoked = await page.link(), await page.link()
    await page.links.revoke(page.mark(revoked))
    for name in ("preview", "join"):
        body = {"token": token(revoked)} | ({"name": "Dana"} if name == "join" else {})
        gone = await dana.call(name, body)
        assert (gone.status_code, gone.json()["error"]["code"]) == (410, "revoked")
    page.clock.ahead += timedelta(days=8)
    gone = await dana.call("preview", {"token": token(expired)})
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "expired")
    assert gone.json()["error"]["email"] == "d...@acme.example"


async def test_an_ended_conversation_can_be_read_but_not_joined(page: Joining, dana: Caller) -> None:
    link = await page.link()
    await page.propose(ev.Visitor(), ev.Closed())
    found = await dana.call("preview", {"token": token(link)})
    assert (found.status_code, found.json()["state"]["controller"]) == (200, "none")
    async with live(page, token=token(link)) as reader:
        await eventually(lambda: reader.texts() == ["Do you ship to Norway?"])
    refused = await dana.join(link)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "closed")


# --- join ----------------------------------------------------------------------------------------


async def test_join_sets_a_cookie_that_scripts_and_other_sites_never_see(page: Joining, dana: Caller) -> None:
    joined = await dana.join(await page.link())
    assert joined.json()["cid"] == page.cid
    assert (joined.json()["id"], joined.json()["name"]) == ("sales", "Dana")
    flags = {part.strip().lower() for part in joined.headers["set-cookie"].split(";")[1:]}
    assert joined.headers["set-cookie"].startswith(f"joinline-{page.cid}=")
    assert {"httponly", "samesite=strict", "path=/"} <= flags
    assert "secure" not in flags
    assert not any(flag.startswith("domain") for flag in flags)
    events = [e.event for e in await page.bridge.read(page.cid)]
    assert events[-1] == ev.Joined()


async def test_over_https_the_cookie_is_secure() -> None:
    async with joining(https=True) as page:
        await page.open()
        link = await page.link()
        async with httpx2.AsyncClient(trust_env=False) as http:
            joined = await http.post(
                page.url.replace("https", "http") + "/join/api/join",
                json={"token": token(link), "name": "Dana"},
                headers={"Origin": page.url},
            )
    assert joined.status_code == 200
    assert "Secure" in joined.headers["set-cookie"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Enter the name Maria will see."),
        ("  \t ", "Enter the name Maria will see."),
        ("\u200b\u202e\u2060", "Enter the name Maria will see."),
        ("x" * 41, "A name has 1 to 40 characters on one line."),
        ("AI assistant", "“AI assistant” would mislead. Choose another name."),
        ("sam", "sam is here already. Choose another name."),
    ],
)
async def test_a_name_that_will_not_do_is_refused(
    page: Joining, dana: Caller, name: str, message: str
) -> None:
    await page.propose(staff("Sam"), ev.Joined())
    before = await page.bridge.read(page.cid)
    refused = await dana.join(await page.link(), name)
    assert refused.status_code == 422
    assert refused.json()["error"]["message"] == message
    assert "set-cookie" not in refused.headers
    assert await page.bridge.read(page.cid) == before


async def test_without_a_name_the_visitor_is_the_visitor() -> None:
    async with joining() as page, Caller(page) as dana:
        await page.open(named=False)
        refused = await dana.join(await page.link(), "")
    assert refused.json()["error"]["message"] == "Enter the name the visitor will see."


async def test_a_name_is_a_person_and_another_name_is_another_person(page: Joining) -> None:
    link = await page.link()
    ids = []
    for name in ("Dana", "Ann", "dana ", "Bo"):
        async with Caller(page) as browser:
            ids.append((await browser.join(link, name)).json()["id"])
    assert ids == ["sales", "sales~2", "sales", "sales~3"]
    joins = [e for e in await page.bridge.read(page.cid) if e.event == ev.Joined()]
    assert len(joins) == 3


async def test_two_who_join_in_the_same_moment_are_two_people(page: Joining) -> None:
    link = await page.link()

    async def joins(name: str) -> str:
        async with Caller(page) as browser:
            return str((await browser.join(link, name)).json()["id"])

    assert sorted(await asyncio.gather(joins("Dana"), joins("Ann"))) == ["sales", "sales~2"]


async def test_at_most_three_sessions_live_and_the_oldest_gives_way(page: Joining, dana: Caller) -> None:
    link = await page.link()
    await dana.join(link)
    async with live(page, cookie=dana.cookie) as oldest:
        await eventually(lambda: oldest.connects)
        for _ in range(MAX_SESSIONS):
            async with Caller(page) as browser:
                page.clock.ahead += timedelta(seconds=1)
                assert (await browser.join(link)).status_code == 200
        await eventually(lambda: oldest.close_code == 4401, within=2)
    assert len(await page.links.sessions(page.mark(link))) == MAX_SESSIONS
    assert (await dana.call("resume", {"cid": page.cid})).status_code == 404


# --- who may call --------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["", "null", "https://evil.example", "http://127.0.0.1", "HTTP"])
async def test_calls_from_another_origin_are_refused(page: Joining, dana: Caller, origin: str) -> None:
    link = await page.link()
    if origin == "HTTP":
        origin = f"{page.url}.evil.example"
    for name in ("preview", "join", "renew", "resume", "link", "sessions", "sessions/end", "off", "leave"):
        refused = await dana.call(name, {"token": token(link), "name": "Dana"}, Origin=origin)
        assert refused.status_code == 403
        assert "set-cookie" not in refused.headers
    assert await page.links.sessions(page.mark(link)) == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b'{"token":1}', b'{"token":null}', b'{"token":"a","more":1}', b'{"token":"a"',
        b"[" * 4000, b'{"token":"\xff"}', b'"token"',
    ],
)  # fmt: skip
async def test_a_body_of_another_shape_is_refused(dana: Caller, body: bytes) -> None:
    assert (await dana.call("preview", body)).status_code == 400


async def test_a_body_is_small_json(page: Joining, dana: Caller) -> None:
    link = await page.link()
    assert (await dana.call("preview", {"token": "a" * 5000})).status_code == 413
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answered = await dana.call("preview", {"token": token(link)}, Content_Type=kind)
        assert answered.status_code == 415
    assert (await dana.http.get("/join/api/preview")).status_code == 405


async def test_a_cookie_opens_its_own_conversation_only(page: Joining, dana: Caller) -> None:
    await dana.join(await page.link())
    secret = dana.http.cookies[f"joinline-{page.cid}"]
    async with Caller(page) as thief:
        thief.http.cookies.set("joinline-another", secret)
        assert (await thief.call("resume", {"cid": "another"})).status_code == 404
        assert (await thief.call("resume", {"cid": page.cid})).status_code == 404
    async with live(page, cookie=f"joinline-another={secret}", cid="another") as stranger:
        await eventually(lambda: stranger.close_code == 4401)


async def test_the_live_channel_wants_a_good_link_or_session(page: Joining) -> None:
    revoked, expired = await page.link(), await page.link()
    await page.links.revoke(page.mark(revoked))
    expectations = {
        4404: [{"token": "nothing"}, {"cid": page.cid}, {"cid": "x"}, {}],
        4410: [{"token": token(revoked)}, {"token": token(expired)}],
    }
    page.clock.ahead += timedelta(days=8)
    for code, hellos in expectations.items():
        for hello in hellos:
            async with live(page, **(hello or {"cid": ""})) as guest:
                await eventually(lambda g=guest: g.close_code)
                assert guest.close_code == code, hello


async def test_a_preview_reads_and_nobody_knows(page: Joining) -> None:
    link = await page.link()
    async with live(page, token=token(link)) as reader:
        await eventually(lambda: reader.texts() == ["Do you ship to Norway?"])
        assert (await reader.propose({"type": "Noted", "text": "hello"}))["code"] == "not_allowed"
        assert (await reader.command("/take"))["code"] == "not_allowed"
        assert page.bridge.pulse.here(page.cid) == []


async def test_every_module_is_fetched_at_once_and_not_one_after_another(dana: Caller) -> None:
    document = (await dana.http.get("/join")).text
    modules = {f.name for f in (Path(webjoin.__file__).parent / "static").glob("*.js")}
    assert set(re.findall(r'"/join/static/([a-z]+\.js)"', document)) == modules
