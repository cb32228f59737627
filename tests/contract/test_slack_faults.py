"""Slack in trouble: nothing is lost, nothing shows twice, and people see why something waits."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from bridge import events as ev
from bridge.errors import StoreError
from bridge.events import ConversationId
from tests.eventually import eventually
from tests.fakes.slack import Slack
from tests.logs import ASSISTANT
from tests.slacking import LIA, Team

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


@pytest.fixture(params=["socket", "http"])
async def team(slack: Slack, request: pytest.FixtureRequest) -> AsyncIterator[Team]:
    async with Team(slack, mode=request.param, tell=0.3).open() as team:
        yield team


@pytest.fixture
def dana(slack: Slack) -> str:
    return slack.add_user("dana", display_name="Dana")


def said(team: Team, root: str | None = None) -> list[str]:
    return [text for text in team.shown(root) if text.startswith("word")]


# Out


async def test_a_lost_answer_posts_nothing_twice(slack: Slack, team: Team) -> None:
    slack.lose("chat.postMessage")
    await team.started()
    assert len(slack.roots()) == 1
    slack.lose("chat.postMessage", times=2)
    slack.fail("chat.postMessage", error="fatal_error", done=True)
    slack.breaks("chat.postMessage", 503, done=True)
    for number in range(6):
        await team.says(f"word {number}")
    await team.done(within=30)
    assert said(team) == [f"word {number}" for number in range(6)]


async def test_an_answer_that_comes_too_late_posts_nothing_twice(slack: Slack) -> None:
    async with Team(slack, patience=0.3).open() as team:
        await team.started()
        slack.slow("chat.postMessage", 0.6, times=1)
        await team.says("word 0")
        await team.says("word 1")
        await team.done()
        assert said(team) == ["word 0", "word 1"]


async def test_what_never_arrived_is_sent_again(slack: Slack, team: Team) -> None:
    slack.drop("chat.postMessage")
    await team.started()
    slack.drop("chat.postMessage")
    slack.breaks("chat.postMessage", 503)
    await team.says("word 0")
    await team.says("word 1")
    await team.done(within=30)
    assert said(team) == ["word 0", "word 1"]


async def test_a_pause_that_slack_asks_for_is_kept_and_stops_nothing_else(
    slack: Slack, team: Team, dana: str
) -> None:
    root = await team.started()
    await slack.presses(dana, root, action_id="take")
    await team.done()
    slack.limit("chat.postMessage", 2, times=None)
    await team.says("word 0")
    await eventually(lambda: slack.calls_of("chat.postMessage", outcome="429"))
    ts = await slack.says(dana, "Hello", thread=root)
    await eventually(lambda: "white_check_mark" in slack.message(ts).reactions, within=1.5)
    await team.begin("Hello", cid=OLGA, name="Olga")
    assert said(team) == []
    await team.done()
    await team.done(OLGA)
    assert said(team, root) == ["word 0"]
    assert [call for call in slack.calls if call.hasty and call.method == "chat.postMessage"] == []
    assert slack.calls_of("conversations.replies") == [], "what was refused needs no search"


async def test_the_channel_is_not_flooded(slack: Slack) -> None:
    slack.posts_per_second, slack.post_burst = 5.0, 4
    async with Team(slack, posts=(0.25, 3)).open() as team:
        await team.started()
        await team.begin("Hello", cid=OLGA, name="Olga")
        for number in range(4):
            await team.says(f"word {number}")
            await team.says(f"word {number}", cid=OLGA)
        await team.done(within=20)
        await team.done(OLGA, within=20)
        assert len(slack.calls_of("chat.postMessage", outcome="429")) == 0
        assert len(slack.roots()) == 2


@pytest.mark.parametrize(
    ("breaks", "mends", "reason"),
    [
        (lambda s: s.archive(), lambda s: s.unarchive(), "The Slack channel is archived."),
        (lambda s: s.kick_bot(), lambda s: s.invite_bot(), "the bot is not in the channel"),
        (lambda s: _now(s.revoke_token), lambda s: _now(s.restore_token), "Slack refuses the bot's token."),
        (
            lambda s: _now(lambda: s.scopes.discard("chat:write")),
            lambda s: _now(lambda: s.scopes.add("chat:write")),
            "lacks the scope “chat:write”",
        ),
    ],
    ids=["archived", "kicked", "revoked", "scope"],
)
async def test_trouble_is_told_and_ends_by_itself(
    slack: Slack, team: Team, breaks: Callable, mends: Callable, reason: str
) -> None:
    await team.started()
    await breaks(slack)
    await team.says("word 0")
    (trouble,) = await team.has(ev.Undelivered)
    assert trouble.retrying
    assert reason in trouble.reason
    await team.says("word 1")
    await mends(slack)
    await team.done(within=20)
    assert said(team) == ["word 0", "word 1"]
    assert (await team.events(ev.Undelivered))[-1].late
    assert len([m for m in slack.roots() if m.bot_id]) == 1


async def _now(change: Callable[[], None]) -> None:
    change()


async def test_the_server_starts_while_slack_is_away(slack: Slack, dana: str) -> None:
    await slack.refuse()
    team = Team(slack)
    async with team.open():
        await team.begin()
        await asyncio.sleep(0.2)
        await slack.listen()
        await team.done(within=20)
        await eventually(lambda: slack.sockets, within=20)
        await slack.says(dana, "// back", thread=team.root.ts)
        await team.has(ev.Noted)


async def test_a_deleted_root_is_made_again_with_its_history(slack: Slack, team: Team, dana: str) -> None:
    old = await team.started()
    await team.do(ASSISTANT, ev.Said(text="word 0"))
    await team.says("word 1")
    await team.done()
    await slack.deletes(dana, old)
    await slack.quiet()
    await team.says("word 2")
    await team.done()
    new = team.root.ts
    assert new != old
    assert "Do you ship to Norway?" in team.root.shown
    history, *rest = team.shown(new)
    assert history.splitlines()[-2:] == ["*AI assistant:* word 0", "*Maria · visitor:* word 1"]
    assert rest == ["word 2"]
    await team.says("word 3")
    await team.done()
    assert team.shown(new)[1:] == ["word 2", "word 3"]
    assert slack.message(old).subtype == "tombstone"
    await slack.says(dana, "hello?", thread=old)
    await team.hears(dana, "goes on in another thread")
    await slack.presses(dana, new, action_id="take")
    await team.has(ev.TookOver)


@pytest.mark.parametrize("behaviour", ["unthreads", "refuses"])
async def test_a_root_that_is_gone_without_a_word_is_noticed(slack: Slack, behaviour: str) -> None:
    async with Team(slack).open() as team:
        old = await team.started(name="")
        slack.deleted_root = behaviour
        del slack.messages[slack.channel, old]
        await team.says("word 0")
        await team.says("word 1")
        await team.done()
        assert [m.ts for m in slack.roots()] == [team.root.ts], "no stray message in the channel"
        assert team.shown() == ["word 0", "word 1"]


async def test_a_message_that_is_gone_is_no_trouble(slack: Slack, team: Team) -> None:
    await team.started()
    await team.do(LIA, ev.TookOver())
    said = await team.do(LIA, ev.Said(text="word 0"))
    await team.done()
    del slack.messages[slack.channel, team.thread()[-1].ts]
    await team.do(LIA, ev.Edited(target=said, text="word 1"))
    await team.done()
    assert await team.events(ev.Undelivered) == []


# In


async def test_the_same_event_again_changes_nothing(slack: Slack, team: Team, dana: str) -> None:
    root = await team.started()
    press = await slack.presses(dana, root, action_id="take")
    await team.has(ev.TookOver)
    ts = await slack.says(dana, "Hello", thread=root)
    await eventually(team.texts)
    await slack.quiet()
    for _ in range(2):
        await slack.redeliver(ts).done()
        await slack.interaction(press.payload).done()
    later = slack.delivery(ts).payload | {"event_id": "Ev-another"}
    slack.emit(later["event"], None)
    await slack.quiet()
    assert await team.texts() == ["Hello"]
    assert len(await team.events(ev.TookOver)) == 1


async def test_after_a_restart_it_is_still_the_same_event(slack: Slack, dana: str) -> None:
    team = Team(slack)
    async with team.open():
        root = await team.started()
        ts = await slack.says(dana, "// note", thread=root)
        await team.has(ev.Noted)
        await slack.quiet()
    async with team.open():
        await eventually(lambda: slack.sockets)
        await slack.redeliver(ts).done()
        await slack.says(dana, "// another", thread=root)
        await team.has(ev.Noted, count=2)
        assert await team.texts(ev.Noted) == ["note", "another"]


async def test_what_cannot_be_kept_is_not_acknowledged(
    slack: Slack, team: Team, dana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = await team.started()
    put_all, full = team.store.put_all, True

    async def disk(space: str, batch: object) -> None:
        if full:
            raise StoreError("the disk is full")
        await put_all(space, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(team.store, "put_all", disk)
    ts = await slack.says(dana, "// note", thread=root)
    await eventually(lambda: slack.delivery(ts).failures)
    assert not slack.delivery(ts).acked
    full = False
    await team.has(ev.Noted)
    assert (await slack.delivery(ts).done()).acked


async def test_a_socket_that_is_cut_in_mid_burst(slack: Slack, dana: str) -> None:
    slack.outbound.retry_delays = [0.2] * 20
    async with Team(slack).open() as team:
        root = await team.started()
        await slack.presses(dana, root, action_id="take")
        await team.has(ev.TookOver)
        for number in range(10):
            await slack.says(dana, f"word {number}", thread=root)
            if number == 3:
                slack.cut_sockets()
            if number == 7:
                await eventually(lambda: slack.sockets)
                await slack.disconnect_sockets()
        await eventually(lambda: _all(team, 10), within=20)
        assert sorted(await team.texts()) == [f"word {number}" for number in range(10)]


async def _all(team: Team, count: int) -> bool:
    return len(await team.texts()) == count


async def test_each_threads_order_is_kept(slack: Slack, team: Team, dana: str) -> None:
    root = await team.started()
    await slack.presses(dana, root, action_id="take")
    await team.has(ev.TookOver)
    for number in range(20):
        ts = await slack.says(dana, f"word {number}", thread=root)
        if team.mode == "http":  # requests run side by side; Slack sends the next one once it is answered
            await slack.delivery(ts).done()
    await eventually(lambda: _all(team, 20))
    assert await team.texts() == [f"word {number}" for number in range(20)]


async def test_a_reply_that_is_faster_than_slacks_answer_waits_for_the_thread(
    slack: Slack, dana: str
) -> None:
    async with Team(slack).open() as team:
        await eventually(lambda: slack.sockets)
        slack.lose("chat.postMessage")
        await team.begin()
        await eventually(slack.roots)
        await slack.says(dana, "// quick", thread=slack.roots()[0].ts)
        await team.has(ev.Noted)
        assert await team.texts(ev.Noted) == ["quick"]


async def test_a_reaction_that_fails_holds_up_no_words(slack: Slack, team: Team, dana: str) -> None:
    root = await team.started()
    await slack.presses(dana, root, action_id="take")
    await team.has(ev.TookOver)
    slack.limit("reactions.add", 1)
    slack.fail("reactions.add", error="missing_scope")
    first = await slack.says(dana, "one", thread=root)
    await slack.says(dana, "two", thread=root)
    await eventually(lambda: _all(team, 2), within=0.9)
    await eventually(lambda: slack.message(first).reactions)
