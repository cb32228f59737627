"""Two `joinline serve` on one Redis: sessions, links and limits are one, and a log that went back is begun anew."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
import json
from pathlib import Path
import secrets
from typing import Any

import httpx2
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from bridge.events import ConversationId, StaffId
from bridge.links import MAX_SESSIONS, Links, fingerprint
from bridge.store import open_store
from connectors.website.visitors import cid_of
from tests.chatter import Chatter
from tests.eventually import PATIENCE, eventually
from tests.redises import DURABLE, RedisServer
from tests.running import Server, running

SITE, PAGE = "https://www.acme.example", "https://chat.acme.example"
MESSAGES, OPENED, TABS = 12, 20, 3

Frame = dict[str, Any]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer(*DURABLE) as server:
        yield server


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[tuple[Server, Server]]:
    config: Frame = {
        "base_url": PAGE, "store": redis.url,
        "sites": {"acme": {"name": "Acme", "origins": [SITE], "staff": [["sales"]]}},
        "staff": {"sales": {"name": "Sales", "email": "sales@acme.example"}},
        "limits": {
            "messages_per_minute": MESSAGES, "opened_per_ip_per_hour": OPENED, "sockets_per_visitor": TABS,
            "sockets_per_ip": 200,
        },
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("serve")
    with running(folder / "one", config) as one, running(folder / "two", config) as two:
        yield one, two


def visitor(server: Server, token: str | None = None) -> Chatter:
    return Chatter(f"{server.url}/live/visitor", origin=SITE, token=token)


def cookie(cid: str, token: str) -> str:
    return f"__Host-joinline-{cid}={token}"


async def post(
    server: Server, path: str, body: Any, *, origin: str = SITE, cookies: str = ""
) -> httpx2.Response:
    headers = {"Origin": origin} | ({"Cookie": cookies} if cookies else {})
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False, timeout=3 * PATIENCE) as http:
        return await http.post(path, json=body, headers=headers)


async def open_one(server: Server, token: str) -> Frame:
    """Open a conversation; the answer."""
    events = [{"type": "Opened", "site": "acme"}, {"type": "Said", "text": "hi"}]
    frame = {"t": "propose", "key": "one", "events": events}
    sent = {"hello": {"t": "hello", "site": "acme", "token": token}, "frame": frame}
    (answer,) = (await post(server, "/live/visitor/send", sent)).json()
    return dict(answer)


async def test_entries_typing_and_presence_cross(pair: tuple[Server, Server]) -> None:
    one, two = pair
    async with visitor(one) as here:
        assert (await here.say("hello"))["t"] == "ack"
        async with visitor(two, here.token) as there:
            await eventually(lambda: there.texts() == ["hello"])
            assert (await there.say("and more"))["t"] == "ack"
            await eventually(lambda: here.texts() == ["hello", "and more"])
            assert here.log == there.log


async def test_messages_are_limited_over_both(pair: tuple[Server, Server]) -> None:
    one, two = pair
    async with visitor(one) as here:
        for n in range(MESSAGES):
            assert (await here.say(f"{n}"))["t"] == "ack"
        async with visitor(two, here.token) as there:
            answers = [await there.say(f"again {n}") for n in range(4)]
    refused = [answer for answer in answers if answer["t"] == "refused"]
    assert len(refused) >= 3, "one may slip in before the other has heard"
    assert {answer["code"] for answer in refused} == {"too_fast"}


async def test_tabs_are_limited_over_both(pair: tuple[Server, Server]) -> None:
    one, two = pair
    token = secrets.token_urlsafe(32)
    await open_one(one, token)
    async with AsyncExitStack() as tabs:
        for server in (one, two, one):
            tab = visitor(server, token)
            await tabs.enter_async_context(tab)
            await eventually(lambda tab=tab: tab.connects)
        for server in (one, two):
            async with connect(
                f"{server.url}/live/visitor".replace("http", "ws"), origin=SITE, proxy=None
            ) as more:
                await more.send(json.dumps({"t": "hello", "site": "acme", "token": token}))
                assert await closed_with(more) == 4429
    async with visitor(two, token) as again:
        await eventually(lambda: again.connects, what="given back at once, by whichever process")


async def test_openings_are_limited_over_both(pair: tuple[Server, Server], redis: RedisServer) -> None:
    answers = [await open_one(pair[n % 2], secrets.token_urlsafe(32)) for n in range(OPENED + 4)]
    assert answers[-1]["code"] == "too_fast"
    assert sum(answer["t"] == "ack" for answer in answers) <= OPENED + 1


# --- Links and their sessions --------------------------------------------------------------------


async def mint(redis: RedisServer, cid: ConversationId) -> str:
    """A new link's token."""
    store = await open_store(redis.url)
    links = Links(store=store, base_url=PAGE, clock=lambda: datetime.now(UTC), lives=timedelta(days=1))
    url = await links.mint(cid, StaffId("sales"), name="Sales", email="sales@acme.example")
    await store.close()
    return url.partition("#")[2]


