"""What a process has of a conversation in memory, for all who follow it there."""

import asyncio
from collections import deque

from bridge.conversation import Conversation
from bridge.events import Entry

RECENT = 32  # batches kept for those who follow live


class Batch:
    """Contiguous entries, and the conversation's newest state, which may be further.

    One object is shared by all who follow live, so that `frames` is filled once per audience.
    """

    __slots__ = ("entries", "frames", "state")

    def __init__(self, entries: tuple[Entry, ...], state: Conversation) -> None:
        self.entries = entries
        self.state = state
        self.frames: dict[str, bytes] = {}


class Known:
    """A conversation in memory: its state, its last batches, and who waits for more."""

    __slots__ = ("lives", "lock", "recent", "state", "waiting")

    def __init__(self) -> None:
        self.lives = 0  # how often the log began anew
        self.state = Conversation()
        self.recent: deque[Batch] = deque(maxlen=RECENT)
        self.waiting: set[asyncio.Event] = set()
        self.lock = asyncio.Lock()  # orders the submits of one process; between processes the store decides

    def take(self, entries: tuple[Entry, ...], grown: Conversation) -> None:
        """Move on to `grown`, the state after `entries`, and wake who waits."""
        self.state = grown
        if not self.waiting:
            self.recent.clear()
        self.recent.append(Batch(entries, grown))
        for event in self.waiting:
            event.set()

    def start_over(self) -> None:
        """Forget a past that the store does not know any more, and tell who follows."""
        self.lives += 1
        self.state = Conversation()
        self.recent.clear()
        for event in self.waiting:
            event.set()

    def leave(self, event: asyncio.Event) -> None:
        """Wait no more. What nobody follows keeps its last batch only."""
        self.waiting.discard(event)
        while not self.waiting and len(self.recent) > 1:
            self.recent.popleft()

    def after(self, position: int) -> Batch | None:
        return next((b for b in self.recent if b.entries[0].seq == position + 1), None)
