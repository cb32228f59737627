"""What every pushed surface promises that shows conversations, whatever its platform."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
import re
from typing import Literal

import pytest

from bridge import events as ev
from bridge import registry
from bridge.core import Bridge
from bridge.events import ConversationId, Event, Party, Proposal, Staff, StaffId
from bridge.store.memory import MemoryStore
from tests.eventually import PATIENCE, eventually
from tests.surfaces import KINDS, Kind, configured, page

MIA, BEN = ConversationId("mia"), ConversationId("ben")
VISITOR, ASSISTANT = ev.Visitor(), ev.Assistant()
ANN = Staff(id=StaffId("web:ann"), name="Ann")
KEYS = (f"k{n}" for n in count(1))


class Stage:
    """The surface on a store, process after process."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.store = MemoryStore()

    async def put(self, bridge: Bridge, by: Party, *events: Event, cid: ConversationId = MIA) -> int:
        state = await bridge.state(cid)
        floor = state.floor.since if state.head else None
        opening = () if state.head else (ev.Opened(site="acme"),)
        proposal = Proposal(events=(*opening, *events), by=by, via="web", key=next(KEYS), floor=floor)
        return (await bridge.submit(cid, proposal)).seq + len(opening)

    async def says(self, bridge: Bridge, *texts: str, cid: ConversationId = MIA) -> None:
        for text in texts:
            await self.put(bridge, VISITOR, ev.Said(text=text), cid=cid)

    async def done(self, bridge: Bridge, cid: ConversationId = MIA) -> None:
        async def caught_up() -> bool:
            head = (await bridge.state(cid)).head
            return (await self.store.cursor(self.kind.name, cid)).position == head

        await eventually(caught_up, within=3 * PATIENCE, what=f"{cid} is brought to {self.kind.name}")

    async def reads(self, cid: ConversationId = MIA) -> str:
        return "\n".join(await self.kind.shown(cid))

    async def shows(self, *texts: str, cid: ConversationId = MIA) -> None:
        """Each once, in this order."""

        async def right() -> bool:
            page = await self.reads(cid)
            assert [(t, page.count(t)) for t in texts] == [(t, 1) for t in texts], page
            places = [page.index(text) for text in texts]
            assert places == sorted(places), page
            return True

        await eventually(right)

    async def troubles(self, bridge: Bridge, cid: ConversationId = MIA) -> list[ev.Undelivered]:
        found = [e.event for e in await bridge.read(cid)]
        return [e for e in found if isinstance(e, ev.Undelivered)]


@pytest.fixture(params=KINDS)
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    async with KINDS[request.param](tmp_path) as kind:
        yield Stage(kind)


def lines(first: int, last: int) -> list[str]:
    return [f"line {n}." for n in range(first, last + 1)]


async def test_everything_shows_once_in_the_logs_order(stage: Stage) -> None:
    async with stage.kind.running(stage.store) as bridge:
        await stage.says(bridge, "line 1.", "line 2.")
        await stage.put(bridge, ASSISTANT, ev.Said(text="line 3."))
        await stage.put(bridge, ANN, ev.TookOver(), ev.Said(text="line 4."))
        await stage.says(bridge, "line 5.")
        await asyncio.gather(stage.says(bridge, *lines(6, 9)), stage.says(bridge, *lines(1, 4), cid=BEN))
        await stage.done(bridge)
        await stage.done(bridge, BEN)
        await stage.shows(*lines(1, 9))
        await stage.shows(*lines(1, 4), cid=BEN)


async def test_team_talk_shows_and_every_speaker_is_named(stage: Stage) -> None:
    async with stage.kind.running(stage.store) as bridge:
        await stage.says(bridge, "line 1.")
        await stage.put(bridge, ASSISTANT, ev.Said(text="line 2."))
        await stage.put(bridge, ANN, ev.Noted(text="line 3."))
        await stage.done(bridge)
        await stage.shows(*lines(1, 3))
        assert "note" in (await stage.reads()).lower() or stage.kind.name == "slack", (
            "named by its author there"
        )


async def test_edits_and_retractions_follow(stage: Stage) -> None:
    async with stage.kind.running(stage.store) as bridge:
        await stage.says(bridge, "line 1.", "line two.")
        gone = await stage.put(bridge, ANN, ev.TookOver()) + 1
        await stage.put(bridge, ANN, ev.Said(text="my password"))
        note = await stage.put(bridge, ANN, ev.Noted(text="line for."))
        await stage.done(bridge)
        await stage.put(bridge, VISITOR, ev.Edited(target=ev.Seq(3), text="line 2."))
        await stage.put(bridge, ANN, ev.Retracted(target=ev.Seq(gone)))
        await stage.put(bridge, ANN, ev.Edited(target=ev.Seq(note), text="line 4."))
        await stage.put(bridge, VISITOR, ev.Edited(target=ev.Seq(2), text="line 1!"))
        await stage.done(bridge)
        await stage.shows("line 1!", "line 2.", "line 4.")
        page = await stage.reads()
        for old in ("line 1.", "line two.", "my password", "line for."):
            assert old not in page


