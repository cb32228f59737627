"""Slack's small slips: marks in bold, edits of nothing, names that cannot be asked for, links in a payload."""

from collections.abc import AsyncIterator
import time

import aiohttp
from aiohttp import web
import pytest

from bridge import events as ev
from bridge.events import ConversationId
from connectors.slack.calls import Calls
from connectors.slack.incoming import SHARED, TOO_LATE, UNKNOWN_THREAD
from connectors.threads.desk import NOT_PASSED_ON
from tests.eventually import eventually
from tests.fakes.slack import Slack
from tests.logs import VISITOR
from tests.slacking import MARIA, Team


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as server:
        yield server


@pytest.fixture
async def team(slack: Slack) -> AsyncIterator[Team]:
    async with Team(slack).open() as team:
        yield team


@pytest.fixture
def dana(slack: Slack) -> str:
    return slack.add_user("dana", display_name="Dana")


async def holding(slack: Slack, team: Team, who: str) -> str:
    root = await team.started()
    await slack.presses(who, root, action_id="take")
    await team.has(ev.TookOver)
    return root


@pytest.mark.parametrize(
    "slip",
    [
        "*// he is lying*",
        "_// he is lying_",
        "\u200f// he is lying",
        "／／ he is lying",
        "*!guide offer him ten percent*",
        "`!close`",
    ],
)
async def test_a_note_or_command_in_a_style_of_its_own_is_kept_for_the_team(
    slack: Slack, team: Team, dana: str, slip: str
) -> None:
    root = await holding(slack, team, dana)
    ts = await slack.says(dana, slip, thread=root, wire=True)
    await eventually(lambda: "memo" in slack.message(ts).reactions)
    assert await team.texts() == []
    assert not (await team.bridge.state(MARIA)).closed


@pytest.mark.parametrize("around", ["*{}*", "\u200f{}", " _{}_"])
async def test_whoever_speaks_to_the_bot_in_bold_does_not_speak_to_the_visitor(
    slack: Slack, team: Team, dana: str, around: str
) -> None:
    root = await holding(slack, team, dana)
    await slack.says(dana, around.format(f"<@{slack.bot_user}> tkae"), thread=root, wire=True)
    await team.hears(dana, "There is no command")
    assert await team.texts() == []


