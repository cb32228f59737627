"""What `joinline check --live` finds at Slack, each with its mend."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bridge.surface import Finding
from connectors.slack import examination
from connectors.slack.examination import examine
from connectors.slack.settings import SlackSettings
from tests.fakes.slack import Slack
from tests.slacking import Team


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as server:
        yield server


def section_of(team: Team) -> SlackSettings:
    return next(v for v in vars(team.config).values() if isinstance(v, SlackSettings))


async def found(slack: Slack, **settings: Any) -> dict[str, Finding]:
    team = Team(slack, **settings)
    findings = [finding async for finding in examine(team.config, section_of(team))]
    assert all(finding.good or finding.mend for finding in findings)
    return {finding.place: finding for finding in findings}


async def bad(slack: Slack, **settings: Any) -> dict[str, str]:
    return {place: f.text for place, f in (await found(slack, **settings)).items() if not f.good}


async def test_it_says_what_works_and_what_does_not(slack: Slack) -> None:
    assert set(await found(slack)) == {"slack.bot_token", "slack scopes", "slack.channel", "slack.app_token"}
    assert "slack.signing_secret" in await found(slack, mode="http")
    assert await bad(slack) == await bad(slack, mode="http") == {}
    slack.scopes -= {"users:read", "commands"}
    await slack.kick_bot()
    slack.fail("apps.connections.open", error="invalid_auth")
    assert await bad(slack) == {
        "slack scopes": "missing: commands, users:read",
        "slack.channel": "the bot is not in #support",
        "slack.app_token": "Slack opens no socket: invalid_auth",
    }
    slack.revoke_token()
    assert list(await found(slack)) == ["slack.bot_token"]
    await slack.refuse()
    (text,) = (await bad(slack)).values()
    assert "cannot be reached" in text


async def test_it_claims_nothing_of_scopes_that_slack_does_not_tell(slack: Slack) -> None:
    slack.tells_scopes = False
    assert (await found(slack))["slack scopes"].text == "Slack does not tell which scopes the app has"


async def test_it_tells_a_missing_scope_from_a_missing_member(slack: Slack) -> None:
    slack.scopes.discard("channels:read")
    bad = {place: f for place, f in (await found(slack, staff=["U0NOBODY"])).items() if not f.good}
    assert set(bad) == {"slack scopes", "slack.channel", "slack.staff U0NOBODY"}
    assert "manifest.yaml" in bad["slack.channel"].mend
    assert bad["slack.staff U0NOBODY"].text == "Slack says user_not_found"


async def test_it_knows_when_socket_mode_is_off(slack: Slack) -> None:
    """Slack opens a socket all the same, and ends it without a hello."""
    slack.outbound.instead_of_hello = {"type": "disconnect", "reason": "link_disabled"}
    finding = (await found(slack))["slack.app_token"]
    assert (finding.good, finding.text) == (False, "Socket Mode is off in the app")
    assert "switch it on" in finding.mend


@pytest.mark.parametrize("words", [["hello"], "hello", {"type": "disconnect", "reason": "warning"}, {}])
async def test_it_takes_nothing_else_for_a_hello(slack: Slack, words: object) -> None:
    slack.outbound.instead_of_hello = words
    assert await bad(slack) == {"slack.app_token": "the socket opens, but no hello comes"}


async def test_slack_calls_no_address_without_https(slack: Slack) -> None:
    team = Team(slack, mode="http")
    assert await bad(slack, mode="http") == {}, "a Slack of one's own may"
    slacks_own = section_of(team).model_copy(update={"api_url": "https://slack.com/api"})
    finding = examination._calls_us(team.config, slacks_own)
    assert not finding.good
    assert "base_url" in finding.mend
