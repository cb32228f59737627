"""What the crash harness says of a store that went back: it agrees where the promise is kept, and else objects."""

from collections.abc import Callable
from dataclasses import replace

from msgspec.structs import replace as altered
import pytest

from bridge import events as ev
from tests.harness.example import CID, append, at, entry, good
from tests.harness.history import Acked, History, Line, Posted, Sitting
from tests.harness.lost import Loss, judge
from tests.logs import VISITOR

OLD, NEW = "old", "new"


def went_back() -> tuple[History, Loss]:
    """The copy holds the first five entries; what Ann said and did then is lost, and the visitor spoke since."""
    history = good()
    said = Acked("visitor", CID, "visitor", "three", 8, ("Said",), ("v0x.3. Hello?",))
    history.acked = [replace(ack, store=OLD) for ack in (*history.acked, said)]
    history.sittings = [replace(s, store=OLD, to_the_end=False) for s in history.sittings]
    history.sittings.append(Sitting("ann", "staff", CID, 0, store=OLD))
    log = history.logs[CID]
    del log[5:]
    loss = Loss(store=OLD, kept={CID: list(log)}, at=at(20))
    append(history, VISITOR, ev.Said(text="v0x.3. Hello?"), key="three", after=20)
    append(history, ev.System(), ev.HelpWanted())
    history.acked.append(replace(said, seq=6, store=NEW))
    lines = [Line(e.seq, type(e.event).__name__, getattr(e.event, "text", "")) for e in log]
    for who, audience in (("visitor", "visitor"), ("ann", "staff")):
        history.sittings.append(Sitting(who, audience, CID, 0, lines, to_the_end=True, store=NEW))
    history.slack.append(Posted(CID, "thread", "v0x.3. Hello?", at(30), 6))
    history.telegram.append(Posted(CID, "thread", "v0x.3. Hello?", at(30)))
    return history, loss


def broken(history: History, loss: Loss) -> set[tuple[int, str]]:
    return {(verdict.law, verdict.name) for verdict in judge(history, loss) if verdict.broken}


def test_a_promise_that_is_kept_is_seen_as_kept() -> None:
    history, loss = went_back()

    verdicts = {verdict.name: verdict for verdict in judge(history, loss)}

    assert broken(history, loss) == set()
    assert verdicts["visitors give back"].counted == {
        "lost, of the team's": 1, "lost, of visitors'": 1, "given back": 1
    }  # fmt: skip
    assert verdicts["everybody begins anew"].counted["who had been shown what is lost"] == 1
    assert verdicts["what stands is shown"].counted == {"words in Slack": 3, "words in Telegram": 3}


def kept_no_longer(history: History) -> None:
    entry(history, 3, event=ev.Said(text="a1x. Something else."))


def not_given_back(history: History) -> None:
    entry(history, 6, event=ev.Said(text="v0x.4. Something else"))


def goes_on_with_what_is_lost(history: History) -> None:
    del history.sittings[-2]


def never_told(history: History) -> None:
    history.sittings[-2] = replace(history.sittings[-2], after=5, lines=history.sittings[-2].lines[5:])


def two_names(history: History) -> None:
    history.sittings[-1] = replace(history.sittings[-1], store="another")


def lost_again(history: History) -> None:
    history.acked.append(Acked("visitor", CID, "visitor", "four", 8, ("Said",), ("v0x.4. Gone",), store=NEW))


def gap(history: History) -> None:
    history.sittings[-1] = replace(history.sittings[-1], lines=history.sittings[-1].lines[:2])


def taken_for_shown(history: History) -> None:
    history.slack.pop()


def taken_for_shown_in_telegram(history: History) -> None:
    history.telegram.pop()


def hangs(history: History) -> None:
    log = history.logs[CID]
    log[6] = altered(log[6], at=at(50))


WAYS = [
    (1, "what was kept stays", kept_no_longer),
    (1, "visitors give back", not_given_back),
    (4, "everybody begins anew", goes_on_with_what_is_lost),
    (4, "everybody begins anew", never_told),
    (4, "everybody begins anew", two_names),
    (1, "ack means durable, afterwards", lost_again),
    (4, "no silent gap, afterwards", gap),
    (10, "what stands is shown", taken_for_shown),
    (10, "what stands is shown", taken_for_shown_in_telegram),
    (11, "nobody is left hanging, afterwards", hangs),
]


@pytest.mark.parametrize(("law", "name", "way"), WAYS, ids=[way.__name__ for *_, way in WAYS])
def test_it_objects(law: int, name: str, way: Callable[[History], None]) -> None:
    history, loss = went_back()
    way(history)

    assert (law, name) in broken(history, loss)


def test_who_was_signed_out_is_not_asked_for_more() -> None:
    history, loss = went_back()
    history.sittings.pop()
    history.signed_out.append("ann")

    assert broken(history, loss) == set()