async def test_words_wait_while_slack_does_not_say_who_wrote_them(
    slack: Slack, team: Team, dana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.threads.inbox.TRIES", 2)
    monkeypatch.setattr("connectors.slack.calls.AGAIN", 0.05)
    root = await team.started()
    slack.fail("users.info", error="internal_error", times=None)
    ts = await slack.says(dana, "by sea", thread=root)
    await eventually(lambda: len(slack.calls_of("users.info")) > 3)
    slack.mend("users.info")
    await eventually(lambda: "memo" in slack.message(ts).reactions)
    assert await team.texts(ev.Noted) == ["by sea"]


async def test_nobody_waits_for_the_name_of_somebody_who_is_mentioned(
    slack: Slack, team: Team, dana: str
) -> None:
    """Else a colleague's takeover would wait, too, for as long as Slack is in trouble with that one."""
    root, sam = await holding(slack, team, dana), slack.add_user("sam", display_name="Sam")
    slack.fail("users.info", error="internal_error", times=None, when=lambda asked: asked["user"] == sam)
    await slack.says(dana, f"ask <@{sam}>", thread=root)
    assert await eventually(lambda: team.texts(ev.Said)) == [f"ask @{sam}"]


async def test_whoever_wrote_hears_of_it_though_slack_takes_its_time(
    slack: Slack, team: Team, dana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.slack.calls.AGAIN", 0.02)
    monkeypatch.setattr("connectors.slack.courtesy.LONGEST", 0.02)
    root = await team.started()
    slack.breaks("reactions.add", times=8)
    slack.breaks("chat.postEphemeral", times=8)
    ts = await slack.says(dana, "by sea", thread=root)
    await team.hears(dana, "kept as a note")
    await eventually(lambda: "memo" in slack.message(ts).reactions)


async def test_a_long_pause_is_told_in_every_conversation(slack: Slack) -> None:
    olga = ConversationId("olga")
    async with Team(slack, tell=0.2).open() as team:
        await team.started()
        await team.begin("Hello", cid=olga, name="Olga")
        await team.done(olga)
        slack.limit("chat.postMessage", 30, times=None)
        await team.says("and to Sweden?")
        await team.has(ev.Undelivered)
        await team.says("and to Finland?", cid=olga)
        (trouble,) = await team.has(ev.Undelivered, olga)
        assert trouble.retrying
        assert len(slack.calls_of("chat.postMessage", outcome="429")) == 1


async def test_a_long_pause_for_edits_is_told_in_every_conversation(slack: Slack) -> None:
    olga = ConversationId("olga")
    async with Team(slack, tell=0.2).open() as team:
        await team.started(name="")
        hers = await team.says("to Sweden?")
        await team.begin("Hello", cid=olga, name="")
        olgas = await team.says("to Finland?", cid=olga)
        await team.done()
        await team.done(olga)
        await team.drawn()
        slack.limit("chat.update", 30, times=None)
        await team.do(VISITOR, ev.Edited(target=hers, text="and to Sweden?"))
        await team.has(ev.Undelivered)
        await team.do(VISITOR, ev.Edited(target=olgas, text="and to Finland?"), cid=olga)
        (trouble,) = await team.has(ev.Undelivered, olga)
        assert trouble.retrying
        assert len(slack.calls_of("chat.update", outcome="429")) == 1


async def test_a_pause_is_kept_by_every_mark(slack: Slack, team: Team, dana: str) -> None:
    root = await team.started()
    slack.limit("reactions.add", 1, times=None)
    notes = [await slack.says(dana, f"// note {number}", thread=root) for number in range(3)]
    await team.has(ev.Noted, count=3)
    await eventually(lambda: all("memo" in slack.message(ts).reactions for ts in notes))
    assert [c for c in slack.calls if c.hasty] == []
    assert len(slack.calls_of("reactions.add", outcome="429")) == 1


async def test_an_edit_of_what_went_nowhere_is_told(slack: Slack, team: Team, dana: str) -> None:
    root = await holding(slack, team, dana)
    typo = await slack.says(dana, "!tkae", thread=root)
    await team.hears(dana, "There is no command")
    await slack.edits(dana, typo, "!close")
    await team.hears(dana, NOT_PASSED_ON)
    long = await slack.says(dana, "x" * 4_001, thread=root)
    await team.hears(dana, "too long")
    await slack.edits(dana, long, "short")
    await team.hears(dana, NOT_PASSED_ON, count=2)
    assert await team.texts() == []
    assert not (await team.bridge.state(MARIA)).closed


async def test_an_edit_that_mentions_the_bot_is_no_new_command(slack: Slack, team: Team, dana: str) -> None:
    """The message itself was never heard of; Slack tells of its edit, and of the mention in it."""
    root = await team.started()
    slack.subscriptions.discard("message.channels")
    ts = await slack.says(dana, "close", thread=root)
    slack.subscriptions.add("message.channels")
    await slack.edits(dana, ts, f"<@{slack.bot_user}> close")
    assert [d.event["type"] for d in slack.deliveries if d.event.get("user") == dana] == ["app_mention"]
    await slack.says(dana, "!who", thread=root)
    await team.hears(dana, "Answering")
    assert not (await team.bridge.state(MARIA)).closed


async def test_a_modal_that_slack_no_longer_wants_is_told(slack: Slack, team: Team, dana: str) -> None:
    root = await team.started()
    slack.trigger_seconds = -1.0
    await slack.shortcut(dana, "guide", root)
    await team.hears(dana, TOO_LATE)
    assert slack.views == []


async def test_a_thread_that_is_in_no_store_is_told(slack: Slack, dana: str) -> None:
    """As after a store was lost."""
    async with Team(slack).open() as team:
        root = await team.started()
    async with Team(slack).open() as team:
        team.surface._incoming._places._patience = 0.1
        await eventually(lambda: slack.sockets)
        await slack.says(dana, "hello", thread=root)
        await team.hears(dana, UNKNOWN_THREAD)


async def test_an_edit_of_what_is_long_past_does_not_wait(
    slack: Slack, team: Team, dana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = await team.started()
    ts = await slack.says(dana, "!who", thread=root)
    await team.hears(dana, "Answering")
    for record in await team.store.scan("slack-seen"):
        await team.store.delete("slack-seen", record.key)
    real = time.time
    monkeypatch.setattr("connectors.slack.incoming.time.time", lambda: real() + 8 * 86_400)
    await slack.edits(dana, ts, "!take")
    await team.hears(dana, NOT_PASSED_ON)
    assert await team.store.scan("slack-inbox", "item/") == []


async def test_no_personal_link_is_kept_with_the_press_that_opened_it(
    slack: Slack, team: Team, dana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bytes] = []
    put_all = team.store.put_all

    async def watched(space: str, batch) -> None:
        kept.extend(record.value for record in batch)
        await put_all(space, batch)

    monkeypatch.setattr(team.store, "put_all", watched)
    root = await team.started()
    await slack.presses(dana, root, action_id="link")
    hint = await team.hears(dana, "personal link")
    await (await slack.presses(dana, hint.ts, action_id="open")).done()
    assert kept
    assert not [value for value in kept if b"/join#" in value]


async def test_requests_that_slack_did_not_sign_are_logged_once_in_a_while(
    slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    async with Team(slack, mode="http").open() as team, aiohttp.ClientSession() as session:
        for _ in range(3):
            url = f"http://127.0.0.1:{team.port}/slack/events"
            async with session.post(url, json={"type": "event_callback"}) as answer:
                assert answer.status == 401
    assert len([r for r in caplog.records if "slack.signing_secret" in r.getMessage()]) == 1


async def test_a_hint_that_was_pressed_is_taken_away_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def passes_on(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.url}")
        return web.Response()

    proxy = web.AppRunner(application := web.Application())
    application.router.add_route("*", "/{path:.*}", passes_on)
    await proxy.setup()
    await web.TCPSite(proxy, "127.0.0.1", 0).start()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.addresses[0][1]}")
    calls = Calls(token="xoxb-1", api_url="http://slack.invalid/api")
    try:
        await calls.dismiss("http://slack.invalid/actions/T1/x")
        assert asked == ["POST http://slack.invalid/actions/T1/x"]
    finally:
        await calls.close()
        await proxy.cleanup()


async def test_a_payload_of_another_shape_is_left_out_and_not_sent_for_ever(
    slack: Slack, team: Team, dana: str
) -> None:
    root = await team.started()
    odd = slack.emit({"type": "message", "channel": slack.channel, "ts": {}, "text": "secret words"})
    await odd.done()
    assert odd.acked
    half = "by \ud83d sea"
    shape = {"type": "message", "channel": slack.channel, "ts": f"{time.time():.6f}", "thread_ts": root}
    await slack.emit({**shape, "user": dana, "text": half}).done()
    await team.has(ev.Noted)
    assert await team.texts(ev.Noted) == ["by ? sea"]


async def test_a_forwarded_message_stays_and_it_says_so(slack: Slack, team: Team, dana: str) -> None:
    root = await holding(slack, team, dana)
    shape = {"type": "message", "channel": slack.channel, "user": dana, "thread_ts": root, "text": "see"}
    attachment = {"is_share": True, "text": "secret", "from_url": "https://acme.slack.example/archives/C1/p1"}
    await slack.emit({**shape, "ts": slack.next_ts(), "attachments": [attachment]}).done()
    await team.hears(dana, SHARED)
    assert await team.texts() == ["see"]
