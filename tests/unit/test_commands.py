"""The command grammar: what each command means, in each position of who gives it."""

import pytest

from bridge import commands
from bridge import events as ev
from bridge.commands import REGISTRY, GiveLink, Say
from bridge.errors import Refused
from tests.logs import ANN, SAM, VISITOR, Story


def run(line: str, story: Story | None = None, by=ANN) -> commands.Outcome:
    return commands.run(line, (story or Story()).state, by)


def held_by_ann() -> Story:
    story = Story()
    story.propose(ANN, ev.TookOver())
    return story


@pytest.mark.parametrize(
    ("line", "events"),
    [
        ("take", (ev.TookOver(),)),
        ("take Hi, Ann here", (ev.TookOver(), ev.Said(text="Hi, Ann here"))),
        ("back", (ev.HandedBack(),)),
        ("back Goodbye!", (ev.Said(text="Goodbye!"), ev.HandedBack())),
        ("observe", (ev.Joined(),)),
        ("name Zoe", (ev.Renamed(name="Zoe"),)),
        ("note vip, be kind", (ev.Noted(text="vip, be kind"),)),
        ("guide offer a refund", (ev.Guided(text="offer a refund"),)),
        ("close", (ev.Closed(),)),
        ("leave", (ev.Left(),)),
    ],
)
def test_a_command_becomes_events(line: str, events: tuple[ev.Event, ...]):
    assert run(line) == events


@pytest.mark.parametrize("line", ["TAKE", " take ", "Take", "\ttake\n"])
def test_case_and_blanks_around_do_not_matter(line: str):
    assert run(line) == (ev.TookOver(),)


def test_the_words_are_kept_as_they_are():
    assert run("note  first line\n  second   line ") == (ev.Noted(text="first line\n  second   line"),)
    assert run("take\nHello") == (ev.TookOver(), ev.Said(text="Hello"))


def test_every_command_is_listed_and_named_in_the_tests():
    assert set(REGISTRY) == {
        "take",
        "back",
        "observe",
        "name",
        "note",
        "guide",
        "who",
        "link",
        "close",
        "leave",
        "help",
    }
    listed = run("help")
    assert isinstance(listed, Say)
    assert [line.partition(":")[0] for line in listed.text.splitlines()] == [
        c.usage for c in REGISTRY.values()
    ]


@pytest.mark.parametrize("name", [n for n, c in REGISTRY.items() if c.argument.startswith("<")])
def test_what_needs_words_says_so(name: str):
    for line in (name, f"{name}   "):
        with pytest.raises(Refused) as caught:
            run(line)
        assert caught.value.code == "invalid"
        assert REGISTRY[name].argument in caught.value.message


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("tak", "take"), ("taek", "take"), ("bakc", "back"), ("observ", "observe"), ("nmae", "name"), ("notes", "note"),
     ("gide", "guide"), ("whoo", "who"), ("lnk", "link"), ("clsoe", "close"), ("laeve", "leave"), ("hlep", "help")],
)  # fmt: skip
def test_the_nearest_command_is_suggested(typed: str, meant: str):
    with pytest.raises(Refused) as caught:
        run(f"{typed} something")
    assert caught.value.code == "unknown_command"
    assert caught.value.message == f"There is no command “{typed}”. Did you mean “{meant}”?"


@pytest.mark.parametrize("line", ["", "  ", "xyzzy", "42", "x" * 60_000])
def test_what_resembles_nothing_gets_the_way_to_help(line: str):
    with pytest.raises(Refused) as caught:
        run(line)
    assert caught.value.code == "unknown_command"
    assert caught.value.message.endswith("“help” lists the commands.")
    assert len(caught.value.message) < 120


def test_observing_means_handing_back_joining_or_nothing():
    story = held_by_ann()
    assert run("observe", story) == (ev.HandedBack(),)
    story.propose(ANN, ev.HandedBack())
    assert run("observe", story) == Say("You are observing.")
    assert run("observe", story, SAM) == (ev.Joined(),)


def test_leaving_hands_back_first_where_that_is_due():
    story = held_by_ann()
    assert run("leave", story) == (ev.HandedBack(), ev.Left())
    assert run("leave", story, SAM) == (ev.Left(),)


@pytest.mark.parametrize("line", ["leave", "close", "back", "observe", "back bye"])
def test_what_a_command_means_for_the_holder_is_admitted(line: str):
    story = held_by_ann()
    outcome = run(line, story)
    assert isinstance(outcome, tuple)
    story.propose(ANN, *outcome)


def test_after_the_end_the_holder_can_still_leave():
    story = held_by_ann()
    story.propose(ANN, ev.Closed())
    outcome = run("leave", story)
    assert outcome == (ev.Left(),)
    story.propose(ANN, *outcome)


def test_who_says_who_answers_and_who_is_here():
    story = Story()
    assert run("who", story) == Say("Answering: AI assistant. Joined: nobody.")
    story.propose(SAM, ev.Joined())
    story.propose(ANN, ev.TookOver())
    assert run("who", story) == Say("Answering: Ann. Joined: Ann (you), Sam.")
    story.propose(ANN, ev.Closed())
    assert run("who", story) == Say("Answering: Nobody: the conversation ended. Joined: Ann (you), Sam.")


def test_a_link_is_for_the_surface_to_give():
    assert isinstance(run("link"), GiveLink)


def test_a_name_is_cleaned_and_one_of_nothing_is_refused_by_the_rules():
    assert run("name \u202eZoe\u200b  Lee") == (ev.Renamed(name="Zoe Lee"),)
    story = Story()
    outcome = run("name \u200b", story)
    assert isinstance(outcome, tuple)
    with pytest.raises(Refused):
        story.propose(ANN, *outcome)


def test_reading_commands_changes_nothing():
    story = Story()
    story.propose(VISITOR, ev.Said(text="hi"))
    before = story.state
    for line in ("who", "help", "link"):
        run(line, story)
    assert story.state == before
