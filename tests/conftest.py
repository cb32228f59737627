"""Hypothesis profiles: `suite` finds the same examples every time; JOINLINE_HYPOTHESIS=deep looks further."""

import os

from hypothesis import HealthCheck, settings

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
