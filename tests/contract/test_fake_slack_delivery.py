"""Redelivery, order, and sockets or receivers that go and come, with a real Bolt app at the other end."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from tests.bolting import TAKE, Office, by_http, by_socket
from tests.eventually import eventually
from tests.fakes.slack import Slack


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


async def test_an_unacknowledged_event_comes_again_and_a_press_does_not(slack: Slack, office: Office) -> None:
    ann = slack.add_user("ann")
    slack.outbound.ack_timeout, slack.outbound.retry_delays = 0.2, [0.0, 0.01, 0.01]
    office.refuse = 2
    ts = await slack.says(ann, "again")
    delivery = await slack.delivery(ts).done()
    assert delivery.acked
    assert delivery.attempts >= 3
    await eventually(lambda: "again" in office.texts())
    assert set(delivery.failures) <= {"timeout", "http_error"}
    office.refuse = 99
    ts = await slack.says(ann, "never")
    delivery = await slack.delivery(ts).done()
    assert (delivery.lost, delivery.attempts) == (True, 4)
    slack.outbound.interaction_timeout = 0.1
    press = await (await slack.shortcut(ann, "guide", ts)).done()
    assert (press.lost, press.attempts) == (True, 1)


async def test_a_redelivery_long_after_the_ack_is_the_same_event(slack: Slack, office: Office) -> None:
    ann = slack.add_user("ann")
    ts = await slack.says(ann, "once")
    first = await slack.delivery(ts).done()
    again = await slack.redeliver(ts).done()
    await eventually(lambda: office.texts() == ["once", "once"])
    assert again.event_id == first.event_id
    assert office.retries[-1] in (
        ["1"],
        None,
    )  # Bolt shows it as a header over HTTP; sockets have it in the envelope


async def test_events_are_held_and_come_in_another_order(slack: Slack, office: Office) -> None:
    ann = slack.add_user("ann")
    with slack.reorder():
        for word in ("one", "two", "three"):
            await slack.says(ann, word)
    await slack.quiet()
    await eventually(lambda: len(office.heard) == 3)
    sent = [d.event["text"] for d in slack.deliveries]
    assert sent == ["one", "two", "three"]
    assert office.texts() == ["three", "two", "one"]


# -- Socket Mode


async def test_each_envelope_goes_to_one_socket(slack: Slack, socketed: Office) -> None:
    ann = slack.add_user("ann")
    async with by_socket(slack) as other:
        for n in range(6):
            await slack.says(ann, f"{n}")
        await slack.quiet()
        await eventually(lambda: len(socketed.heard) + len(other.heard) == 6)
        assert len(socketed.heard) == len(other.heard) == 3
    assert [d.attempts for d in slack.deliveries] == [1] * 6


@pytest.mark.parametrize("how", ["cut", "close", "disconnect"])
async def test_a_socket_that_ends_is_replaced_and_nothing_is_missed(
    slack: Slack, socketed: Office, how: str
) -> None:
    ann = slack.add_user("ann")
    before = slack.sockets[0].number
    await slack.says(ann, "before")
    if how == "cut":
        slack.cut_sockets()
    elif how == "close":
        await slack.close_sockets()
    else:
        await slack.disconnect_sockets()
    await slack.says(ann, "after")
    await eventually(lambda: set(socketed.texts()) == {"before", "after"})
    await eventually(lambda: [s.number for s in slack.sockets] != [before] and slack.sockets)


async def test_envelopes_say_that_they_are_repeats(slack: Slack) -> None:
    """Read from the socket itself, without a Bolt app that acknowledges."""
    ann = slack.add_user("ann")
    client = AsyncWebClient(base_url=slack.api_url)
    url = (await client.apps_connections_open(app_token=slack.app_token))["url"]
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as ws:
            hello = await ws.receive_json()
            assert (hello["type"], hello["num_connections"]) == ("hello", 1)
            slack.outbound.ack_timeout, slack.outbound.retry_delays = 0.05, [0.0, 30.0]
            await slack.says(ann, "hi")
            first, second = await ws.receive_json(), await ws.receive_json()
            assert (first["retry_attempt"], second["retry_attempt"]) == (0, 1)
            assert second["retry_reason"] == "timeout"
            assert first["payload"]["event_id"] == second["payload"]["event_id"]
            assert first["envelope_id"] != second["envelope_id"]
            await ws.send_json({"envelope_id": second["envelope_id"]})
            assert (await slack.deliveries[0].done()).attempts == 2
        async with session.get(url.replace("ws://", "http://")) as used:
            assert used.status == 403


async def test_events_wait_for_a_socket_or_are_lost(slack: Slack) -> None:
    ann = slack.add_user("ann")
    kept = await slack.says(ann, "kept")
    async with by_socket(slack) as office:
        await slack.delivery(kept).done()
        await eventually(lambda: office.texts() == ["kept"])
    await eventually(lambda: not slack.sockets)
    slack.outbound.waits_for_socket, slack.outbound.retry_delays = False, [0.0, 0.01]
    lost = await slack.says(ann, "lost")
    assert (await slack.delivery(lost).done()).lost
    root = await slack.bot_says("x")
    press = slack.message(root)
    press.blocks = [{**TAKE, "block_id": "b"}]
    delivery = await slack.presses(ann, root, action_id="take")
    assert (await delivery.done()).failures == ["no_socket"]


async def test_slack_goes_down_and_comes_back(slack: Slack, socketed: Office) -> None:
    ann = slack.add_user("ann")
    await slack.refuse()
    with pytest.raises(aiohttp.ClientError):
        await socketed.client.auth_test()
    await slack.listen()
    await slack.says(ann, "back")
    await eventually(lambda: socketed.texts() == ["back"])


# -- signed HTTP


async def test_only_signed_requests_are_heard(slack: Slack) -> None:
    async with by_http(slack) as office:
        assert slack.outbound.urls is not None
        url, body = slack.outbound.urls[0], b'{"type":"event_callback","event":{"type":"message"}}'
        kind = {"Content-Type": "application/json"}
        async with aiohttp.ClientSession() as session:
            old = slack.sign(body, timestamp=1_600_000_000)
            for headers in ({}, old, slack.sign(b"other")):
                async with session.post(url, data=body, headers={**kind, **headers}) as answer:
                    assert answer.status == 401
            async with session.post(url, data=body, headers={**kind, **slack.sign(body)}) as answer:
                assert answer.status == 200
        assert len(office.retries) == 1


async def test_slow_and_absent_receivers_are_asked_again(slack: Slack) -> None:
    ann = slack.add_user("ann")
    async with by_http(slack) as office:
        slack.outbound.ack_timeout, slack.outbound.retry_delays = 0.2, [0.0, 0.05, 0.1]
        office.delay = 0.4
        ts = await slack.says(ann, "slow")
        await eventually(lambda: slack.delivery(ts).failures)
        office.delay = 0.0
        delivery = await slack.delivery(ts).done()
        assert delivery.failures[0] == "http_timeout"
        await eventually(lambda: office.retries[-1] is not None)
    gone = await slack.says(ann, "gone")
    assert (await slack.delivery(gone).done()).failures == ["connection_failed"] * 4
