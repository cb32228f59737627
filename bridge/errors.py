"""Everything that Joinline raises on purpose.

JoinlineError
├── Refused             a rule of the conversation says no: `code`, a sentence, and what helps
├── Conflict            the log moved on: `head` is where it stands now
├── StoreError          the store cannot be used: locked, damaged, full, of a newer version, out of reach
│   ├── LeaseLost       somebody else has the duty now, or nobody: what was to be stored is not
│   └── WentBack        the store forgot what it had acknowledged: it has a new `log_id`, start from nothing
├── ConfigError         the configuration has faults: each with its place and its mend
├── FrameError          bytes from a client that are no frame: `close_code` for the socket
└── surface answers
    ├── Retry           the surface cannot take it now: again, `after` seconds
    ├── AnchorLost      the surface's address of the conversation is gone
    └── Undeliverable   this entry can never be delivered: `reason`
"""

from typing import Literal

RefusalCode = Literal[
    "floor_moved",  # the floor is not where the author believed it to be
    "not_holder",  # somebody else may speak now
    "not_allowed",  # this party may never do this
    "closed",  # the conversation has ended
    "not_open",  # the conversation has not begun
    "key_reused",  # the idempotency key belongs to another body
    "invalid",  # the event itself is wrong: empty, too long, aimed at nothing
    "too_fast",  # over the rate limit
    "unknown_command",
]


class JoinlineError(Exception):
    pass


class Refused(JoinlineError):
    """A rule says no. `message` is for the person; `holder` names who has the floor, if that is why."""

    def __init__(
        self, code: RefusalCode, message: str, *, holder: str | None = None, seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.holder = holder
        self.seconds = seconds


class Conflict(JoinlineError):
    """An append named a head that is not the head."""

    def __init__(self, head: int) -> None:
        super().__init__(f"the log stands at {head}")
        self.head = head


class StoreError(JoinlineError):
    pass


class LeaseLost(StoreError):
    """The lease that was named holds no longer."""


class WentBack(StoreError):
    """Told to everybody who asks the store first after it was found emptied, replaced or gone back."""


class ConfigError(JoinlineError):
    """`faults`: one line each, `place: what is wrong, what was found, how to mend it`."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class FrameError(JoinlineError):
    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(reason)
        self.close_code = close_code
        self.reason = reason


class Retry(JoinlineError):
    def __init__(self, after: float, reason: str = "") -> None:
        super().__init__(reason or f"again in {after:g} s")
        self.after = after
        self.reason = reason


class AnchorLost(JoinlineError):
    pass


class Undeliverable(JoinlineError):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
