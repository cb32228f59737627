"""What a team sees in Slack: a card for each conversation, and its thread."""

from collections.abc import AsyncIterator

from msgspec.structs import replace
import pytest

from bridge import events as ev
from bridge.events import ConversationId
from connectors.threads.card import card
from tests.eventually import eventually
from tests.fakes.slack import Slack
from tests.logs import ASSISTANT, SYSTEM, VISITOR
from tests.slacking import LIA, MARIA, Team


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as server:
        yield server


@pytest.fixture(params=["socket", "http"])
async def team(slack: Slack, request: pytest.FixtureRequest) -> AsyncIterator[Team]:
    async with Team(slack, mode=request.param).open() as team:
        yield team


async def test_the_first_message_makes_a_root_with_a_card(slack: Slack, team: Team) -> None:
    await team.started(name="")
    await team.drawn()
    (root,) = slack.roots()
    seen = ("Visitor", "Acme", "Do you ship to Norway?", "Tents", "https://www.acme.example/tents")
    for words in (*seen, "Answering:* AI assistant", "last activity"):
        assert words in root.shown
        assert words in root.text, "for notifications, and for who is read to"
    assert [b.action_id for b in root.buttons] == ["take", "observe", "link", "close"]
    assert (
        len(slack.calls) - len(slack.calls_of("auth.test")) - len(slack.calls_of("apps.connections.open"))
        == 1
    )
    assert team.shown() == [], "the first words are on the card"


async def test_the_card_follows_in_place_and_its_buttons_too(slack: Slack, team: Team) -> None:
    root = await team.started()
    await team.do(LIA, ev.TookOver())
    await eventually(lambda: "Answering:* Lia" in team.root.shown)
    assert [b.action_id for b in team.root.buttons] == ["back", "take", "observe", "link", "close"]
    await team.says("Are you there?")
    await eventually(lambda: "Waiting for a reply" in team.root.shown)
    await team.do(LIA, ev.Closed())
    await eventually(lambda: "has ended" in team.root.shown)
    assert [b.action_id for b in team.root.buttons] == ["link"]
    assert team.root.ts == root
    assert len(slack.roots()) == 1


async def test_everybody_speaks_under_their_own_name_in_order_and_once(team: Team) -> None:
    await team.started()
    await team.do(ASSISTANT, ev.Said(text="Yes, **everywhere**."))
    await team.says("Great")
    await team.do(LIA, ev.Joined())
    await team.do(LIA, ev.Noted(text="a good one"))
    await team.do(LIA, ev.Guided(text="be brief"))
    await team.do(LIA, ev.TookOver())
    await team.do(LIA, ev.Said(text="Lia here"))
    await team.do(LIA, ev.HandedBack())
    await team.do(VISITOR, ev.Rated(score="good"))
    await team.do(LIA, ev.Closed())
    await team.done()
    thread = [(m.username, m.shown) for m in team.thread()][1:]
    assert thread == [
        ("AI assistant", "Yes, *everywhere*."),
        ("Maria · visitor", "Great"),
        (None, "Lia joined and is watching."),
        ("Lia · note (team only)", "a good one"),
        ("Lia · guidance to the AI", "be brief"),
        (None, "Lia took over and is answering."),
        ("Lia · team", "Lia here"),
        (None, "Lia handed back. The AI assistant is answering again."),
        (None, "Visitor “Maria” rated the conversation: good."),
        (None, "Lia ended the conversation."),
    ]
    assert all(m.icon_emoji for m in team.thread() if m.username)


async def test_edits_and_retractions_follow(team: Team) -> None:
    root = await team.started()
    await team.do(LIA, ev.TookOver())
    said = await team.do(LIA, ev.Said(text="Yes"))
    other = await team.says("oops")
    await team.do(LIA, ev.Edited(target=said, text="Yes, by sea"))
    await team.do(VISITOR, ev.Retracted(target=other))
    await team.done()
    assert team.shown(root)[-2:] == ["Yes, by sea _(edited)_", "_taken back_"]


async def test_an_edit_of_the_first_words_is_on_the_card(team: Team) -> None:
    await team.started()
    await team.do(VISITOR, ev.Edited(target=ev.Seq(3), text="Do you ship to Sweden?"))
    await eventually(lambda: "Sweden" in team.root.shown and "Norway" not in team.root.shown)


async def test_a_long_text_is_split_and_an_edit_shortens_it(team: Team) -> None:
    await team.started()
    await team.do(LIA, ev.TookOver())
    await team.done()
    before = len(team.thread())
    long = " ".join(f"w{number}" for number in range(780))
    said = await team.do(LIA, ev.Said(text=long))
    await team.done()
    parts = team.thread()[before:]
    assert len(parts) == 2
    assert " ".join(m.text for m in parts).split() == long.split()
    await team.do(LIA, ev.Edited(target=said, text="short"))
    await team.done()
    assert [m.shown for m in team.thread()[before:]] == ["short _(edited)_"]


