"""Laws 1-7, 12 and 13 of the design, over the real stores: whatever people do, in whatever order."""

import os

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.redises import RedisServer
from tests.story.engines import over_redis
from tests.story.machine import Laws

deep = os.environ.get("JOINLINE_HYPOTHESIS") == "deep"


class TestLaws(Laws.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=1_000 if deep else 60, stateful_step_count=60 if deep else 40)


def test_the_laws_hold_on_redis(redis_server: RedisServer):
    bounds = settings(max_examples=500 if deep else 25, stateful_step_count=60 if deep else 40)
    run_state_machine_as_test(over_redis(redis_server), settings=bounds)
