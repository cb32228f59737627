"""`python -m tests.harness --seed 7 --seconds 60`: break everything for a while, and judge what is left.

On Redis, two short runs follow in which the store itself goes back in time.
"""

import argparse
import asyncio
import os
from pathlib import Path
import random
import resource
import sys
import tempfile
import time

from tests.harness.goes_back import Backwards, GoesBack
from tests.harness.plan import Plan
from tests.harness.report import Report
from tests.harness.world import World


def asked() -> argparse.Namespace:
    usual = float(os.environ.get("SOAK_SECONDS", "600"))
    parser = argparse.ArgumentParser(prog="make soak ARGS=", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="deals the same faults")
    parser.add_argument("--seconds", type=float, default=usual, help="of faults; default SOAK_SECONDS or 600")
    parser.add_argument("--people", type=int, default=200, help="visitors and staff")
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--sqlite", action="store_true", help="one process on SQLite instead of Redis")
    parser.add_argument("--lives", type=float, default=5.0, help="seconds that a lease lives")
    parser.add_argument("--only", default="", help='faults with one of these in their name, as "kill,pause"')
    return parser.parse_args()


async def run(wanted: argparse.Namespace, folder: Path) -> list[Report]:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    plan = Plan(
        seed=wanted.seed, seconds=wanted.seconds, people=wanted.people, redis=not wanted.sqlite,
        servers=1 if wanted.sqlite else wanted.servers, lives=wanted.lives, hurry=max(1.0, wanted.people / 80),
        only=wanted.only, outside=min(20.0, wanted.seconds / 3),
    )  # fmt: skip
    reports = [await World(plan, folder / "world", say).run()]
    if plan.redis and not plan.only:
        for emptied in (False, True):
            backwards = Backwards(seed=plan.seed, emptied=emptied)
            reports.append(await GoesBack(backwards, folder / f"back-{int(emptied)}", say).run())
    return reports


def main() -> int:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    reports = asyncio.run(run(asked(), folder))
    print(*reports, sep="\n")
    print(f"  the servers' logs: {folder}")
    return 0 if all(report.good for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
