"""One process ends and the next one begins: threads, order and secrets are kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bridge import events as ev
from bridge.store.memory import MemoryStore
from bridge.store.sqlite import SqliteStore
from tests.eventually import eventually
from tests.fakes.slack import Slack
from tests.slacking import MARIA, Team


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again soon."""
    monkeypatch.setattr("connectors.slack.calls.MEND", 0.1)
    monkeypatch.setattr("connectors.slack.calls.AGAIN", 0.1)


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as server:
        yield server


@pytest.fixture
def dana(slack: Slack) -> str:
    return slack.add_user("dana", display_name="Dana")


def said(team: Team) -> list[str]:
    return [text for text in team.shown() if text.startswith("word")]


async def test_killed_between_post_and_cursor_nothing_shows_twice(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends when Slack has the message and we do not know it: for the root, then for a reply."""
    team = Team(slack)
    for texts in (["word 0"], ["word 1", "word 2"]):
        reached = asyncio.Event()

        async def never(*_: object, reached: asyncio.Event = reached, **__: object) -> None:
            reached.set()
            await asyncio.Event().wait()

        async with team.open():
            board = team.surface._kit.threads._board
            real = board._post

            async def post(
                *args: object, real: Callable = real, never: Callable = never, **more: object
            ) -> None:
                await real(*args, **more)
                await never()

            monkeypatch.setattr(board, "_post", post)
            if texts == ["word 0"]:
                await team.begin()
            for text in texts:
                await team.says(text)
            await asyncio.wait_for(reached.wait(), 10)
    async with team.open():
        await team.done()
        assert len(slack.roots()) == 1
        assert said(team) == ["word 0", "word 1", "word 2"]


async def test_a_restart_a_new_token_and_an_old_store_lose_no_thread(
    slack: Slack, dana: str, tmp_path: Path
) -> None:
    file = tmp_path / "joinline.db"
    store = await SqliteStore.open(file)
    async with Team(slack, store=store).open() as team:
        root = await team.started()
    await store.close()
    slack.restore_token("xoxb-2-renewed")
    store = await SqliteStore.open(file)
    async with Team(slack, store=store).open() as team:
        await eventually(lambda: slack.sockets)
        await slack.says(dana, "!take", thread=root)
        await team.has(ev.TookOver)
        team._keys = iter(range(1000, 2000))
        await team.says("word 0")
        await team.done()
        assert said(team) == ["word 0"]
        assert len(slack.roots()) == 1
    await store.close()


async def test_no_token_is_ever_in_the_log(slack: Slack, dana: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    slack.revoke_token()
    team = Team(slack, store=MemoryStore())
    async with team.open():
        slack.fail("apps.connections.open", error="invalid_auth")
        await team.begin("my secret words")
        await asyncio.sleep(0.3)
        slack.restore_token()
        await team.done(within=40)
        await eventually(lambda: slack.sockets, within=20)
        await slack.says(dana, "!link", thread=team.root.ts)
        await team.hears(dana, "personal link")
    for hidden in (slack.bot_token, slack.app_token, "my secret words", "/join/"):
        assert hidden not in caplog.text
    assert (await team.bridge.state(MARIA)).head
