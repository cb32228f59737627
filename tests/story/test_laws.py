"""Laws 1-7, 12 and 13 of the design, over the real store: whatever people do, in whatever order."""

import os

from hypothesis import settings

from tests.story.machine import Laws

deep = os.environ.get("JOINLINE_HYPOTHESIS") == "deep"


class TestLaws(Laws.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=1_000 if deep else 60, stateful_step_count=60 if deep else 40)
