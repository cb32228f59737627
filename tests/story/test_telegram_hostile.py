"""Whatever a visitor, a model or a member writes arrives in Telegram as text; marks are only where we made them."""

from pathlib import Path
import re

from tests.chatter import Chatter
from tests.eventually import eventually
from tests.fakes.model import FakeModel, says
from tests.fakes.telegram import Message
from tests.teamgroup import DONE, ORIGIN, SENT, TeamGroup, seen, team_group

STRINGS = [
    "<b>x",
    "<3 you & me &lt;b&gt; &amp;",
    "</b></i></code><a href='tg://user?id=10002'>Lee</a>",
    "tg://user?id=10002 and tg://resolve?domain=evil",
    "[Lee](tg://user?id=10002) [bank](https://evil.test/) [x](javascript:alert(1))",
    "@lee @joinline_bot /close /take@joinline_bot /close@joinline_bot",
    "**<b>** `</code><b>` *_<i>_*",
    "```\n</pre><b>\n```",
    "[https://good.test](https://good.test@evil.test/) https://good.test@evil.test/",
    "\u202egnp.exe \u2066hidden\u2069 \u200b\u200b",
    "<tg-spoiler>s</tg-spoiler> <tg-emoji emoji-id='5368324170671202286'>x</tg-emoji> &#60;b&#62;",
    "<pre><code class='language-python'>x</code></pre>",
    "&" * 200 + "<" * 200,
]
OURS = {"bold", "italic", "code", "pre"}  # what Joinline marks; a link or a mention is never among it


def is_harmless(message: Message) -> None:
    """Every mark is ours; what Telegram finds by itself is an address that reads as where it goes."""
    for entity in message.entities if message.by_bot else []:
        if entity.auto:
            assert entity.type in {"url", "email"}, (entity, message.shown)
            assert entity.type == "email" or entity.text.startswith(("http://", "https://")), entity
        else:
            assert entity.type in OURS, (entity, message.shown)


def marked(message: Message, kind: str) -> list[str]:
    return [e.text for e in message.entities if e.type == kind and not e.auto]


def nothing_was_refused(group: TeamGroup) -> None:
    refused = [c.outcome for c in group.telegram.calls if c.outcome.startswith("400")]
    assert not [text for text in refused if "is not modified" not in text]


async def told(group: TeamGroup, number: int) -> Message:
    """The message of string `number`, by its end mark."""
    return await group.reads(f"#{number}#")


async def test_hostile_words_of_a_visitor_and_a_model(tmp_path: Path) -> None:
    model = FakeModel()
    async with model.serving():
        config = {
            "assistant": {"kind": "openai", "base_url": model.base_url, "model": "m"},
            "limits": {"messages_per_minute": 1000, "opened_per_ip_per_hour": 1000, "sockets_per_ip": 100},
        }
        async with (
            team_group(tmp_path, config=config) as group,
            Chatter(f"{group.server.url}/live/visitor", origin=ORIGIN) as maria,
        ):
            model.play(says("Hello."))
            await maria.propose(
                {
                    "type": "Opened",
                    "site": "acme",
                    "page": "https://www.acme.example/<b>?x=</b>",
                    "title": STRINGS[2],
                },
                {"type": "Identified", "name": "@lee /close <b>M"},
                {"type": "Said", "text": STRINGS[0]},
            )
            await group.begun()
            await group.reads("Hello.")
            for number, text in enumerate(STRINGS):
                said = len(maria.texts())
                model.play(says(f"{text}\n\n#{number + 100}#"))
                await maria.propose({"type": "Said", "text": f"{text}\n\n#{number}#"})
                await eventually(
                    lambda said=said: len(maria.texts()) == said + 2, what=f"an answer to {text!r}"
                )
            for number, text in enumerate(STRINGS):
                for message in (await told(group, number), await told(group, number + 100)):
                    name = "@lee /close <b>M · visitor" if number in _numbers(message) else "AI assistant"
                    assert seen(message).startswith(f"{name}\n"), message.shown
                    assert marked(message, "bold")[0].replace("\u2060", "") == name
                    if text.isascii() and not re.search(r"[*`\[]|&\S+;", text):  # no Markdown in it
                        assert text in seen(message), "as it was written, character for character"
            for message in group.standing:
                is_harmless(message)
            card = group.latest_card
            assert STRINGS[0] in card.shown
            assert seen(card).startswith("@lee /close <b>M · Acme\n")
            assert "<b>M · AI answers" in group.topic.name
            assert "/close" not in group.topic.name, "a topic's name holds no command either"
            nothing_was_refused(group)
            assert "Traceback" not in group.server.log
            assert "evil" not in group.server.log, "the server's log holds no words of anyone"


