"""Names that the visitor reads: people keep their own, and nobody passes for another."""

import pytest

from bridge import events as ev
from bridge.events import Staff, StaffId
from tests.logs import (
    ANN,
    VISITOR,
    Story,
    held_by,
    refusal,
)


@pytest.mark.parametrize(
    "name",
    ["AI assistant", "ai ASSISTANT", "AI-assistant", "A.I. assistant", "Al assistant", "A1 assistant",
     "\uff21\uff29 assistant", "\u0410\u0406 assistant", "AI assist\u0430nt", "A\u0301I assistant",
     "Assistant", "Joinline", "YOU", "Visitor"],
)  # fmt: skip
def test_nobody_passes_for_the_assistant_or_the_house(name: str):
    someone = Staff(id=StaffId("x"), name=name)
    assert refusal(Story(), someone, ev.Joined()).code == "invalid"
    assert refusal(Story(), someone, ev.TookOver()).code == "invalid"
    assert refusal(held_by(ANN), ANN, ev.Renamed(name=name)).code == "invalid"


@pytest.mark.parametrize("name", ["ann", "ANN", "A nn", "An-n", "\uff21nn", "Ann\ufe0f"])
def test_nobody_passes_for_a_colleague_who_is_here(name: str):
    story = held_by(ANN)
    error = refusal(story, Staff(id=StaffId("x"), name=name), ev.Joined())
    assert error.message == f"{name} is here already. Choose another name."
    story.propose(ANN, ev.HandedBack(), ev.Left())
    story.propose(Staff(id=StaffId("x"), name=name), ev.Joined())


@pytest.mark.parametrize(
    "name",
    [
        "Ann ",
        " Ann",
        "An\nn",
        "Ann\u00a0Lee",
        "Ann  Lee",
        "\u202eAnn",
        "A\u200bnn",
        "Ann\u2028",
        "An\0n",
        "x" * 41,
    ],
)
def test_a_name_is_plain_and_on_one_line(name: str):
    assert refusal(Story(), Staff(id=StaffId("x"), name=name), ev.Joined()).code == "invalid"


@pytest.mark.parametrize("name", ["", " ", "\u200b", "\u3164", "\ufe0f"])
def test_a_name_is_needed(name: str):
    story = Story()
    someone = Staff(id=StaffId("x"), name=name)
    assert refusal(story, someone, ev.Joined()).message == "Enter the name the visitor will see."
    story.propose(VISITOR, ev.Identified(name="Maria"))
    assert refusal(story, someone, ev.Joined()).message == "Enter the name Maria will see."


@pytest.mark.parametrize(
    "name", ["Zoë", "José María", "राम", "李", "O'Neil", "Ann-Marie", "Dr. No", "🙂", "x" * 40]
)
def test_people_keep_their_real_names(name: str):
    Story().propose(Staff(id=StaffId("x"), name=name), ev.Joined())


def test_names_that_differ_in_a_vowel_sign_are_two_people():
    story = Story()
    story.propose(Staff(id=StaffId("x"), name="राम"), ev.Joined())
    story.propose(Staff(id=StaffId("y"), name="रमा"), ev.Joined())
