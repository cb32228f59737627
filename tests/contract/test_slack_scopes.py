"""What the Slack app may do: while it lacks a scope nothing is posted, and people see why."""

from collections.abc import AsyncIterator

import pytest

from bridge import events as ev
from bridge.events import ConversationId
from tests.eventually import eventually
from tests.fakes.slack import Slack
from tests.slacking import Team

OLGA = ConversationId("olga")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again soon."""
    monkeypatch.setattr("connectors.slack.calls.MEND", 0.1)
    monkeypatch.setattr("connectors.slack.calls.AGAIN", 0.1)


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as server:
        yield server


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        (["chat:write.customize"], "the scope “chat:write.customize”. Add it and install"),
        (
            ["metadata.message:read", "chat:write"],
            "the scopes “chat:write”, “metadata.message:read”. Add them",
        ),
    ],
)
async def test_nothing_is_posted_while_the_app_lacks_a_scope_for_it(
    slack: Slack, lacking: list[str], told: str
) -> None:
    slack.scopes -= set(lacking)
    async with Team(slack, tell=0.2).open() as team:
        await team.begin()
        (trouble,) = await team.has(ev.Undelivered)
        assert trouble.retrying
        assert f"The Slack app lacks {told}" in trouble.reason
        assert slack.calls_of("chat.postMessage") == []
        slack.scopes |= set(lacking)
        await team.done()
        assert len(slack.roots()) == 1
        assert (await team.events(ev.Undelivered))[-1].late


async def test_what_posting_does_not_need_stops_nothing(slack: Slack) -> None:
    """As an app for public channels may have no word of private ones."""
    slack.scopes -= {"groups:history", "groups:read", "commands"}
    async with Team(slack).open() as team:
        await team.started(name="")
        await team.says("word 0")
        await team.done()
        assert team.shown() == ["word 0"]


async def test_members_are_heard_while_the_app_lacks_a_scope(slack: Slack) -> None:
    dana = slack.add_user("dana", display_name="Dana")
    team = Team(slack)
    async with team.open():
        root = await team.started()
    slack.scopes.discard("chat:write.customize")
    async with team.open():
        await eventually(lambda: slack.sockets)
        await slack.says(dana, "// here", thread=root)
        await team.has(ev.Noted)


async def test_a_scope_that_is_lost_on_the_way_shows_nothing_twice(slack: Slack) -> None:
    """Without it Slack does not tell which messages are whose: nothing is sent again before it does."""
    async with Team(slack, tell=0.2).open() as team:
        await team.started(name="")
        slack.scopes.discard("metadata.message:read")
        slack.lose("chat.postMessage")
        await team.says("word 0")
        (trouble,) = await team.has(ev.Undelivered)
        assert "“metadata.message:read”" in trouble.reason
        slack.scopes.add("metadata.message:read")
        await team.done()
        assert team.shown() == ["word 0"]

        slack.scopes.discard("metadata.message:read")
        slack.lose("chat.postMessage")
        await team.begin("Hello", cid=OLGA, name="Olga")
        await team.has(ev.Undelivered, OLGA)
        slack.scopes.add("metadata.message:read")
        await team.done(OLGA)
        assert len(slack.roots()) == 2


async def test_a_slack_that_tells_no_scopes_is_believed(slack: Slack) -> None:
    """As behind a proxy that leaves the header out."""
    slack.tells_scopes = False
    async with Team(slack).open() as team:
        await team.started(name="")
        slack.lose("chat.postMessage")
        await team.says("word 0")
        await team.done()
        assert team.shown() == ["word 0"]
        assert await team.events(ev.Undelivered) == []