async def join(server: Server, token: str, name: str) -> str:
    """Press Join; the cookie."""
    answer = await post(server, "/join/api/join", {"token": token, "name": name}, origin=PAGE)
    assert answer.status_code == 200, answer.text
    return answer.headers["set-cookie"].partition(";")[0]


@asynccontextmanager
async def staff(server: Server, cid: str, cookies: str) -> AsyncIterator[Chatter]:
    chatter = Chatter(f"{server.url}/live/staff", origin=PAGE, hello={"cid": cid}, cookie=cookies)
    chatter.stay = False
    async with chatter:
        await eventually(lambda: chatter.connects)
        yield chatter


async def conversation(redis: RedisServer) -> ConversationId:
    from bridge import events as ev
    from bridge.core import Bridge
    from bridge.events import Proposal

    store = await open_store(redis.url)
    cid = cid_of("acme", secrets.token_urlsafe(32))
    events = (ev.Opened(site="acme"), ev.Said(text="hi"))
    await Bridge(store=store).submit(cid, Proposal(events=events, by=ev.Visitor(), via="widget", key="one"))
    await store.close()
    return cid


async def test_a_fourth_session_ends_the_first_wherever_it_is(
    pair: tuple[Server, Server], redis: RedisServer
) -> None:
    one, two = pair
    cid = await conversation(redis)
    token = await mint(redis, cid)
    async with AsyncExitStack() as stack:
        live = []
        for n in range(MAX_SESSIONS):
            cookies = await join(pair[n % 2], token, f"Dana {n}")
            live.append(await stack.enter_async_context(staff(pair[n % 2], cid, cookies)))
        last = await join(two, token, "Dana")
        await eventually(
            lambda: live[0].close_code == 4401, what="the session on the other process has ended"
        )
        assert [chatter.close_code for chatter in live[1:]] == [None, None]
        listed = await post(one, "/join/api/sessions", {"cid": cid}, origin=PAGE, cookies=last)
        assert len(listed.json()["sessions"]) == MAX_SESSIONS


async def test_three_sessions_live_though_all_begin_at_once(
    pair: tuple[Server, Server], redis: RedisServer
) -> None:
    cid = await conversation(redis)
    token = await mint(redis, cid)
    cookies = await asyncio.gather(*(join(pair[n % 2], token, "Dana") for n in range(8)))
    alive = []
    for n, mine in enumerate(cookies):
        answer = await post(pair[n % 2], "/join/api/sessions", {"cid": cid}, origin=PAGE, cookies=mine)
        if answer.status_code == 200:
            alive.append(len(answer.json()["sessions"]))
    assert alive == [MAX_SESSIONS] * MAX_SESSIONS


