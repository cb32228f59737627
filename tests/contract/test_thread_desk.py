"""What staff type and press on a platform: where it goes, what they are told, and that a repeat is no news."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge import events as ev
from bridge.core import Bridge
from bridge.events import ConversationId, Entry, Event, Party, Proposal, Seq, Staff, StaffId
from bridge.store import open_store
from bridge.surface import Anchor
from connectors.threads.desk import (
    FOR_THE_TEAM,
    GONE,
    KEPT_AS_NOTE,
    NO_COMMANDS,
    Desk,
    Member,
    Offer,
    Reply,
    typed_as,
)
from connectors.threads.ledger import Ledger
from connectors.threads.words import CommandLine, Meaning, NoteText, PlainText, meaning

CID = ConversationId("c")
HERE = Anchor("C1:1.0")
VISITOR = ev.Visitor()
ANN, SAM = Member(id="U1", name="Ann"), Member(id="U2", name="Sam")
WEB = Staff(id=StaffId("web"), name="Dana")


class Office:
    """A conversation that has begun, and what a team does in its thread."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.ledger = Ledger(store=bridge.store, surface="slack", clock=bridge.clock)
        self.given: list[Staff] = []
        self.desk = self.seated()
        self.eager = self.seated(thread_text="takes_over")
        self._count = 0

    def seated(self, surface: str = "slack", label: str = "Slack", **how: str) -> Desk:
        async def give_link(_cid: ConversationId, staff: Staff) -> str:
            self.given.append(staff)
            return f"https://chat.example/join#{staff.id}"

        thread_text = "takes_over" if how else "note"
        return Desk(
            surface=surface, label=label, inlet=self.bridge, ledger=self.ledger,
            thread_text=thread_text, give_link=give_link,
        )  # fmt: skip

    async def put(self, by: Party, *events: Event) -> int:
        self._count += 1
        floor = (await self.bridge.state(CID)).floor.since
        proposal = Proposal(events=events, by=by, via="web", key=f"w{self._count}", floor=floor)
        return (await self.bridge.submit(CID, proposal)).seq

    async def types(self, member: Member, text: str, *, ref: str, desk: Desk | None = None) -> Reply:
        """Twice, as after a lost answer: the same reply, and nothing more in the log."""
        said = meaning(text, mark="!")
        first = await (desk or self.desk).typed(CID, member, anchor=HERE, ref=ref, said=said)
        head = (await self.bridge.state(CID)).head
        assert await (desk or self.desk).typed(CID, member, anchor=HERE, ref=ref, said=said) == first
        assert (await self.bridge.state(CID)).head == head
        return first

    async def log(self) -> list[Entry]:
        return list(await self.bridge.read(CID))

    async def last(self, count: int = 1) -> list[Event]:
        return [e.event for e in (await self.log())[-count:]]

    async def holder(self) -> str:
        return (await self.bridge.state(CID)).holder_name

    async def since(self) -> Seq:
        return (await self.bridge.state(CID)).floor.since


@pytest.fixture(params=["memory", "sqlite"])
async def office(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Office]:
    memory = request.param == "memory"
    store = await open_store("memory://" if memory else f"sqlite:///{tmp_path}/joinline.db")
    found = Office(Bridge(store=store))
    await found.put(VISITOR, ev.Opened(site="acme"), ev.Said(text="hi"))
    yield found
    await store.close()


# --- Words ---------------------------------------------------------------------------------------


async def test_words_of_who_has_the_floor_go_to_the_visitor(office: Office) -> None:
    assert await office.types(ANN, "!take", ref="1") == Reply(mark="done")
    assert await office.types(ANN, "hello", ref="2") == Reply(mark="sent")
    said = (await office.log())[-1]
    assert (said.event, said.by, said.via) == (
        ev.Said(text="hello"), Staff(id=StaffId("slack:U1"), name="Ann"), "slack",
    )  # fmt: skip


async def test_words_of_anybody_else_are_kept_for_the_team_with_an_offer(office: Office) -> None:
    reply = await office.types(ANN, "we can refund him", ref="1")
    assert reply == Reply(mark="noted", text=KEPT_AS_NOTE, offer=Offer(seq=Seq(3), since=Seq(1)))
    assert await office.last() == [ev.Noted(text="we can refund him")]


