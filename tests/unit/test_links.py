"""Join links: personal, revocable, three sessions at most, and nothing in the store that opens one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
import re

import pytest

from bridge.events import ConversationId, Staff, StaffId
from bridge.links import MAX_SESSIONS, SESSION_LIVES, Link, Links, fingerprint
from bridge.store import Record
from bridge.store.memory import MemoryStore
from tests.logs import ANN, START

CID, SALES = ConversationId("c1"), StaffId("sales")
SPACES = ("link", "link-copy", "session", "session-of")


class House:
    """A store, a clock and the links over them."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.now: datetime = START
        self.links = Links(
            store=self.store,
            base_url="https://chat.example.com/",
            clock=lambda: self.now,
            lives=timedelta(days=30),
        )

    async def mint(self, recipient: StaffId = SALES) -> str:
        url = await self.links.mint(CID, recipient, name="Sales desk", email="sales@acme.example")
        return url.partition("#")[2]

    async def found(self, token: str) -> tuple[str, Link]:
        found = await self.links.find(token)
        assert found is not None
        return found

    async def begin(self, token: str, staff: Staff = ANN) -> str:
        mark, link = await self.found(token)
        self.now += timedelta(seconds=1)
        return (await self.links.begin(mark, link, staff)).token

    async def everything(self) -> str:
        records = [r for space in SPACES for r in await self.store.scan(space)]
        return repr([(r.key, r.value) for r in records])


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.store.close()


async def test_the_token_is_in_the_fragment_and_long_enough(house: House):
    url = await house.links.mint(CID, SALES, name="Sales", email="s@acme.example")
    assert re.fullmatch(r"https://chat\.example\.com/join#[A-Za-z0-9_-]{43}", url)
    assert url != await house.links.mint(CID, SALES, name="Sales", email="s@acme.example")


async def test_a_link_opens_its_one_conversation_for_its_one_recipient(house: House):
    _, link = await house.found(await house.mint())
    assert (link.cid, link.recipient, link.name, link.email) == (
        CID,
        SALES,
        "Sales desk",
        "sales@acme.example",
    )


async def test_a_link_is_known_to_have_expired_for_long_but_not_for_ever(house: House):
    """Who opens an old mail reads what became of its link; the store does not grow without end."""
    token, turned_off = await house.mint(), await house.mint()
    mark, link = await house.found(token)
    await house.links.copy(mark, link)
    await house.links.revoke((await house.found(turned_off))[0])
    await house.begin(token)
    house.now += timedelta(days=100)
    await house.store.purge(house.now)
    assert house.links.judge((await house.found(token))[1]) == "expired"
    assert house.links.judge((await house.found(turned_off))[1]) == "revoked"
    house.now += timedelta(days=111)
    await house.store.purge(house.now)
    assert [await house.store.scan(space) for space in SPACES] == [[]] * len(SPACES)


async def test_a_link_is_usable_again(house: House):
    token = await house.mint()
    assert await house.found(token) == await house.found(token)
    await house.begin(token)
    assert house.links.judge((await house.found(token))[1]) == "good"


async def test_what_never_was_a_link_opens_nothing(house: House):
    token = await house.mint()
    for wrong in ("", token[:-1], token + "A", token.swapcase(), fingerprint(token), "\ud800", "x" * 100_000):
        assert await house.links.find(wrong) is None


async def test_the_store_holds_digests_and_no_token(house: House):
    token = await house.mint()
    session = await house.begin(token)
    mark, link = await house.found(token)
    copied = (await house.links.copy(mark, link)).partition("#")[2]
    stored = await house.everything()
    for secret in (token, session, copied):
        assert secret not in stored
        assert fingerprint(secret) in stored


async def test_a_link_expires_at_its_moment(house: House):
    token = await house.mint()
    house.now += timedelta(days=30) - timedelta(seconds=1)
    assert house.links.judge((await house.found(token))[1]) == "good"
    house.now += timedelta(seconds=1)
    assert house.links.judge((await house.found(token))[1]) == "expired"


async def test_a_revoked_link_is_known_as_such_and_its_sessions_are_over(house: House):
    token, others = await house.mint(), await house.mint(StaffId("support"))
    sessions = [await house.begin(token) for _ in range(2)]
    other = await house.begin(others)
    await house.links.revoke(fingerprint(token))
    mark, link = await house.found(token)
    assert house.links.judge(link) == "revoked"
    assert [await house.links.session(s) for s in sessions] == [None, None]
    assert await house.links.sessions(mark) == []
    assert await house.links.session(other) is not None