async def test_a_link_that_is_turned_off_is_off_everywhere(
    pair: tuple[Server, Server], redis: RedisServer
) -> None:
    one, two = pair
    cid = await conversation(redis)
    token = await mint(redis, cid)
    mine, other = await join(one, token, "Dana"), await join(two, token, "Dana")
    preview = Chatter(f"{one.url}/live/staff", origin=PAGE, hello={"token": token})
    preview.stay = False
    async with staff(one, cid, mine) as here, preview:
        await eventually(lambda: preview.connects)
        assert (await post(two, "/join/api/off", {"cid": cid}, origin=PAGE, cookies=other)).status_code == 200
        await eventually(lambda: (here.close_code, preview.close_code) == (4401, 4410))
    joined = await post(one, "/join/api/join", {"token": token, "name": "Dana"}, origin=PAGE)
    assert joined.status_code == 410
    store = await open_store(redis.url)
    assert await store.scan("session-of", fingerprint(token)) == []
    await store.close()


# --- A store that went back in time --------------------------------------------------------------


async def closed_with(socket: ClientConnection) -> int:
    """The code that the server closes with, whatever it says before."""
    with suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(2 * PATIENCE):
            async for _ in socket:
                pass
    assert socket.close_code is not None
    return socket.close_code


async def ended_socket(server: Server, hello: Frame, wipe: Any) -> int:
    url = f"{server.url}/live/visitor".replace("http", "ws")
    async with connect(url, origin=SITE, proxy=None) as socket:
        await socket.send(json.dumps(hello))
        assert json.loads(await socket.recv())["t"] == "welcome"
        await wipe()
        return await closed_with(socket)


async def ended_stream(server: Server, hello: Frame, wipe: Any) -> int:
    async with (
        httpx2.AsyncClient(headers={"Origin": SITE}, trust_env=False, timeout=3 * PATIENCE) as http,
        http.stream("POST", f"{server.url}/live/visitor/stream", json=hello) as answer,
    ):
        async for line in answer.aiter_lines():
            frame = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
            match frame.get("t"):
                case "welcome":
                    await wipe()
                case "bye":
                    return int(frame["code"])
    raise AssertionError("it ended without a word")


async def ended_poll(server: Server, hello: Frame, wipe: Any) -> int:
    poll = asyncio.create_task(post(server, "/live/visitor/poll", hello))
    await asyncio.sleep(PATIENCE / 20)  # until it waits: nothing tells
    await wipe()
    answer = await poll
    assert answer.status_code == 503
    return int(answer.json()["error"]["code"])


@pytest.mark.parametrize("ended", [ended_socket, ended_stream, ended_poll])
async def test_a_client_whose_log_went_back_is_sent_away_and_told_to_reset(
    tmp_path: Path, redis_server: RedisServer, ended: Any
) -> None:
    config: Frame = {
        "base_url": PAGE, "store": redis_server.url, "sites": {"acme": {"name": "Acme", "origins": [SITE]}}
    }  # fmt: skip
    redis_server.ask("FLUSHALL")

    async def wipe() -> None:
        await asyncio.to_thread(redis_server.ask, "FLUSHALL")

    with running(tmp_path, config) as server:
        async with visitor(server) as before:
            await before.say("hello")
            await before.say("and more")
            await eventually(lambda: before.last == 4, what="nobody answers but people, and they are called")
        hello: Frame = {"t": "hello", "site": "acme", "token": before.token, "after": 4, "log": before.log}
        assert await ended(server, hello, wipe) == 1012

        url = f"{server.url}/live/visitor".replace("http", "ws")
        async with connect(url, origin=SITE, proxy=None) as socket:
            await socket.send(json.dumps(hello))
            reset = json.loads(await socket.recv())
            assert reset["t"] == "reset"
            assert reset["log"] != before.log
            assert await closed_with(socket) == 1012
        (polled,) = (await post(server, "/live/visitor/poll", hello)).json()
        assert polled == reset
        async with (
            httpx2.AsyncClient(headers={"Origin": SITE}, trust_env=False, timeout=PATIENCE) as http,
            http.stream("POST", f"{server.url}/live/visitor/stream", json=hello) as answer,
        ):
            lines = [line async for line in answer.aiter_lines() if line]
        assert [json.loads(line.removeprefix("data: ")) for line in lines] == [reset]

        async with visitor(server) as anew:
            assert (await anew.say("hello again"))["t"] == "ack"
            assert anew.log == reset["log"]