async def test_where_it_is_set_so_words_take_over_at_once(office: Office) -> None:
    assert await office.types(ANN, "hello", ref="1", desk=office.eager) == Reply(mark="sent")
    assert await office.last(2) == [ev.TookOver(), ev.Said(text="hello")]
    assert await office.types(SAM, "// mine!", ref="2", desk=office.eager) == Reply(mark="noted")
    assert await office.holder() == "Ann"
    reply = await office.types(SAM, "from a colleague too?", ref="2b", desk=office.eager)
    assert (reply.mark, reply.offer is not None) == ("noted", True)
    assert await office.holder() == "Ann"
    await office.put(VISITOR, ev.Closed())
    reply = await office.types(ANN, "too late", ref="3", desk=office.eager)
    assert reply == Reply(mark="noted", text=f"The conversation has ended. {KEPT_AS_NOTE}")


@pytest.mark.parametrize("text", ["// secret", "!note secret"])
async def test_a_note_is_a_note_whoever_has_the_floor(office: Office, text: str) -> None:
    assert await office.types(SAM, text, ref="1") == Reply(mark="noted")
    await office.types(ANN, "!take", ref="2")
    assert await office.types(ANN, text, ref="3") == Reply(mark="noted")
    assert await office.last() == [ev.Noted(text="secret")]


async def test_text_that_is_too_long_is_told_and_goes_nowhere(office: Office) -> None:
    reply = await office.types(ANN, "x" * 4_001, ref="1")
    assert "too long" in reply.text
    assert reply.mark == ""
    assert (await office.bridge.state(CID)).head == 2
    assert "empty" in (await office.types(ANN, "//", ref="2")).text


# --- Commands ------------------------------------------------------------------------------------


async def test_commands_do_what_they_say(office: Office) -> None:
    assert await office.types(ANN, "!take I am here", ref="1") == Reply(mark="done")
    assert await office.last(2) == [ev.TookOver(), ev.Said(text="I am here")]
    assert await office.types(ANN, "!name Zoe", ref="2") == Reply(mark="done")
    assert await office.types(ANN, "call me Zoe", ref="3") == Reply(mark="sent")
    assert (await office.log())[-1].by == Staff(id=StaffId("slack:U1"), name="Zoe")
    assert "Answering: Zoe" in (await office.types(SAM, "!who", ref="4")).text
    assert await office.types(ANN, "!back bye", ref="5") == Reply(mark="done")
    assert await office.last(2) == [ev.Said(text="bye"), ev.HandedBack()]
    assert await office.types(ANN, "!guide be kind", ref="6") == Reply(mark="done")
    assert await office.types(SAM, "!observe", ref="7") == Reply(mark="done")
    assert await office.types(ANN, "!close", ref="8") == Reply(mark="done")
    assert await office.last(3) == [ev.Guided(text="be kind"), ev.Joined(), ev.Closed()]


async def test_commands_that_only_answer_add_nothing(office: Office) -> None:
    assert "take [words]" in (await office.types(ANN, "!help", ref="1")).text
    reply = await office.desk.typed(CID, ANN, anchor=HERE, ref="2", said=CommandLine("link"))
    assert reply == Reply(link="https://chat.example/join#slack:U1")
    assert office.given == [Staff(id=StaffId("slack:U1"), name="Ann")]
    assert (await office.bridge.state(CID)).head == 2


@pytest.mark.parametrize("line", ["!take // he is lying", "!back // he is lying", "!back **// he is lying**"])
async def test_a_note_behind_a_command_is_not_sent(office: Office, line: str) -> None:
    if line.startswith("!back"):
        await office.types(ANN, "!take", ref="1")
    before = await office.log()
    assert await office.types(ANN, line, ref="2") == Reply(text=FOR_THE_TEAM)
    assert await office.log() == before


