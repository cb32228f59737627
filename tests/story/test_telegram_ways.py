"""The other ways a team may work in Telegram: who is called, who is refused, groups without topics, and settings."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.chatter import Chatter
from tests.eventually import PATIENCE, eventually
from tests.fakes.model import FakeModel, says
from tests.fakes.telegram import Message
from tests.running import JOINLINE
from tests.teamgroup import AI, DONE, HUMAN, NOTED, ORIGIN, SENT, TeamGroup, seen, team_group

KEPT = "Only the team sees this: it is kept as a note."
REOPENED: dict[str, object] = {"type": "Reopened"}


@asynccontextmanager
async def story(folder: Path, **how: Any) -> AsyncIterator[tuple[TeamGroup, Chatter]]:
    """A group, and Maria, who has not written yet."""
    async with team_group(folder, **how) as group:
        async with Chatter(f"{group.server.url}/live/visitor", origin=ORIGIN) as maria:
            yield group, maria
        assert "Traceback" not in group.server.log, group.server.log


def mentioned(message: Message) -> list[int]:
    return [e.user_id for e in message.entities if e.type == "text_mention" and e.user_id]


async def test_a_call_is_heard_and_names_who_is_on_duty_step_by_step(tmp_path: Path) -> None:
    """Lee and Kim are the fake's third and fourth person, so their ids are known before it runs."""
    on_duty, patience = ["10002", ["10003"]], {"patience": {"ladder": [1.0, 2.0]}}
    async with story(tmp_path, on_duty=on_duty, config=patience) as (group, maria):
        assert [str(group.lee.id), str(group.kim.id)] == ["10002", "10003"]
        await maria.say("Is anybody there?")
        await group.begun()
        assert group.latest_card.silent
        await maria.propose({"type": "HelpWanted"})
        first = await group.reads("Visitor asks for a person")
        await group.card("The visitor waits for a person: under a minute", buttons=AI, title="person wanted")
        await maria.say("Hello?")
        hello = await group.reads("Hello?")
        last = await group.reads("This is the last call.")
        [again] = [m for m in group.standing if "Nobody has come yet." in m.shown and m is not last]
        assert [mentioned(m) for m in (first, again, last)] == [
            [group.lee.id], [group.kim.id], [group.lee.id, group.kim.id],
        ]  # fmt: skip
        assert "Lee" in first.shown
        assert "Kim" in again.shown
        assert not any(m.silent for m in (first, again, last, hello))
        assert [m for m in group.standing if mentioned(m)] == [first, again, last]


async def test_only_the_team_in_its_own_group_is_heard(tmp_path: Path) -> None:
    """`staff: admins`: Lee is one, Kim is not. Whatever is refused leaves nothing in the log."""
    async with story(tmp_path, staff="admins") as (group, maria):
        telegram, lee, kim = group.telegram, group.lee, group.kim
        telegram.join(lee, status="administrator", rights=["can_manage_topics"])
        await maria.say("Hello?")
        await group.begun()

        # Not of the team: words, commands, presses, edits.
        words = await group.says("I am not of the team", by=kim)
        await group.told(words, "Only the team can answer here, so this was not passed on.")
        await group.says("/take give me this", by=kim)
        await telegram.edits(kim, words, "I still am not")
        pressed = await group.presses("Take over", by=kim)
        assert (pressed.text, pressed.alert) == ("Only the team can do that.", True)

        # An admin who hides, and somebody else's words with a command in them.
        hidden = await group.says("/take me", anonymous_admin=True)
        await group.told(hidden, "Write as yourself to answer: an anonymous admin could be anybody.")
        forwarded = await group.says("/take I was forwarded", forwarded=kim)
        await group.told(forwarded, "A command that was forwarded, or sent through another bot, is not run.")

        # Elsewhere: another group, in private, beside the topics, in a topic of somebody's own.
        elsewhere = telegram.add_group("Elsewhere")
        telegram.join(lee, chat=elsewhere, status="creator")
        other = await telegram.opens_topic(lee, "Elsewhere", chat=elsewhere)
        assert other == group.topic.id, "even where the topic has the same number"
        await telegram.says(lee, "/take from elsewhere", chat=elsewhere, topic=other)
        await telegram.says(lee, "/take in private", chat=lee.id)
        await eventually(
            lambda: any("only listen in the team" in m.shown for m in telegram.private_messages(lee))
        )
        own = await telegram.opens_topic(lee, "Lunch", chat=group.chat)
        await telegram.says(lee, "What about pizza?", chat=group.chat, topic=own)
        beside = await telegram.says(lee, "/take beside", chat=group.chat)
        await group.told(beside, "This reaches no conversation")

        # Then Lee, who may; by then everything before was handled.
        conversation = group.topics[0].id
        await group.reaction(await group.says("/take It's me.", topic=conversation), DONE)
        await eventually(lambda: "It's me." in maria.texts())
        assert maria.texts() == ["Hello?", "It's me."]
        assert [m.by_bot for m in telegram.messages(elsewhere)] == [False], "nobody is told anything there"
        shown = [seen(m) for m in telegram.topic_messages(conversation) if m.by_bot]
        assert not [text for text in shown if "not of the team" in text]
        assert not telegram.private_messages(kim)


