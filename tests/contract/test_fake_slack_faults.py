"""The local Slack, asked by the real SDK: lookups, files, what is live in a text, and faults on demand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from tests.eventually import eventually
from tests.fakes.slack import Slack
from tests.fakes.slack_text import Link, Mention

BUTTONS = [
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


# -- lookups


async def test_channels_members_and_people_are_looked_up(slack: Slack, client: AsyncWebClient) -> None:
    people = [slack.add_user(f"p{n}") for n in range(3)]
    info = await client.conversations_info(channel=slack.channel)
    assert (info["channel"]["is_member"], info["channel"]["is_archived"]) == (True, False)
    first = await client.conversations_members(channel=slack.channel, limit=2)
    rest = await client.conversations_members(
        channel=slack.channel, cursor=first["response_metadata"]["next_cursor"]
    )
    assert first["members"] + rest["members"] == [slack.bot_user, *people]
    slack.add_channel("inner", kind="group")
    listed = await client.conversations_list(types="public_channel,private_channel")
    assert [c["name"] for c in listed["channels"]] == ["support", "inner"]
    ann = slack.add_user("ann", real_name="Ann Lee", display_name="annie")
    profile = (await client.users_info(user=ann))["user"]["profile"]
    assert (profile["display_name"], profile["real_name"]) == ("annie", "Ann Lee")
    assert await error(client.users_info(user="U0NONE")) == "user_not_found"


# -- files


async def test_files_go_both_ways(slack: Slack, client: AsyncWebClient) -> None:
    ann = slack.add_user("ann")
    root = (await client.chat_postMessage(channel=slack.channel, text="root"))["ts"]
    sent = await client.files_upload_v2(
        channel=slack.channel, thread_ts=root, content="hello", filename="a.txt", initial_comment="see"
    )
    [reply] = slack.thread(slack.channel, root)[1:]
    assert (reply.text, reply.files[0]["name"]) == ("see", "a.txt")
    assert slack.files[sent["file"]["id"]].data == b"hello"
    info = await client.files_info(file=sent["file"]["id"])
    assert info["file"]["shares"]["public"][slack.channel][0]["thread_ts"] == root
    ts = await slack.shares_file(ann, "b.png", b"\x89PNG", text="look", thread=root)
    event = events(slack, "file_share")[-1]
    assert (event["ts"], event["user"], event["thread_ts"]) == (ts, ann, root)
    url = event["files"][0]["url_private_download"]
    async with aiohttp.ClientSession() as session:
        auth = {"Authorization": f"Bearer {slack.bot_token}"}
        async with session.get(url, headers=auth) as answer:
            assert (answer.content_type, await answer.read()) == ("image/png", b"\x89PNG")
        async with session.get(url) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")
    assert await error(client.files_info(file="F0NONE")) == "file_not_found"


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


# -- what is live in a text


LIVE = [
    ("<!channel> <!here|x> <!everyone>", {}, ["channel", "here", "everyone"]),
    ("`<!channel>` and <@U012AB> <@U012AB|bob>", {}, ["channel", "user", "user"]),
    ("<!subteam^S012|@duty>", {}, ["group"]),
    ("&lt;!channel&gt; &lt;@U012AB&gt; @here", {}, []),
    ("@here", {"link_names": True}, ["here"]),
    ("x", {"blocks": [section("<!here>")]}, ["here"]),
    ("x", {"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "<!here>"}}]}, []),
    ("x", {"blocks": [{"type": "context", "elements": [{"type": "mrkdwn", "text": "<@U012AB>"}]}]}, ["user"]),
    ("x", {"blocks": [{"type": "markdown", "text": "<!here>"}]}, ["here"]),
    ("<<!channel>>", {}, ["channel"]),
]


@pytest.mark.parametrize(("text", "more", "kinds"), LIVE)
async def test_mentions_that_slack_would_act_on(
    slack: Slack, client: AsyncWebClient, text: str, more: dict[str, Any], kinds: list[str]
) -> None:
    await client.chat_postMessage(channel=slack.channel, text=text, **more)
    assert [m.kind for m in slack.mentions] == kinds


async def test_links_are_live_where_markup_makes_them(slack: Slack, client: AsyncWebClient) -> None:
    text = "<https://evil.test|https://bank.test> <https://a.test?x=1&amp;y=2> &lt;https://c.test|d&gt; https://e.test"
    ts = (await client.chat_postMessage(channel=slack.channel, text=text))["ts"]
    fake = Link("https://evil.test", "https://bank.test", ts)
    assert slack.links == [fake, Link("https://a.test?x=1&y=2", None, ts)]
    assert slack.roots()[0].shown == (
        "https://bank.test https://a.test?x=1&amp;y=2 <https://c.test|d> https://e.test".replace("&amp;", "&")
    )
    inside = [
        {"type": "link", "url": "https://evil.test", "text": "bank"},
        {"type": "user", "user_id": "U012AB"},
    ]
    rich = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": inside}]}
    told = await client.chat_postMessage(channel=slack.channel, text="x", blocks=[rich])
    assert slack.links[2:] == [Link("https://evil.test", "bank", told["ts"])]
    assert slack.roots()[1].shown == "bank@U012AB"
    assert slack.roots()[1].urls == ["https://evil.test"]
    assert slack.mentions.pop() == Mention("user", "U012AB", told["ts"])
    await client.chat_update(channel=slack.channel, ts=ts, text="<!here>")
    assert slack.mentions == [Mention("here", "here", ts)]


# -- faults


async def test_scripted_faults_come_in_order_and_end(slack: Slack, client: AsyncWebClient) -> None:
    post = client.chat_postMessage
    slack.fail("chat.postMessage", error="fatal_error", times=2)
    assert await error(post(channel=slack.channel, text="1")) == "fatal_error"
    assert await error(post(channel=slack.channel, text="2")) == "fatal_error"
    await post(channel=slack.channel, text="3")
    slack.fail("*", error="internal_error", done=True)
    assert await error(post(channel=slack.channel, text="4")) == "internal_error"
    slack.breaks("chat.postMessage", 503)
    with pytest.raises(SlackApiError) as caught:
        await post(channel=slack.channel, text="5")
    assert caught.value.response.status_code == 503
    slack.fail("chat.postMessage", error="no", times=None, when=lambda args: args["text"] == "bad")
    await post(channel=slack.channel, text="6")
    assert await error(post(channel=slack.channel, text="bad")) == "no"
    slack.mend()
    await post(channel=slack.channel, text="bad")
    assert [m.text for m in slack.roots()] == ["3", "4", "6", "bad"]
    outcomes = [c.outcome for c in slack.calls_of("chat.postMessage")]
    assert outcomes == ["fatal_error", "fatal_error", "ok", "internal_error", "503", "ok", "no", "ok"]


async def test_a_lost_answer_is_work_that_was_done(slack: Slack, client: AsyncWebClient) -> None:
    slack.lose("chat.postMessage")
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=slack.channel, text="done")
    slack.drop("chat.postMessage")
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=slack.channel, text="not done")
    assert [m.text for m in slack.roots()] == ["done"]
    assert [c.outcome for c in slack.calls] == ["lost", "dropped"]


async def test_429_says_when_to_come_again_and_sees_who_does_not_wait(
    slack: Slack, client: AsyncWebClient
) -> None:
    other = slack.add_channel("other")
    slack.limit("chat.postMessage", 30, channel=slack.channel)
    await client.chat_postMessage(channel=other, text="x")
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel=slack.channel, text="x")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "30"
    await client.chat_postMessage(channel=other, text="x")
    await client.chat_postMessage(channel=slack.channel, text="x")
    assert [c.hasty for c in slack.calls] == [False, False, False, True]
    slack.mend()
    slack.limit("*", 0, times=2)
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=5))
    await client.chat_postMessage(channel=slack.channel, text="y")
    assert [c.outcome for c in slack.calls[-3:]] == ["429", "429", "ok"]


async def test_posting_faster_than_slack_allows(slack: Slack, client: AsyncWebClient) -> None:
    slack.posts_per_second, slack.post_burst = 3.0, 2
    calls = [client.chat_postMessage(channel=slack.channel, text=f"{n}") for n in range(3)]
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(d, SlackApiError) for d in done].count(True) == 1

    async def again() -> bool:
        with suppress(SlackApiError):
            return bool(await client.chat_postMessage(channel=slack.channel, text="late"))
        return False

    await eventually(again)


async def test_a_slow_answer_is_still_an_answer(slack: Slack, client: AsyncWebClient) -> None:
    slack.slow("chat.postMessage", 0.05)
    before = asyncio.get_running_loop().time()
    await client.chat_postMessage(channel=slack.channel, text="x")
    assert asyncio.get_running_loop().time() - before >= 0.05