async def test_a_session_that_begins_while_its_link_is_revoked_is_none(house: House):
    token = await house.mint()
    mark, link = await house.found(token)
    await house.links.revoke(mark)
    begun = await house.links.begin(mark, link, ANN)
    assert await house.links.session(begun.token) is None
    assert await house.links.sessions(mark) == []


async def test_revoking_what_is_no_link_does_nothing(house: House):
    token = await house.mint()
    await house.links.revoke(fingerprint("nothing"))
    await house.links.revoke("")
    assert house.links.judge((await house.found(token))[1]) == "good"


async def test_a_session_knows_whose_it_is(house: House):
    token = await house.mint()
    session = await house.links.session(await house.begin(token))
    assert session is not None
    assert (session.cid, session.link, session.staff) == (CID, fingerprint(token), ANN)
    assert await house.links.session(token) is None  # a link's token is no session's


async def test_three_sessions_live_and_the_oldest_gives_way(house: House):
    token = await house.mint()
    tokens = [await house.begin(token) for _ in range(MAX_SESSIONS)]
    mark, link = await house.found(token)
    house.now += timedelta(seconds=1)
    begun = await house.links.begin(mark, link, ANN)
    assert begun.ended == (fingerprint(tokens[0]),)
    alive = [await house.links.session(t) is not None for t in (*tokens, begun.token)]
    assert alive == [False, True, True, True]
    assert {d for d, _ in await house.links.sessions(mark)} == {
        fingerprint(t) for t in (*tokens[1:], begun.token)
    }


async def test_three_sessions_live_when_all_begin_at_once(house: House):
    token = await house.mint()
    mark, link = await house.found(token)
    begun = await asyncio.gather(*(house.links.begin(mark, link, ANN) for _ in range(8)))
    alive = [b for b in begun if await house.links.session(b.token) is not None]
    assert len(alive) == len(await house.links.sessions(mark)) == MAX_SESSIONS
    assert len({digest for b in begun for digest in b.ended}) == 5


async def test_three_sessions_live_when_all_begin_at_once_in_many_processes(house: House):
    """Each of them stops between any two steps."""
    token = await house.mint()
    mark, link = await house.found(token)
    scan = house.store.scan

    async def slow(space: str, prefix: str = "") -> list[Record]:
        await asyncio.sleep(0)
        found = await scan(space, prefix)
        await asyncio.sleep(0)
        return found

    house.store.scan = slow  # type: ignore[method-assign]
    begun = await asyncio.gather(*(house.links.begin(mark, link, ANN) for _ in range(8)))
    alive = [b for b in begun if await house.links.session(b.token) is not None]
    assert len(alive) == len(await house.links.sessions(mark)) == MAX_SESSIONS
    assert len({digest for b in begun for digest in b.ended}) == 5


async def test_who_begins_last_stays_though_the_clock_was_put_back(house: House):
    token = await house.mint()
    tokens = [await house.begin(token) for _ in range(MAX_SESSIONS)]
    house.now -= timedelta(hours=1)
    tokens.append(await house.begin(token))
    tokens.append(await house.begin(token))
    alive = [await house.links.session(t) is not None for t in tokens]
    assert alive == [False, False, True, True, True]


async def test_a_session_expires(house: House):
    token = await house.mint()
    session = await house.begin(token)
    house.now += SESSION_LIVES
    assert await house.links.session(session) is None
    assert await house.links.sessions(fingerprint(token)) == []
    await house.store.purge(house.now)
    assert fingerprint(session) not in await house.everything()


async def test_an_ended_session_is_gone_and_ends_no_other(house: House):
    token = await house.mint()
    first, second = await house.begin(token), await house.begin(token)
    await house.links.end(fingerprint(first))
    await house.links.end(fingerprint(first))
    await house.links.end("nothing")
    assert await house.links.session(first) is None
    assert await house.links.session(second) is not None
    assert fingerprint(first) not in await house.everything()


async def test_a_copy_of_a_link_lives_and_dies_with_it(house: House):
    token = await house.mint()
    mark, link = await house.found(token)
    copied = (await house.links.copy(mark, link)).partition("#")[2]
    assert await house.found(copied) == (mark, link)
    session = await house.begin(copied)
    await house.links.revoke(mark)
    assert house.links.judge((await house.found(copied))[1]) == "revoked"
    assert await house.links.session(session) is None
