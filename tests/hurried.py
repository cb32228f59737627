"""`joinline` in a hurry; everything else is as it is served.

A Telegram group takes any number of messages, cards are drawn at once, what somebody must mend is looked at
again soon, and staff are told of trouble after three seconds.
"""

from functools import partial
import sys

from bridge import app
from bridge.cli import main
from bridge.courier import Persistence
from connectors.telegram import connector as telegram
from connectors.threads.cards import Cards


def hurry() -> None:
    app.assemble = partial(app.assemble, persistence=Persistence(first=0.1, longest=2.0, tell=3.0, scan=0.5))
    telegram.build.__kwdefaults__ |= {"every": 0.0, "burst": 1000, "look": 0.5, "again": 1.5}
    Cards.__init__.__kwdefaults__ |= {"every": 0.2}


if __name__ == "__main__":
    hurry()
    sys.exit(main())