async def test_an_unknown_command_is_answered_with_the_nearest_and_reaches_nobody(office: Office) -> None:
    await office.types(ANN, "!take", ref="1")
    reply = await office.types(ANN, "!bakc", ref="2")
    assert "Did you mean “back”?" in reply.text
    assert "“help” lists the commands." in (await office.types(ANN, "!xyzzy", ref="3")).text
    assert "needs <name>" in (await office.types(ANN, "!name", ref="4")).text
    assert (await office.bridge.state(CID)).head == 3


async def test_a_command_that_the_rules_refuse_says_why(office: Office) -> None:
    await office.types(ANN, "!take", ref="1")
    assert (await office.types(ANN, "!take", ref="2")).text == "You are answering already."
    assert (await office.types(SAM, "!back", ref="3")).text == "Ann is answering."
    await office.put(VISITOR, ev.Closed())
    assert (await office.types(SAM, "!take", ref="4")).text == "This conversation was closed."


# --- Buttons -------------------------------------------------------------------------------------


async def test_a_press_acts_from_the_view_of_the_card(office: Office) -> None:
    since = await office.since()
    for _ in range(2):
        reply = await office.desk.pressed(CID, ANN, action="take", since=since, key="p1")
        assert reply == Reply(mark="done")
    reply = await office.desk.pressed(CID, SAM, action="take", since=since, key="p2")
    assert reply == Reply(text="Ann took over."), "the card was old: Sam is told, Ann stays"
    reply = await office.desk.pressed(CID, ANN, action="take", since=since, key="p3")
    assert reply == Reply(text="You are answering already.")
    reply = await office.desk.pressed(CID, SAM, action="take", since=await office.since(), key="p4")
    assert reply == Reply(mark="done"), "who sees that Ann answers may take over from her"
    assert (
        await office.desk.pressed(CID, ANN, action="back", since=since, key="p5")
    ).text == "Sam is answering."
    assert await office.desk.pressed(CID, SAM, action="back", since=since, key="p6") == Reply(mark="done")
    assert await office.desk.pressed(CID, ANN, action="take", since=since, key="p7") == Reply(mark="done"), (
        "the AI has the floor again, so nobody is overruled"
    )


async def test_the_other_buttons(office: Office) -> None:
    since = await office.since()
    desk = office.desk
    assert await desk.pressed(CID, ANN, action="observe", since=since, key="1") == Reply(mark="done")
    assert (await desk.pressed(CID, ANN, action="observe", since=since, key="2")).text == "You are observing."
    assert (await desk.pressed(CID, ANN, action="link", since=since, key="3")).link
    assert await desk.pressed(CID, ANN, action="close", since=since, key="4") == Reply(mark="done")
    assert await desk.pressed(CID, ANN, action="close", since=since, key="4") == Reply(mark="done")
    assert await office.last(2) == [ev.Joined(), ev.Closed()]


async def test_guidance_from_a_form(office: Office) -> None:
    for _ in range(2):
        assert await office.desk.guided(CID, ANN, text="offer 10 %", key="f1") == Reply(mark="done")
    assert await office.last(2) == [ev.Said(text="hi"), ev.Guided(text="offer 10 %")]
    assert "empty" in (await office.desk.guided(CID, ANN, text=" ", key="f2")).text


# --- Take over and send --------------------------------------------------------------------------


async def noted(office: Office, text: str = "a refund is possible", ref: str = "1") -> Offer:
    offer = (await office.types(ANN, text, ref=ref)).offer
    assert offer is not None
    return offer


async def test_take_over_and_send_is_both_or_nothing_and_once(office: Office) -> None:
    offer = await noted(office)
    for _ in range(3):
        assert await office.desk.take_and_send(CID, ANN, offer) == Reply(mark="sent")
    assert await office.last(4) == [
        ev.Noted(text="a refund is possible"), ev.TookOver(), ev.Said(text="a refund is possible"),
        ev.Retracted(target=Seq(3)),
    ]  # fmt: skip
    again = await office.desk.typed(CID, ANN, anchor=HERE, ref="1", said=PlainText("a refund is possible"))
    assert again == Reply(mark="sent"), "the platform tells the message once more"


