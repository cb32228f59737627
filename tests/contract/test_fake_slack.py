"""The local Slack is as faithful as the tests that lean on it: the real SDK talks to it here."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import Slack
from tests.fakes.slack_text import Button

BUTTONS: list[dict[str, Any]] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "*Waiting* 2 min"}},
    {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "action_id": "take",
                "value": "c1",
                "text": {"type": "plain_text", "text": "Take over"},
            },
            {
                "type": "button",
                "action_id": "close",
                "value": "c1",
                "text": {"type": "plain_text", "text": "End"},
            },
        ],
    },
]


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as server:
        yield server


@pytest.fixture
async def client(slack: Slack) -> AsyncIterator[AsyncWebClient]:
    async with aiohttp.ClientSession() as session:
        made = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session)
        made.retry_handlers.clear()
        yield made


async def refused(call: Any) -> dict[str, Any]:
    with pytest.raises(SlackApiError) as caught:
        await call
    assert isinstance(caught.value.response.data, dict)
    return caught.value.response.data


async def error(call: Any) -> str:
    return str((await refused(call))["error"])


def events(slack: Slack, subtype: str | None) -> list[dict[str, Any]]:
    sent = [d.event for d in slack.deliveries]
    return [e for e in sent if e["type"] == "message" and e.get("subtype") == subtype]


# -- tokens, scopes, arguments


async def test_a_token_is_needed_and_may_die(slack: Slack, client: AsyncWebClient) -> None:
    answer = await client.auth_test()
    assert answer["bot_id"] == slack.bot_id
    assert "chat:write" in answer.headers["x-oauth-scopes"]
    assert await error(client.auth_test(token="xoxb-other")) == "invalid_auth"
    slack.revoke_token()
    assert await error(client.auth_test()) == "token_revoked"
    slack.restore_token()
    slack.revoke_token("account_inactive")
    assert await error(client.auth_test()) == "account_inactive"
    slack.restore_token("xoxb-new")
    client.token = "xoxb-new"
    await client.auth_test()
    assert await error(client.apps_connections_open(app_token=slack.bot_token)) == "not_allowed_token_type"
    async with aiohttp.ClientSession() as session, session.get(f"{slack.api_url}auth.test") as bare:
        assert (bare.status, (await bare.json())["error"]) == (200, "not_authed")


async def test_arguments_come_as_query_form_or_json(slack: Slack) -> None:
    async with aiohttp.ClientSession() as session:
        url, auth = f"{slack.api_url}chat.postMessage", {"Authorization": f"Bearer {slack.bot_token}"}
        form = {"token": slack.bot_token, "channel": slack.channel, "text": "form"}
        async with session.post(url, data=form) as answer:
            assert (await answer.json())["ok"]
        mixed = {"channel": slack.channel}
        async with session.post(url, params=mixed, json={"text": "json"}, headers=auth) as answer:
            assert (await answer.json())["ok"]
        query = {"channel": slack.channel, "text": "query"}
        async with session.get(url, params=query, headers=auth) as answer:
            assert (await answer.json())["ok"]
    assert [m.text for m in slack.roots()] == ["form", "json", "query"]


async def test_a_scope_that_is_missing_is_named(slack: Slack, client: AsyncWebClient) -> None:
    slack.scopes -= {"reactions:write", "channels:history", "groups:read"}
    posted = await client.chat_postMessage(channel=slack.channel, text="hi")
    reaction = client.reactions_add(channel=slack.channel, timestamp=posted["ts"], name="eyes")
    answer = await refused(reaction)
    assert (answer["error"], answer["needed"]) == ("missing_scope", "reactions:write")
    assert "chat:write" in answer["provided"]
    assert (
        await error(client.conversations_replies(channel=slack.channel, ts=posted["ts"])) == "missing_scope"
    )
    private = slack.add_channel("private", kind="group")
    assert (await refused(client.conversations_info(channel=private)))["needed"] == "groups:read"


# -- posts


async def test_a_post_with_a_name_of_its_own_is_echoed_as_bot_message(
    slack: Slack, client: AsyncWebClient
) -> None:
    metadata = {"event_type": "joinline", "event_payload": {"key": "k1"}}
    posted = await client.chat_postMessage(
        channel=slack.channel, text="hello", username="Visitor", icon_emoji=":wave:", metadata=metadata
    )
    assert posted["message"]["username"] == "Visitor"
    [message] = slack.roots()
    assert (message.username, message.user, message.metadata) == ("Visitor", None, metadata)
    [event] = events(slack, "bot_message")
    assert (event["bot_id"], event["app_id"], event["ts"]) == (slack.bot_id, slack.app_id, message.ts)
    assert "user" not in event
    slack.scopes.discard("chat:write.customize")
    await client.chat_postMessage(channel=slack.channel, text="plain", username="Visitor")
    assert slack.roots()[-1].username is None
    assert events(slack, None)[-1]["user"] == slack.bot_user


async def test_replies_broadcasts_and_metadata_are_read_back(slack: Slack, client: AsyncWebClient) -> None:
    root = (await client.chat_postMessage(channel=slack.channel, text="root"))["ts"]
    for n in range(5):
        metadata = {"event_type": "joinline", "event_payload": {"n": n}}
        await client.chat_postMessage(channel=slack.channel, text=f"r{n}", thread_ts=root, metadata=metadata)
    loud = await client.chat_postMessage(
        channel=slack.channel, text="loud", thread_ts=root, reply_broadcast=True
    )
    assert [m.text for m in slack.thread(slack.channel, root)] == [
        "root",
        "r0",
        "r1",
        "r2",
        "r3",
        "r4",
        "loud",
    ]
    assert events(slack, "thread_broadcast")[0]["root"]["reply_count"] == 6
    found, cursor = [], ""
    while True:
        page = await client.conversations_replies(
            channel=slack.channel, ts=root, limit=3, cursor=cursor, include_all_metadata=True
        )
        found += page["messages"]
        if not page["has_more"]:
            break
        cursor = page["response_metadata"]["next_cursor"]
    assert [m["text"] for m in found] == ["root", "r0", "r1", "r2", "r3", "r4", "loud"]
    assert found[2]["metadata"]["event_payload"] == {"n": 1}
    bare = await client.conversations_replies(channel=slack.channel, ts=root, oldest=found[4]["ts"])
    assert [m["text"] for m in bare["messages"]] == ["root", "r4", "loud"]
    assert "event_payload" not in bare["messages"][1]["metadata"]
    history = await client.conversations_history(channel=slack.channel)
    assert [m["ts"] for m in history["messages"]] == [loud["ts"], root]
    assert await error(client.conversations_replies(channel=slack.channel, ts="1.1")) == "thread_not_found"
    assert await error(
        client.chat_postMessage(channel=slack.channel, text="x", thread_ts=found[1]["ts"])
    ) == ("cannot_reply_to_message")
    link = await client.chat_getPermalink(channel=slack.channel, message_ts=loud["ts"])
    assert f"thread_ts={root}" in link["permalink"]


async def test_what_slack_refuses_to_post(slack: Slack, client: AsyncWebClient) -> None:
    post, here = client.chat_postMessage, slack.channel
    assert await error(post(channel="C0NONE", text="x")) == "channel_not_found"
    assert await error(post(channel=slack.add_channel("other", bot=False), text="x")) == "not_in_channel"
    hidden = slack.add_channel("hidden", kind="group", bot=False)
    assert await error(post(channel=hidden, text="x")) == "channel_not_found"
    bare = client.api_call("chat.postMessage", json={"channel": here, "text": ""})
    assert await error(bare) == "no_text"
    assert await error(post(channel=here, text="x" * 40_001)) == "msg_too_long"
    bad: dict[str, Any] = {"event_type": "x"}
    assert await error(post(channel=here, text="x", metadata=bad)) == "invalid_metadata_schema"
    big = {"event_type": "x", "event_payload": {"p": "x" * 9000}}
    assert await error(post(channel=here, text="x", metadata=big)) == "metadata_too_large"
    ann = slack.add_user("ann")
    await slack.archive(by=ann)
    assert await error(post(channel=here, text="x")) == "is_archived"
    await slack.unarchive(by=ann, invite=False)
    assert await error(post(channel=here, text="x")) == "not_in_channel"
    await slack.invite_bot()
    await post(channel=here, text="x")
    await slack.kick_bot()
    assert await error(post(channel=here, text="x")) == "not_in_channel"
    assert await error(client.chat_postEphemeral(channel=here, user=ann, text="x")) == "not_in_channel"
    await slack.invite_bot()
    eve = slack.add_user("eve", channels=())
    assert await error(client.chat_postEphemeral(channel=here, user=eve, text="x")) == "user_not_in_channel"


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def button(**changes: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "Go"}, **changes}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


WRONG = [
    ([section("x")] * 51, "invalid_blocks", "no more than 50"),
    ([section("x" * 3001)], "invalid_blocks", "less than 3001"),
    ([section("")], "invalid_blocks", "more than 0"),
    (
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
        "invalid_blocks",
        "less than 151",
    ),
    ([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}], "invalid_blocks", "plain_text"),
    ([actions(*[button(action_id=f"a{n}") for n in range(26)])], "invalid_blocks", "no more than 25"),
    ([actions(button(), button())], "invalid_blocks", "already exists"),
    ([actions(button(action_id=""))], "invalid_blocks", "action_id"),
    ([actions(button(text={"type": "plain_text", "text": "x" * 76}))], "invalid_blocks", "less than 76"),
    ([actions(button(value="x" * 2001))], "invalid_blocks", "less than 2001"),
    ([actions(button(style="loud"))], "invalid_blocks", "enum"),
    ([actions(section("x"))], "invalid_blocks", "unsupported type"),
    ([{"type": "fancy"}], "invalid_blocks", "unsupported type"),
    ([{**section("x"), "colour": "red"}], "invalid_blocks", "additional property"),
    ([section("x" * 2900)] * 5, "msg_blocks_too_long", ""),
    ("no json", "invalid_blocks_format", ""),
]


@pytest.mark.parametrize(("blocks", "code", "why"), WRONG)
async def test_blocks_that_slack_refuses(
    slack: Slack, client: AsyncWebClient, blocks: Any, code: str, why: str
) -> None:
    answer = await refused(client.chat_postMessage(channel=slack.channel, text="x", blocks=blocks))
    assert answer["error"] == code
    assert why in str(answer.get("response_metadata", ""))


async def test_blocks_show_instead_of_the_text(slack: Slack, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel=slack.channel, text="fallback", blocks=BUTTONS)
    [message] = slack.roots()
    assert message.shown == "*Waiting* 2 min"
    assert message.buttons == [Button("Take over", "take", "c1"), Button("End", "close", "c1")]
    assert all(block["block_id"] for block in message.blocks)


# -- edits, deletions, reactions


async def test_an_edit_keeps_blocks_only_without_a_new_text(slack: Slack, client: AsyncWebClient) -> None:
    metadata = {"event_type": "joinline", "event_payload": {"key": "k1"}}
    ts = (await client.chat_postMessage(channel=slack.channel, text="a", username="V", metadata=metadata))[
        "ts"
    ]
    await client.api_call("chat.update", json={"channel": slack.channel, "ts": ts, "blocks": BUTTONS})
    message = slack.message(ts)
    assert (message.text, bool(message.blocks), message.metadata) == ("a", True, metadata)
    await client.chat_update(channel=slack.channel, ts=ts, text="b")
    assert (message.text, message.blocks, message.username) == ("b", [], "V")
    [first, second] = events(slack, "message_changed")
    assert first["previous_message"]["text"] == "a"
    assert second["message"]["text"] == "b"
    assert second["message"]["bot_id"] == slack.bot_id
    assert "user" not in second  # so that Bolt's own filter lets it through, as with Slack
    assert second["ts"] != ts
    ann = slack.add_user("ann")
    hers = await slack.says(ann, "mine")
    assert await error(client.chat_update(channel=slack.channel, ts=hers, text="x")) == "cant_update_message"
    assert await error(client.chat_update(channel=slack.channel, ts="1.1", text="x")) == "message_not_found"
    assert await error(client.chat_update(channel=slack.channel, ts=ts, text="x" * 4001)) == "msg_too_long"
    await slack.archive(by=ann)
    assert await error(client.chat_update(channel=slack.channel, ts=ts, text="x")) == "is_inactive"


async def test_a_root_without_replies_is_gone_and_replies_fall_into_the_channel(
    slack: Slack, client: AsyncWebClient
) -> None:
    ann = slack.add_user("ann")
    root = (await client.chat_postMessage(channel=slack.channel, text="root"))["ts"]
    await slack.deletes(ann, root)
    [event] = events(slack, "message_deleted")
    assert (event["deleted_ts"], event["previous_message"]["text"]) == (root, "root")
    fallen = await client.chat_postMessage(channel=slack.channel, text="reply", thread_ts=root)
    assert "thread_ts" not in fallen["message"]
    assert slack.roots()[-1].text == "reply"
    slack.deleted_root = "refuses"
    assert (
        await error(client.chat_postMessage(channel=slack.channel, text="x", thread_ts=root))
        == "thread_not_found"
    )


async def test_a_root_with_replies_becomes_a_tombstone(slack: Slack, client: AsyncWebClient) -> None:
    root = (await client.chat_postMessage(channel=slack.channel, text="root"))["ts"]
    reply = (await client.chat_postMessage(channel=slack.channel, text="reply", thread_ts=root))["ts"]
    await client.chat_delete(channel=slack.channel, ts=root)
    [event] = events(slack, "message_changed")
    assert event["message"]["subtype"] == "tombstone"
    assert event["previous_message"]["text"] == "root"
    more = await client.chat_postMessage(channel=slack.channel, text="more", thread_ts=root)
    assert more["message"]["thread_ts"] == root
    assert await error(client.chat_delete(channel=slack.channel, ts=root)) == "cant_delete_message"
    for ts in (reply, more["ts"]):
        await client.chat_delete(channel=slack.channel, ts=ts)
    assert slack.thread(slack.channel, root) == []
    assert events(slack, "message_deleted")[-1]["previous_message"]["subtype"] == "tombstone"


async def test_reactions_count_once(slack: Slack, client: AsyncWebClient) -> None:
    ann = slack.add_user("ann")
    slack.subscriptions.add("reaction_added")
    ts = await slack.says(ann, "hi")
    mark = {"channel": slack.channel, "timestamp": ts, "name": "white_check_mark"}
    await client.reactions_add(**mark)
    assert await error(client.reactions_add(**mark)) == "already_reacted"
    assert slack.message(ts).reactions == {"white_check_mark": [slack.bot_user]}
    await slack.reacts(ann, ts, "eyes")
    added = [d.event for d in slack.deliveries if d.event["type"] == "reaction_added"]
    assert [(e["user"], e["reaction"], e["item"]["ts"]) for e in added] == [
        (slack.bot_user, "white_check_mark", ts),
        (ann, "eyes", ts),
    ]
    await client.reactions_remove(**mark)
    assert await error(client.reactions_remove(**mark)) == "no_reaction"
    assert await error(client.reactions_add(**{**mark, "timestamp": "1.1"})) == "message_not_found"
