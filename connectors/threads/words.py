"""What a member's text in a thread means: a command, a note, or words for whoever may have them. Pure."""

from msgspec import Struct
import regex

NOTE_MARK = "//"

_UNSEEN = regex.compile(r"\A[\s\p{Cf}\p{Cc}]+")  # such as what keyboards put before words from the right
_STYLE = regex.compile(r"\A[\s\p{Cf}\p{Cc}*_~`]+")
_NARROW = str.maketrans("！／", "!/")  # as keyboards for Chinese and Japanese write


class CommandLine(Struct, frozen=True):
    """The command without the platform's mark, as `bridge.commands.run` takes it."""

    line: str


class NoteText(Struct, frozen=True):
    text: str


class PlainText(Struct, frozen=True):
    text: str


Meaning = CommandLine | NoteText | PlainText


def meaning(text: str, *, mark: str) -> Meaning:
    """What the first characters that show say: `mark` introduces a command ("!", "/") where a letter follows,
    "//" always a note. A command in bold or in code may be quoted: it is not run, but no visitor reads it.
    """
    text = text.strip()
    shown = _narrow(_UNSEEN.sub("", text))
    styled = _narrow(_STYLE.sub("", text))
    if shown.startswith(NOTE_MARK):
        return NoteText(shown.removeprefix(NOTE_MARK).strip())
    if _commands(shown, mark):
        return CommandLine(shown.removeprefix(mark))
    if styled.startswith(NOTE_MARK) or _commands(styled, mark):
        return NoteText(text)
    return PlainText(text)


def _narrow(text: str) -> str:
    return text[:2].translate(_NARROW) + text[2:]


def _commands(text: str, mark: str) -> bool:
    return text.startswith(mark) and text[len(mark) :][:1].isalpha()
