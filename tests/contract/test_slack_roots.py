"""A thread that cannot go on, since its root is gone or its channel is: a new one, and nothing astray."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from bridge import events as ev
from tests.fakes.slack import Slack
from tests.logs import ASSISTANT, VISITOR
from tests.slacking import Team


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again soon."""
    monkeypatch.setattr("connectors.slack.calls.MEND", 0.1)
    monkeypatch.setattr("connectors.slack.calls.AGAIN", 0.1)


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as server:
        yield server


async def test_a_call_under_a_root_that_is_gone_is_heard_once(slack: Slack) -> None:
    async with Team(slack, on_duty=["S02DESK"]).open() as team:
        old = await team.started(name="")
        del slack.messages[slack.channel, old]
        await team.do(ASSISTANT, ev.HelpWanted(reason="a refund"))
        await team.done()
        assert [m.target for m in slack.mentions] == ["S02DESK"]
        assert [m.broadcast for m in team.thread()] == [True]
        assert [m.ts for m in slack.roots()] == [team.root.ts]


@pytest.mark.parametrize("fault", ["chat.postMessage", "chat.delete"])
async def test_what_went_astray_in_a_fault_is_taken_away(slack: Slack, fault: str) -> None:
    """The root is gone and nobody was told; Slack takes the words, or not their removal, and does not answer."""
    async with Team(slack).open() as team:
        old = await team.started(name="")
        del slack.messages[slack.channel, old]
        if fault == "chat.delete":
            slack.drop(fault)
        else:
            slack.lose(fault)
        await team.says("word 0")
        await team.done()
        assert [m.ts for m in slack.roots()] == [team.root.ts], "no stray message in the channel"
        assert team.shown() == ["word 0"]


async def _closes(slack: Slack) -> None:
    del slack.channels[slack.channel]


def moved(slack: Slack, team: Team) -> Team:
    """The same business, with another channel in its configuration."""
    slack.channel = slack.add_channel("support2")
    again = Team(slack, store=team.store)
    again._keys = iter(range(1000, 2000))
    return again


@pytest.mark.parametrize(
    "leaves", [Slack.archive, Slack.kick_bot, _closes], ids=["archived", "kicked", "not found"]
)
async def test_another_channel_in_the_configuration_is_a_mend(
    slack: Slack, leaves: Callable[[Slack], Awaitable[None]]
) -> None:
    team = Team(slack, tell=0.2)
    async with team.open():
        await team.started(name="")
        await team.do(ASSISTANT, ev.Said(text="Yes"))
        await team.done()
        await leaves(slack)
        await team.says("word 0")
        await team.has(ev.Undelivered)
    async with moved(slack, team).open() as team:
        await team.done()
        (root,) = slack.roots(slack.channel)
        assert "Do you ship to Norway?" in root.shown
        history, *rest = team.shown(root.ts)
        assert (history, rest) == ("Yes", ["word 0"])


@pytest.mark.parametrize("leaves", [Slack.archive, _closes], ids=["archived", "not found"])
async def test_an_edit_of_what_stands_in_a_channel_that_was_left_begins_a_new_thread(
    slack: Slack, leaves: Callable[[Slack], Awaitable[None]]
) -> None:
    team = Team(slack)
    async with team.open():
        await team.started(name="")
        word = await team.says("word 0")
        await team.done()
        await team.drawn()
    await leaves(slack)
    async with moved(slack, team).open() as team:
        await team.do(VISITOR, ev.Edited(target=word, text="word 1"))
        await team.done()
        assert team.shown() == ["word 1 _(edited)_"]


async def test_a_thread_in_an_earlier_channel_goes_on_there_while_it_can(slack: Slack) -> None:
    team, earlier = Team(slack), slack.channel
    async with team.open():
        root = await team.started(name="")
    async with moved(slack, team).open() as team:
        await team.says("word 0")
        await team.done()
        assert [m.shown for m in slack.replies(earlier, root)] == ["word 0"]
        assert slack.roots(slack.channel) == []
