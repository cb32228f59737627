"""What staff see in Telegram: a topic for each conversation, its card, its messages, in both modes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bridge import events as ev
from bridge.events import ConversationId
from connectors.telegram import board
from connectors.telegram.surface import BETTER
from connectors.threads.card import LABELS
from tests.eventually import eventually
from tests.fakes.telegram import TelegramServer
from tests.logs import ASSISTANT, SYSTEM, VISITOR
from tests.telegramming import LIA, Team, joined, team

AI = "AI assistant"


@pytest.fixture(params=["polling", "webhook"])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Team]:
    async with team(mode=request.param) as running:
        yield running


@pytest.fixture
async def desk() -> AsyncIterator[Team]:
    async with team() as running:
        yield running


@pytest.fixture
async def flat() -> AsyncIterator[Team]:
    async with team(forum=False) as running:
        yield running


# --- the topic and its card ------------------------------------------------------------------------


async def test_the_first_message_makes_one_topic_with_a_pinned_card(both: Team) -> None:
    await both.begin("Do you **ship** to Norway?")
    await both.done()
    await both.says("Hello?")
    await both.done()
    assert [t.name for t in both.server.topics()] == ["Maria · AI answers · www.acme.example/tents"]
    card = both.card()
    assert card.pinned
    assert card.silent
    assert "Do you ship to Norway?" in card.shown
    assert "Answering: AI assistant" in card.shown
    assert "utm" not in card.shown
    assert [b.text for b in card.buttons] == [LABELS[a] for a in ("take", "observe", "link", "close")]
    assert both.texts() == ["The visitor is “Maria” (not verified).", "Maria · visitor\nHello?"]


async def test_title_card_and_topic_follow_the_state(desk: Team) -> None:
    await desk.started()
    await desk.do(VISITOR, ev.HelpWanted(reason="a refund"))
    await eventually(lambda: "person wanted" in desk.topic.name)
    await eventually(lambda: "The visitor waits for a person" in desk.card().shown)
    await desk.do(LIA, ev.TookOver())
    await eventually(lambda: "Lia answers" in desk.topic.name)
    await eventually(lambda: "Answering: Lia" in desk.card().shown)
    assert [b.text for b in desk.card().buttons] == [
        "Hand back to AI",
        "Take over",
        "Observe",
        "Open in browser",
        "End",
    ]
    await desk.do(LIA, ev.Closed())
    await eventually(lambda: desk.topic.closed and "ended" in desk.topic.name)
    assert [b.text for b in desk.card().buttons] == ["Open in browser"]
    await desk.do(VISITOR, ev.Reopened(), ev.Said(text="One more thing"))
    await desk.done()
    await eventually(lambda: not desk.topic.closed and "AI answers" in desk.topic.name)
    assert len(desk.server.topics()) == 1


async def test_the_title_changes_only_when_it_differs(desk: Team) -> None:
    await desk.started()
    for n in range(3):
        await desk.do(LIA, ev.Noted(text=f"note {n}"))
    await desk.done()
    await desk.do(LIA, ev.Joined())
    await eventually(lambda: "Watching: Lia" in desk.card().shown)
    assert not desk.server.called("editForumTopic")
    assert len(desk.server.called("createForumTopic")) == 1


async def test_a_topic_with_the_wanted_name_or_state_is_no_trouble(desk: Team) -> None:
    thread = await desk.started()
    desk.server._updates.allowed = set()  # the server hears of it later, if ever
    await desk.server.closes_topic(thread)
    await desk.server.renames_topic(thread, "Maria · ended · www.acme.example/tents")
    await desk.do(VISITOR, ev.Closed())
    await desk.done()
    await eventually(lambda: desk.server.called("closeForumTopic"))
    await eventually(
        lambda: not [c for c in desk.server.calls if c.outcome == "under way" and c.method != "getUpdates"]
    )
    assert "TOPIC_NOT_MODIFIED" in desk.server.called("editForumTopic")[-1].outcome
    assert not await desk.events(ev.Undelivered)


async def test_a_topic_is_not_made_for_what_is_long_past_or_not_wanted() -> None:
    async with team(mirror="when_wanted") as desk:
        await desk.begin()
        await desk.says("Hello?")
        await desk.done()
        assert not desk.server.topics()
        await desk.do(VISITOR, ev.HelpWanted())
        await desk.done()
        assert len(desk.server.topics()) == 1
        assert "Maria · visitor\nHello?" in "\n".join(desk.texts())


# --- messages --------------------------------------------------------------------------------------


async def test_each_speaker_is_named_in_the_order_of_the_log_once(both: Team) -> None:
    await both.started()
    await both.do(ASSISTANT, ev.Said(text="Yes, in *3* days."))
    await both.do(LIA, ev.Noted(text="She is a regular"))
    await both.do(LIA, ev.Guided(text="Offer free shipping"))
    await both.do(LIA, ev.TookOver())
    await both.do(LIA, ev.Said(text="Hi, Lia here"))
    await both.done()
    await asyncio.sleep(0.1)
    assert both.texts()[1:] == [
        "AI assistant\nYes, in 3 days.",
        "Lia · note, team only\nShe is a regular",
        "Lia · guidance for the AI, team only\nOffer free shipping",
        "Lia took over and is answering.",
        "Lia · to the visitor\nHi, Lia here",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<b>x",
        "<3",
        "</b>",
        "&lt;b&gt;",
        "a<br>b",
        "tg://user?id=10001",
        "@dana /take",
        "https://a.example/?q=<b>",
    ],
)
async def test_hostile_words_arrive_as_text(desk: Team, text: str) -> None:
    joined(desk, "Dana", status="member")
    await desk.started()
    await desk.says(text)
    await desk.do(ASSISTANT, ev.Said(text=text))
    await desk.done()
    for message in desk.server.topic_messages(desk.topic.id)[-2:]:
        assert message.shown.partition("\n")[2].replace("\u2060", "") == text.replace("&lt;", "<").replace(
            "&gt;", ">"
        )
        kinds = {e.type for e in message.entities}
        assert kinds <= {"bold", "url"}
        assert all(address.startswith("http") for _, address in message.links)
    assert not [c for c in desk.server.called("sendMessage") if not c.ok]


async def test_long_words_are_split_and_never_cut_a_grapheme(desk: Team) -> None:
    await desk.started()
    family = "👨‍👩‍👧‍👦"
    await desk.says(family * 570)
    await desk.do(ASSISTANT, ev.Said(text="x" * 4000))
    await desk.done()
    messages = desk.server.topic_messages(desk.topic.id)[2:]
    shown = [m.shown for m in messages]
    assert all(len(text.encode("utf-16-le")) // 2 <= 4096 for text in shown)
    joined_up = "".join(shown)
    assert joined_up.count(family) == joined_up.count("👨") == 570
    assert joined_up.count("x") == 4000


async def test_only_what_somebody_must_hear_is_loud(desk: Team) -> None:
    await desk.started()
    for by, event in (
        (VISITOR, ev.Said(text="while the AI answers")),
        (ASSISTANT, ev.Said(text="an answer")),
        (VISITOR, ev.HelpWanted()),
        (VISITOR, ev.Said(text="while a person is wanted")),
        (LIA, ev.TookOver()),
        (VISITOR, ev.Said(text="while a person answers")),
        (LIA, ev.Said(text="her words")),
        (LIA, ev.HandedBack()),
        (VISITOR, ev.Said(text="the AI again")),
    ):
        await desk.do(by, event)
        await desk.done()
    loud = [m.shown for m in desk.server.topic_messages(desk.topic.id) if not m.silent]
    assert loud == [
        "Visitor “Maria” asks for a person.", "Maria · visitor\nwhile a person is wanted", "Maria · visitor\nwhile a person answers",
    ]  # fmt: skip


async def test_no_link_is_previewed(desk: Team) -> None:
    await desk.started()
    await desk.says("see https://evil.example/")
    await desk.done()
    assert all(
        '"is_disabled": true' in c.args["link_preview_options"]
        or '"is_disabled":true' in c.args["link_preview_options"]
        for c in desk.server.called("sendMessage")
    )


async def test_who_is_on_duty_is_mentioned_in_turn() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        ann, bo = server.add_person("Ann <3"), server.add_person("Bo")
        server.join(ann)
        server.join(bo)
        async with Team(server, on_duty=[[ann.id], [bo.id]]).open() as desk:
            await eventually(lambda: len(desk.surface._names) == 2)
            await desk.started()
            await desk.says(f'<a href="tg://user?id={bo.id}">x</a> tg://user?id={bo.id} @bo')
            await desk.do(VISITOR, ev.HelpWanted(reason="@bo"))
            await desk.do(SYSTEM, ev.HelpWanted(step=1))
            await desk.do(SYSTEM, ev.HelpWanted(step=2, last=True))
            await desk.done()
            mentioned = [
                [e.user_id for e in m.entities if e.user_id]
                for m in server.topic_messages(desk.topic.id)
                if not m.silent and "visitor\n" not in m.shown
            ]
            assert mentioned == [[ann.id], [bo.id], [ann.id, bo.id]]
            everything = server.topic_messages(desk.topic.id)
            assert sum(1 for m in everything for e in m.entities if e.user_id or e.type == "mention") == 4


async def test_edits_and_retractions_follow(desk: Team) -> None:
    await desk.started()
    seq = await desk.says("furst")
    await desk.done()
    await desk.do(VISITOR, ev.Edited(target=seq, text="first"))
    await desk.done()
    await eventually(lambda: desk.texts()[-1] == "Maria · visitor\nfirst (edited)")
    await desk.do(VISITOR, ev.Retracted(target=seq))
    await desk.done()
    assert desk.texts()[-1] == "Maria · visitor\ntaken back"
    assert len(desk.texts()) == 2


async def test_a_message_that_somebody_deleted_is_no_trouble(desk: Team) -> None:
    await desk.started()
    seq = await desk.says("first")
    await desk.done()
    message = desk.server.topic_messages(desk.topic.id)[-1]
    await desk.server.deletes(message.id)
    await desk.server.deletes(desk.card().id)
    await desk.do(VISITOR, ev.Edited(target=seq, text="other"))
    await desk.done()
    await desk.do(LIA, ev.TookOver())
    await desk.done()
    await eventually(
        lambda: any(
            "Answering: Lia" in m.shown and m.pinned for m in desk.server.topic_messages(desk.topic.id)
        )
    )
    assert not await desk.events(ev.Undelivered)
    assert len(desk.server.topics()) == 1


# --- the pace --------------------------------------------------------------------------------------


async def test_a_burst_shares_messages_and_telegram_never_has_to_refuse() -> None:
    async with team(every=1 / 15, burst=4) as desk:
        desk.server.messages_per_minute, desk.server.window = 20, 1.0
        await desk.started()
        for n in range(60):
            await desk.do(ASSISTANT if n % 2 else VISITOR, ev.Said(text=f"line {n}."))
        await desk.done(within=30)
        refused = [c for c in desk.server.calls if c.outcome.startswith("429")]
        assert not refused
        whole = "\n".join(desk.texts())
        assert [whole.count(f"line {n}.") for n in range(60)] == [1] * 60
        places = [whole.index(f"line {n}.") for n in range(60)]
        assert places == sorted(places)


async def test_those_who_wait_share_a_message_with_every_speaker_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board, "BEHIND", 0.5)
    async with team(every=0.05, burst=2) as desk:
        await desk.begin()
        for n in range(20):
            await desk.begin(cid=ConversationId(f"other{n}"))  # the group's lane fills
        for n in range(10):
            await desk.do(ASSISTANT if n % 2 else VISITOR, ev.Said(text=f"line {n}."))
        await desk.done(within=60)
        thread = next(
            t.id
            for t in desk.server.topics()
            if any("line 0." in m.shown for m in desk.server.topic_messages(t.id))
        )
        texts = [m.shown for m in desk.server.topic_messages(thread)]
        assert len(texts) < 10
        (together,) = [t for t in texts if "line 5." in t]
        assert "AI assistant\nline 5." in together
        assert "Maria · visitor\nline 6." in together


# --- a group without topics ------------------------------------------------------------------------


async def test_a_group_without_topics_gets_replies_and_is_told_once_that_topics_are_better(
    flat: Team,
) -> None:
    await flat.begin()
    await flat.done()
    await flat.says("Hello?")
    await flat.done()
    await eventually(lambda: any("topics" in text for text in flat.plain()))
    card = next(m for m in flat.server.messages() if "Answering" in m.shown)
    assert card.buttons[0].text == "Take over"
    hello = next(m for m in flat.server.messages() if "Hello?" in m.shown)
    assert hello.reply_to == card.id
    assert hello.thread == card.id
    await flat.begin(cid=ConversationId("other"), name="Olu")
    await flat.done(ConversationId("other"))
    assert flat.plain().count(BETTER) == 1
    assert not flat.server.called("createForumTopic")
    await flat.do(LIA, ev.TookOver())
    await flat.done()
    await eventually(lambda: "Answering: Lia" in card.shown)


async def test_the_word_about_topics_is_remembered_over_a_restart() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk", forum=False)
        first = Team(server)
        async with first.open():
            await eventually(lambda: BETTER in first.plain())
            await eventually(lambda: first.surface._group._known.told)
        second = Team(server, store=first.store)
        async with second.open():
            await second.begin()
            await second.done()
            assert second.plain().count(BETTER) == 1


async def test_topics_that_are_switched_on_later_are_used(flat: Team) -> None:
    await flat.begin()
    await flat.done()
    await flat.server.switches_topics_on()
    await asyncio.sleep(0.15)
    await flat.says("Hello?")
    await flat.done()
    assert len(flat.server.topics()) == 1
    assert "Maria · visitor\nHello?" in flat.texts()
    assert "Do you ship to Norway?" in flat.card().shown


async def test_the_menu_of_commands_is_set_for_the_group(both: Team) -> None:
    menu = await eventually(lambda: both.server.menu(both.server.chat_id))
    assert set(menu) == {
        "take",
        "back",
        "observe",
        "name",
        "note",
        "guide",
        "who",
        "link",
        "close",
        "leave",
        "delete",
        "help",
    }
    assert not both.server.menu()


async def test_the_client_is_shut_down_at_the_end() -> None:
    async with team() as desk:
        calls = desk.calls
    assert all(request._client.is_closed for request in calls._requests)


async def test_ai_is_named_in_the_card(desk: Team) -> None:
    await desk.started()
    assert f"Answering: {AI}" in desk.card().shown
