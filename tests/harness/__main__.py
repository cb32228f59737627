"""`python -m tests.harness --seed 7 --seconds 60`: break everything for a while, and judge what is left."""

import argparse
import asyncio
import os
from pathlib import Path
import random
import resource
import sys
import tempfile
import time

from tests.harness.world import Plan, World


def main() -> int:
    usual = float(os.environ.get("SOAK_SECONDS", "600"))
    parser = argparse.ArgumentParser(prog="make soak ARGS=", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="deals the same faults")
    parser.add_argument("--seconds", type=float, default=usual, help="of faults; default SOAK_SECONDS or 600")
    parser.add_argument("--people", type=int, default=200, help="visitors and staff")
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--sqlite", action="store_true", help="one process on SQLite instead of Redis")
    parser.add_argument("--lives", type=float, default=10.0, help="seconds that a lease lives")
    parser.add_argument("--only", default="", help='faults with one of these in their name, as "kill,pause"')
    asked = parser.parse_args()
    plan = Plan(
        seed=asked.seed, seconds=asked.seconds, people=asked.people, redis=not asked.sqlite,
        servers=1 if asked.sqlite else asked.servers, lives=asked.lives, hurry=max(1.0, asked.people / 80),
        only=asked.only,
    )  # fmt: skip
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    report = asyncio.run(World(plan, folder, say).run())
    print(report)
    print(f"  the servers' logs: {folder}")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
