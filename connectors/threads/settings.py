"""What is set for every chat platform in the same words."""

from typing import Literal

from bridge.config import Settings


class ThreadSettings(Settings):
    mirror: Literal["all", "when_wanted"] = "all"
    """all: every conversation. when_wanted: from the moment that a person is wanted or takes over."""
    thread_text: Literal["note", "takes_over"] = "note"
    """What a plain reply of someone who is not answering does: note keeps it for the team and offers to
    send it; takes_over takes over from the AI and sends it at once."""
