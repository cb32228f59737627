"""The crash harness, for a short while: everything breaks, and no law does. `make soak` is the long run."""

from pathlib import Path

import pytest

from tests.harness.world import Plan, World

pytestmark = pytest.mark.timed

PLANS = {
    "one process on SQLite": Plan(seed=11, seconds=5, people=40, servers=1, redis=False, lives=2.5),
    "three processes on Redis": Plan(seed=12, seconds=7, people=40, servers=3, redis=True, lives=2.5),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
async def test_whatever_breaks_the_laws_hold(plan: Plan, tmp_path: Path) -> None:
    said: list[str] = []
    report = await World(plan, tmp_path, said.append).run()
    print(report)
    assert report.good, "\n".join([*said, str(report)])
    assert report.faults, "nothing broke"
    empty = {verdict.law for verdict in report.verdicts if not sum(verdict.counted.values())}
    assert empty <= {7}, f"nothing was looked at for {empty}"  # nobody may have taken over in so short a time
