"""What shows in a conversation's thread: in which words, what is left out, and how urgent it is."""

from datetime import timedelta

import pytest

from bridge import events as ev
from bridge.core import Bridge
from bridge.errors import Retry
from bridge.events import ConversationId, Event, Party, Proposal
from bridge.surface import Post
from connectors.threads import shown
from connectors.threads.pace import Urgency
from tests.boards import Call
from tests.eventually import eventually
from tests.walls import ANN, ASSISTANT, CID, START, SYSTEM, VISITOR, World


async def test_when_wanted_it_begins_late_with_what_was_said():
    world = World(mirror="when_wanted")
    await world.says("hi", "hm")
    await world.put(ASSISTANT, ev.Said(text="Hello"))
    await world.carry()
    assert world.board.threads == []
    await world.put(VISITOR, ev.HelpWanted(reason="refund"))
    await world.carry()
    assert world.shown() == [
        "[hi]",
        "Visitor: hm\nAI assistant: Hello",
        "* Visitor asks for a person: “refund”",
    ]
    await world.put(ANN, ev.TookOver())
    await world.put(ANN, ev.HandedBack())
    await world.says("thanks")
    await world.carry()
    assert world.shown()[-1] == "Visitor: thanks", "once begun, it goes on"


async def test_words_typed_in_the_thread_are_not_repeated_there():
    world = World()
    await world.says("hi")
    await world.carry()
    await world.put(ANN, ev.TookOver())
    await world.types(ev.Said(text="typed here"), ref="1")
    await world.types(ev.Noted(text="also here"), ref="2")
    await world.put(
        ANN, ev.Edited(target=ev.Seq(4), text="typed otherwise"), key="typed:1:edit:1", via="wall"
    )
    await world.put(ANN, ev.Said(text="from the web"))
    await world.carry()
    assert world.shown() == ["[hi]", "* Ann took over and is answering.", "Ann: from the web"]
    world.board.forget(CID)
    await world.says("next")
    await world.carry()
    assert "".join(world.shown()[1:-1]).split("\n") == [
        "* Ann took over and is answering.",
        "Ann: typed otherwise (edited)",
        "Ann [note]: also here",
        "Ann: from the web",
    ], "a new thread has them"


async def test_words_typed_under_a_root_that_is_gone_show_in_the_next_thread():
    world = World()
    await world.says("hi")
    await world.put(ANN, ev.TookOver())
    await world.carry()
    (gone,) = [t.anchor for t in world.board.of(CID)]
    world.board.forget(CID)

    def obey(call: Call, _cid: ConversationId) -> None:
        if call == "begin":
            raise Retry(0.01, "not just now")

    world.board.obey = obey
    async with world.carried():
        await world.says("still there?")
        await eventually(lambda: "begin" in world.board.calls[1:])
        await world.types(ev.Said(text="typed under a tombstone"), ref="1", anchor=gone)
        world.board.obey = lambda _call, _cid: None
        await eventually(world.caught_up)
    assert world.shown()[-2:] == ["Visitor: still there?", "Ann: typed under a tombstone"]


async def test_the_clocks_of_two_servers_do_not_decide_what_was_typed_where():
    world = World()
    await world.says("hi")
    await world.put(ANN, ev.TookOver())
    await world.carry()
    world.now -= timedelta(minutes=5)
    await world.types(ev.Said(text="by a server that is behind"), ref="1")
    world.now += timedelta(minutes=10)
    await world.carry()
    assert world.shown() == ["[hi]", "* Ann took over and is answering."]


async def test_whoever_is_on_duty_is_called_once_also_where_the_thread_begins_anew():
    world = World()
    await world.says("hi")
    await world.put(VISITOR, ev.HelpWanted(reason="refund"))
    await world.carry()
    world.board.forget(CID)
    await world.says("anybody?")
    await world.carry()
    assert world.shown() == ["[hi]", "* Visitor asks for a person: “refund”", "Visitor: anybody?"]
    calls = [m for t in world.board.of(CID) for m in t.messages if isinstance(m.shown, shown.Call)]
    assert len(calls) == 1


@pytest.mark.parametrize("late", [False, True])
async def test_an_entry_is_not_taken_for_one_that_the_store_lost(late: bool):
    """A delivery was under way as the store went back: what it notes then is about a number that others have now."""
    world = World()
    await world.says("hi")
    await world.carry()
    (anchor,) = [t.anchor for t in world.board.of(CID)]
    if late:  # it goes on with the lost entry after another has come in its place
        await world.says("a", "b")
    entry = ev.Entry(
        seq=ev.Seq(3),
        at=START - timedelta(seconds=1),
        event=ev.Said(text="lost"),
        by=VISITOR,
        via="web",
        key="x",
    )
    latest = await world.bridge.state(CID)
    await world.wall.deliver(Post(cid=CID, entry=entry, latest=latest, anchor=anchor))
    if not late:
        await world.says("a", "b")
    await world.carry()
    assert world.shown() == ["[hi]", "Visitor: lost", "Visitor: a", "Visitor: b"]


async def test_longer_and_shorter_and_longer_again():
    world = World()
    await world.says("hi", "a" * 100)

    async def edited(text: str) -> list[str]:
        await world.put(VISITOR, ev.Edited(target=ev.Seq(3), text=text))
        await world.carry()
        return world.shown()[1:]

    await world.carry()
    assert [len(t) for t in world.shown()[1:]] == [90, 19]
    assert await edited("b") == ["Visitor: b (edited)"]
    assert "".join(await edited("c" * 250)) == "Visitor: " + "c" * 250 + " (edited)"
    assert "".join(await edited("d" * 100)) == "Visitor: " + "d" * 100 + " (edited)"
    await world.put(VISITOR, ev.Retracted(target=ev.Seq(3)))
    await world.carry()
    assert world.shown()[1:] == ["Visitor: (taken back)"]


