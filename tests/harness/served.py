"""`joinline` for the harness: platforms take any number of messages, and leases live for `--lives=` seconds."""

import asyncio
from pathlib import Path
import signal
import sys

sys.path.insert(0, str(Path(__file__).parents[2]))

from bridge import duty
from bridge.cli import main
from connectors.slack import calls
from connectors.slack.surface import SlackSurface
from connectors.threads import cards, inbox
from tests.hurried import hurry


def hurry_more(lives: float) -> None:
    hurry()
    calls.MEND = 1.5
    SlackSurface.__init__.__kwdefaults__ |= {"posts": (0.0, 1000), "updates": (0.0, 1000), "ping": 1.0}
    part = lives / duty.LIVES
    duty.LIVES, duty.RENEW, duty.AGAIN = lives, duty.RENEW * part, min(duty.AGAIN, lives / 3)
    inbox.ADOPT *= part
    cards.WAITING *= part


def tell_what_runs(*_: object) -> None:
    """For a server that does not end: what each of its tasks waits for, into its log."""
    for task in tuple(asyncio.tasks._all_tasks):  # type: ignore[attr-defined]
        task.print_stack(file=sys.stderr)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, tell_what_runs)
    hurry_more(float(sys.argv.pop(1).removeprefix("--lives=")))
    sys.exit(main())
