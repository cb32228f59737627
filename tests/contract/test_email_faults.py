"""What becomes of mails that are refused, put off, too many, or not wanted any more."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
import re

from msgspec.structs import replace
import pytest

from bridge import events as ev
from bridge.errors import Retry
from bridge.events import ConversationId, Staff, StaffId
from bridge.surface import Post
from connectors.email.rounds import Persistence
from tests.eventually import eventually
from tests.fakes.smtp import SmtpServer
from tests.logs import SYSTEM, VISITOR
from tests.office import ANN, DANA, HOUR, LEE, SAM, Office, link_in


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as running:
        yield running


@pytest.fixture
async def office(server: SmtpServer) -> AsyncIterator[Office]:
    async with Office(server).open() as office:
        yield office


# --- refusals --------------------------------------------------------------------------------------


async def test_one_recipient_who_is_refused_is_reported_and_spoils_nothing(office: Office) -> None:
    office.server.reject[DANA] = "550 5.1.1 No such user"
    await office.begin()
    await office.done()
    assert office.counts() == {SAM: 1}
    (trouble,) = await office.troubles()
    assert (trouble.surface, trouble.target, trouble.retrying) == ("email", 2, False)
    assert trouble.reason == "Dana: 550 5.1.1 No such user"
    again = Post(
        cid=ANN, entry=(await office.bridge.read(ANN))[1], latest=await office.bridge.state(ANN), anchor=None
    )
    await office.surface.deliver(again)
    assert office.server.refused == [DANA]
    assert office.counts() == {SAM: 1}


async def test_one_recipient_who_is_put_off_holds_up_nobody(office: Office) -> None:
    office.server.reject[DANA] = "450 4.2.0 Greylisted"
    await office.begin()
    await office.done()
    await office.do(VISITOR, ev.HelpWanted())
    await office.do(SYSTEM, ev.HelpWanted(step=1))
    await office.done()
    assert office.counts() == {SAM: 2, LEE: 1}
    office.time += timedelta(minutes=2)

    async def tried_again() -> bool:
        return [(o.tries, o.told) for o in await office.ledger.owed()] == [(2, True), (2, True)]

    await eventually(tried_again)
    assert await _reported(office, retrying=True)
    office.server.reject.clear()
    office.time += timedelta(minutes=5)
    await eventually(lambda: office.counts() == {DANA: 1, SAM: 2, LEE: 1})
    await eventually(lambda: _reported(office, late=True))
    (mail,) = office.server.to(DANA)
    assert mail.mail["Message-ID"] == "<ann.dana@acme.example>"
    await eventually(lambda: _owes_nothing(office))


async def test_who_is_put_off_for_hours_is_given_up_and_reported(office: Office) -> None:
    office.server.reject[DANA] = "452 4.2.2 Mailbox full"
    await office.begin()
    await office.done()
    office.time += timedelta(hours=5)
    await eventually(lambda: _owes_nothing(office))
    troubles = await office.troubles()
    assert troubles[-1].reason == "Dana: 452 4.2.2 Mailbox full"
    assert not troubles[-1].retrying


async def test_a_mail_that_was_put_off_survives_a_restart(server: SmtpServer) -> None:
    office = Office(server)
    server.reject[DANA] = "450 4.2.0 Greylisted"
    async with office.open():
        await office.begin()
        await office.done()
    server.reject.clear()
    office.time += timedelta(minutes=2)
    async with office.open():
        await eventually(lambda: office.counts() == {DANA: 1, SAM: 1})


async def test_a_mail_that_the_server_will_not_have_is_reported(office: Office) -> None:
    office.server.answer_data = "554 5.7.1 Looks like spam"
    await office.begin()
    await office.done()
    assert office.counts() == {}
    assert sorted(t.reason for t in await office.troubles()) == [
        "Dana: 554 5.7.1 Looks like spam", "Sam: 554 5.7.1 Looks like spam",
    ]  # fmt: skip


async def test_a_server_that_refuses_the_sender_is_trouble_that_staff_hear_of(server: SmtpServer) -> None:
    office = Office(server)
    office.tell = 0.0
    server.answer_sender = "550 5.7.1 Not allowed to send as this address"
    async with office.open():
        await office.begin()
        await eventually(lambda: _reported(office, retrying=True))
        server.answer_sender = None
        await office.done()
        assert office.counts() == {DANA: 1, SAM: 1}
        assert (await office.troubles())[-1].late


async def _reported(office: Office, *, retrying: bool = False, late: bool = False) -> bool:
    return any((t.retrying, t.late) == (retrying, late) for t in await office.troubles())


async def _owes_nothing(office: Office) -> bool:
    return not await office.ledger.owed()


# --- too many --------------------------------------------------------------------------------------


async def test_a_full_hour_ends_in_one_digest(server: SmtpServer) -> None:
    office = Office(server, per_hour=3)
    names = [ConversationId(f"c{n}") for n in range(6)]
    async with office.open():
        for cid in names:
            await office.begin(f"question {cid}", cid=cid)
            await office.done(cid)
        assert office.counts() == {DANA: 3, SAM: 3}
        await office.do(VISITOR, ev.HelpWanted(), cid=names[5])  # waits for the digest too
        await office.do(Staff(id=StaffId("sam"), name="Sam"), ev.Joined(), cid=names[4])
        await office.done(names[5])
        assert office.counts() == {DANA: 3, SAM: 3}
    office.time += HOUR
    async with office.open():  # what was held is durable
        await eventually(lambda: office.counts() == {DANA: 4, SAM: 4})
        for address, listed in ((DANA, ["c3", "c4", "c5"]), (SAM, ["c3", "c5"])):
            digest = server.to(address)[3]
            links = re.findall(
                r"^https://\S+/join#(\S+)$", digest.part("plain").replace("\r", ""), re.MULTILINE
            )
            found = [await office.links.find(token) for token in links]
            assert [link.cid for _, link in filter(None, found)] == listed
            assert digest.mail["Subject"] == f"{len(listed)} chats waited for you"
        await eventually(lambda: _holds_nothing(office))
        await office.do(SYSTEM, ev.HelpWanted(step=1), cid=names[5])
        await office.done(names[5])
        assert office.counts() == {DANA: 4, SAM: 4, LEE: 1}


async def test_what_was_told_meanwhile_is_not_in_the_digest(server: SmtpServer) -> None:
    office = Office(server, per_hour=2, persistence=Persistence(again=0.01, rounds=60.0))
    first, second, third = (ConversationId(f"c{n}") for n in range(3))
    async with office.open():
        for cid in (first, second, third):
            await office.begin(cid=cid)
            await office.done(cid)
        office.time += HOUR
        await office.do(VISITOR, ev.HelpWanted(), cid=third)  # before the next round
        await office.done(third)
        assert office.counts() == {DANA: 3, SAM: 3}
    async with office.open():
        await eventually(lambda: _holds_nothing(office))
        assert office.counts() == {DANA: 3, SAM: 3}


async def test_a_digest_that_cannot_be_sent_waits_and_staff_hear_of_it(server: SmtpServer) -> None:
    office = Office(server, per_hour=1, persistence=Persistence(again=0.01, rounds=0.01, rest=0.0))
    first, second = ConversationId("c1"), ConversationId("c2")
    async with office.open():
        for cid in (first, second):
            await office.begin(cid=cid)
            await office.done(cid)
        await server.refuse()
        office.time += HOUR + timedelta(minutes=2)

        async def said() -> bool:
            return any(t.retrying for t in await office.troubles(second))

        await eventually(said)
        await server.listen()
        await eventually(lambda: office.counts() == {DANA: 2, SAM: 2})

        async def late() -> bool:
            return sum(t.late for t in await office.troubles(second)) == 2

        await eventually(late)


async def test_the_cap_holds_when_many_chats_start_at_once(server: SmtpServer) -> None:
    async with Office(server, per_hour=4).open() as office:
        names = [ConversationId(f"c{n}") for n in range(15)]
        await asyncio.gather(*(office.begin(cid=cid) for cid in names))
        for cid in names:
            await office.done(cid)
        assert office.counts() == {DANA: 4, SAM: 4}


async def _holds_nothing(office: Office) -> bool:
    return not await office.ledger.held()


# --- no more, and once again -----------------------------------------------------------------------


async def test_who_unsubscribes_gets_no_more_about_this_conversation(office: Office) -> None:
    await office.begin()
    await office.done()
    (mail,) = office.server.to(DANA)
    token = re.search(r"/mail/off/([0-9a-f]+)>", mail.mail["List-Unsubscribe"])
    assert token
    found = await office.ledger.subscription(token[1])
    assert found is not None
    await office.ledger.unsubscribe(found)
    await office.do(VISITOR, ev.HelpWanted())
    await office.done()
    assert office.counts() == {DANA: 1, SAM: 2}
    other = ConversationId("ben")
    await office.begin(cid=other)
    await office.done(other)
    assert office.counts() == {DANA: 2, SAM: 3}


async def _link(office: Office, address: str):
    found = await office.links.find(link_in(office.server.to(address)[0]).partition("#")[2])
    assert found is not None
    return found


async def test_a_new_link_goes_to_its_first_recipient_only(office: Office) -> None:
    await office.begin()
    await office.done()
    _, link = await _link(office, DANA)
    await office.surface.renew(link)
    assert office.counts() == {DANA: 2, SAM: 1}
    again = office.server.to(DANA)[1]
    assert again.mail["In-Reply-To"] == "<ann.dana@acme.example>"
    assert link_in(again) != link_in(office.server.to(DANA)[0])
    await office.surface.renew(link)  # not twice in a minute
    assert office.counts() == {DANA: 2, SAM: 1}
    office.time += timedelta(minutes=2)
    await office.surface.renew(link)
    assert office.counts() == {DANA: 3, SAM: 1}
    await office.do(VISITOR, ev.HelpWanted())  # what was asked for does not count
    await office.done()
    assert office.counts() == {DANA: 4, SAM: 2}


async def test_a_link_that_was_turned_off_or_whose_owner_has_gone_is_not_renewed(office: Office) -> None:
    await office.begin()
    await office.done()
    mark, link = await _link(office, DANA)
    for other in (
        replace(link, revoked=True), replace(link, recipient=StaffId("gone")), replace(link, email=SAM),
    ):  # fmt: skip
        await office.surface.renew(other)
    assert office.counts() == {DANA: 1, SAM: 1}
    await office.links.revoke(mark)
    await office.do(VISITOR, ev.HelpWanted())
    await office.done()
    _, fresh = await _latest_link(office)
    assert not fresh.revoked


async def _latest_link(office: Office):
    found = await office.links.find(link_in(office.server.to(DANA)[-1]).partition("#")[2])
    assert found is not None
    return found


async def test_a_new_link_that_cannot_be_sent_can_be_asked_for_again(office: Office) -> None:
    await office.begin()
    await office.done()
    _, link = await _link(office, DANA)
    await office.server.refuse()
    with pytest.raises(Retry):
        await office.surface.renew(link)
    await office.server.listen()
    await office.surface.renew(link)
    assert office.counts() == {DANA: 2, SAM: 1}
