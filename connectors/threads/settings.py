"""What is set for every chat platform in the same words."""

from typing import Literal
from urllib.parse import urlsplit

from bridge.config import Settings
from bridge.config_values import LOOPBACK


def in_the_clear(place: str, api_url: str) -> list[str]:
    """A note where the address of a platform at `place` shows its token to the network."""
    parts = urlsplit(api_url)
    if parts.scheme == "https" or parts.hostname in LOOPBACK:
        return []
    return [f"{place}: http:// sends the bot's token in the clear; use https://"]


class ThreadSettings(Settings):
    mirror: Literal["all", "when_wanted"] = "all"
    """all: every conversation. when_wanted: from the moment that a person is wanted or takes over."""
    thread_text: Literal["note", "takes_over"] = "note"
    """What a plain reply of someone who is not answering does: note keeps it for the team and offers to
    send it; takes_over takes over from the AI and sends it at once."""
