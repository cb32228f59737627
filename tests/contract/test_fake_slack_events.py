"""What leaves the local Slack reaches a real Bolt app, in both modes, and people can act in it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from tests.bolting import TAKE, Office, by_http, by_socket
from tests.eventually import eventually
from tests.fakes.slack import Slack

MODAL = {
    "type": "modal",
    "callback_id": "guide",
    "private_metadata": "c1",
    "title": {"type": "plain_text", "text": "Guide the AI"},
    "submit": {"type": "plain_text", "text": "Send"},
    "blocks": [
        {
            "type": "input",
            "block_id": "words",
            "label": {"type": "plain_text", "text": "Words"},
            "element": {"type": "plain_text_input", "action_id": "said"},
        }
    ],
}


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as server:
        server.outbound.ack_timeout = (
            5.0  # so that a busy machine causes no redelivery that a test did not ask for
        )
        yield server


@pytest.fixture(params=[by_socket, by_http])
async def office(slack: Slack, request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    async with request.param(slack) as made:
        yield made


@pytest.fixture
async def socketed(slack: Slack) -> AsyncIterator[Office]:
    async with by_socket(slack) as made:
        yield made


# -- people, in both modes


async def test_what_people_write_arrives_as_slack_encodes_it(slack: Slack, office: Office) -> None:
    ann = slack.add_user("ann")
    root = await slack.says(ann, "Is 1 < 2 & https://a.test/?x=1&y=2 ok? a@b.test")
    reply = await slack.says(ann, "yes", thread=root)
    raw = await slack.says(ann, "<https://x.test|y>", wire=True)
    await eventually(lambda: len(office.heard) == 3)
    first, second, third = sorted(office.heard, key=lambda e: str(e["ts"]))
    assert first["text"] == ("Is 1 &lt; 2 &amp; <https://a.test/?x=1&amp;y=2> ok? <mailto:a@b.test|a@b.test>")
    assert (first["user"], first["channel"], first["channel_type"]) == (ann, slack.channel, "channel")
    assert (second["ts"], second["thread_ts"], second["parent_user_id"]) == (reply, root, ann)
    assert (third["ts"], third["text"]) == (raw, "<https://x.test|y>")
    payload = slack.delivery(root).payload
    assert payload["authorizations"][0]["user_id"] == slack.bot_user
    assert (payload["team_id"], payload["api_app_id"]) == (slack.team_id, slack.app_id)
    assert slack.message(root).shown == "Is 1 < 2 & https://a.test/?x=1&y=2 ok? a@b.test"


async def test_a_mention_arrives_twice(slack: Slack, office: Office) -> None:
    ann = slack.add_user("ann")
    ts = await slack.says(ann, f"<@{slack.bot_user}> take")
    await eventually(lambda: len(office.heard) == 2)
    assert {e["type"] for e in office.heard} == {"message", "app_mention"}
    assert {e["ts"] for e in office.heard} == {ts}
    assert len({d.event_id for d in slack.deliveries}) == 2


async def test_a_mention_that_comes_by_an_edit_arrives_twice_too(slack: Slack, office: Office) -> None:
    ann = slack.add_user("ann")
    ts = await slack.says(ann, "take")
    await slack.edits(ann, ts, f"<@{slack.bot_user}> take")
    await eventually(lambda: len(office.heard) == 3)
    (mention,) = [e for e in office.heard if e["type"] == "app_mention"]
    (change,) = [e for e in office.heard if e.get("subtype") == "message_changed"]
    assert (mention["ts"], mention["edited"]) == (ts, change["message"]["edited"])


async def test_edits_deletions_and_previews(slack: Slack, office: Office) -> None:
    ann = slack.add_user("ann")
    ts = await slack.says(ann, "one")
    await slack.unfurls(ts, "https://a.test")
    await slack.edits(ann, ts, "two")
    await slack.deletes(ann, ts)
    await eventually(lambda: len(office.heard) == 4)
    by_time = sorted(office.heard, key=lambda e: str(e["ts"]))
    assert [e.get("subtype") for e in by_time] == [
        None,
        "message_changed",
        "message_changed",
        "message_deleted",
    ]
    assert "edited" not in by_time[1]["message"]
    assert by_time[2]["message"]["edited"]["user"] == ann
    assert (by_time[2]["message"]["text"], by_time[2]["previous_message"]["text"]) == ("two", "one")
    assert by_time[3]["deleted_ts"] == ts


async def test_of_own_posts_only_customised_edits_pass_bolts_filter(slack: Slack, office: Office) -> None:
    where = slack.channel
    plain = (await office.client.chat_postMessage(channel=where, text="plain"))["ts"]
    named = (await office.client.chat_postMessage(channel=where, text="named", username="Visitor"))["ts"]
    await office.client.chat_update(channel=where, ts=plain, text="plain 2")
    await office.client.chat_update(channel=where, ts=named, text="named 2")
    await slack.quiet()
    await eventually(lambda: office.heard)
    assert [e["message"]["text"] for e in office.heard] == ["named 2"]
    assert [d.event.get("subtype") for d in slack.deliveries] == [
        None,
        "bot_message",
        "message_changed",
        "message_changed",
    ]


async def test_a_press_carries_everything_and_its_response_url_works(slack: Slack, office: Office) -> None:
    ann = slack.add_user("ann")
    posted = await office.client.chat_postMessage(channel=slack.channel, text="card", blocks=[TAKE])
    delivery = await slack.presses(ann, posted["ts"], action_id="take")
    body = await office.acted()
    assert (await delivery.done()).acked
    assert (body["actions"][0]["action_id"], body["actions"][0]["value"]) == ("take", "c1")
    assert (body["user"]["id"], body["channel"]["id"], body["message"]["ts"]) == (
        ann,
        slack.channel,
        posted["ts"],
    )
    assert body["container"] == {
        "type": "message",
        "message_ts": posted["ts"],
        "channel_id": slack.channel,
        "is_ephemeral": False,
    }
    async with aiohttp.ClientSession() as session:
        for n in range(5):
            async with session.post(body["response_url"], json={"text": f"only you {n}"}) as answer:
                assert answer.status == 200
        async with session.post(body["response_url"], json={"text": "too often"}) as answer:
            assert (await answer.json())["error"] == "used_url"
    assert [e.shown for e in slack.seen_by(ann)] == [f"only you {n}" for n in range(5)]
    with pytest.raises(AssertionError, match="no button"):
        await slack.presses(ann, posted["ts"], action_id="end")
    await office.client.chat_update(channel=slack.channel, ts=posted["ts"], text="closed", blocks=[])
    await slack.presses(ann, posted["ts"], action_id="take", stale=True)
    assert (await office.acted())["message"]["text"] == "closed"


async def test_an_ephemeral_is_seen_pressed_and_removed(slack: Slack, office: Office) -> None:
    ann, bob = slack.add_user("ann"), slack.add_user("bob")
    root = await slack.says(ann, "hi")
    told = await office.client.chat_postEphemeral(
        channel=slack.channel, user=ann, thread_ts=root, text="Kept as a note", blocks=[TAKE]
    )
    [whisper] = slack.seen_by(ann)
    assert (whisper.ts, whisper.thread_ts, slack.seen_by(bob)) == (told["message_ts"], root, [])
    await slack.presses(ann, whisper.ts, action_id="take", value="c1")
    body = await office.acted()
    assert body["container"]["is_ephemeral"]
    assert body["container"]["thread_ts"] == root
    assert "message" not in body
    async with aiohttp.ClientSession() as session:
        change = {"replace_original": True, "text": "Taken"}
        async with session.post(body["response_url"], json=change):
            assert (whisper.shown, whisper.buttons) == ("Taken", [])
        async with session.post(body["response_url"], json={"delete_original": True}):
            assert slack.seen_by(ann) == []


async def test_a_shortcut_opens_a_modal_that_is_submitted(slack: Slack, office: Office) -> None:
    ann = slack.add_user("ann")
    ts = await slack.says(ann, "hi")
    await slack.shortcut(ann, "guide", ts)
    body = await office.acted()
    assert (body["message"]["ts"], body["callback_id"]) == (ts, "guide")
    await office.client.views_open(trigger_id=body["trigger_id"], view=MODAL)
    with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
        await office.client.views_open(trigger_id=body["trigger_id"], view=MODAL)
    [view] = slack.views
    assert (view.user, view.inputs, view.private_metadata) == (ann, [("words", "said")], "c1")
    office.errors = {"words": "too short"}
    await slack.submits(ann, view.id, {"words": {"said": "x"}})
    assert (view.open, view.errors) == (True, office.errors)
    office.errors = {}
    await slack.submits(ann, view.id, {"words": {"said": "be kind"}})
    assert (view.open, view.errors) == (False, {})
    sent = await office.acted()
    assert sent["view"]["state"]["values"]["words"]["said"]["value"] == "be kind"
    assert sent["view"]["private_metadata"] == "c1"


async def test_a_trigger_lives_for_a_moment(slack: Slack, office: Office) -> None:
    slack.trigger_seconds = 0.0
    ann = slack.add_user("ann")
    await slack.shortcut(ann, "guide", await slack.says(ann, "hi"))
    trigger = (await office.acted())["trigger_id"]
    with pytest.raises(SlackApiError, match="expired_trigger_id"):
        await office.client.views_open(trigger_id=trigger, view=MODAL)
    with pytest.raises(SlackApiError, match="invalid_arguments"):
        await office.client.views_open(trigger_id=trigger, view={**MODAL, "title": "x"})


async def test_the_channel_and_its_members_change(slack: Slack, office: Office) -> None:
    ann, eve = slack.add_user("ann"), slack.add_user("eve", channels=())
    await slack.joins(eve)
    await slack.leaves(eve)
    await slack.archive(by=ann)
    await slack.unarchive(by=ann)
    await slack.bot_says("beep")
    await slack.kick_bot()
    await eventually(lambda: [e for e in office.heard if e.get("user") == slack.bot_user])
    await slack.says(ann, "unheard")
    await slack.quiet()
    kinds = [e["type"] + ":" + e.get("subtype", "") for e in office.heard]
    assert sorted(kinds) == [
        "channel_archive:",
        "channel_unarchive:",
        "member_joined_channel:",
        "member_joined_channel:",
        "member_left_channel:",
        "member_left_channel:",
        "message:bot_message",
        "message:channel_join",
        "message:channel_leave",
    ]
    assert [m.text for m in slack.roots()] == ["beep", "unheard"]
