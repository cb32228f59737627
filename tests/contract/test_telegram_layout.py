"""How cards, titles and messages look in Telegram: sizes, escaping, who spoke, who is mentioned."""

from datetime import timedelta
from html import unescape
import re

from hypothesis import given
from hypothesis import strategies as st
import pytest

from bridge.events import Seq
from connectors.spans import units
from connectors.telegram import layout
from connectors.telegram.html import LIMIT
from connectors.threads.card import Card
from connectors.threads.desk import Offer
from connectors.threads.shown import Call, Notice, Speech
from tests.fakes.telegram_text import cut, parse_html
from tests.logs import START

WILD = st.text(alphabet=st.sampled_from("ab <>&*_`/@\n🙂👩‍👩‍👧e\u0301\u202e"), max_size=400)


def card(**changes) -> Card:
    values = {
        "visitor": "Maria", "business": "Acme", "page": "https://www.acme.example/tents?utm=x#top", "page_title": "Tents",
        "opened_at": START, "words": "Do you **ship** to Norway?", "stage": "assistant", "since": Seq(1),
        "answering": "AI assistant", "watching": (), "waiting_since": None, "last_at": START,
        "buttons": ("take", "observe", "link", "close"),
    }  # fmt: skip
    return Card(**(values | changes))


def shown(*group, on_duty=(), names=None) -> list[layout.Piece]:
    return layout.pieces(list(group), on_duty=on_duty, names=names or {})


def test_a_title_has_the_visitor_the_state_and_the_page_without_its_query() -> None:
    assert layout.title(card()) == "Maria · AI answers · www.acme.example/tents"
    assert layout.title(card(stage="wanted")) == "Maria · person wanted · www.acme.example/tents"
    assert layout.title(card(stage="human", answering="Dana")).startswith("Maria · Dana answers · ")
    assert layout.title(card(stage="ended")).startswith("Maria · ended · ")
    assert layout.title(card(page="")) == "Maria · AI answers"
    assert layout.title(card(page="https://[broken")) == "Maria · AI answers"


@given(WILD, WILD, WILD)
def test_a_title_fits_and_never_loses_the_state(visitor: str, page: str, answering: str) -> None:
    title = layout.title(card(visitor=visitor or "x", page=f"https://a.example/{page}", answering=answering))
    assert units(title) <= 128
    assert "AI answers" in title
    assert "\n" not in title


@given(WILD, WILD)
def test_a_card_is_html_that_telegram_reads_and_fits(words: str, name: str) -> None:
    made = layout.card_message(card(words=words * 9, visitor=name, watching=(name,)), now=START)
    assert units(parse_html(made.html).text) <= LIMIT
    assert parse_html(made.html).text.split() == made.plain.split()
    assert not re.search(r"<(?!/?(b|i|code|pre)>)", made.html)


def test_a_card_says_who_answers_who_watches_and_who_waits() -> None:
    made = layout.card_message(card(watching=("Dana", "Lia")), now=START)
    assert made.plain.splitlines() == [
        "Maria · Acme", "Tents · www.acme.example/tents", "", "Do you ship to Norway?", "", "Answering: AI assistant",
        "Watching: Dana, Lia",
    ]  # fmt: skip
    waiting = card(stage="wanted", waiting_since=START)
    lines = layout.card_message(waiting, now=START + timedelta(minutes=4)).plain.splitlines()
    assert lines[-1] == "The visitor waits for a person: 4 min"
    assert "The conversation has ended." in layout.card_message(card(stage="ended"), now=START).plain


def test_buttons_carry_what_they_were_drawn_for_in_64_bytes() -> None:
    since = Seq(10**15)
    rows = layout.card_buttons(card(since=since)).inline_keyboard
    assert [[b.text for b in row] for row in rows] == [["Take over"], ["Observe", "Open in browser"], ["End"]]
    for button in (b for row in rows for b in row):
        assert len(str(button.callback_data).encode()) <= 64
    assert layout.pressed(str(rows[0][0].callback_data)) == ("take", since)
    offer = Offer(seq=since, since=since)
    data = str(layout.offer_button(offer).inline_keyboard[0][0].callback_data)
    assert len(data.encode()) <= 64
    assert layout.pressed(data) == offer


@pytest.mark.parametrize(
    "data",
    ["", "take", "take|", "take|x", "take|-1", "take|1|2", "send|1", "fly|1", "take|²", "take|" + "9" * 60],
)
def test_other_data_means_nothing(data: str) -> None:
    assert layout.pressed(data) is None


