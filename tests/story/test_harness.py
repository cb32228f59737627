"""The crash harness, for a short while: everything breaks, and no law does. `make soak` is the long run."""

from pathlib import Path

import pytest

from tests.harness.goes_back import Backwards, GoesBack
from tests.harness.history import EVERYBODY
from tests.harness.plan import Plan
from tests.harness.world import World

pytestmark = pytest.mark.timed

SQLITE = Plan(
    seed=11, seconds=7, people=32, servers=1, redis=False, lives=2.5, calm=1, outside=1,
    first=("kill one", "write error", "pause"),
)  # fmt: skip
REDIS = Plan(
    seed=12, seconds=8, people=32, lives=2.5, calm=1, outside=1,
    first=("kill one", "kill redis", "pause", "redis black hole"),
)  # fmt: skip


@pytest.mark.parametrize("plan", [SQLITE, REDIS], ids=["one process on SQLite", "three processes on Redis"])
async def test_whatever_breaks_the_laws_hold(plan: Plan, tmp_path: Path) -> None:
    said: list[str] = []
    report = await World(plan, tmp_path, said.append).run()
    print(report)
    assert report.good, "\n".join([*said, str(report)])
    assert {EVERYBODY, *plan.first} <= report.faults.keys()
    counted = {verdict.law: verdict.counted for verdict in report.verdicts}
    assert counted.keys() == {1, 2, 3, 4, 5, 6, 7, 8, 10, 11}
    assert all(sum(counts.values()) for counts in counted.values()), counted
    assert counted[4]["connections of staff"] >= 6
    assert counted[7]["losers, told who"], "nobody lost a race"
    waits = counted[11]
    assert waits["% judged in full"] >= 25, waits
    assert waits["of them while only others were in trouble"] >= 5, waits


async def test_a_store_that_goes_back_keeps_its_promise(tmp_path: Path) -> None:
    said: list[str] = []
    report = await GoesBack(Backwards(seed=13), tmp_path, said.append).run()
    print(report)
    assert report.good, "\n".join([*said, str(report)])
    counted = {verdict.name: verdict.counted for verdict in report.verdicts}
    assert counted["what was kept stays"]["entries in the copy"]
    assert sum(counted["visitors give back"].values()), "nothing was lost"
    assert counted["everybody begins anew"]["who had been shown what is lost"]
    assert counted["everybody begins anew"]["clients of staff"]
