"""Limits: tokens that come back with time, places that are given back, and what other processes use of both."""

from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest

from bridge.elsewhere import GONE
from bridge.errors import FrameError, Refused
from bridge.limits import Places, Rate
from tests.logs import START


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return (self.now - START).total_seconds()

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def rate(clock: Clock, *, most: int = 100) -> Rate:
    """Three in a minute."""
    return Rate(3, 60, clock=clock.seconds, most=most)


def test_so_many_at_once_and_then_one_at_a_time(clock: Clock):
    found = rate(clock)
    assert [found.take("ann") for _ in range(4)] == [0, 0, 0, 20]
    assert found.take("ben") == 0, "each key has its own"
    clock.pass_(20)
    assert [found.take("ann"), found.take("ann")] == [0, 20]
    clock.pass_(3600)
    assert [found.take("ann") for _ in range(4)] == [0, 0, 0, 20]


def test_a_refusal_says_how_long_to_wait(clock: Clock):
    found = rate(clock)
    for _ in range(3):
        found.check("ann")
    with pytest.raises(Refused, match=r"Try again in 20 seconds\.") as refused:
        found.check("ann")
    assert (refused.value.code, refused.value.seconds) == ("too_fast", 20)
    clock.pass_(19.4)
    with pytest.raises(Refused, match=r"in 1 second\."):
        found.check("ann")


def test_the_key_longest_unused_is_forgotten_first(clock: Clock):
    found = rate(clock, most=2)
    for key in ("ann", "ann", "ann", "ben", "ann", "zoe"):
        found.take(key)
    assert found.take("ann") == 20
    assert found.take("ben") == 0


def test_what_others_let_through_is_taken_here_too(clock: Clock):
    found = rate(clock)
    found.hear("ann", 2)
    assert [found.take("ann"), found.take("ann")] == [0, 20]


def test_what_two_let_through_at_once_is_made_up_for(clock: Clock):
    one, two = rate(clock), rate(clock)
    for found in (one, two):
        assert [found.take("ann") for _ in range(3)] == [0, 0, 0]
    one.hear("ann", 3)
    two.hear("ann", 3)
    assert [one.take("ann"), two.take("ann")] == [80, 80], "six in the first minute, so none in the second"
    clock.pass_(80)
    assert [one.take("ann"), one.take("ann")] == [0, 20]


def test_what_is_let_through_is_told_and_what_is_not_is_not(clock: Clock):
    found, told = rate(clock), []
    found.tell = told.append
    for _ in range(5):
        found.take("ann")
    found.hear("ann", 1)
    assert told == ["ann"] * 3


def test_a_place_is_held_and_given_back():
    places = Places(10)
    with places.take(("address", 2), ("visitor", 5)):
        with places.take(("address", 2)):
            with pytest.raises(FrameError) as full, places.take(("address", 2)):
                pass
            assert full.value.close_code == 4429
            with places.take(("another", 2)):
                assert (places.here("address"), places.here("visitor"), places.here("another")) == (2, 1, 1)
        with places.take(("address", 2)):
            pass
    assert places.keys() == []


def test_the_process_itself_has_so_many_places(clock: Clock):
    places = Places(2, clock=clock)
    places.hear("other", {"c": 500})
    with places.take(("a", 9)), places.take(("b", 9)):
        with pytest.raises(FrameError), places.take(("d", 9)):
            pass
        assert places.here("d") == 0
    with places.take(("d", 9)):
        pass


def test_places_given_elsewhere_count(clock: Clock):
    places = Places(10, clock=clock)
    places.hear("other", {"ann": 1})
    places.hear("third", {"ann": 1})
    with places.take(("ann", 3)):
        with pytest.raises(FrameError), places.take(("ann", 3)):
            pass
        places.hear("other", {"ann": 0})
        with places.take(("ann", 3)), pytest.raises(FrameError), places.take(("ann", 3)):
            pass


def test_places_of_the_dead_are_given_back(clock: Clock):
    places = Places(10, clock=clock)
    places.hear("other", {"ann": 5, "ben": 5})
    places.hear("third", {"ben": 5})
    places.give_back("other")
    with places.take(("ann", 5)):
        pass
    with pytest.raises(FrameError), places.take(("ben", 5)):
        pass


def test_places_that_are_not_told_again_are_given_back(clock: Clock):
    """The word that they are free was lost."""
    places = Places(10, clock=clock)
    places.hear("other", {"ann": 5, "ben": 5})
    clock.pass_(GONE.total_seconds())
    places.hear("other", {"ben": 5})
    clock.pass_(1)
    places.expire()
    with places.take(("ann", 5)):
        pass
    with pytest.raises(FrameError), places.take(("ben", 5)):
        pass


def test_every_change_of_places_is_told():
    places, told = Places(10), []
    places.tell = lambda key: told.append((key, places.here(key)))
    with ExitStack() as tabs:
        tabs.enter_context(places.take(("ann", 5)))
        tabs.enter_context(places.take(("ann", 5), ("address", 5)))
    assert told == [("ann", 1), ("ann", 2), ("address", 1), ("ann", 1), ("address", 0), ("ann", 0)]
