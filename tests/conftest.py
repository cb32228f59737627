"""One Redis for all tests that need no other; and Hypothesis profiles: `suite` finds the same examples every time; JOINLINE_HYPOTHESIS=deep looks further."""

from collections.abc import Iterator
import os

from hypothesis import HealthCheck, settings
import pytest

from tests.redises import DURABLE, RedisServer

settings.register_profile(
    "suite",
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("deep", settings.get_profile("suite"), max_examples=2_000, derandomize=False)
settings.load_profile(os.environ.get("JOINLINE_HYPOTHESIS", "suite"))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A real server; who uses it finds what others left, and begins by emptying it."""
    with RedisServer(*DURABLE) as server:
        yield server