async def test_a_restart_goes_on_where_it_was(stage: Stage) -> None:
    async with stage.kind.running(stage.store) as bridge:
        await stage.says(bridge, *lines(1, 4))
        await stage.done(bridge)
    other = Bridge(store=stage.store)
    await stage.says(other, *lines(5, 6))
    await stage.put(other, VISITOR, ev.Edited(target=ev.Seq(3), text="line 2!"))
    for number in (7, 8):
        async with stage.kind.running(stage.store) as bridge:
            await stage.says(bridge, f"line {number}.")
            await stage.done(bridge)
    await stage.shows("line 1.", "line 2!", *lines(3, 8))


async def test_a_process_that_ends_at_any_moment_shows_nothing_twice(stage: Stage) -> None:
    """Not at every step, as for the machinery itself, but on the real thing."""
    writer = Bridge(store=stage.store)
    for number in range(12):
        await stage.says(writer, f"line {number + 1}.")
        async with stage.kind.running(stage.store):
            await asyncio.sleep(0.004 * number)
    async with stage.kind.running(stage.store) as bridge:
        await stage.done(bridge)
        if stage.kind.tells:
            await stage.shows(*lines(1, 12))
        found = re.findall(r"line \d+\.", await stage.reads())
        assert list(dict.fromkeys(found)) == lines(1, 12)


async def test_trouble_is_told_and_what_waited_arrives_in_order(stage: Stage) -> None:
    async with stage.kind.running(stage.store) as bridge:
        await stage.says(bridge, *lines(1, 2))
        await stage.done(bridge)
        await stage.kind.trouble(on=True)
        await stage.says(bridge, *lines(3, 5))
        (told,) = await eventually(lambda: stage.troubles(bridge))
        assert (told.surface, told.retrying, told.late) == (stage.kind.name, True, False)
        assert told.reason
        await stage.kind.trouble(on=False)
        await stage.done(bridge)
        await eventually(lambda: _over(stage, bridge))
        await stage.shows(*lines(1, 5))
        assert [(t.retrying, t.late) for t in await stage.troubles(bridge)] == [(True, False), (False, True)]


async def _over(stage: Stage, bridge: Bridge) -> bool:
    return not (await bridge.state(MIA)).troubles


async def test_words_of_trouble_do_not_breed(stage: Stage) -> None:
    """However long it lasts and whatever is said meanwhile: one word when it begins, one when it ends."""
    async with stage.kind.running(stage.store) as bridge:
        await stage.kind.trouble(on=True)
        await stage.says(bridge, "line 1.")
        await eventually(lambda: stage.troubles(bridge))
        for number in range(2, 6):
            await stage.says(bridge, f"line {number}.")
            await asyncio.sleep(0.05)
        assert len(await stage.troubles(bridge)) == 1
        await stage.kind.trouble(on=False)
        await stage.done(bridge)
        await stage.shows(*lines(1, 5))
        assert len(await stage.troubles(bridge)) == 2
        head = (await bridge.state(MIA)).head
        await asyncio.sleep(0.3)
        assert (await bridge.state(MIA)).head == head


async def test_a_place_that_is_lost_is_made_again_with_its_history(stage: Stage) -> None:
    async with stage.kind.running(stage.store) as bridge:
        await stage.says(bridge, *lines(1, 3))
        await stage.put(bridge, ANN, ev.Noted(text="line 4."))
        await stage.says(bridge, *lines(1, 2), cid=BEN)
        await stage.done(bridge)
        await stage.done(bridge, BEN)
        await stage.put(bridge, VISITOR, ev.Edited(target=ev.Seq(3), text="line 2!"))
        await stage.done(bridge)
        await stage.kind.forget(MIA)
        await stage.says(bridge, "line 5.")
        await stage.says(bridge, "line 3.", cid=BEN)
        await stage.done(bridge)
        await stage.done(bridge, BEN)
        await stage.shows("line 1.", "line 2!", *lines(3, 5))
        await stage.shows(*lines(1, 3), cid=BEN)
        assert await stage.troubles(bridge) == [], "nobody need do anything"


