"""Who gets which mail, when, and once: the surface behind a real courier and a real mail server."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bridge import events as ev
from bridge.conversation import Conversation
from bridge.events import ConversationId, Staff, StaffId
from bridge.surface import Post
from connectors.email.mailer import Mailer, Trouble
from tests.eventually import eventually
from tests.fakes.smtp import SmtpServer
from tests.logs import ASSISTANT, SYSTEM, VISITOR
from tests.office import ANN, DANA, LEE, SAM, SENDER, Office, link_in, smtp_of


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as running:
        yield running


@pytest.fixture
async def office(server: SmtpServer) -> AsyncIterator[Office]:
    async with Office(server).open() as office:
        yield office


# --- when a chat starts ----------------------------------------------------------------------------


async def test_the_first_group_is_told_each_with_an_own_link(office: Office) -> None:
    await office.begin()
    await office.done()
    assert office.counts() == {DANA: 1, SAM: 1}
    for recipient, address in (("dana", DANA), ("sam", SAM)):
        (mail,) = office.server.to(address)
        assert mail.sender == SENDER.address
        found = await office.links.find(link_in(mail).partition("#")[2])
        assert found is not None
        assert (found[1].cid, found[1].recipient, found[1].email) == (ANN, recipient, address)
        assert mail.mail["Message-ID"] == f"<ann.{recipient}@acme.example>"
        assert mail.mail["In-Reply-To"] is None
        assert mail.mail["Auto-Submitted"] == "auto-generated"
        assert mail.mail["From"].addresses[0].addr_spec == SENDER.address


async def test_a_conversation_is_started_once(office: Office) -> None:
    await office.begin()
    await office.done()
    for n in range(3):
        await office.do(VISITOR, ev.Said(text=f"and {n}?"))
    await office.do(ASSISTANT, ev.Said(text="Yes."))
    await office.done()
    assert office.counts() == {DANA: 1, SAM: 1}


async def test_a_burst_is_one_mail_with_the_first_answer(server: SmtpServer) -> None:
    async with Office(server, settle=0.5).open() as office:
        await office.begin("Hello")
        await office.do(VISITOR, ev.Said(text="Do you ship to Norway?"))
        await office.do(ASSISTANT, ev.Said(text="Yes, in 3 days."))
        await office.do(VISITOR, ev.Said(text="And Sweden?"))
        assert not server.mails
        await office.done()
        assert office.counts() == {DANA: 1, SAM: 1}
        text = server.to(DANA)[0].part("plain")
        for words in ("Hello", "Do you ship to Norway?", "Yes, in 3 days.", "And Sweden?"):
            assert words in text


async def test_a_burst_that_is_answered_and_over_waits_no_longer(server: SmtpServer) -> None:
    async with Office(server, settle=600.0).open() as office:
        await office.begin()
        await office.do(ASSISTANT, ev.Said(text="Yes, in 3 days."))
        office.time += timedelta(seconds=3)
        await office.done()
        assert "Yes, in 3 days." in server.to(DANA)[0].part("plain")


async def test_a_burst_without_an_answer_waits(server: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Office(server, settle=600.0).open() as office:
        looks = 0
        state = office.bridge.state

        async def counted(cid: ConversationId) -> Conversation:
            nonlocal looks
            looks += 1
            return await state(cid)

        await office.begin()
        office.time += timedelta(seconds=30)
        monkeypatch.setattr(office.bridge, "state", counted)
        await eventually(lambda: looks > 3)
        assert not server.mails
        await office.do(ASSISTANT, ev.Said(text="Yes, in 3 days."))
        office.time += timedelta(seconds=3)
        await office.done()
        assert "Yes, in 3 days." in server.to(DANA)[0].part("plain")


async def test_a_chat_that_began_while_the_server_was_down_is_told_late(office: Office) -> None:
    await office.server.refuse()
    await office.begin()
    await office.do(VISITOR, ev.HelpWanted())
    await office.do(Staff(id=StaffId("lee"), name="Lee"), ev.TookOver())
    office.time += timedelta(minutes=20)
    await office.server.listen()
    await office.done()
    assert office.counts() == {DANA: 1, SAM: 1}  # the call for a person has lapsed, the start has not
    assert "Lee is answering." in office.server.to(DANA)[0].part("plain")


async def test_a_surface_that_is_new_to_an_old_store_does_not_mail_its_history(server: SmtpServer) -> None:
    office = Office(server)
    await office.begin()
    await office.do(VISITOR, ev.Closed())
    office.time += timedelta(days=2)
    async with office.open():
        await office.done()
        assert office.counts() == {}


async def test_a_site_without_staff_and_an_unknown_site_mail_nobody(office: Office) -> None:
    await office.do(VISITOR, ev.Opened(site="other"), ev.Said(text="hi"))
    await office.done()
    assert office.counts() == {}


async def test_no_mail_goes_to_an_address_that_a_visitor_typed(office: Office) -> None:
    await office.do(
        VISITOR, ev.Opened(site="acme", context={"email": "v@evil.test"}), ev.Said(text="mail v@evil.test"),
        ev.Identified(email="v@evil.test", name="Lee <lee@evil.test>"), ev.HelpWanted(reason="v@evil.test"),
    )  # fmt: skip
    await office.do(SYSTEM, ev.HelpWanted(step=1))
    await office.do(SYSTEM, ev.HelpWanted(step=2, last=True))
    await office.done()
    assert {mail.recipient for mail in office.server.received} <= {DANA, SAM, LEE}


# --- when a person is wanted -----------------------------------------------------------------------


async def test_a_call_goes_up_the_groups_in_the_same_thread(office: Office) -> None:
    await office.begin()
    await office.done()
    await office.do(VISITOR, ev.HelpWanted())
    await office.done()
    assert office.counts() == {DANA: 2, SAM: 2}
    await office.do(SYSTEM, ev.HelpWanted(step=1))
    await office.done()
    assert office.counts() == {DANA: 2, SAM: 2, LEE: 1}
    await office.do(SYSTEM, ev.HelpWanted(step=2, last=True))
    await office.done()
    assert office.counts() == {DANA: 3, SAM: 3, LEE: 2}
    first, second, third = (mail.mail for mail in office.server.to(DANA))
    ids = [m["Message-ID"] for m in (first, second, third)]
    assert len(set(ids)) == 3
    assert second["In-Reply-To"] == ids[0]
    assert third["In-Reply-To"] == ids[1]
    assert third["References"] == f"{ids[0]} {ids[1]}"
    assert second["Subject"] == third["Subject"] == f"Re: {first['Subject']}"
    assert office.server.to(LEE)[0].mail["Message-ID"] == "<ann.lee@acme.example>"
    assert "This is the last mail about this conversation." in office.server.to(DANA)[2].part("plain")
    assert link_in(office.server.to(DANA)[0]) == link_in(office.server.to(DANA)[2])


async def test_a_call_within_the_first_burst_is_told_by_the_first_mail(server: SmtpServer) -> None:
    async with Office(server, settle=0.3).open() as office:
        await office.begin()
        await office.do(VISITOR, ev.HelpWanted(reason="It burns"))
        await office.done()
        assert office.counts() == {DANA: 1, SAM: 1}
        assert "It burns" in server.to(DANA)[0].part("plain")


async def test_nobody_who_has_joined_is_mailed(office: Office) -> None:
    await office.begin()
    await office.done()
    colleague = Staff(id=StaffId("sam~2"), name="Kim")
    await office.do(colleague, ev.Joined())
    await office.do(colleague, ev.Left())
    await office.do(VISITOR, ev.HelpWanted())
    await office.done()
    assert office.counts() == {DANA: 2, SAM: 1}


async def test_three_mails_a_person_and_conversation_are_the_most(office: Office) -> None:
    await office.begin()
    await office.done()
    for _ in range(3):
        await office.do(VISITOR, ev.HelpWanted())
        await office.do(SYSTEM, ev.HelpWanted(step=1))
        await office.do(SYSTEM, ev.HelpWanted(step=2, last=True))
        await office.done()
        lee = Staff(id=StaffId("x"), name="Xi")
        await office.do(lee, ev.TookOver())
        await office.do(lee, ev.HandedBack())
    await office.done()
    assert max(office.counts().values()) == 3


async def test_a_call_that_was_heard_before_it_could_be_mailed_is_dropped(office: Office) -> None:
    await office.begin()
    await office.done()
    await office.server.refuse()
    await office.do(VISITOR, ev.HelpWanted())
    await office.do(SYSTEM, ev.HelpWanted(step=1))
    await office.do(VISITOR, ev.Closed())
    await office.server.listen()
    await office.done()
    assert office.counts() == {DANA: 1, SAM: 1}


# --- once ------------------------------------------------------------------------------------------


async def test_a_delivery_that_is_repeated_after_a_restart_mails_nobody_twice(server: SmtpServer) -> None:
    office = Office(server)
    async with office.open():
        await office.begin()
        await office.done()
        await office.do(VISITOR, ev.HelpWanted())
        await office.done()
    before = office.counts()
    async with office.open():  # the cursor was lost: every entry once more, to a new surface
        for entry in await office.bridge.read(ANN):
            latest = await office.bridge.state(ANN)
            await office.surface.deliver(Post(cid=ANN, entry=entry, latest=latest, anchor=None))
    assert office.counts() == before == {DANA: 2, SAM: 2}


async def test_a_restart_between_two_recipients_mails_only_the_other(server: SmtpServer) -> None:
    office = Office(server)
    server.reject[SAM] = "421 4.3.2 Shutting down"
    async with office.open():
        await office.begin()
        await eventually(lambda: server.to(DANA) and SAM in server.refused)
    server.reject.clear()
    async with office.open():
        await office.done()
    assert office.counts() == {DANA: 1, SAM: 1}


async def test_a_mail_on_its_way_when_the_process_ends_does_not_come_twice(server: SmtpServer) -> None:
    office = Office(server)
    server.delay_data = 0.3
    async with office.open():
        await office.begin()
        await eventually(lambda: len(server.received) == 2)
    async with office.open():
        await office.done()
    assert office.counts() == {DANA: 1, SAM: 1}


async def test_a_mail_whose_acknowledgement_was_lost_comes_again_as_the_same(office: Office) -> None:
    office.server.drop_after_data = 3
    await office.begin()
    await office.done()
    assert office.counts() == {DANA: 1, SAM: 1}
    for recipient in (DANA, SAM):
        ids = {m.mail["Message-ID"] for m in office.server.received if m.recipient == recipient}
        assert len(ids) == 1
    assert len(office.server.received) == 5


async def test_a_server_that_is_too_slow_is_trouble_and_is_asked_again(server: SmtpServer) -> None:
    office = Office(server)
    mailer = Mailer(smtp=smtp_of(server.url), hostname="chat.acme.example", timeout=0.2, patience=0.4)
    server.delay = 30.0
    verdict = await mailer.send(b"Subject: x\r\n\r\nx\r\n", sender=SENDER.address, recipient=DANA)
    assert isinstance(verdict, Trouble)
    async with office.open():
        await office.begin()
        await eventually(lambda: server.connections > 1)
        server.delay = 0.0
        for protocol in tuple(server._open):
            protocol.drop()
        await office.done()
    assert office.counts() == {DANA: 1, SAM: 1}
