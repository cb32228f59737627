"""The assistant against a model server that misbehaves, without a budget, and without a model."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
import logging
from pathlib import Path

import pytest

from bridge import events as ev
from bridge import wire
from bridge.assistant import Allowance, Budget, phrases
from bridge.assistant.knowledge import Knowledge
from bridge.assistant.openai import Model, ModelEngine
from bridge.assistant.quoting import OFFER, QuotingEngine
from bridge.conversation import MAX_ANSWER
from bridge.store.memory import MemoryStore
from tests.assistants import CID, DANA, MS, PACE, PATIENT, World
from tests.eventually import eventually
from tests.fakes import model as fake
from tests.fakes.model import HALT, FakeModel


@pytest.fixture
async def model() -> AsyncIterator[FakeModel]:
    async with FakeModel().serving() as model:
        yield model


@pytest.fixture
def world(model: FakeModel) -> World:
    return World(model, MemoryStore())


# --- failures: an honest word, and the team is told ----------------------------------------------

FAILURES = {
    "hangs": fake.hangs,
    "stalls": fake.stalls("We ship"),
    "breaks off": fake.breaks_off("We ship to"),
    "ends early": fake.ends_early("We ship to"),
    "says nothing and ends": fake.ends_early(""),
    "429, soon": fake.too_many_requests("0"),
    "429, much later": fake.too_many_requests("3600"),
    "429, odd": fake.too_many_requests("Tue, 05 May 2026 12:00:00 GMT"),
    "500": fake.server_error,
    "401": fake.refuses(401, "invalid_api_key", "Incorrect API key."),
    "garbage": fake.garbage,
    "odd JSON": fake.odd_json,
    "empty": fake.empty,
    "blank": fake.says("\u200b \n \0"),
    "web page": fake.web_page,
    "drips": fake.drips("x" * 1_000, 200 * MS),
    "in-band error": fake.fails_in_band("We ship"),
    "in-band error at once": fake.fails_in_band(""),
    "filtered": fake.says("We ship", finish="content_filter"),
    "invented tool alone": fake.calls("refund", "{}"),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_every_failure_ends_in_an_honest_word_and_a_call(
    world: World, failure: fake.Script, caplog: pytest.LogCaptureFixture
) -> None:
    world.model.play(failure)
    started = asyncio.get_running_loop().time()
    with caplog.at_level(logging.DEBUG, logger="bridge"):
        async with world.running(world.engine()):
            await world.visitor("My secret question")
            assert await world.answered() == [phrases.FAILED]
            took = asyncio.get_running_loop().time() - started
            await world.idle()
    assert took < PACE.quiet + PACE.turn + 500 * MS
    said, wanted = (await world.log())[-2:]
    assert said.key == "ai:2"
    assert wanted.key == "ai:2#1"
    assert wanted.event == ev.HelpWanted(reason=phrases.COULD_NOT_ANSWER)
    assert world.ends == ["failed"]
    assert len(world.model.requests) <= 2
    assert not any(words in caplog.text for words in ("secret question", "We ship", "sk-test"))


async def test_a_server_that_is_not_there(world: World) -> None:
    settings = Model(name="m", base_url="http://127.0.0.1:1/v1")
    async with world.running(ModelEngine(model=settings)):
        await world.visitor("Hello")
        assert await world.answered() == [phrases.FAILED]
    assert await world.help_wanted() == [phrases.COULD_NOT_ANSWER]


@pytest.mark.parametrize(
    "failure", ["hangs", "429, soon", "500", "empty", "says nothing and ends", "garbage"]
)
async def test_a_failure_before_the_first_word_is_tried_once_more(world: World, failure: str) -> None:
    world.model.play(FAILURES[failure], fake.says("Second try."))
    async with world.running(world.engine()):
        await world.visitor("Hello")
        assert await world.answered() == ["Second try."]
        await world.idle()
    assert len(world.model.requests) == 2
    assert await world.help_wanted() == []


async def test_what_was_half_said_is_not_tried_again(world: World) -> None:
    world.model.play(fake.breaks_off("We ship to"), fake.says("Second try."))
    async with world.running(world.engine()):
        await world.visitor("Hello")
        assert await world.answered() == [phrases.FAILED]
        await world.idle()
    assert len(world.model.requests) == 1


async def test_a_failure_while_a_person_is_wanted_says_so_and_calls_no_second_time(world: World) -> None:
    world.model.play(fake.server_error)
    async with world.running(world.engine()):
        await world.visitor("Hello", ev.HelpWanted(reason="The visitor asked for a person."))
        assert await world.answered() == [phrases.FAILED_AGAIN]
        await world.idle()
    assert len(await world.help_wanted()) == 1


async def test_a_call_that_ended_in_vain_is_made_anew(world: World) -> None:
    world.model.play(fake.server_error)
    async with world.running(world.engine()):
        await world.visitor("Hello")
        await world.answered()
        for step, last in ((1, False), (2, True)):
            await world.propose(ev.System(), ev.HelpWanted(step=step, last=last))
        await world.visitor("Still there?")
        assert (await world.answered(2))[-1] == phrases.FAILED
        await world.idle()
    assert len(await world.help_wanted()) == 4


async def test_an_endless_answer_is_cut(world: World) -> None:
    world.model.play(fake.endless("and on and on " * 20))
    async with world.running(world.engine()):
        await world.visitor("Tell me everything")
        (answer,) = await world.answered()
        await eventually(lambda: world.model.requests[0].gone)
    assert len(answer) == MAX_ANSWER
    assert answer.endswith("…")


async def test_hostile_characters_do_not_get_through(world: World) -> None:
    world.model.play(
        fake.says("a\0b \ud83d c" + "o\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301")
    )
    async with world.running(world.engine()):
        await world.visitor("Hello")
        (answer,) = await world.answered()
    assert answer.startswith("ab \ufffd c")
    assert answer.count("\u0301") == 8
    for signal in world.signals:
        if isinstance(signal, wire.Draft):
            wire.encode(signal)


async def test_an_answer_cut_by_the_server_says_so(world: World) -> None:
    world.model.play(fake.says("We ship to", finish="length"))
    async with world.running(world.engine()):
        await world.visitor("Hello")
        assert await world.answered() == ["We ship to …"]


async def test_a_store_in_trouble_is_tried_again(world: World) -> None:
    store = world.bridge.store
    append, failures = store.append, iter([True])

    async def failing(cid, entries, **more):
        if isinstance(entries[0].by, ev.Assistant) and next(failures, False):
            raise OSError("disk full")
        await append(cid, entries, **more)

    store.append = failing  # type: ignore[method-assign]
    async with world.running(world.engine()):
        await world.visitor("Hello")
        assert await world.answered() == ["It is so."]
        await world.idle()
    assert len(world.model.requests) == 2


# --- the budget ----------------------------------------------------------------------------------


async def test_a_budget_that_is_used_up_is_said(world: World) -> None:
    def budget() -> Budget:
        allowance = Allowance(visitor=100, day=1_000)
        return Budget(store=world.bridge.store, clock=world.clock, allowance=allowance)

    world.model.play(fake.says("Costly.", prompt=90, completion=20))
    async with world.running(world.engine(), budget=budget()):
        await world.visitor("One")
        await world.answered()
        await world.idle()
    async with world.running(world.engine(), budget=budget()):
        await world.visitor("Two")
        assert (await world.answered(2))[-1] == phrases.FAILED
        await world.idle()
        assert await world.help_wanted() == [phrases.BUDGET_USED_UP]
        assert len(world.model.requests) == 1, "the count outlives the process"
        world.now += timedelta(days=1)
        await world.visitor("Three")
        assert (await world.answered(3))[-1] == "Costly."


async def test_a_cancelled_run_counts_too(world: World) -> None:
    budget = Budget(store=world.bridge.store, clock=world.clock, allowance=Allowance(visitor=50))
    world.model.play(fake.says(f"Half {HALT}"))
    async with world.running(world.engine(), budget=budget):
        await world.visitor("Hello")
        await eventually(lambda: world.draft)
        await world.staff(DANA, ev.TookOver())
        await world.idle()
        assert not await budget.allows(CID)


# --- the other kinds -----------------------------------------------------------------------------


async def test_without_an_engine_the_team_is_called_once(world: World) -> None:
    async with world.running(None):
        await world.visitor("Hello")
        await world.visitor("Anybody?")
        await world.idle()
        assert await world.help_wanted() == [phrases.NO_ASSISTANT]
        await world.staff(DANA, ev.TookOver())
        await world.visitor("Hi Dana")
        await world.idle()
        assert len(await world.help_wanted()) == 1
        await world.staff(DANA, ev.HandedBack())
        await world.idle()
        assert len(await world.help_wanted()) == 2, (
            "left unanswered at the hand-back: the team is called again"
        )
    assert await world.answers() == []


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(__file__).parents[2] / "knowledge"


async def test_the_quoting_engine_answers_from_its_pages(world: World, folder: Path) -> None:
    engine = QuotingEngine(knowledge=Knowledge.load(folder), pause=0)
    async with world.running(engine):
        await world.visitor("Do you ship to Norway?")
        (answer,) = await world.answered()
        assert "**Shipping** says about **Norway**" in answer
        assert "49 NOK" in answer
        assert answer == "".join(s.text for s in world.signals if isinstance(s, wire.Draft))
        await world.visitor("Do you breed elephants?")
        unknown = (await world.answered(2))[-1]
        assert unknown.endswith(OFFER)
        await world.idle()
        assert await world.help_wanted() == []
        await world.visitor("Yes please")
        await world.answered(3)
        await world.idle()
        assert await world.help_wanted() == [phrases.ASKED_IN_WORDS]


async def test_the_quoting_engine_is_interrupted_like_any_other(world: World, folder: Path) -> None:
    engine = QuotingEngine(knowledge=Knowledge.load(folder), pause=100 * MS)
    async with world.running(engine, pace=PATIENT):
        await world.visitor("Do you ship to Norway?")
        await eventually(lambda: world.draft)
        await world.staff(DANA, ev.TookOver())
        await eventually(lambda: world.ends == ["interrupted"])
        await world.idle()
    assert await world.answers() == []


async def test_a_model_is_grounded_with_passages(world: World, folder: Path) -> None:
    async with world.running(world.engine(knowledge=Knowledge.load(folder))):
        await world.visitor("Do you ship to Norway?")
        await world.answered()
    system = world.model.requests[0].system
    assert "--- Shipping: Norway\n" in system
    assert "49 NOK" in system
    assert "never instructions" in system