def test_each_says_who_speaks_to_whom() -> None:
    def heading(**speech) -> str:
        (piece,) = shown(Speech(text="hi", **speech))
        return piece.text.partition("\n")[0]

    assert heading(role="visitor", name="Maria") == "<b>Maria · visitor</b>"
    assert heading(role="assistant", name="AI assistant") == "<b>AI assistant</b>"
    assert heading(role="staff", name="Dana") == "<b>Dana · to the visitor</b>"
    assert heading(role="staff", name="Dana", kind="note") == "<b>Dana · note, team only</b>"
    assert "team only" in heading(role="staff", name="Dana", kind="guidance")


def test_neither_a_visitor_nor_a_model_writes_headings_or_lines_of_ours() -> None:
    forged = "Hi\n\n*Dana took over and is answering.*\n\n**Dana · to the visitor**\nThe code is **42**"
    bold = {
        role: [cut(read.text, e.offset, e.length) for e in read.entities]
        for role in ("visitor", "assistant")
        for read in [parse_html(piece.text) for piece in shown(Speech(role=role, name="M", text=forged))]
    }
    assert bold == {"visitor": ["M · visitor"], "assistant": ["M", "42"]}


def test_words_that_changed_or_are_gone() -> None:
    (edited,) = shown(Speech(role="visitor", name="M", text="new", changed=True))
    assert edited.plain == "M · visitor\nnew (edited)"
    (gone,) = shown(Speech(role="visitor", name="M", text=None, changed=True))
    assert gone.text == "<b>M · visitor</b>\n<i>taken back</i>"


@pytest.mark.parametrize("text", ["<b>x", "<3", "a & b &amp;", "</b></i>", '<a href="tg://user?id=1">x</a>'])
def test_markup_arrives_as_text(text: str) -> None:
    for piece in shown(
        Speech(role="visitor", name=text, text=text), Notice(text=text), Call(text=text, step=0, last=False)
    ):
        parsed = parse_html(piece.text)
        assert parsed.text == piece.plain
        assert unescape(text).replace("&amp;", "&") in unescape(parsed.text).replace("\u2060", "")
        assert {e.type for e in parsed.entities} <= {"bold", "italic"}


@given(st.lists(WILD.filter(lambda t: bool(t.strip())), min_size=1, max_size=12))
def test_pieces_fit_and_keep_their_order(texts: list[str]) -> None:
    group = [Speech(role="visitor", name=f"N{n}", text=text * 8) for n, text in enumerate(texts)]
    pieces = shown(*group)
    for piece in pieces:
        assert units(parse_html(piece.text).text) <= LIMIT
        assert piece.plain
    whole = "\n".join(piece.plain for piece in pieces)
    places = [whole.index(f"N{n} · visitor") for n in range(len(texts))]
    assert places == sorted(places)


def test_one_unit_too_much_makes_two_messages() -> None:
    words = "x" * 4097
    pieces = shown(Speech(role="assistant", name="AI assistant", text=words))
    assert len(pieces) == 2
    assert "".join(p.plain for p in pieces).replace("AI assistant\n", "") == words


def test_a_call_mentions_the_next_group_and_at_last_all() -> None:
    on_duty, names = ((1,), (2, 3)), {1: "Ann", 3: "<Bo>"}

    def mentioned(step: int, *, last: bool = False) -> list[int]:
        (piece,) = shown(
            Call(text="Maria asks for a person.", step=step, last=last), on_duty=on_duty, names=names
        )
        return [int(found) for found in re.findall(r'<a href="tg://user\?id=(\d+)">', piece.text)]

    assert mentioned(0) == [1]
    assert mentioned(1) == [2, 3]
    assert mentioned(7) == [2, 3]
    assert mentioned(2, last=True) == [1, 2, 3]
    (piece,) = shown(Call(text="x", step=1, last=False), on_duty=on_duty, names=names)
    assert piece.plain == "x\nOn duty, <Bo>"
    (quiet,) = shown(Call(text="x", step=0, last=False))
    assert quiet.text == "<b>x</b>"


def test_what_is_loudest_decides_over_a_shared_message() -> None:
    visitor = Speech(role="visitor", name="M", text="hello?")
    (piece,) = shown(Notice(text="Dana joined."), visitor)
    assert piece.shown == visitor
