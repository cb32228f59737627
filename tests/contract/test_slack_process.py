"""The real server, installed by its configuration, beside a local Slack: killed, started again, stopped."""

import asyncio
from pathlib import Path
from typing import Any

from tests.chatter import Chatter
from tests.eventually import eventually
from tests.fakes.slack import Slack
from tests.running import Server

ORIGIN = "https://www.acme.example"


def config(slack: Slack, **way_in: str) -> dict[str, Any]:
    section = {
        "bot_token": slack.bot_token,
        "channel": slack.channel,
        "api_url": slack.api_url.rstrip("/"),
        **way_in,
    }
    return {"sites": {"acme": {"name": "Acme", "origins": [ORIGIN]}}, "slack": section}


async def test_killed_as_slack_takes_a_post_nothing_is_lost_and_nothing_shows_twice(tmp_path: Path) -> None:
    """`kill -9` while Slack has the message and nobody has its answer: once for the root, once for a reply."""
    async with Slack() as slack:
        dana = slack.add_user("dana", display_name="Dana")
        server = Server(tmp_path, config(slack, app_token=slack.app_token))
        kills = 0

        def kill(args: dict[str, Any]) -> bool:
            nonlocal kills
            if ("thread_ts" in args) == (kills == 1) and kills < 2:
                kills += 1
                server.kill()
                return True
            return False

        slack.lose("chat.postMessage", times=2, when=kill)
        await asyncio.to_thread(server.start)
        try:
            async with Chatter(f"{server.url}/live/visitor", origin=ORIGIN) as visitor:
                await visitor.say("Do you ship to Norway?")
                await eventually(lambda: kills == 1)
                await asyncio.to_thread(server.start)
                for number in range(3):
                    await visitor.say(f"word {number}")
                    if number == 0:
                        await eventually(lambda: kills == 2)
                        await asyncio.to_thread(server.start)
                (root,) = slack.roots()
                await eventually(lambda: _words(slack, root.ts) == ["word 0", "word 1", "word 2"], within=20)
                await eventually(lambda: slack.sockets, within=20)
                await slack.presses(dana, root.ts, action_id="take")
                await eventually(lambda: "Dana" in slack.roots()[0].shown)
                await slack.says(dana, "Yes, by sea", thread=root.ts)
                await eventually(lambda: visitor.texts()[-1:] == ["Yes, by sea"])
            assert len(slack.roots()) == 1
            assert await asyncio.to_thread(server.stop) == 0
            for hidden in (slack.bot_token, slack.app_token, "by sea", "Norway", "Traceback", "Unclosed"):
                assert hidden not in server.log, server.log
        finally:
            server.kill()


def _words(slack: Slack, root: str) -> list[str]:
    return [m.shown for m in slack.thread(slack.channel, root) if m.shown.startswith("word")]


async def test_signed_requests_reach_the_installed_server(tmp_path: Path) -> None:
    async with Slack() as slack:
        dana = slack.add_user("dana", display_name="Dana")
        server = Server(tmp_path, config(slack, signing_secret=slack.signing_secret))
        await asyncio.to_thread(server.start)
        try:
            await slack.request_url(f"{server.url}/slack/events", f"{server.url}/slack/interactions")
            async with Chatter(f"{server.url}/live/visitor", origin=ORIGIN) as visitor:
                await visitor.say("Do you ship to Norway?")
                (root,) = await eventually(slack.roots)
                await slack.says(dana, "!take", thread=root.ts)
                await slack.says(dana, "Yes, by sea", thread=root.ts)
                await eventually(lambda: visitor.texts()[-1:] == ["Yes, by sea"])
            assert await asyncio.to_thread(server.stop) == 0
        finally:
            server.kill()