async def test_a_group_without_topics_goes_on_with_replies(tmp_path: Path) -> None:
    async with story(tmp_path, forum=False) as (group, maria):
        telegram = group.telegram
        better = await eventually(lambda: next((m for m in group.standing if "no topics" in m.shown), None))
        assert better is not None
        await maria.say("Do you ship to Norway?")
        card = await group.card("Do you ship to Norway?", buttons=AI)
        async with Chatter(f"{group.server.url}/live/visitor", origin=ORIGIN) as paul:
            await paul.say("Do you have tents?")
            other = await group.card("Do you have tents?", buttons=AI)
            assert other is not card

            # By replies to whatever stands there of a conversation, each is answered on its own.
            beside = await group.says("Shall we have pizza?")
            words = await group.says("We do ship.", reply_to=card.id)
            offer = await group.told(words, KEPT)
            await group.presses("Take over and send", on=offer)
            await eventually(lambda: "We do ship." in maria.texts())
            await group.reaction(words, SENT)
            took = await group.says("/take We have many.", reply_to=other.id)
            await group.reaction(took, DONE)
            await maria.say("And to Sweden?")
            question = await group.reads("And to Sweden?")
            assert question.reply_to == card.id
            assert not question.silent
            answer = await group.says("To Sweden, too.", reply_to=question.id)
            await group.reaction(answer, SENT)
            await telegram.edits(group.lee, answer, "To Sweden, and Denmark.")
            mine = await group.says("oops", reply_to=answer)
            await group.reaction(mine, SENT)
            await group.reaction(await group.says("/delete", reply_to=mine), DONE)
            await eventually(lambda: [x["event"]["type"] for x in maria.lines][-1] == "Retracted")
            assert maria.texts() == [
                "Do you ship to Norway?",
                "We do ship.",
                "And to Sweden?",
                "To Sweden, too.",
                "oops",
            ]
            assert [x["event"]["text"] for x in maria.lines if x["event"]["type"] == "Edited"] == [
                "To Sweden, and Denmark."
            ]
            assert paul.texts() == ["Do you have tents?", "We have many."]
            assert group.replies(beside) == [], "talk among themselves is nobody's business"
        told = [m for m in group.standing if m is not better and "no topics" in m.shown]
        assert told == [], "it is said once"