def _numbers(message: Message) -> set[int]:
    return {number for number in range(100) if f"#{number}#" in message.shown}


async def test_more_than_a_message_holds_is_split_between_characters(tmp_path: Path) -> None:
    """4,097 units by characters of two units each, of families joined by nothing visible, and of entities."""
    family = "👨‍👩‍👧"  # 8 units, one thing to see
    texts = ["x" + "𝔘" * 2048, family * 400, "<" * 3999 + "!", "**" + "b" * 3990 + "**"]
    model = FakeModel([says("A" * 4097 + " " + "<&>" * 2000 + " end.")])
    async with model.serving():
        assistant = {"assistant": {"kind": "openai", "base_url": model.base_url, "model": "m"}}
        async with (
            team_group(tmp_path, config=assistant) as group,
            Chatter(f"{group.server.url}/live/visitor", origin=ORIGIN) as maria,
        ):
            await maria.say("Tell me everything")
            await group.begun()
            await group.reads("end.")
            await group.reaction(await group.says("/take I will"), DONE)
            await group.reads("Lee took over")
            for text in texts:
                before = len(group.standing)
                assert (await maria.say(text))["t"] == "ack"
                words = text.strip("*")
                await eventually(
                    lambda before=before, words=words: words in _joined(group.standing[before:]),
                    what=words[:20],
                )
                assert not [m for m in group.standing[before:] if family in text and not _whole(m, family)]
            answer = _joined([m for m in group.standing if not m.rows])
            assert "A" * 4097 in answer
            assert "<&>" * 2000 in answer
            for message in group.standing:
                is_harmless(message)
                assert len(message.shown.encode("utf-16-le")) // 2 <= 4096
            nothing_was_refused(group)


def _joined(messages: list[Message]) -> str:
    """What messages one after the other say, without the names above them."""
    return "".join(
        m.shown.split("\n", 1)[1] if m.shown.startswith(("Visitor", "AI")) else m.shown for m in messages
    )


def _whole(message: Message, unit: str) -> bool:
    _, _, words = message.shown.partition("\n")
    return not (words or message.shown).replace(unit, "")


async def test_hostile_names_and_words_of_a_member(tmp_path: Path) -> None:
    """Lee is called as he likes; what he formats in his app is Markdown for the visitor, and no more than text."""
    async with (
        team_group(tmp_path) as group,
        Chatter(f"{group.server.url}/live/visitor", origin=ORIGIN) as maria,
    ):
        group.lee.first_name, group.lee.last_name = "<b>Lee</b>", "@kim tg://user?id=10003"
        await maria.say("Hello?")
        await group.begun()
        note = await group.says("<a href='tg://user?id=10003'>Kim</a> @kim")
        await group.told(note, "kept as a note")
        await group.reaction(await group.says("/take </b>Hi &amp; <script>"), DONE)
        await eventually(lambda: maria.texts()[-1] == "</b>Hi &amp; <script>")
        took = await group.reads("took over and is answering.")
        assert seen(took).startswith("<b>Lee</b> @kim tg://user?id=10003")
        await group.card(
            "Answering: <b>Lee</b>",
            buttons=[["Hand back to AI", "Take over"], ["Observe", "Open in browser"], ["End"]],
        )
        who = await group.told(await group.says("/who"), "Answering: <b>Lee</b>")
        await group.reaction(await group.says("/name Lee"), DONE)
        await group.reaction(await group.says("4,096 units of it: " + "𝔘" * 2000), SENT)
        await eventually(lambda: maria.texts()[-1].endswith("𝔘" * 2000))
        for message in (*group.standing, who):
            is_harmless(message)
