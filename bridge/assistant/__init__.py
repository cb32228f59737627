"""The AI assistant: a pushed surface that answers what visitors say."""

from bridge.assistant.budget import Allowance, Budget
from bridge.assistant.compose import Pace
from bridge.assistant.engine import (
    AskForPerson,
    Engine,
    EngineFailed,
    Message,
    Piece,
    Request,
    Used,
    Words,
)
from bridge.assistant.opening import open_assistant
from bridge.assistant.turn import Assistant

__all__ = [
    "Allowance",
    "AskForPerson",
    "Assistant",
    "Budget",
    "Engine",
    "EngineFailed",
    "Message",
    "Pace",
    "Piece",
    "Request",
    "Used",
    "Words",
    "open_assistant",
]
