"""Two servers on one Redis: a visitor on one, staff on the other, and neither can tell."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
import re
import time

import httpx2
import pytest

from bridge.core import now
from bridge.events import ConversationId, StaffId
from bridge.links import Links
from bridge.store import open_store
from connectors.website.visitors import cid_of
from tests.chatter import Chatter, Frame
from tests.eventually import PATIENCE, eventually
from tests.fakes.model import HALT, FakeModel, says
from tests.harness.fleet import Fleet, Member

pytestmark = pytest.mark.timed

ORIGIN = "https://www.acme.example"
TIMES = 1_000
AT_ONCE = 20  # conversations in which it happens side by side


class Desk:
    """Two servers, the model behind them, and links as the mails carry them."""

    def __init__(self, fleet: Fleet, model: FakeModel) -> None:
        self.fleet = fleet
        self.model = model
        self.a, self.b = fleet.members[0], fleet.members[1]

    def visitor(self, server: Member) -> Chatter:
        return Chatter(f"{server.door}/live/visitor", origin=ORIGIN)

    async def link(self, cid: str, recipient: str) -> str:
        """The token of a personal link."""
        store = await open_store(self.fleet.store)
        try:
            links = Links(store=store, base_url=self.fleet.base_url, clock=now, lives=timedelta(days=1))
            url = await links.mint(
                ConversationId(cid), StaffId(recipient), name=recipient, email="x@y.example"
            )
        finally:
            await store.close()
        return url.partition("#")[2]

    async def joins(self, server: Member, cid: str, name: str, *, token: str = "") -> Chatter:
        token = token or await self.link(cid, name.lower())
        async with self.calls(server) as http:
            answer = await http.post("/join/api/join", json={"token": token, "name": name})
            assert answer.status_code == 200, answer.text
            cookie = f"joinline-{cid}={http.cookies[f'joinline-{cid}']}"
        url = f"{server.door}/live/staff"
        return Chatter(url, origin=self.fleet.base_url, hello={"cid": cid}, cookie=cookie)

    def calls(self, server: Member) -> httpx2.AsyncClient:
        headers = {"Origin": self.fleet.base_url}
        return httpx2.AsyncClient(
            base_url=server.door, trust_env=False, timeout=3 * PATIENCE, headers=headers
        )


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(FakeModel().serving())
        config = {
            "sites": {"acme": {"name": "Acme", "origins": [ORIGIN], "staff": ["ann", "sam"]}},
            "staff": {name: {"name": name.title(), "email": f"{name}@acme.example"} for name in ("ann", "sam")},
            "assistant": {"kind": "openai", "base_url": model.base_url, "model": "test"},
            "limits": {
                "messages_per_minute": 100_000, "opened_per_ip_per_hour": 100_000, "sockets_per_ip": 1_000,
            },
        }  # fmt: skip
        fleet = await stack.enter_async_context(Fleet(tmp_path, config, servers=2, redis=True, lives=2.5))
        yield Desk(fleet, model)
        for member in fleet.members:
            assert "Traceback" not in member.server.log, member.server.log


def cid(visitor: Chatter) -> str:
    return cid_of("acme", visitor.token)


def pulse(chatter: Chatter, kind: str) -> list[Frame]:
    return [frame for frame in chatter.pulses if frame["t"] == kind]


# --- One winner ----------------------------------------------------------------------------------


async def test_two_take_over_at_the_same_moment_a_thousand_times(desk: Desk) -> None:
    """Ann on one server, Sam on the other, from the same view: one wins, the other is told who."""
    desk.model.play(says("We do."))
    wins = {"Ann": 0, "Sam": 0}
    began = time.monotonic()

    async def one_conversation() -> None:
        async with AsyncExitStack() as stack:
            visitor = await stack.enter_async_context(desk.visitor(desk.a))
            await visitor.say("Do you ship?")
            await eventually(lambda: len(visitor.texts()) == 2)
            ann = await stack.enter_async_context(await desk.joins(desk.a, cid(visitor), "Ann"))
            sam = await stack.enter_async_context(await desk.joins(desk.b, cid(visitor), "Sam"))
            by_name = {"Ann": ann, "Sam": sam}
            for _ in range(TIMES // AT_ONCE):
                await eventually(lambda: ann.state and ann.state["since"] == sam.state.get("since"))
                floor = ann.state["since"]
                answers = await asyncio.gather(ann.command("take"), sam.command("take"))
                outcome = dict(zip(("Ann", "Sam"), answers, strict=True))
                won = [name for name, answer in outcome.items() if answer["t"] == "ack"]
                assert len(won) == 1, (floor, outcome)
                loser = outcome["Sam" if won == ["Ann"] else "Ann"]
                assert (loser["code"], loser["holder"]) == ("floor_moved", won[0])
                wins[won[0]] += 1
                seq = outcome[won[0]]["seq"]
                await eventually(lambda seq=seq: ann.state["since"] == seq == sam.state["since"])
                assert (await by_name[won[0]].command("back"))["t"] == "ack"
                await eventually(lambda seq=seq: ann.state["since"] > seq)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_conversation())
    assert sum(wins.values()) == TIMES
    assert min(wins.values()) > 0, "each server had a chance"
    print(f"{TIMES} times in {time.monotonic() - began:.1f} s: {wins}")


# --- What is never stored crosses too ------------------------------------------------------------


async def test_presence_typing_drafts_and_revocation_cross(desk: Desk) -> None:
    desk.model.play(says(f"We ship {HALT}everywhere."))
    async with AsyncExitStack() as stack:
        visitor = await stack.enter_async_context(desk.visitor(desk.a))
        await visitor.say("Do you ship?")
        token = await desk.link(cid(visitor), "ann")
        ann = await stack.enter_async_context(await desk.joins(desk.b, cid(visitor), "Ann", token=token))
        second = await stack.enter_async_context(await desk.joins(desk.a, cid(visitor), "Ann", token=token))

        # Presence: the visitor is on the other server, and leaves it.
        await eventually(lambda: pulse(ann, "people") and pulse(ann, "people")[-1]["visitor"])
        here = pulse(ann, "people")[-1]["here"]
        assert [person["name"] for person in here] == ["Ann"]

        # The assistant's draft, wherever it is made, shows on both.
        for one in (visitor, ann):
            await eventually(lambda one=one: "".join(d["text"] for d in pulse(one, "draft")) == "We ship ")
        desk.model.open_gate()
        await eventually(lambda: ann.texts()[-1:] == ["We ship everywhere."] == visitor.texts()[-1:])
        await eventually(lambda: pulse(ann, "draft_over") and pulse(visitor, "draft_over"))

        # Typing, both ways.
        await visitor.signal({"t": "typing", "on": True})
        await eventually(lambda: any(t["who"]["role"] == "visitor" and t["on"] for t in pulse(ann, "typing")))
        await ann.command("take")
        await eventually(lambda: visitor.state["controller"] == "human")
        await ann.signal({"t": "typing", "on": True})
        await eventually(
            lambda: any(t["who"].get("name") == "Ann" and t["on"] for t in pulse(visitor, "typing"))
        )

        # The link is turned off on one server: the sockets that it opened close on both.
        ann.stay = second.stay = False
        cookie = ann._headers["Cookie"]
        began = time.monotonic()
        async with desk.calls(desk.a) as http:
            answer = await http.post("/join/api/off", json={"cid": cid(visitor)}, headers={"Cookie": cookie})
        assert answer.status_code == 200, answer.text
        await eventually(lambda: ann.close_code == second.close_code == 4401, within=2.0)
        print(f"revoked on both within {time.monotonic() - began:.3f} s")


async def test_a_visitor_on_one_and_staff_on_the_other_are_as_close_as_on_one(desk: Desk) -> None:
    desk.model.play(says("We do."))
    async with AsyncExitStack() as stack:
        visitor = await stack.enter_async_context(desk.visitor(desk.a))
        await visitor.say("Do you ship?")
        ann = await stack.enter_async_context(await desk.joins(desk.b, cid(visitor), "Ann"))
        await eventually(lambda: len(ann.texts()) == 2)
        await ann.command("take")
        await eventually(lambda: visitor.state["controller"] == "human")
        took: list[float] = []
        for number in range(100):
            speaker, reader = (visitor, ann) if number % 2 else (ann, visitor)
            began = time.perf_counter()
            saying = asyncio.create_task(
                speaker.say(f"word {number}") if speaker is visitor else _say(ann, number)
            )
            while reader.texts()[-1:] != [f"word {number}"]:
                assert time.perf_counter() - began < PATIENCE
                await asyncio.sleep(0.0005)
            took.append((time.perf_counter() - began) * 1000)
            await saying
        took.sort()
        print(f"from one server to the other: p50 {took[50]:.1f} ms, p99 {took[98]:.1f} ms")
        assert took[50] < 250, "by a wake-up, not by the poll"


async def _say(ann: Chatter, number: int) -> Frame:
    return await ann.propose({"type": "Said", "text": f"word {number}"})


# --- A process that goes -------------------------------------------------------------------------


async def test_one_is_killed_in_the_assistants_turn_and_another_answers_once(desk: Desk) -> None:
    desk.model.play(says(f"We ship {HALT}everywhere."))
    async with desk.visitor(desk.b) as visitor:
        await visitor.say("Do you ship?")
        await eventually(lambda: desk.model.requests)
        at_it = _who_asks(desk)
        desk.model.play(says("Yes, everywhere."))
        began = time.monotonic()
        await at_it.kill()
        if at_it is desk.b:
            visitor._url = visitor._url.replace(str(desk.b.front.port), str(desk.a.front.port))
        await eventually(lambda: visitor.texts() == ["Do you ship?", "Yes, everywhere."], within=2 * PATIENCE)
        print(f"another answered after {time.monotonic() - began:.1f} s")
        await at_it.start()
        await asyncio.sleep(3)  # whatever else might come
        assert visitor.texts() == ["Do you ship?", "Yes, everywhere."]
        assert len(desk.model.requests) == 2


def _who_asks(desk: Desk) -> Member:
    """The server that has a connection to the model."""
    import psutil

    port = int(re.search(r":(\d+)/", desk.model.base_url)[1])
    for member in desk.fleet.members:
        process = psutil.Process(member.server.pid)
        if any(c.raddr and c.raddr.port == port for c in process.net_connections("tcp")):
            return member
    raise AssertionError("neither server asks the model")


async def test_a_rolling_restart_moves_everybody_within_five_seconds_and_loses_nothing(desk: Desk) -> None:
    desk.model.play(says("We do."))
    over = asyncio.Event()
    longest = 0.0

    async def writes(number: int) -> None:
        nonlocal longest
        doors = [desk.a.door, desk.b.door]
        async with desk.visitor((desk.a, desk.b)[number % 2]) as visitor:
            sent: list[str] = []
            while not over.is_set():
                sent.append(f"{number}: message {len(sent)}")
                began = time.monotonic()
                saying = asyncio.create_task(visitor.say(sent[-1]))
                while not saying.done():
                    door = doors[int(time.monotonic() * 4) % 2]
                    visitor._url = f"{door}/live/visitor".replace("http", "ws", 1)  # as a balancer would
                    await asyncio.wait([saying], timeout=0.1)
                assert saying.result()["t"] == "ack"
                longest = max(longest, time.monotonic() - began)
                await asyncio.sleep(0.05)
            own = [text for text in visitor.texts() if text.startswith(f"{number}:")]
            await eventually(lambda: [t for t in visitor.texts() if t.startswith(f"{number}:")] == sent)
            assert own == sent[: len(own)]

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(writes(number))
        await asyncio.sleep(1)
        for member in (desk.a, desk.b):
            began = time.monotonic()
            await member.stop()
            print(f"stopped within {time.monotonic() - began:.1f} s")
            await member.start()
            await asyncio.sleep(0.5)
        over.set()
    print(f"the longest wait for an acknowledgement: {longest:.1f} s")
    assert longest < 5
