"""One answer from an engine: its words as they come, within time and size, tried once more if need be."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
import logging
import traceback

from msgspec import Struct

from bridge.assistant.engine import AskForPerson, Engine, EngineFailed, Piece, Request, Used, Words
from bridge.conversation import MAX_ANSWER
from bridge.text import clean_text

log = logging.getLogger(__name__)

MAX_REASON = 300  # characters


class Pace(Struct, frozen=True, kw_only=True):
    """How long the assistant takes, in seconds.

    `quiet`: how long the visitor pauses before an answer begins. `first`: until an engine's first sign.
    `between`: from one sign to the next. `turn`: everything, with a second try and with what the visitor adds
    meanwhile; less than the time after which the team is told anyway.
    """

    quiet: float = 0.4
    first: float = 15.0
    between: float = 10.0
    turn: float = 40.0


class Answer(Struct):
    """An answer as far as it has come. `person` is the reason for asking for one."""

    text: str = ""
    person: str | None = None
    tokens: int | None = None


async def compose(
    engine: Engine,
    request: Request,
    answer: Answer,
    *,
    show: Callable[[str], None],
    pace: Pace,
    deadline: float,
) -> None:
    """Fill `answer` and `show` its words. Raises `EngineFailed`, with what has come left in `answer`."""
    try:
        async with asyncio.timeout_at(deadline):
            try:
                await _listen(engine, request, answer, show=show, pace=pace)
            except EngineFailed as trouble:
                if answer.text or trouble.again is None:
                    raise
                log.info("assistant: once more: %s", trouble.reason)
                await asyncio.sleep(trouble.again)
                await _listen(engine, request, answer, show=show, pace=pace)
    except TimeoutError:
        raise EngineFailed("no whole answer in time") from None


async def _listen(
    engine: Engine, request: Request, answer: Answer, *, show: Callable[[str], None], pace: Pace
) -> None:
    answer.person = None
    wait = pace.first
    async with aclosing(engine.answer(request)) as pieces:
        while len(answer.text) < MAX_ANSWER:
            piece = await _next(pieces, wait)
            wait = pace.between
            match piece:
                case Words(text=text):
                    text = clean_piece(text if answer.text else text.lstrip())
                    text = text[: MAX_ANSWER - len(answer.text)]
                    answer.text += text
                    if text:
                        show(text)
                case AskForPerson(reason=reason):
                    answer.person = answer.person or clean_text(reason)[:MAX_REASON]
                case Used(tokens=tokens):
                    answer.tokens = tokens
                case None:
                    break
    if len(answer.text) >= MAX_ANSWER:
        answer.text = answer.text[: MAX_ANSWER - 1] + "…"
    if not clean_text(answer.text) and answer.person is None:
        raise EngineFailed("an empty answer")


async def _next(pieces: AsyncIterator[Piece], wait: float) -> Piece | None:
    try:
        async with asyncio.timeout(wait):
            return await anext(pieces, None)
    except EngineFailed:
        raise
    except TimeoutError:
        raise EngineFailed(f"no sign for {wait:g} s") from None
    except Exception as error:  # noqa: BLE001 - whatever an engine raises is a failure to answer
        raise EngineFailed(_where(error)) from None


def _where(error: Exception) -> str:
    """An error's kind and place, without its message, which may hold somebody's words."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {place.name}, line {place.lineno}"


def clean_piece(text: str) -> str:
    """What no encoder takes, NUL and lone surrogates, must not even get into a draft."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
