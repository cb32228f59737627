"""The assistant against a model server that behaves: when it answers, and when it must not."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta

import pytest

from bridge import events as ev
from bridge import wire
from bridge.assistant import Pace, Piece, Request, Words, phrases
from bridge.assistant.watch import Watch
from bridge.errors import Refused
from bridge.events import ConversationId, Proposal
from bridge.pulse import StopWanted
from bridge.store.memory import MemoryStore
from bridge.surface import Post, Receipt
from tests.assistants import CID, DANA, MS, PATIENT, SAM, World
from tests.eventually import PATIENCE, eventually
from tests.fakes import model as fake
from tests.fakes.model import HALT, FakeModel


@pytest.fixture
async def model() -> AsyncIterator[FakeModel]:
    async with FakeModel().serving() as model:
        yield model


@pytest.fixture
def world(model: FakeModel) -> World:
    return World(model, MemoryStore())


# --- the answer ----------------------------------------------------------------------------------


async def test_an_answer_streams_as_a_draft_and_enters_the_log_once(world: World) -> None:
    world.model.play(fake.says(f"We ship {HALT}to Norway."))
    async with world.running(world.engine()):
        await world.visitor("Do you ship to Norway?")
        await eventually(lambda: world.draft == "We ship ")
        assert await world.answers() == []
        world.model.open_gate()
        assert await world.answered() == ["We ship to Norway."]
        await world.idle()
    said = (await world.log())[-1]
    assert (said.key, said.via, said.by) == ("ai:2", "assistant", ev.Assistant())
    assert world.ends == ["done"]
    drafts = [s for s in world.signals if isinstance(s, wire.Draft)]
    assert {(d.turn, d.since) for d in drafts} == {(2, 1)}
    assert world.model.requests[0].body["model"] == "test-model"
    assert world.model.requests[0].key == "sk-test"


async def test_the_prompt_holds_instructions_business_and_history(world: World) -> None:
    async with world.running(world.engine()):
        await world.visitor("First question")
        await world.answered()
        await world.visitor("Second question")
        await world.answered(2)
    asked = world.model.requests[1]
    assert "Acme sells tents." in asked.system
    assert "Acme Outdoor" in asked.system
    assert [m["role"] for m in asked.body["messages"]] == ["system", "user", "assistant", "user"]
    assert asked.body["messages"][2]["content"] == "It is so."
    assert asked.last == "Second question"


async def test_a_burst_is_one_turn(world: World) -> None:
    async with world.running(world.engine(), pace=Pace(quiet=300 * MS)):
        await world.visitor("Hello")
        await eventually(lambda: world.bridge._known[CID].waiting, what="the assistant is at it")
        await world.visitor("do you sell tents")
        await world.visitor("for four people?")
        await world.answered()
        await world.idle()
    assert len(world.model.requests) == 1
    assert world.ends == ["done"], "one run, not one and its reruns"
    assert all(words in world.model.requests[0].last for words in ("Hello", "sell tents", "four people"))
    assert (await world.log())[-1].key == "ai:4"


async def test_a_message_in_mid_run_makes_exactly_one_rerun(world: World) -> None:
    world.model.play(fake.says(f"Half {HALT}"), fake.says("To both."))
    async with world.running(world.engine()):
        await world.visitor("One thing")
        await eventually(lambda: world.draft == "Half ")
        await world.visitor("and another")
        assert await world.answered() == ["To both."]
        await world.idle()
    assert len(world.model.requests) == 2
    assert "One thing" in world.model.requests[1].last
    assert "and another" in world.model.requests[1].last
    await eventually(lambda: world.model.requests[0].gone)
    assert world.ends == ["rerun", "done"]
    assert (await world.log())[-1].key == "ai:3"


async def test_an_edit_in_mid_run_is_answered_as_it_reads_now(world: World) -> None:
    world.model.play(fake.says(f"Half {HALT}"), fake.says("Two tents."))
    async with world.running(world.engine()):
        await world.visitor("One tent please")
        await eventually(lambda: world.draft == "Half ")
        await world.visitor(ev.Edited(target=2, text="Two tents please"))
        assert await world.answered() == ["Two tents."]
    assert "One tent" not in world.model.requests[1].prompt


async def test_a_message_that_slips_in_before_the_answer_is_answered_too(world: World) -> None:
    """It comes when the run is over and the answer on its way into the log: no rerun is possible."""
    submit = world.bridge.submit

    async def late(cid: ConversationId, proposal: Proposal) -> Receipt:
        if proposal.key == "ai:2":
            await submit(
                cid, Proposal(events=(ev.Said(text="and this?"),), by=ev.Visitor(), via="t", key="late")
            )
        return await submit(cid, proposal)

    world.bridge.submit = late  # type: ignore[method-assign]
    world.model.play(fake.says("To the first."), fake.says("To the second."))
    async with world.running(world.engine()):
        await world.visitor("This?")
        assert await world.answered(2) == ["To the first.", "To the second."]
        await world.idle()
    assert [m["role"] for m in world.model.requests[1].body["messages"]] == [
        "system", "user", "assistant", "user",
    ]  # fmt: skip
    assert world.model.requests[1].last == "and this?"


async def test_a_restart_answers_what_is_owed_once(world: World) -> None:
    world.model.play(fake.says(f"Lost {HALT}"), fake.says("Here I am."))
    async with asyncio.timeout(PATIENCE), world.running(world.engine(), pace=PATIENT):
        await world.visitor("Are you there?")
        await eventually(lambda: world.draft == "Lost ")
    assert await world.answers() == []
    assert world.draft == ""
    for _ in range(2):
        async with world.running(world.engine()):
            assert await world.answered() == ["Here I am."]
            await world.idle()
    assert len(world.model.requests) == 2
    assert await world.help_wanted() == [], "an end of the process is no failure of the model"


async def test_two_processes_give_one_answer(world: World) -> None:
    other = World(world.model, world.bridge.store)
    async with world.running(world.engine()), other.running(other.engine()):
        await world.visitor("Who is there?")
        await world.answered()
        await other.idle()
        await world.idle()
    assert len(await world.answers()) == 1


async def test_what_was_answered_before_is_not_answered_again(world: World) -> None:
    """A cursor that stands behind, as after a crash between answer and advance."""
    async with world.running(world.engine()) as assistant:
        await world.visitor("Hello")
        await world.answered()
        await world.idle()
        entry = (await world.log())[1]
        stale = await world.bridge.state(CID)
        await assistant.deliver(Post(cid=CID, entry=entry, latest=stale, anchor=None))
    assert len(world.model.requests) == 1


# --- the floor -----------------------------------------------------------------------------------


async def test_a_takeover_cancels_the_call_and_nothing_enters_the_log(world: World) -> None:
    world.model.play(fake.says(f"As your AI {HALT}I say."))
    async with world.running(world.engine(), pace=PATIENT):
        await world.visitor("Hello")
        await eventually(lambda: world.draft == "As your AI ")
        await world.staff(DANA, ev.TookOver())
        await eventually(lambda: world.ends == ["interrupted"])
        assert world.draft == ""
        await eventually(lambda: world.model.requests[0].gone, what="the model's server saw us go")
        world.model.open_gate()
        await world.idle()
    assert await world.answers() == []
    assert [s for s in world.signals if isinstance(s, wire.Draft)][-1].text == "AI "


async def test_the_fence_holds_though_the_floor_came_back(world: World) -> None:
    """Taken and handed back while the answer is on its way: the old answer is refused, a new one is given."""
    submit = world.bridge.submit
    refusals: list[str] = []

    async def swapped(cid: ConversationId, proposal: Proposal) -> Receipt:
        if proposal.key == "ai:2" and not refusals:
            since = (await world.bridge.state(cid)).floor.since
            taken = Proposal(events=(ev.TookOver(),), by=DANA, via="t", key="t", floor=since)
            await submit(cid, taken)
            await submit(cid, Proposal(events=(ev.HandedBack(),), by=DANA, via="t", key="b"))
            try:
                return await submit(cid, proposal)
            except Refused as refusal:
                refusals.append(refusal.code)
                raise
        return await submit(cid, proposal)

    world.bridge.submit = swapped  # type: ignore[method-assign]
    world.model.play(fake.says("Old."), fake.says("New."))
    async with world.running(world.engine()):
        await world.visitor("Hello")
        assert await world.answered() == ["New."]
        await world.idle()
    assert refusals == ["floor_moved"]
    assert world.ends == ["interrupted", "done"]


class Deft:
    """An engine during whose last breath the floor goes to Dana and back."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked = 0

    async def answer(self, request: Request) -> AsyncGenerator[Piece, None]:
        self.asked += 1
        yield Words(f"Answer {self.asked}.")
        if self.asked == 1:
            await self.world.staff(DANA, ev.TookOver())
            await self.world.staff(DANA, ev.HandedBack())

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("watchful", [True, False])
async def test_an_answer_counts_for_the_floor_that_it_began_under(
    world: World, watchful: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the news of it may come late, as from another process."""
    if not watchful:
        monkeypatch.setattr(Watch, "see", lambda _self, _batch: None)
    async with world.running(Deft(world)):
        await world.visitor("Hello")
        assert await world.answered() == ["Answer 2."]
        await world.idle()
    assert len(await world.answers()) == 1


async def test_nothing_is_answered_while_a_person_holds_the_floor(world: World) -> None:
    async with world.running(world.engine()):
        await world.visitor("Hello")
        await world.answered()
        await world.staff(DANA, ev.TookOver(), ev.Said(text="Dana here."))
        await world.visitor("Hi Dana")
        await world.idle()
        assert len(world.model.requests) == 1
        await world.staff(DANA, ev.HandedBack())
        await world.answered(2)
        await world.idle()
    assert len(world.model.requests) == 2, "what Dana left unanswered is answered after the hand-back"


async def test_a_hand_back_with_nothing_owed_makes_no_call(world: World) -> None:
    async with world.running(world.engine()):
        await world.visitor("Hello")
        await world.answered()
        await world.staff(DANA, ev.TookOver(), ev.Said(text="All done."), ev.HandedBack())
        await world.idle()
    assert len(world.model.requests) == 1


async def test_a_closing_ends_the_run(world: World) -> None:
    world.model.play(fake.says(f"Half {HALT}"))
    async with world.running(world.engine(), pace=PATIENT):
        await world.visitor("Hello")
        await eventually(lambda: world.draft == "Half ")
        await world.visitor(ev.Closed())
        await eventually(lambda: world.ends == ["interrupted"])
        await world.idle()
    assert await world.answers() == []


async def test_the_prompt_after_a_hand_back_holds_the_human_stretch_and_no_note(world: World) -> None:
    async with world.running(world.engine()):
        await world.visitor("Can I get a discount?")
        await world.answered()
        await world.staff(SAM, ev.Joined())
        await world.staff(SAM, ev.Noted(text="SECRET he always haggles"))
        await world.staff(DANA, ev.TookOver(), ev.Said(text="You get 10 per cent."))
        await world.visitor("Lovely")
        world.now += timedelta(minutes=7)
        await world.staff(DANA, ev.Said(text="Bye!"), ev.HandedBack())
        await world.staff(SAM, ev.Guided(text="Mention the summer sale."))
        await world.visitor("How much was it again?")
        await world.answered(2)
    prompt = world.model.requests[1].prompt
    assert "SECRET" not in prompt
    assert "Sam" not in prompt, "who observes is not the visitor's to see"
    assert "You get 10 per cent." in prompt
    assert "2026-05-04 12:00 UTC: Dana from the team took over" in prompt
    assert "From 2026-05-04 12:00 UTC to 2026-05-04 12:07 UTC Dana from the team answered" in prompt
    assert "Mention the summer sale." in world.model.requests[1].system
    assert world.model.requests[1].last.endswith("⟦The visitor wrote:⟧\nHow much was it again?")


# --- stop ----------------------------------------------------------------------------------------


async def test_stop_keeps_what_was_said_so_far(world: World) -> None:
    world.model.play(fake.says(f"We ship to {HALT}the moon."))
    async with world.running(world.engine()):
        await world.visitor("Where to?")
        await eventually(lambda: world.draft == "We ship to ")
        world.bridge.pulse.publish(CID, StopWanted())
        assert await world.answered() == ["We ship to"]
        await eventually(lambda: world.model.requests[0].gone)
        await world.idle()
    assert world.ends == ["stopped"]
    assert await world.help_wanted() == []


async def test_stop_before_the_first_word_is_answered_too(world: World) -> None:
    world.model.play(fake.hangs)
    async with world.running(world.engine()):
        await world.visitor("Where to?")
        await eventually(lambda: world.model.requests)
        world.bridge.pulse.publish(CID, StopWanted())
        assert await world.answered() == [phrases.STOPPED]


# --- asking for a person -------------------------------------------------------------------------


async def test_the_model_asks_for_a_person_and_speaks_in_one_step(world: World) -> None:
    world.model.play(fake.asks_for_person("A refund of 900 NOK.", text="I'll get somebody.", times=3))
    async with world.running(world.engine()):
        await world.visitor("Refund me")
        await world.answered()
        await world.idle()
    said, wanted = (await world.log())[-2:]
    assert said.event == ev.Said(text="I'll get somebody.")
    assert wanted.event == ev.HelpWanted(reason="A refund of 900 NOK.")
    assert (said.key, wanted.key, wanted.by) == ("ai:2", "ai:2#1", ev.Assistant())
    assert len(await world.help_wanted()) == 1


async def test_a_call_without_words_gets_words(world: World) -> None:
    world.model.play(fake.calls("ask_for_person", "{not json"))
    async with world.running(world.engine()):
        await world.visitor("A person!")
        assert await world.answered() == [phrases.ASKED]
        await world.idle()
    assert await world.help_wanted() == [phrases.PERSON_WANTED]


async def test_the_tool_is_not_offered_while_a_person_is_wanted(world: World) -> None:
    world.model.play(fake.asks_for_person("Again.", text="Still asking."))
    async with world.running(world.engine()):
        await world.visitor("Hello", ev.HelpWanted(reason="The visitor asked for a person."))
        assert await world.answered() == ["Still asking."]
        await world.idle()
    assert "tools" not in world.model.requests[0].body
    assert await world.help_wanted() == ["The visitor asked for a person."]


async def test_the_visitor_and_the_model_ask_in_the_same_moment(world: World) -> None:
    world.model.play(fake.asks_for_person("Needs help.", text=f"I'll {HALT}ask."))
    async with world.running(world.engine()):
        await world.visitor("Help")
        await eventually(lambda: world.draft == "I'll ")
        await world.visitor(ev.HelpWanted(reason="The visitor asked for a person."))
        world.model.open_gate()
        assert await world.answered() == ["I'll ask."]
        await world.idle()
    assert await world.help_wanted() == ["The visitor asked for a person."]


async def test_the_visitor_asks_while_the_answer_is_on_its_way(world: World) -> None:
    submit = world.bridge.submit

    async def first(cid: ConversationId, proposal: Proposal) -> Receipt:
        if proposal.key == "ai:2" and not await world.help_wanted():
            asks = ev.HelpWanted(reason="The visitor asked for a person.")
            await submit(cid, Proposal(events=(asks,), by=ev.Visitor(), via="t", key="h"))
        return await submit(cid, proposal)

    world.bridge.submit = first  # type: ignore[method-assign]
    world.model.play(fake.asks_for_person("Needs help.", text="I'll ask."))
    async with world.running(world.engine()):
        await world.visitor("Help")
        assert await world.answered() == ["I'll ask."]
        await world.idle()
    assert await world.help_wanted() == ["The visitor asked for a person."]
    assert world.ends == ["done"]


async def test_tools_that_the_model_makes_up_do_nothing(world: World) -> None:
    world.model.play(fake.calls("take_over", '{"now": true}', text="Done that for you."))
    async with world.running(world.engine()):
        await world.visitor("Do it")
        assert await world.answered() == ["Done that for you."]
        await world.idle()
    assert [type(e.event).__name__ for e in await world.log()] == ["Opened", "Said", "Said"]


async def test_an_answer_is_words_and_never_a_command(world: World) -> None:
    world.model.play(fake.says("/close"))
    async with world.running(world.engine()):
        await world.visitor("Say /close")
        assert await world.answered() == ["/close"]
    assert not (await world.bridge.state(CID)).closed


async def test_a_model_without_tools_is_asked_without(world: World) -> None:
    world.model.play(
        fake.refuses(400, "invalid_request_error", "test-model does not support tools"), fake.says("Hello.")
    )
    async with world.running(world.engine()):
        await world.visitor("Hi")
        assert await world.answered() == ["Hello."]
    assert "tools" in world.model.requests[0].body
    assert "tools" not in world.model.requests[1].body