async def test_the_cards_quoted_words_follow_their_edits():
    world = World()
    async with world.carried():
        await world.says("helo", "x")
        await eventually(lambda: world.shown()[:1] == ["[helo]"])
        await world.put(VISITOR, ev.Edited(target=ev.Seq(2), text="hello"))
        await eventually(lambda: world.shown()[:1] == ["[hello]"])
        await world.put(VISITOR, ev.Retracted(target=ev.Seq(2)))
        await eventually(lambda: world.shown() == ["Visitor: x"])


async def test_an_old_stores_past_gets_no_threads():
    world = World()
    await world.says("long ago", "still long ago")
    world.now += timedelta(days=2)
    await world.carry()
    assert world.board.threads == []
    await world.says("I am back")
    await world.carry()
    assert world.shown() == ["[long ago]", "Visitor: still long ago", "Visitor: I am back"]


async def test_where_the_platform_cannot_keep_up_entries_share_a_message_and_can_still_change():
    world = World()
    world.board.most_together = 3
    await world.says("hi", "a", "b", "c", "d")
    await world.put(VISITOR, ev.HelpWanted())
    await world.says("e")
    await world.put(VISITOR, ev.Edited(target=ev.Seq(4), text="B"))
    await world.carry()
    assert world.shown() == [
        "[hi]",
        "Visitor: a\nVisitor: B (edited)\nVisitor: c",
        "Visitor: d",
        "* Visitor asks for a person.",
        "Visitor: e",
    ]
    await world.put(VISITOR, ev.Retracted(target=ev.Seq(3)))
    await world.put(VISITOR, ev.Edited(target=ev.Seq(5), text="C" * 60))
    await world.carry()
    assert "".join(world.shown()[1:2] + world.shown()[-1:]) == (
        f"Visitor: (taken back)\nVisitor: B (edited)\nVisitor: {'C' * 60} (edited)"
    )


async def test_a_group_that_cannot_be_shown_takes_nobody_along():
    world = World()
    world.board.most_together = 3
    world.board.refuses = "rude"
    await world.says("hi", "rude", "b", "c")
    await world.carry()
    assert world.shown() == [
        "[hi]",
        "Visitor: b",
        "Visitor: c",
        "* Entry 3 could not be brought to Wall: the platform refuses it",
    ]


async def test_the_visitor_and_calls_go_before_the_assistants_words():
    world = World()
    await world.says("hi", "a")
    await world.put(ASSISTANT, ev.Said(text="b"))
    await world.carry()
    urgencies = [m.urgency for m in world.board.of(CID)[0].messages]
    assert urgencies == [Urgency.CONTROL, Urgency.WORDS]


@pytest.mark.parametrize(
    ("by", "event"),
    [(VISITOR, ev.Said(text="c")), (VISITOR, ev.HelpWanted()), (ANN, ev.TookOver()), (VISITOR, ev.Closed())],
)
async def test_nothing_urgent_waits_behind_words_that_have_time(by: Party, event: Event):
    late = World()
    await late.says("hi")
    await late.put(ASSISTANT, ev.Said(text="b"))
    await late.put(by, event)
    await late.carry()
    assert Urgency.WORDS not in [m.urgency for m in late.board.of(CID)[0].messages], "known from the start"

    soon = World()
    await soon.says("hi")
    async with soon.carried():
        await eventually(soon.caught_up)
        soon.board.open.clear()
        await soon.put(ASSISTANT, ev.Said(text="b"))
        await eventually(lambda: soon.board.calls[-1] == "post")
        assert soon.board.hurried == []
        await soon.put(by, event)
        assert CID in soon.board.hurried, "heard of while the words wait"
        soon.board.open.set()
        await eventually(soon.caught_up)
        before = len(soon.board.hurried)
        await soon.put(VISITOR, ev.Rated(score="good"))
        await eventually(soon.caught_up)
        assert len(soon.board.hurried) == before, "nobody waits any more"


async def test_what_another_server_appends_hurries_words_that_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("connectors.threads.surface.LOOK", 0.02)
    world = World()
    await world.says("hi")
    async with world.carried():
        await eventually(world.caught_up)
        world.board.open.clear()
        await world.put(ASSISTANT, ev.Said(text="b"))
        await eventually(lambda: world.board.calls[-1] == "post")
        elsewhere = Bridge(store=world.bridge.store, clock=world.clock)
        await elsewhere.submit(
            CID, Proposal(events=(ev.Said(text="hello?"),), by=VISITOR, via="web", key="elsewhere")
        )
        await eventually(lambda: CID in world.board.hurried)
        world.board.open.set()
        await eventually(world.caught_up)
    assert world.shown() == ["[hi]", "AI assistant: b", "Visitor: hello?"]


async def test_its_own_trouble_is_no_news_in_the_thread():
    world = World()
    await world.says("hi")
    await world.put(SYSTEM, ev.Undelivered(surface="wall", target=ev.Seq(2), reason="x", retrying=True))
    await world.put(SYSTEM, ev.Undelivered(surface="email", target=ev.Seq(2), reason="x", retrying=True))
    await world.carry()
    assert world.shown() == ["[hi]", "* Email is in trouble and is tried again: x"]