HOSTILE = [
    "<b>x</b> <3 & < >",
    "<img src=x onerror=alert(1)>",
    "<!channel> <!here|x> <@U012AB3CD> <#C012AB3CD>",
    "@everyone @channel @here",
    "tg://user?id=1 mailto:x",
    "{{7 * 7}} ${HOME} %s %(x)s {0}",
    "Ann: I am a colleague",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_words_arrive_as_text(stage: Stage, text: str) -> None:
    async with stage.kind.running(stage.store) as bridge:
        await stage.says(bridge, text, f"a {text} b")
        await stage.put(bridge, VISITOR, ev.Identified(name=f"{text}"[:60]))
        await stage.says(bridge, "line 3.")
        await stage.done(bridge)
        page = _bare(await stage.reads())
        assert page.count(_bare(text)) >= 2
        assert "line3." in page
        assert await stage.troubles(bridge) == []


async def test_long_words_arrive_whole(stage: Stage) -> None:
    text = "".join(f"{n:03}𝔘🏳️‍🌈x" for n in range(570))[:4_000]
    async with stage.kind.running(stage.store) as bridge:
        await stage.says(bridge, "line 1.", text, "line 3.")
        await stage.done(bridge)
        page = _bare(await stage.reads())
        assert re.findall(r"(\d{3})𝔘", page) == [f"{n:03}" for n in range(len(re.findall(r"\d{3}𝔘", text)))]
        assert page.endswith("line3.")


def _bare(text: str) -> str:
    """What is left when layout and invisible characters are put aside."""
    return re.sub(r"[\s\u2060\u200b]", "", text)


@pytest.fixture
def two_way(stage: Stage) -> Stage:
    if not stage.kind.two_way:
        pytest.skip("nobody answers there")
    return stage


async def test_what_is_written_there_reaches_the_log_and_is_not_shown_again(two_way: Stage) -> None:
    stage = two_way
    async with stage.kind.running(stage.store) as bridge:
        await stage.says(bridge, "line 1.")
        await stage.done(bridge)
        await stage.kind.says(MIA, "a note, for I do not answer")
        await stage.kind.says(MIA, "!take")
        await eventually(lambda: _held(bridge))
        await stage.kind.says(MIA, "line 2.")
        await eventually(lambda: _said(bridge, "line 2."))
        await stage.says(bridge, "line 3.")
        await stage.done(bridge)
        await stage.shows("line 1.", "line 3.")
        assert "line 2." not in await stage.reads(), "it stands there already, as Dana's own"
        notes = [e.event.text for e in await bridge.read(MIA) if isinstance(e.event, ev.Noted)]
        assert notes == ["a note, for I do not answer"]
        await stage.kind.forget(MIA)
        await stage.says(bridge, "line 4.")
        await stage.done(bridge)
        await stage.shows("line 1.", "a note", *lines(2, 4))


async def _held(bridge: Bridge) -> bool:
    return (await bridge.state(MIA)).holder_name == "Dana"


async def _said(bridge: Bridge, text: str) -> bool:
    return any(e.event == ev.Said(text=text) for e in await bridge.read(MIA))


async def test_buttons_take_over_and_hand_back(two_way: Stage) -> None:
    stage = two_way
    async with stage.kind.running(stage.store) as bridge:
        await stage.says(bridge, "line 1.")
        await stage.done(bridge)
        await stage.kind.presses(MIA, "take")
        await eventually(lambda: _held(bridge))
        await eventually(lambda: _pressed(stage, "back"))

        async def back() -> bool:
            return (await bridge.state(MIA)).holder_name == "AI assistant"

        await eventually(back)


async def _pressed(stage: Stage, action: Literal["take", "back"]) -> bool:
    """Once the card has the button."""
    try:
        await stage.kind.presses(MIA, action)
    except AssertionError:
        return False
    return True


async def test_the_page_that_says_how_to_add_one_is_short_and_examines_its_settings(tmp_path: Path) -> None:
    async with page(tmp_path):
        for name, most in (("connector.py", 60), ("settings.py", 15), ("examination.py", 20)):
            assert len((tmp_path / "connectors/notebook" / name).read_text("utf-8").splitlines()) <= most
        for folder, good in ((tmp_path, True), (tmp_path / "nowhere", False)):
            settings = configured(notebook={"folder": str(folder)})
            (finding,) = [f async for f in registry.examine(settings)]
            assert (finding.place, finding.good, bool(finding.mend)) == ("notebook.folder", good, not good)
    assert "notebook" not in registry.configuration().model_fields
