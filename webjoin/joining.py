"""Join: a typed name on somebody's link becomes a member of staff who observes."""

import secrets

from bridge import events as ev
from bridge.conversation import Conversation
from bridge.core import Bridge
from bridge.errors import Refused
from bridge.events import ConversationId, Proposal, Staff, StaffId
from bridge.text import clean_name

TRIES = 5  # joins of one link at the same moment that may cross


def staff_for(state: Conversation, recipient: StaffId, name: str) -> Staff:
    """Who `name` is on the link of `recipient`: whoever used that name on it before, or somebody new.

    The first has the recipient's own id, the next ones "sales~2", "sales~3" ...
    """
    known = [p for p in state.people.values() if p.id.partition("~")[0] == recipient]
    for person in known:
        if person.name.casefold() == name.casefold():
            return Staff(id=person.id, name=person.name)
    if not known:
        return Staff(id=recipient, name=name)
    last = max(int(p.id.partition("~")[2] or 1) for p in known)
    return Staff(id=StaffId(f"{recipient}~{last + 1}"), name=name)


async def join(bridge: Bridge, cid: ConversationId, recipient: StaffId, name: str) -> Staff:
    """Enter `Joined` unless that person has joined; raises `Refused` where the name will not do."""
    name = clean_name(name)
    for tried in range(TRIES):
        state = await bridge.state(cid)
        staff = staff_for(state, recipient, name)
        person = state.people.get(staff.id)
        if person is not None and person.joined:
            return staff
        proposal = Proposal(events=(ev.Joined(),), by=staff, via="web", key=f"join:{secrets.token_hex(8)}")
        try:
            await bridge.submit(cid, proposal)
        except Refused:
            taken = (await bridge.state(cid)).people.get(staff.id)
            if tried == TRIES - 1 or taken is None or not taken.joined:
                raise
            continue  # somebody joined by the same link a moment earlier: choose again
        return staff
    raise AssertionError("unreachable")
