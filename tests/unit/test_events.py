from typing import get_args

import msgspec
import pytest

from bridge import events as ev
from bridge import wire
from bridge.events import Entry, Proposal, Seq, Staff, StaffId, author
from tests.logs import ANN, ASSISTANT, START, SYSTEM, VISITOR

WORDS = (
    "Opened Said Noted Guided Joined Left Renamed TookOver HandedBack HelpWanted Edited Retracted Rated "
    "Identified Undelivered Closed Reopened Redacted"
)
EXAMPLES: dict[str, ev.Event] = {
    "Opened": ev.Opened(site="acme", page="/p", title="Shoes", context={"plan": "pro"}),
    "Said": ev.Said(text="hi"),
    "Noted": ev.Noted(text="vip"),
    "Guided": ev.Guided(text="be brief"),
    "Joined": ev.Joined(),
    "Left": ev.Left(),
    "Renamed": ev.Renamed(name="Zoe"),
    "TookOver": ev.TookOver(),
    "HandedBack": ev.HandedBack(),
    "HelpWanted": ev.HelpWanted(reason="asked", step=1, last=True),
    "Edited": ev.Edited(target=Seq(2), text="ho"),
    "Retracted": ev.Retracted(target=Seq(2)),
    "Rated": ev.Rated(score="good", comment="thanks"),
    "Identified": ev.Identified(email="m@b.example"),
    "Undelivered": ev.Undelivered(surface="email", target=Seq(2), reason="550", retrying=True),
    "Closed": ev.Closed(reason="idle"),
    "Reopened": ev.Reopened(),
    "Redacted": ev.Redacted(target=Seq(2)),
}


def test_the_events_are_the_words_of_the_design():
    assert [e.__name__ for e in get_args(ev.Event)] == WORDS.split()


@pytest.mark.parametrize("name", WORDS.split())
@pytest.mark.parametrize("party", [VISITOR, ASSISTANT, SYSTEM, ANN], ids=author)
def test_an_entry_comes_back_from_storage_as_it_was(name, party):
    entry = Entry(seq=Seq(7), at=START, event=EXAMPLES[name], by=party, via="web", key="k")
    stored = wire.encode_entry(entry)
    assert msgspec.json.decode(stored)["event"]["type"] == name
    assert wire.decode_entry(stored) == entry


def test_a_stored_entry_with_an_unknown_field_is_not_guessed_at():
    entry = Entry(seq=Seq(1), at=START, event=ev.Said(text="hi"), by=VISITOR, via="web", key="k")
    odd = wire.encode_entry(entry).replace(b'"text":', b'"mood":1,"text":')
    with pytest.raises(msgspec.ValidationError, match="mood"):
        wire.decode_entry(odd)


def test_a_new_name_is_not_a_new_author():
    assert author(ANN) == author(Staff(id=ANN.id, name="Zoe"))
    assert author(ANN) != author(Staff(id=StaffId("other"), name="Ann"))


def test_no_staff_id_passes_for_another_kind_of_author():
    for name in ("visitor", "assistant", "system"):
        assert author(Staff(id=StaffId(name), name="x")) not in {"visitor", "assistant", "system"}


def test_each_event_of_a_proposal_has_its_own_key():
    proposal = Proposal(
        events=(ev.TookOver(), ev.Said(text="a"), ev.HandedBack()), by=ANN, via="web", key="k"
    )
    assert proposal.entry_keys() == ["k", "k#1", "k#2"]


def test_facts_are_frozen():
    with pytest.raises(AttributeError):
        ev.Said(text="hi").text = "ho"  # type: ignore[misc]
