"""Sessions of the join page: signing out, turning links off, copies, and new links for expired ones."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bridge import events as ev
from bridge import live as live_sessions
from bridge.errors import StoreError
from bridge.events import StaffId
from bridge.links import Session
from tests.callers import Caller, live, token
from tests.eventually import eventually
from tests.joining import Joining, joining, staff


@pytest.fixture
async def page() -> AsyncIterator[Joining]:
    async with joining() as found:
        await found.open()
        yield found


@pytest.fixture
async def dana(page: Joining) -> AsyncIterator[Caller]:
    async with Caller(page) as caller:
        yield caller


# --- ending --------------------------------------------------------------------------------------


async def test_turning_the_link_off_closes_everybody_within_two_seconds(page: Joining, dana: Caller) -> None:
    link = await page.link()
    await dana.join(link)
    async with Caller(page) as other:
        await other.join(link, "Ann")
        async with (
            live(page, cookie=dana.cookie) as first,
            live(page, cookie=other.cookie) as second,
            live(page, token=token(link)) as reader,
        ):
            await eventually(lambda: first.connects and second.connects and reader.connects)
            off = await dana.call("off", {"cid": page.cid})
            assert off.status_code == 200
            assert "max-age=0" in off.headers["set-cookie"].lower()
            await eventually(lambda: (first.close_code, second.close_code) == (4401, 4401), within=2)
            await eventually(lambda: reader.close_code == 4410, within=2)
        assert (await other.call("resume", {"cid": page.cid})).status_code == 404
    assert (await dana.call("preview", {"token": token(link)})).status_code == 410


@pytest.mark.parametrize("way", ["off", "ended"])
async def test_a_session_ends_though_word_of_it_is_lost(
    page: Joining, dana: Caller, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Another server turned the link off, or ended the session, and could not say so to this one."""
    monkeypatch.setattr(live_sessions, "REVIEW", 0.05)
    link = await page.link()
    await dana.join(link)
    async with live(page, cookie=dana.cookie) as socket, live(page, token=token(link)) as reader:
        await eventually(lambda: socket.connects and reader.connects)
        [(digest, _)] = await page.links.sessions(page.mark(link))
        monkeypatch.setattr(page.links, "session", failing := Failing())
        await eventually(lambda: failing.asked > 1)
        assert socket.close_code is None, "a store in trouble ends nothing"
        monkeypatch.undo()
        monkeypatch.setattr(live_sessions, "REVIEW", 0.05)
        await (page.links.revoke(page.mark(link)) if way == "off" else page.links.end(digest))
        await eventually(lambda: socket.close_code == 4401)
        if way == "off":
            await eventually(lambda: reader.close_code == 4410)
        else:
            assert reader.close_code is None


class Failing:
    """A store that does not answer, asked for a session."""

    asked = 0

    async def __call__(self, _token: str) -> Session:
        self.asked += 1
        raise StoreError("no answer")


async def test_turning_one_link_off_leaves_the_others(page: Joining, dana: Caller) -> None:
    await dana.join(await page.link())
    async with Caller(page) as sam:
        await sam.join(await page.link("support"), "Sam")
        async with live(page, cookie=sam.cookie) as socket:
            await eventually(lambda: socket.connects)
            await dana.call("off", {"cid": page.cid})
            assert (await socket.propose({"type": "Noted", "text": "still here"}))["t"] == "ack"


async def test_sessions_are_listed_and_each_can_be_ended(page: Joining, dana: Caller) -> None:
    link = await page.link()
    await dana.join(link)
    page.clock.ahead += timedelta(seconds=1)
    async with Caller(page) as phone:
        await phone.join(link, "Ann")
        listed = (await dana.call("sessions", {"cid": page.cid})).json()["sessions"]
        assert [(s["name"], s["current"]) for s in listed] == [("Dana", True), ("Ann", False)]
        async with live(page, cookie=phone.cookie) as socket:
            await eventually(lambda: socket.connects)
            left = await dana.call("sessions/end", {"cid": page.cid, "id": listed[1]["id"]})
            assert [s["name"] for s in left.json()["sessions"]] == ["Dana"]
            await eventually(lambda: socket.close_code == 4401, within=2)