async def test_two_who_type_a_takeover_at_once_have_one_winner_and_the_other_may_insist(
    office: Office,
) -> None:
    """Nobody sees who took over before it shows in the thread."""
    assert await office.types(ANN, "!take I am on it", ref="1") == Reply(mark="done")
    lost = await office.types(SAM, "!take no, I am", ref="2")
    assert lost == Reply(text="Ann took over. Send that again to take over all the same.")
    assert await office.holder() == "Ann"
    assert await office.types(SAM, "!take no, I am", ref="3") == Reply(mark="done")
    assert await office.holder() == "Sam"
    assert (await office.types(ANN, "!take", ref="4")).text.startswith("Sam took over.")
    head = (await office.bridge.state(CID)).head
    await office.bridge.store.advance("slack", CID, position=head)
    assert await office.types(ANN, "!take", ref="5") == Reply(mark="done"), "it shows by now"


async def test_the_ai_is_taken_over_from_also_before_it_shows_that_it_answers_again(office: Office) -> None:
    await office.types(ANN, "!take", ref="1")
    await office.types(ANN, "!back", ref="2")
    assert await office.types(SAM, "!take", ref="3") == Reply(mark="done")


async def test_what_was_typed_is_known_by_its_message_whatever_became_of_it(office: Office) -> None:
    ref = "C1:1700000000.000100"
    reply = await office.types(ANN, "a refund", ref=ref)
    assert reply.offer is not None
    await office.desk.take_and_send(CID, ANN, reply.offer)
    await office.desk.edited(CID, ANN, ref=ref, said=PlainText("the refund"), revision="1700000001.000100")
    await office.desk.deleted(CID, ANN, ref=ref)
    typed = [e for e in await office.log() if e.via == "slack"]
    names = [type(e.event).__name__ for e in typed]
    assert names == ["Noted", "TookOver", "Said", "Retracted", "Edited", "Retracted"]
    assert {typed_as(e, "slack") for e in typed} == {ref}
    assert {typed_as(e, "telegram") for e in typed} == {None}
    assert await office.ledger.typed_in(ref) == HERE


async def test_the_notes_present_words_are_sent(office: Office) -> None:
    offer = await noted(office)
    edited = await office.desk.edited(CID, ANN, ref="1", said=PlainText("a full refund"), revision="2")
    assert edited == Reply()
    await office.desk.take_and_send(CID, ANN, offer)
    assert ev.Said(text="a full refund") in await office.last(3)


async def test_who_has_the_floor_by_now_just_sends(office: Office) -> None:
    offer = await noted(office)
    await office.types(ANN, "!take", ref="2")
    assert await office.desk.take_and_send(CID, ANN, offer) == Reply(mark="sent")
    assert await office.last(2) == [ev.Said(text="a refund is possible"), ev.Retracted(target=Seq(3))]


async def test_somebody_was_faster(office: Office) -> None:
    offer = await noted(office)
    await office.put(WEB, ev.TookOver())
    reply = await office.desk.take_and_send(CID, ANN, offer)
    assert reply.text == "Dana is answering now. Your note was not sent."
    assert await office.last(2) == [ev.Noted(text="a refund is possible"), ev.TookOver()], "the text is kept"
    assert reply.offer == Offer(seq=offer.seq, since=await office.since())
    assert reply.offer is not None
    assert await office.desk.take_and_send(CID, ANN, reply.offer) == Reply(mark="sent"), "from the new view"
    assert await office.holder() == "Ann"


async def test_after_a_hand_back_an_old_offer_holds(office: Office) -> None:
    offer = await noted(office)
    await office.put(WEB, ev.TookOver())
    await office.put(WEB, ev.HandedBack())
    assert await office.desk.take_and_send(CID, ANN, offer) == Reply(mark="sent")


async def test_only_ones_own_note_can_be_sent(office: Office) -> None:
    offer = await noted(office)
    wrong = Reply(text="Only your own note can be sent, and only once.")
    assert await office.desk.take_and_send(CID, SAM, offer) == wrong
    other = office.seated("telegram", "Telegram")
    assert await other.take_and_send(CID, ANN, offer) == wrong, "U1 elsewhere is somebody else"
    for seq in (1, 2, 99):
        assert await office.desk.take_and_send(CID, ANN, Offer(seq=Seq(seq), since=offer.since)) == wrong
    await office.desk.deleted(CID, ANN, ref="1")
    reply = await office.desk.take_and_send(CID, ANN, offer)
    assert reply == Reply(text="The note was taken back, so there is nothing to send.")
    assert await office.holder() == "AI assistant"