async def test_settings_words_take_over_and_a_topic_only_when_wanted(tmp_path: Path) -> None:
    model = FakeModel([says("We do.")])
    async with model.serving():
        assistant = {"assistant": {"kind": "openai", "base_url": model.base_url, "model": "m"}}
        how = {"thread_text": "takes_over", "mirror": "when_wanted", "config": assistant}
        async with story(tmp_path, **how) as (group, maria):
            await maria.say("Do you ship to Norway?")
            await eventually(lambda: maria.texts()[-1:] == ["We do."])
            await maria.say("Is that a promise?")
            await eventually(lambda: len(maria.texts()) == 4)
            assert group.topics == []
            await maria.propose({"type": "HelpWanted"})
            await group.begun()
            call = await group.reads("Visitor asks for a person")
            await group.reads("Is that a promise?")
            past = "\n".join(group.lines)
            assert past.count("We do.") == 2
            assert past.index("We do.") < past.index("promise?") < past.index("asks for a person")
            assert not call.silent

            note = await group.says("// shall I?")
            await group.reaction(note, NOTED)
            words = await group.says("It is.")
            await group.reaction(words, SENT)
            await eventually(lambda: maria.texts()[-1:] == ["It is."])
            await group.reads("Lee took over and is answering.")
            await group.card("Answering: Lee", buttons=HUMAN)
            await group.reaction(await group.says("Kim says so, too.", by=group.kim), NOTED)
            await group.card("Answering: Lee", buttons=HUMAN, title="Lee answers")
            assert maria.texts()[-1:] == ["It is."], "a mere reply takes the floor from no colleague"
            assert "shall I?" not in str(maria.lines)


async def test_a_visitor_who_comes_back_finds_the_same_topic_open_again(tmp_path: Path) -> None:
    async with story(tmp_path) as (group, maria):
        await maria.say("Hello?")
        topic = await group.begun()
        await group.reaction(await group.says("/take Hello!"), DONE)
        await group.reaction(await group.says("/close"), DONE)
        await eventually(lambda: topic.closed, what="the topic is closed")
        answer = await maria.propose(REOPENED, {"type": "Said", "text": "One more thing"})
        assert answer["t"] == "ack", answer
        await group.reads("One more thing")
        await eventually(lambda: not topic.closed, what="the topic is open again")
        await group.reads("The conversation goes on.")
        await group.card(buttons=AI)
        assert group.topics == [topic]


@pytest.mark.parametrize("closed_by", ["hand", "end"])
async def test_a_closed_topic_is_no_closed_mouth(tmp_path: Path, closed_by: str) -> None:
    """What comes after a topic was closed stands in it all the same."""
    async with story(tmp_path) as (group, maria):
        await maria.say("Hello?")
        topic = await group.begun()
        if closed_by == "hand":
            await group.telegram.closes_topic(topic.id)
            await eventually(lambda: not group.telegram.pending, what="the server hears of it")
            await maria.say("Still here?")
            await group.reads("Still here?")
            await eventually(lambda: not topic.closed, what="the topic is open again")
        else:
            await maria.propose({"type": "Closed"})
            await eventually(lambda: topic.closed, what="the topic is closed")
            await maria.propose({"type": "Rated", "score": "good", "comment": "Kind people"})
            await group.reads("Kind people")
            await eventually(lambda: topic.closed, what="it is closed again")
        assert group.topics == [topic]


async def test_a_rush_stays_below_what_telegram_takes(tmp_path: Path) -> None:
    """Six visitors at once, the server in no hurry, and a group that takes 20 messages in any minute."""
    model = FakeModel([says("We do.")])
    async with model.serving(), AsyncExitStack() as visitors:
        assistant = {"assistant": {"kind": "openai", "base_url": model.base_url, "model": "m"}}
        async with story(tmp_path, program=JOINLINE, config=assistant) as (group, maria):
            group.telegram.messages_per_minute = 20
            others = [Chatter(f"{group.server.url}/live/visitor", origin=ORIGIN) for _ in range(5)]
            for other in others:
                await visitors.enter_async_context(other)
            for visitor in (maria, *others):
                await visitor.say("Do you ship to Norway?")
            await eventually(lambda: all(v.texts()[1:] == ["We do."] for v in (maria, *others)))
            await eventually(
                lambda: len(group.topics) == 6, within=PATIENCE, what="every visitor is seen at once"
            )
            await maria.say("Hello?")

            def shown() -> list[str]:
                return [m.shown for m in group.telegram.messages() if m.by_bot]

            await eventually(lambda: any("Hello?" in text for text in shown()), within=3 * PATIENCE)
            early = [text for text in shown() if "We do." in text]
            assert len(early) < 6, "the visitor's words pass the AI's"
            await eventually(
                lambda: sum("We do." in text for text in shown()) >= 6,
                within=6 * PATIENCE,
                what="every answer",
            )
            assert not [c for c in group.telegram.calls if c.outcome.startswith("429")]