async def test_a_session_of_another_link_cannot_be_ended(page: Joining, dana: Caller) -> None:
    await dana.join(await page.link())
    other = await page.link("support")
    async with Caller(page) as sam:
        await sam.join(other, "Sam")
        [(digest, _)] = await page.links.sessions(page.mark(other))
        await dana.call("sessions/end", {"cid": page.cid, "id": digest})
        assert (await sam.call("resume", {"cid": page.cid})).status_code == 200


async def test_who_leaves_hands_back_first(page: Joining, dana: Caller) -> None:
    await dana.join(await page.link())
    await page.take_over(staff("Dana", "sales"))
    left = await dana.call("leave", {"cid": page.cid})
    assert left.status_code == 200
    assert [e.event for e in await page.bridge.read(page.cid)][-2:] == [ev.HandedBack(), ev.Left()]
    assert (await dana.call("resume", {"cid": page.cid})).status_code == 404


async def test_who_leaves_one_device_stays_on_the_other(page: Joining, dana: Caller) -> None:
    link = await page.link()
    await dana.join(link)
    async with Caller(page) as phone:
        await phone.join(link)
        await dana.call("leave", {"cid": page.cid})
        assert (await page.bridge.state(page.cid)).people[StaffId("sales")].joined
        assert (await phone.call("resume", {"cid": page.cid})).status_code == 200


# --- copies and renewal --------------------------------------------------------------------------


async def test_a_copied_link_is_the_same_link(page: Joining, dana: Caller) -> None:
    link = await page.link()
    await dana.join(link)
    copy = (await dana.call("link", {"cid": page.cid})).json()["url"]
    assert copy.startswith(f"{page.url}/join#")
    assert copy != link
    async with Caller(page) as phone:
        assert (await phone.join(copy)).json()["id"] == "sales"
        assert len(await page.links.sessions(page.mark(link))) == 2
        await phone.call("off", {"cid": page.cid})
    for url in (link, copy):
        assert (await dana.call("preview", {"token": token(url)})).status_code == 410


async def test_a_copy_expires_with_its_link(page: Joining, dana: Caller) -> None:
    await dana.join(await page.link())
    page.clock.ahead += timedelta(days=6)
    copy = (await dana.call("link", {"cid": page.cid})).json()["url"]
    page.clock.ahead += timedelta(days=2)
    assert (await dana.call("preview", {"token": token(copy)})).status_code == 410


async def test_renewal_answers_alike_and_mails_only_for_an_expired_link(page: Joining, dana: Caller) -> None:
    expired, revoked = await page.link(), await page.link()
    await page.links.revoke(page.mark(revoked))
    page.clock.ahead += timedelta(days=8)
    good = await page.link()
    tokens = [token(expired), token(revoked), token(good), "nothing"]
    answers = [await dana.call("renew", {"token": t}) for t in tokens]
    assert {(a.status_code, a.content) for a in answers} == {(202, b"{}")}
    await eventually(lambda: len(page.renewed) == 1)
    assert page.renewed[0].email == "desk@acme.example"


async def test_renewal_cannot_be_made_to_flood_an_inbox(page: Joining, dana: Caller) -> None:
    expired = await page.link()
    page.clock.ahead += timedelta(days=8)
    for _ in range(10):
        assert (await dana.call("renew", {"token": token(expired)})).status_code == 202
    await eventually(lambda: len(page.renewed) == 2)


async def test_nobody_can_try_tokens_without_end(dana: Caller) -> None:
    answers = await asyncio.gather(*(dana.call("preview", {"token": "x"}) for _ in range(200)))
    assert {a.status_code for a in answers} == {404, 429}
    assert sum(a.status_code == 404 for a in answers) < 180