async def test_nothing_is_sent_into_a_conversation_that_has_ended(office: Office) -> None:
    offer = await noted(office)
    await office.put(VISITOR, ev.Closed())
    assert await office.desk.take_and_send(CID, ANN, offer) == Reply(text="This conversation was closed.")


# --- Edits and deletions -------------------------------------------------------------------------


async def edit(office: Office, ref: str, text: str | Meaning, revision: str = "1") -> Reply | None:
    said = meaning(text, mark="!") if isinstance(text, str) else text
    first = await office.desk.edited(CID, ANN, ref=ref, said=said, revision=revision)
    head = (await office.bridge.state(CID)).head
    assert await office.desk.edited(CID, ANN, ref=ref, said=said, revision=revision) == first
    assert (await office.bridge.state(CID)).head == head
    return first


async def test_an_edit_follows(office: Office) -> None:
    await office.types(ANN, "!take good day", ref="1")
    await office.types(ANN, "helo", ref="2")
    assert await edit(office, "2", "hello") == Reply()
    assert await office.last() == [ev.Edited(target=Seq(5), text="hello")]
    assert await edit(office, "1", "good morning") == Reply()
    assert await office.last() == [ev.Edited(target=Seq(4), text="good morning")]


async def test_an_edit_runs_no_command_and_sends_no_note(office: Office) -> None:
    await office.types(ANN, "!take", ref="1")
    await office.types(ANN, "hello", ref="2")
    await office.types(ANN, "// careful", ref="3")
    head = (await office.bridge.state(CID)).head
    for ref, text in [("2", "!close"), ("2", "// oops"), ("3", "!back")]:
        assert await edit(office, ref, text) == Reply(text=NO_COMMANDS)
    assert (await office.bridge.state(CID)).head == head
    assert await edit(office, "3", NoteText("very careful")) == Reply()
    assert await edit(office, "3", PlainText("no mark any more"), "2") == Reply()
    assert not (await office.bridge.state(CID)).words[Seq(5)].spoken, "still a note"
    assert await edit(office, "1", "hello") is None, "a command has no words to change"


async def test_a_command_before_other_words_is_not_taken_for_them(office: Office) -> None:
    """Names that begin alike, one after the other in the log."""
    await office.types(ANN, "!take", ref="1.2")
    await office.types(ANN, "hello", ref="1.23")
    assert await edit(office, "1.2", "something else") is None
    assert await office.desk.deleted(CID, ANN, ref="1.2") is None


async def test_who_lost_the_floor_changes_no_words_before_the_visitor(office: Office) -> None:
    await office.types(ANN, "!take hello", ref="1")
    await office.put(WEB, ev.TookOver())
    reply = await edit(office, "1", "good bye")
    assert reply is not None
    assert reply.text.startswith("Dana is answering.")
    assert reply.text.endswith("The visitor still reads the earlier words.")


async def test_what_is_deleted_is_taken_back(office: Office) -> None:
    await office.types(ANN, "!take", ref="1")
    await office.types(ANN, "hello", ref="2")
    for _ in range(2):
        assert await office.desk.deleted(CID, ANN, ref="2") == Reply(mark="done")
    assert await office.last(2) == [ev.Said(text="hello"), ev.Retracted(target=Seq(4))]
    assert await edit(office, "2", "hello again") == Reply(text=GONE)


async def test_what_became_of_a_note_that_was_sent_is_what_an_edit_changes(office: Office) -> None:
    offer = await noted(office)
    await office.desk.take_and_send(CID, ANN, offer)
    assert await edit(office, "1", "a full refund") == Reply()
    assert await office.last() == [ev.Edited(target=Seq(5), text="a full refund")]
    assert await office.desk.deleted(CID, ANN, ref="1") == Reply(mark="done")
    assert await office.last() == [ev.Retracted(target=Seq(5))]


