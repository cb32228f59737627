"""What a run is to be: how many, how long, on what; and how Joinline is configured for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.eventually import PATIENCE
from tests.fakes.model import FakeModel
from tests.fakes.slack import Slack
from tests.fakes.telegram import TelegramServer
from tests.harness.crowd import SITE
from tests.harness.history import Terms

RECIPIENTS = ("dana", "sam", "lee")
MAILBOXES = tuple(f"{name}@acme.example" for name in RECIPIENTS)
TURN = 4.0  # seconds that the assistant has for an answer
STEP = 6.0  # seconds until the team is asked, and asked again

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`people`: visitors, staff and members in all. `lives`: how long a lease does, in seconds.

    Of each `turn` of the run, the first `outside` seconds break only what is not ours. Faults named in `first`
    come before the others of their deck, in this order, however little time there is.
    """

    seed: int
    seconds: float
    people: int
    servers: int = 3
    redis: bool = True
    lives: float = 10.0
    calm: float = 2.0  # seconds before the first fault, for latencies without any
    outside: float = 20.0
    turn: float = 60.0
    hurry: float = 1.0
    only: str = ""  # faults whose kind has one of these in its name
    first: tuple[str, ...] = ()

    @property
    def terms(self) -> Terms:
        """What the configuration below promises, and how much longer a machine that is busy may take.

        A turn of a process that is gone is taken up when its lease has run out.
        """
        return Terms(
            answer=max(STEP, self.lives + TURN) + 0.4 * PATIENCE,
            again=0.3 * PATIENCE,
            recover=self.lives + 4.0,
            tell=3.0,
        )


def config(*, slack: Slack, telegram: TelegramServer, model: FakeModel, smtp_url: str) -> dict[str, Any]:
    return {
        "sites": {
            SITE: {"name": "Acme", "origins": ["https://www.acme.example"], "staff": [list(RECIPIENTS)]}
        },
        "staff": {name: {"name": name.title(), "email": f"{name}@acme.example"} for name in RECIPIENTS},
        "assistant": {
            "kind": "openai", "base_url": model.base_url, "model": "test", "timeout": 2,
            "connect_timeout": 2, "turn": TURN, "budget": {"per_visitor": 10**9, "per_day": 10**12},
        },
        "patience": {
            "ladder": [2, 3], "answer": STEP, "reply": STEP, "absent_reply": 5, "hand_back": 9,
        },
        "limits": {
            "messages_per_minute": 100_000, "opened_per_ip_per_hour": 100_000, "sockets_per_visitor": 100,
            "sockets_per_ip": 1000,
        },
        "email": {
            "smtp_url": smtp_url, "from": "Acme <chat@acme.example>", "settle": 0.5, "timeout": 5,
            "per_conversation": 1000, "per_hour": 100_000,
        },
        "slack": {
            "bot_token": slack.bot_token, "app_token": slack.app_token, "channel": slack.channel,
            "api_url": slack.api_url,
        },
        "telegram": {"token": telegram.token, "chat": telegram.chat_id, "api_url": telegram.api_url},
    }  # fmt: skip