async def test_a_call_is_broadcast_and_mentions_each_group_once(slack: Slack) -> None:
    async with Team(slack, on_duty=["U01ANN", ["S02DESK", "here"]]).open() as team:
        await team.started()
        await team.do(ASSISTANT, ev.HelpWanted(reason="wants a person"))
        await team.done()
        call = team.thread()[-1]
        assert call.broadcast
        assert "AI assistant asks for a person: “wants a person”" in call.shown
        assert [m.target for m in slack.mentions] == ["U01ANN"]
        await team.do(SYSTEM, ev.HelpWanted(step=1))
        await team.done()
        assert [m.target for m in slack.mentions] == ["U01ANN", "S02DESK", "here"]
        await team.do(SYSTEM, ev.HelpWanted(step=2, last=True))
        await team.done()
        assert [m.target for m in slack.mentions[3:]] == ["U01ANN", "S02DESK", "here"]
        assert sum(m.broadcast for m in team.thread()) == 3


async def test_a_card_is_drawn_once_for_a_burst(slack: Slack) -> None:
    team = Team(slack)
    async with team.open():
        team.surface._kit.cards._every = 0.5
        await team.started()
        for _ in range(6):
            await team.do(LIA, ev.TookOver())
            await team.do(LIA, ev.HandedBack())
        await team.do(LIA, ev.TookOver())
        await team.done()
        await eventually(lambda: "Answering:* Lia" in team.root.shown)
        assert len(slack.calls_of("chat.update")) <= 3


async def test_the_card_of_an_old_conversation_follows_too(slack: Slack, team: Team) -> None:
    """What the ledger knows of a thread is kept for half a year; the conversation may go on for longer."""
    await team.started()
    await team.drawn()
    for record in await team.store.scan("slack-place"):
        await team.store.delete("slack-place", record.key)
    await team.do(LIA, ev.TookOver())
    await eventually(lambda: "Answering:* Lia" in team.root.shown)


async def test_the_visitors_words_go_before_the_assistants_of_other_conversations(slack: Slack) -> None:
    people = [ConversationId(name) for name in ("maria", "olga", "ida")]
    async with Team(slack, posts=(0.1, 1)).open() as team:
        for cid in people:
            await team.started(cid=cid, name="")
        pace = team.surface._kit.threads._board._posts
        pace.hold(1.5)
        for waiting, cid in enumerate(people[:2], start=1):
            await team.do(ASSISTANT, ev.Said(text=f"to {cid}"), cid=cid)
            await eventually(lambda waiting=waiting: pace.waiting == waiting)
        await team.says("from ida", cid=people[2])
        for cid in people:
            await team.done(cid)
        posted = [call.args["text"] for call in slack.calls_of("chat.postMessage")]
        assert posted[-3:] == ["from ida", "to maria", "to olga"]


async def test_visitors_mention_nobody_and_fake_no_link(slack: Slack, team: Team) -> None:
    hostile = (
        "<!channel> <!here|x> <@U1ABC> <!subteam^S1ABC> `<!everyone>` ```<!channel>``` @here "
        "[bank](https://evil.test/) <https://evil.test/|bank> https://good.test@evil.test/ *bold* </script>"
    )
    name = "<!channel> *x* <https://evil.test|y>"
    await team.started(hostile, name=name[:40])
    await team.says(hostile)
    await team.do(ASSISTANT, ev.Said(text=hostile))
    await team.do(LIA, ev.TookOver())
    await team.do(LIA, ev.Said(text=hostile))
    await team.do(VISITOR, ev.Rated(score="bad", comment=hostile[:200]))
    await team.done()
    await eventually(lambda: slack.calls_of("chat.update"))
    assert slack.mentions == []
    assert [link for link in slack.links if link.label is not None] == []


async def test_only_wanted_conversations_are_mirrored_where_that_is_set(slack: Slack) -> None:
    async with Team(slack, mirror="when_wanted").open() as team:
        await team.begin()
        await team.do(ASSISTANT, ev.Said(text="Yes"))
        await team.done()
        assert slack.roots() == []
        await team.do(ASSISTANT, ev.HelpWanted(reason=""))
        await team.done()
        assert "Do you ship to Norway?" in team.root.shown
        assert "AI assistant:* Yes" in "\n".join(team.shown())
        assert team.thread()[-1].broadcast
        assert [m.kind for m in slack.mentions] == ["here"]


async def test_a_card_that_looks_the_same_costs_no_call(slack: Slack) -> None:
    async with Team(slack).open() as team:
        await team.started(name="")
        await team.drawn()
        board, root = team.surface._kit.threads._board, await team.surface._kit.ledger.root(MARIA)
        assert root is not None
        state = await team.bridge.state(MARIA)
        drawn = replace(card(state, root.words, sites=team.config.sites), watching=("Kim",))
        before = len(slack.calls)
        await board.draw(root.anchor, drawn)
        await board.draw(root.anchor, drawn)
        assert [c.method for c in slack.calls[before:]] == ["chat.update"]