async def test_unknown_messages_and_other_peoples_are_nobodys(office: Office) -> None:
    await office.types(ANN, "mine", ref="1")
    assert await edit(office, "9", "x") is None
    assert await office.desk.deleted(CID, ANN, ref="9") is None
    assert await office.desk.deleted(CID, SAM, ref="1") is None


async def test_in_a_conversation_that_has_ended_nothing_changes(office: Office) -> None:
    await office.types(ANN, "!take hello", ref="1")
    await office.types(SAM, "a note", ref="2")
    await office.put(VISITOR, ev.Closed())
    closed = "This conversation was closed."
    assert await edit(office, "1", "x") == Reply(text=f"{closed} The visitor still reads the earlier words.")
    assert await office.desk.deleted(CID, SAM, ref="2") == Reply(text=closed)


# --- Names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "here", "name"),
    [
        ("Ann", "", "Ann"),
        ("Ann", "Ann", "Ann (Slack)"),
        ("ann", "A n n", "ann (Slack)"),
        ("AI Assistаnt", "", "Slack"),
        ("", "", "Slack"),
        ("\u202e\u200b", "", "Slack"),
        ("  Ann \n Lee ", "", "Ann Lee"),
        ("x" * 60, "", "x" * 40),
        ("x" * 60, "x" * 40, "x" * 32 + " (Slack)"),
        ("Alexandra Konstantinopoulou", "", "Alexandra Konstantinopoulou"),
    ],
)
async def test_everybody_has_a_name_of_their_own(office: Office, own: str, here: str, name: str) -> None:
    if here:
        await office.put(Staff(id=StaffId("web"), name=here), ev.Joined())
    await office.types(Member(id="U1", name=own), "hm", ref="1")
    author = (await office.log())[-1].by
    assert isinstance(author, Staff)
    assert author.name == name


async def test_three_of_one_name(office: Office) -> None:
    for number in range(1, 5):
        await office.types(Member(id=f"U{number}", name="Kim"), "!observe", ref=str(number))
    names = [p.name for p in (await office.bridge.state(CID)).people.values()]
    assert sorted(names) == ["Kim", "Kim (2)", "Kim (3)", "Kim (Slack)"]


async def test_a_name_that_was_given_here_stays_until_somebody_else_has_it(office: Office) -> None:
    await office.types(ANN, "!name Zoe", ref="1")
    await office.types(ANN, "hm", ref="2")
    assert (await office.log())[-1].by == Staff(id=StaffId("slack:U1"), name="Zoe")
    await office.put(Staff(id=StaffId("web"), name="Zoe"), ev.Joined())
    await office.types(ANN, "hm", ref="3")
    assert (await office.log())[-1].by == Staff(id=StaffId("slack:U1"), name="Ann")
    assert (await office.types(ANN, "!name Joinline", ref="4")).text.endswith("Choose another name.")


# --- Two platforms -------------------------------------------------------------------------------


async def test_of_two_platforms_that_take_over_at_once_one_wins_and_both_are_told(office: Office) -> None:
    slack, telegram = office.desk, office.seated("telegram", "Telegram")
    won = []
    for round_ in range(200):
        since = await office.since()
        presses = [
            slack.pressed(CID, ANN, action="take", since=since, key=f"s{round_}"),
            telegram.pressed(CID, SAM, action="take", since=since, key=f"t{round_}"),
        ]
        first, second = await asyncio.gather(*presses[:: 1 if round_ % 2 else -1])
        replies = [first, second] if round_ % 2 else [second, first]
        holder = await office.holder()
        won.append(holder)
        expected = [Reply(mark="done"), Reply(text=f"{holder} took over.")]
        assert replies == (expected if holder == "Ann" else expected[::-1])
        assert await office.last() == [ev.TookOver()]
        desk, member = (slack, ANN) if holder == "Ann" else (telegram, SAM)
        reply = await desk.pressed(CID, member, action="back", since=since, key=f"b{round_}")
        assert reply == Reply(mark="done")
    assert set(won) == {"Ann", "Sam"}
