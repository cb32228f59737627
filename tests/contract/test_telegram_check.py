"""What `joinline check --live` finds at Telegram, each with its mend."""

import time

import pytest
from telegram import WebhookInfo

from bridge.surface import Finding
from connectors.telegram.doors import PATH
from connectors.telegram.examination import RECENT, examine, way_in
from connectors.telegram.settings import TelegramSettings
from tests.eventually import eventually
from tests.fakes.telegram import TelegramServer
from tests.logs import START
from tests.telegramming import Team


def section_of(team: Team) -> TelegramSettings:
    return next(v for v in vars(team.config).values() if isinstance(v, TelegramSettings))


async def found(server: TelegramServer, **settings) -> list[Finding]:
    return await examined(Team(server, **settings))


async def examined(team: Team) -> list[Finding]:
    section = section_of(team)
    findings = [finding async for finding in examine(team.config, section)]
    assert all(finding.good or finding.mend for finding in findings)
    assert not any(section.token.get_secret_value() in f.text + f.mend for f in findings)
    return findings


async def bad(server: TelegramServer, **settings) -> list[str]:
    return [finding.text for finding in await found(server, **settings) if not finding.good]


@pytest.mark.parametrize("mode", ["polling", "webhook"])
async def test_all_is_well(mode: str) -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        assert await bad(server, mode=mode) == []
        assert {f.place for f in await found(server, mode=mode)} == {
            "telegram.token",
            "telegram.chat",
            "telegram.mode",
        }


async def test_a_wrong_token_ends_it() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        (finding,) = await found(server, token="111111:" + "y" * 35)
        assert "refuses the bot's token" in finding.text


async def test_no_telegram() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        server.down = True
        assert len(await bad(server)) == 1


async def test_the_group_its_topics_rights_and_privacy() -> None:
    async with TelegramServer(privacy=True) as server:
        group = server.add_group("Desk", forum=False, bot="member")
        assert await bad(server) == [
            "it has no topics", "the bot may not: Manage Topics, Pin Messages, Delete Messages",
            "privacy mode hides messages from the bot",
        ]  # fmt: skip
        await server.returns_bot(group, rights={"can_manage_topics"})
        assert await bad(server) == ["it has no topics", "the bot may not: Pin Messages, Delete Messages"]
        await server.kicks_bot(group)
        assert "was removed" in (await bad(server))[0]
        assert "does not know the group" in (await bad(server, chat=-1009999))[0]


async def test_a_webhook_that_leads_elsewhere() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        server.webhook.url = "http://127.0.0.1:9/other"
        assert await bad(server, mode="webhook") == ["the webhook leads elsewhere"]
        assert await bad(server, mode="polling") == []


@pytest.mark.parametrize("forum", [True, False])
async def test_a_group_that_has_become_another_one_is_good_and_told(*, forum: bool) -> None:
    async with TelegramServer() as server:
        old = server.add_group("Desk", kind="group", forum=False)
        dana = server.add_person("Dana")
        server.join(dana, chat=old)
        new = await server.migrates(old, forum=forum)
        findings = await found(server, chat=old, staff=[dana.id])
        assert [f.text for f in findings if not f.good] == ([] if forum else ["it has no topics"])
        (told,) = [f.text for f in findings if str(new) in f.text]
        assert "“Desk”" in told
        assert f"set telegram.chat to {new}" in told
        await server.kicks_bot(new)
        (lost,) = [f for f in await found(server, chat=old) if not f.good]
        assert "was removed" in lost.text
        assert str(new) in lost.mend


async def test_a_webhook_that_cannot_be_called_is_bad_while_something_waits() -> None:
    """One failure of long ago, or one that was made up for, is remembered there and no fault."""
    async with TelegramServer() as server:
        server.add_group("Desk")
        dana = server.add_person("Dana")
        server.join(dana)
        team = Team(server, mode="webhook")
        server.webhook.url, server.webhook.pause = f"{team.config.base_url}{PATH}", 60.0
        await server.says(dana, "hello")
        await eventually(lambda: server.webhook.failures)
        (finding,) = [f for f in await examined(team) if not f.good]
        assert finding.text == "Telegram could not call: Connection refused"
        assert f"Let Telegram reach {server.webhook.url}" in finding.mend
        server.webhook.last_error_date -= round(RECENT.total_seconds())
        assert all(f.good for f in await examined(team))
        server.webhook.last_error_date = round(time.time())
        assert not all(f.good for f in await examined(team))
        server.pending.clear()
        assert all(f.good for f in await examined(team))


async def test_telegram_itself_calls_https_only() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        for api, good in (("https://api.telegram.org", False), (server.api_url, True)):
            team = Team(server, mode="webhook", api_url=api)
            finding = way_in(WebhookInfo("", False, 0), team.config, section_of(team), now=START)
            assert finding.good == good
            assert good or finding.text == "Telegram calls https:// addresses only"
            assert good or "https://" in finding.mend


async def test_those_who_are_named_must_be_in_the_group() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        dana, gone = server.add_person("Dana"), server.add_person("Gone")
        server.join(dana)
        staff = [str(dana.id), str(gone.id), "99999"]
        wrong = [f"{gone.id} is not in the group", "99999 is not in the group"]
        assert await bad(server, staff=staff) == wrong
        assert await bad(server, on_duty=[staff]) == wrong


async def test_what_cannot_be_read_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        assert len(await bad(server, api_url=f"{server.api_url}/bot")) == 1
    assert caplog.text == ""
