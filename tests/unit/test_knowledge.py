"""The pages and how they are found: questions that visitors ask, and those that the pages do not answer."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
import pytest

from bridge.assistant.engine import AskForPerson, Message, Request, Words
from bridge.assistant.knowledge import LONGEST, Knowledge, Passage, split, terms
from bridge.assistant.quoting import LONGEST_QUOTE, OFFER, UNKNOWN, WHO, QuotingEngine
from bridge.errors import ConfigError

FOLDER = Path(__file__).parents[2] / "knowledge"


@pytest.fixture(scope="module")
def pages() -> Knowledge:
    return Knowledge.load(FOLDER)


QUESTIONS = {
    "Do you ship to Norway?": "Shipping: Norway",
    "how much is delivery to norway": "Shipping: Norway",
    "Do you deliver to Sweden?": "Shipping: Sweden, Denmark and Finland",
    "Can I get it shipped to the USA or anywhere outside Europe?": "Shipping: Outside Europe",
    "where's my parcel??": "Shipping: Where is my order or parcel?",
    "where is my order": "Shipping: Where is my order or parcel?",
    "How do I return something?": "Returns: How to return something",
    "When do I get my refund?": "Returns: Refunds",
    "I bought a jacket last week and it's too small, can I exchange it?": "Returns: Exchanges and wrong sizes",
    "My tent arrived damaged": "Returns: Damaged or wrong item",
    "Which size of gloves do I need?": "Sizes: Gloves",
    "what ways can i pay": "Payment: Ways to pay",
    "Do you take Vipps or Klarna?": "Payment: Ways to pay",
    "What are your opening hours on Sunday?": "Opening hours: Store in Bergen",
    "is there parking": "Opening hours: Parking",
    "How long does a repair take?": "Repair service: How long a repair takes",
    "How long is a gift card valid?": "Gift cards: Validity and balance",
    "how to wash a sleeping bag": "Caring for your gear: Sleeping bags",
    "Do students get a discount?": "Payment: Discounts",
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_finds_its_passage(pages: Knowledge, question: str) -> None:
    found = pages.search(question, limit=1)
    assert [p.title for p in found] == [QUESTIONS[question]]


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of Norway?", "Do you breed elephants?", "Who won the match?", "", "   ", "?!", "hello",
        '"', "NEAR(a b)", "AND OR NOT", "shipping*", "a" * 4_000, "page:secret", "'; DROP TABLE passage; --", "\0",
    ],
)  # fmt: skip
def test_what_the_pages_do_not_say_is_not_found(pages: Knowledge, question: str) -> None:
    assert [p for p in pages.search(question) if question != "shipping*"] == []


@given(st.text(max_size=200))
def test_no_question_is_an_error(question: str) -> None:
    Knowledge([Passage(page="Shipping", heading="Norway", text="49 NOK")]).search(question)


def test_words_that_carry_nothing_are_left_out() -> None:
    assert terms("Hello, do you ship to Norway, please? NORWAY!") == ["ship", "norway"]
    assert terms("I'd like one of those") == []


# --- splitting -----------------------------------------------------------------------------------


def test_a_page_is_split_by_its_headings() -> None:
    page = (
        "Intro\n\n# Care ##\nTop.\n\n## Wool\n- a\n- b\n\n```\n# no heading\n```\n### Deep\n\nEnd\n## Empty\n"
    )
    assert list(split(page, name="care-of-gear")) == [
        Passage(page="Care of gear", heading="", text="Intro"),
        Passage(page="Care", heading="", text="Top."),
        Passage(page="Care", heading="Wool", text="- a\n- b\n\n```\n# no heading\n```"),
        Passage(page="Care", heading="Deep", text="End"),
    ]


def test_a_long_part_is_split_at_blank_lines() -> None:
    page = "# Page\n" + "\n\n".join(["word " * 100] * 10)
    parts = list(split(page, name="p"))
    assert len(parts) > 1
    assert all(len(p.text) <= LONGEST for p in parts)
    assert {p.page for p in parts} == {"Page"}


@given(st.text(alphabet="- \n`abc~\r\t", max_size=120))
def test_no_word_of_a_page_is_lost(page: str) -> None:
    kept = "".join(p.text for p in split(page, name="p"))
    assert [c for c in kept if c in "abc"] == [c for c in page if c in "abc"]


def test_a_folder_without_pages_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        Knowledge.load(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no Markdown file"):
        Knowledge.load(tmp_path)
    (tmp_path / "latin.md").write_bytes(b"# caf\xe9\nx")
    with pytest.raises(ConfigError, match="not UTF-8"):
        Knowledge.load(tmp_path)


# --- quoting -------------------------------------------------------------------------------------


async def says(pages: Knowledge, *asked: str, before: str = "", last: str = "", may_ask: bool = True):
    history = (Message(role="assistant", text=last),) if last else ()
    messages = (*history, *(Message(role="user", text=a) for a in asked))
    request = Request(system="", messages=messages, asked=asked, before=before, may_ask=may_ask)
    pieces = [p async for p in QuotingEngine(knowledge=pages, pause=0).answer(request)]
    text = "".join(p.text for p in pieces if isinstance(p, Words))
    return text, any(isinstance(p, AskForPerson) for p in pieces)


async def test_a_quote_names_its_source_and_stays_short(pages: Knowledge) -> None:
    text, person = await says(pages, "Do you ship to Norway?")
    assert text.startswith("Our page **Shipping** says about **Norway**:\n\nWe ship to Norway with Posten")
    assert not person
    long = Knowledge(
        list(split("# Long\n\n" + "\n\n".join(f"part {i} " + "x" * 90 for i in range(14)), name="l"))
    )
    text, _ = await says(long, "long part 12")
    assert "part 12" in text
    assert len(text) < LONGEST_QUOTE + 100


async def test_two_questions_in_a_burst_get_two_quotes(pages: Knowledge) -> None:
    text, _ = await says(pages, "Do you ship to Norway?", "hm", "and is there parking?")
    assert "about **Norway**" in text
    assert "about **Parking**" in text


async def test_a_follow_up_is_read_with_what_it_follows(pages: Knowledge) -> None:
    text, _ = await says(pages, "How long will it take?", before="Do you ship to Norway?")
    assert "1 to 3 working days" in text
    text, _ = await says(pages, "Thanks, ok?", before="Do you ship to Norway?")
    assert text.startswith("You're welcome")


async def test_not_knowing_is_said_and_a_person_offered(pages: Knowledge) -> None:
    text, person = await says(pages, "Do you breed elephants?")
    assert (text, person) == (f"{UNKNOWN} {OFFER}", False)
    text, person = await says(pages, "yes, please!", last=text)
    assert person
    assert "asked the team" in text
    _, person = await says(pages, "Yes", last="Hello!")
    assert not person


@pytest.mark.parametrize(
    "words",
    [
        "I want to talk to a human", "Can I speak with a real person please?", "human please", "agent",
        "get me a person", "could you connect me to an agent?", "I'd like a real human", "let me chat with someone",
        "I need to speak to your manager", "Talk to a person",
    ],
)  # fmt: skip
async def test_who_asks_for_a_person_gets_one(pages: Knowledge, words: str) -> None:
    text, person = await says(pages, words)
    assert person
    assert text.startswith("Of course.")
    text, person = await says(pages, words, may_ask=False)
    assert not person
    assert "knows that you are waiting" in text


@pytest.mark.parametrize(
    "words",
    [
        "I need a gift card for someone special", "What size for a person of 180 cm?", "Do people like the jackets?",
        "Is the personal data safe?", "Which tent is good for four people?",
    ],
)  # fmt: skip
async def test_who_only_mentions_people_does_not(pages: Knowledge, words: str) -> None:
    _, person = await says(pages, words)
    assert not person


@pytest.mark.parametrize("words", ["Are you a robot?", "are you a real person", "Am I talking to a human?"])
async def test_it_says_what_it_is(pages: Knowledge, words: str) -> None:
    assert await says(pages, words) == (WHO, False)


async def test_small_talk(pages: Knowledge) -> None:
    text, _ = await says(pages, "Hello!")
    assert text.startswith("Hello! Ask me about caring for your gear, gift cards, ")
    text, _ = await says(pages, "thank you")
    assert text.startswith("You're welcome")


def test_lines_that_an_editor_wrapped_are_one_paragraph_again():
    page = "# P\n\nOne\ntwo\nthree.\n\n- first\n  goes on\n- second\n\n```\na\nb\n```\n\nhard  \nbreak\n\n| a |\n| - |\n"
    (passage,) = split(page, name="p")
    assert passage.text == (
        "One two three.\n\n- first goes on\n- second\n\n```\na\nb\n```\n\nhard  \nbreak\n\n| a |\n| - |"
    )
