"""The engine that needs no model: it quotes the passage that answers, or says that it knows none."""

import asyncio
from collections.abc import AsyncGenerator
import re

from bridge.assistant import phrases
from bridge.assistant.engine import AskForPerson, Piece, Request, Words
from bridge.assistant.knowledge import Knowledge, Passage, blocks, terms

LONGEST_QUOTE = 700  # characters
MOST_PASSAGES = 2  # where the visitor asked several things
TOPICS = 8

OFFER = "Shall I ask a person from the team to join? Just answer “yes”."
UNKNOWN = "I don't know. I found nothing about that on our pages."

WHO = "I'm an AI assistant. I answer from our pages, and I can ask a person from the team to join."

_WHO = re.compile(
    r"\b(?:are|r) (?:you|u) (?:an? )?(?:real |live |actual )?(?:human|person|robot|(?:chat)?bot|ai|machine)\b"
    r"|\bwho (?:are you|am i)\b|\bam i (?:talk|speak|chat|writ)ing (?:to|with)\b",
    re.IGNORECASE,
)
_SOMEBODY = (
    r"(?:human(?: being)?|person|people|someone|somebody|agent|representative|operator|advis[eo]r|manager"
    r"|colleague|member of (?:the )?(?:staff|team)|(?:your|the) (?:team|staff))"
)
_WANTS_PERSON = re.compile(
    rf"\b(?:talk|speak|chat|write)(?:ing)?\s+(?:to|with)\s+(?:\w+\s+){{0,3}}?{_SOMEBODY}\b"
    rf"|\b(?:get|give|connect|transfer|need|want|like|prefer|fetch)\s+(?:me\s+)?(?:to\s+|with\s+)?"
    r"(?:(?:a|an|the|some|real|live|actual|human)\s+)+"
    r"(?:human(?: being)?|person|agent|representative|operator)\b"
    r"|\b(?:real|live|actual)\s+(?:human|person|agent)\b"
    r"|^\W*(?:a |an )?(?:human|person|agent|operator|representative)\b(?:\W+please)?\W*$",
    re.IGNORECASE,
)
_YES = re.compile(
    r"\W*(?:yes|yeah|yep|ok|okay|sure|please|of course|do)(?:[\s,]+(?:please|do|ask|sure))*\W*", re.IGNORECASE
)
_THANKS = re.compile(r"\b(?:thanks|thank you|thx|cheers)\b", re.IGNORECASE)


class QuotingEngine:
    """Answers with the business's own words, and names the page they are from.

    `pause` is the time between two words, so that the answer is seen to come.
    """

    def __init__(self, *, knowledge: Knowledge, pause: float = 0.02) -> None:
        self._knowledge = knowledge
        self._pause = pause

    async def close(self) -> None:
        self._knowledge.close()

    async def answer(self, request: Request) -> AsyncGenerator[Piece, None]:
        text, person = self._decide(request)
        for word in re.findall(r"\S*\s*", text):
            yield Words(word)
            await asyncio.sleep(self._pause)
        if person and request.may_ask:
            yield AskForPerson(phrases.ASKED_IN_WORDS)

    def _decide(self, request: Request) -> tuple[str, bool]:
        """What to say, and whether a person is to be called."""
        if any(_WHO.search(words) for words in request.asked):
            return WHO, False
        if any(_WANTS_PERSON.search(words) for words in request.asked) or _agrees(request):
            return (f"Of course. {phrases.ASKED}" if request.may_ask else phrases.ASKED_BEFORE), True
        found = self._find(request)
        if found:
            return "\n\n".join(_quote(passage, " ".join(request.asked)) for passage in found), False
        if not any(terms(words) for words in request.asked):
            return self._small_talk(request), False
        return f"{UNKNOWN} {OFFER if request.may_ask else phrases.ASKED_BEFORE}", False

    def _find(self, request: Request) -> list[Passage]:
        """The best passage for each thing asked; a follow-up (“how much?”) is read with what it follows."""
        found: dict[str, Passage] = {}
        for words in request.asked:
            best = self._knowledge.search(words, limit=1)
            found |= {p.title: p for p in best}
        if not found and not any(_THANKS.search(words) for words in request.asked):
            together = " ".join(request.asked)
            follows = not terms(together) and "?" in together
            best = self._knowledge.search(f"{request.before} {together}", limit=1) if follows else []
            found |= {p.title: p for p in best}
        return list(found.values())[:MOST_PASSAGES]

    def _small_talk(self, request: Request) -> str:
        if any(_THANKS.search(words) for words in request.asked):
            return "You're welcome. Is there anything else?"
        topics = ", ".join(page.lower() for page in self._knowledge.pages[:TOPICS])
        return f"Hello! Ask me about {topics}, or say that you want to talk to a person."


def _agrees(request: Request) -> bool:
    """Whether the visitor says yes to the offer of a person."""
    said = next((m.text for m in reversed(request.messages) if m.role == "assistant"), "")
    return said.endswith(OFFER) and any(_YES.fullmatch(words) for words in request.asked)


def _quote(passage: Passage, question: str) -> str:
    """The passage, or those of its parts that the question is about, under the name of its source."""
    lead = f"Our page **{passage.page}** says"
    lead += f" about **{passage.heading}**:" if passage.heading else ":"
    return f"{lead}\n\n{_shorten(passage.text, question)}"


def _shorten(text: str, question: str) -> str:
    if len(text) <= LONGEST_QUOTE:
        return text
    stems = [word[:5] for word in terms(question)]
    parts = blocks(text)
    ranked = sorted(range(len(parts)), key=lambda i: (-sum(stem in parts[i].casefold() for stem in stems), i))
    kept: list[int] = []
    room = LONGEST_QUOTE
    for i in ranked:
        if not kept or len(parts[i]) <= room:
            kept.append(i)
            room -= len(parts[i])
    return "\n\n".join(parts[i] for i in sorted(kept))
