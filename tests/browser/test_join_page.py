"""The join page in a browser: looking, joining, taking over, handing back, writing to the right people."""

import asyncio
from collections.abc import AsyncIterator
import re

from playwright.async_api import expect
import pytest

from bridge import events as ev
from bridge.events import Seq
from bridge.pulse import Draft
from tests.eventually import PATIENCE, eventually
from tests.joining import staff
from tests.joinwindow import Window, opened

SAM = staff("Sam")
SUBMIT = """
new MutationObserver((_, observer) => {
  const form = document.querySelector('form');
  if (!form) return;
  observer.disconnect();
  form.requestSubmit();
  form.dispatchEvent(new SubmitEvent('submit', {cancelable: true}));
  window.submitted();
}).observe(document, {childList: true, subtree: true});
"""


@pytest.fixture
async def dana() -> AsyncIterator[Window]:
    async with opened(permissions=["clipboard-read", "clipboard-write"]) as window:
        yield window


def types(events: list[ev.Event]) -> list[str]:
    return [type(e).__name__ for e in events]


# --- looking and joining -------------------------------------------------------------------------


async def test_a_preview_shows_the_conversation_and_nobody_can_tell(dana: Window) -> None:
    before = await dana.joining.bridge.read(dana.joining.cid)
    await dana.visit()
    await expect(dana.article("Maria")).to_have_text("Do you ship to Norway?")
    await expect(dana.page.get_by_text("You're previewing. Maria can't see you.")).to_be_visible()
    await expect(dana.page.get_by_text("Link sent to d...@acme.example")).to_be_visible()
    await expect(dana.page.get_by_role("textbox", name="Your name")).to_have_value("Sales desk")
    await expect(dana.page.get_by_role("heading", level=1)).to_have_text("Acme chat – Maria")
    await expect(dana.banner).to_contain_text("AI assistant is answering")
    await expect(dana.banner.get_by_role("button")).to_have_count(0)
    await dana.joining.visitor_says("Hello?")
    await expect(dana.article("Maria")).to_have_count(2)
    assert (
        await dana.page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    )
    assert dana.joining.bridge.pulse.here(dana.joining.cid) == []
    assert len(await dana.joining.bridge.read(dana.joining.cid)) == len(before) + 1


async def test_the_token_in_the_path_opens_the_same_page(dana: Window) -> None:
    link = await dana.joining.link()
    await dana.page.goto(link.replace("#", "/"))
    await expect(dana.article("Maria")).to_have_text("Do you ship to Norway?")


async def test_joining_needs_a_name_and_takes_the_token_out_of_the_address(dana: Window) -> None:
    await dana.visit()
    name = dana.page.get_by_role("textbox", name="Your name")
    await name.fill("  ")
    await dana.button("Join").click()
    await expect(dana.page.get_by_role("alert")).to_have_text("Enter the name Maria will see.")
    await expect(name).to_be_focused()
    await expect(name).to_have_attribute("aria-invalid", "true")
    await name.fill("Dana")
    await expect(dana.page.get_by_role("alert")).to_have_text("")
    await dana.page.keyboard.press("Enter")
    await expect(dana.banner).to_contain_text("You're observing")
    assert dana.page.url == f"{dana.joining.url}/join/c/{dana.joining.cid}"
    assert await dana.page.evaluate("document.cookie") == ""
    await expect(dana.page.get_by_role("list", name="People here")).to_contain_text("Dana (you)observing")
    await dana.joining.says(lambda events: types(events)[-1] == "Joined")


async def test_a_scanner_that_submits_the_form_does_not_join(dana: Window) -> None:
    submitted = asyncio.Event()
    await dana.page.expose_function("submitted", submitted.set)
    await dana.page.add_init_script(SUBMIT)
    await dana.visit()
    await asyncio.wait_for(submitted.wait(), PATIENCE)
    await dana.joining.visitor_says("Still there?")
    await expect(dana.article("Maria")).to_have_count(2)
    await expect(dana.button("Join")).to_be_visible()
    assert not (await dana.joining.bridge.state(dana.joining.cid)).people


async def test_the_name_is_remembered_on_this_device(dana: Window) -> None:
    await dana.join("Dana Olsen")
    await dana.button("Leave").click()
    await expect(dana.page.get_by_role("heading", name="You left the conversation")).to_be_visible()
    await dana.joining.says(lambda events: types(events)[-1] == "Left")
    await dana.visit()
    await expect(dana.page.get_by_role("textbox", name="Your name")).to_have_value("Dana Olsen")


# --- taking over and handing back ----------------------------------------------------------------


async def test_take_over_reply_and_hand_back(dana: Window) -> None:
    await dana.join()
    await dana.button("Take over").click()
    await expect(dana.banner).to_contain_text("You are answering")
    await expect(dana.box()).to_be_focused()
    await expect(dana.button("Observe")).to_be_visible()
    await dana.box().fill("Hi Maria, Dana here.")
    await dana.button("Send reply").click()
    await expect(dana.article("Dana")).to_have_text("Hi Maria, Dana here.")
    await expect(dana.box()).to_have_value("")
    await dana.button("Hand back to AI").click()
    await expect(dana.banner).to_contain_text("AI assistant is answering")
    await expect(dana.log).to_contain_text("Dana took over from the AI assistant")
    await expect(dana.log).to_contain_text("Dana handed back to the AI assistant")


async def test_take_over_and_send_is_one_call(dana: Window) -> None:
    await dana.join()
    await dana.box().fill("I can help.")
    await dana.button("Take over and send").click()
    await expect(dana.article("Dana")).to_have_text("I can help.")
    entries = await dana.joining.bridge.read(dana.joining.cid)
    assert [type(e.event) for e in entries[-2:]] == [ev.TookOver, ev.Said]
    assert entries[-1].key == f"{entries[-2].key}#1"


async def test_observe_hands_back_too(dana: Window) -> None:
    await dana.answer()
    await dana.button("Observe").click()
    await expect(dana.banner).to_contain_text("You're observing")


async def test_hand_back_with_a_parting_word_and_guidance(dana: Window) -> None:
    await dana.answer()
    await dana.button("Hand back with words…").click()
    dialog = dana.page.get_by_role("dialog", name="Hand back to AI")
    await dialog.get_by_role("textbox", name="Parting word to Maria").fill("The AI helps you on.")
    await dialog.get_by_role("textbox", name="Guidance for the AI").fill("Offer free returns.")
    await dana.button("Hand back", within=dialog).click()
    await expect(dana.banner).to_contain_text("AI assistant is answering")
    await expect(dana.article("Dana")).to_have_text("The AI helps you on.")
    await expect(dana.article("Guidance to AI, Dana")).to_contain_text("Offer free returns.")
    await dana.joining.says(lambda e: types(e)[-3:] == ["Said", "Guided", "HandedBack"])


async def test_from_a_colleague_it_takes_one_confirmation(dana: Window) -> None:
    await dana.joining.take_over(SAM)
    await dana.join()
    await expect(dana.banner).to_contain_text("Sam is answering")
    await expect(dana.box("Note to team")).to_be_visible()
    await expect(dana.button("Add note")).to_be_visible()
    await dana.button("Take over from Sam").click()
    asked = dana.page.get_by_role("alertdialog", name="Take over from Sam?")
    await dana.button("Cancel", within=asked).click()
    await expect(asked).to_have_count(0)
    await expect(dana.button("Take over from Sam")).to_be_focused()
    await dana.button("Take over from Sam").click()
    await dana.button("Take over from Sam", within=asked).click()
    await expect(dana.banner).to_contain_text("You are answering")
    await expect(dana.log).to_contain_text("Dana took over from Sam")
    await expect(dana.box()).to_be_focused()


async def test_losing_the_floor_while_typing_loses_no_word(dana: Window) -> None:
    await dana.answer()
    await dana.box().fill("As I was about to say")
    await dana.joining.take_over(SAM)
    lost = dana.page.get_by_role("alert").filter(has_text="took over")
    await expect(lost).to_have_text(
        re.compile(r"^Sam took over \d+ seconds? ago\. Your reply was not sent\.$")
    )
    await expect(dana.box()).to_have_value("As I was about to say")
    await dana.button("Keep as note").click()
    await expect(dana.article("Note, Dana")).to_contain_text("As I was about to say")
    await expect(dana.box("Note to team")).to_have_value("")
    assert "Said" not in types([e.event for e in await dana.joining.bridge.read(dana.joining.cid)])[2:]


async def test_the_loser_of_a_race_keeps_the_words_and_can_take_over(dana: Window) -> None:
    from_server = await dana.line()
    await dana.join()
    await dana.box().fill("Me first")
    from_server.hold()  # Sam has taken over, but this browser does not know when Dana presses the button
    await dana.joining.take_over(SAM)
    await dana.button("Take over and send").click()
    await expect(dana.box()).to_have_value("")
    from_server.let_go()
    await expect(dana.page.get_by_text("Your reply was not sent.")).to_be_visible()
    await expect(dana.box()).to_have_value("Me first")
    await dana.button("Take over from Sam", within=dana.page.locator(".notice")).click()
    await expect(dana.banner).to_contain_text("You are answering")
    await expect(dana.box()).to_have_value("Me first")
    await expect(dana.page.get_by_text("Your reply was not sent.")).to_have_count(0)
    await dana.button("Send reply").click()
    await expect(dana.article("Dana")).to_have_text("Me first")


async def test_the_loser_of_a_race_without_words_is_told_who_won(dana: Window) -> None:
    from_server = await dana.line()
    await dana.join()
    from_server.hold()
    await dana.joining.take_over(SAM)
    await dana.button("Take over").click()
    from_server.let_go()
    lost = dana.page.get_by_role("alert").filter(has_text="took over")
    await expect(lost).to_have_text(re.compile(r"^Sam took over \d+ seconds? ago\.$"))
    await expect(dana.banner).to_contain_text("Sam is answering")


async def test_a_reply_after_a_hand_back_is_refused_and_kept(dana: Window) -> None:
    await dana.answer()
    await dana.joining.fenced(ev.System(), ev.HandedBack())
    await expect(dana.log).to_contain_text("Dana was away. The AI assistant is answering again")
    await dana.box().fill("Wait")
    await expect(dana.button("Take over and send")).to_be_visible()


# --- the assistant's draft -----------------------------------------------------------------------


async def test_the_draft_is_shown_stopped_and_withdrawn(dana: Window) -> None:
    await dana.join()
    pulse, cid = dana.joining.bridge.pulse, dana.joining.cid
    state = await dana.joining.bridge.state(cid)
    draft = Draft(turn=Seq(2), since=state.floor.since)
    group = dana.page.get_by_role("group", name="AI assistant is writing")
    await expect(group).to_have_count(0)
    for piece in ("Yes, **we ", "do** 🚚", " ship."):
        pulse.stream(cid, draft, piece)
    await expect(group).to_contain_text("Yes, we do 🚚 ship.")
    assert await group.evaluate("e => e.closest('[aria-live], [role=log]')") is None
    stopped: list[object] = []
    with pulse.listen(cid, stopped.append):
        await dana.button("Stop AI answer").click()
        await eventually(lambda: any(type(s).__name__ == "StopWanted" for s in stopped))
    await dana.button("Take over").click()
    await expect(group).to_have_count(0)
    pulse.stream(cid, draft, " It")
    await dana.joining.visitor_says("Hm")
    await expect(dana.article("Maria")).to_have_count(2)
    await expect(group).to_have_count(0)


async def test_a_finished_draft_becomes_one_message(dana: Window) -> None:
    await dana.join()
    pulse, cid = dana.joining.bridge.pulse, dana.joining.cid
    draft = Draft(turn=Seq(2), since=await dana.joining.since())
    pulse.stream(cid, draft, "Yes.")
    await expect(dana.page.get_by_role("group", name="AI assistant is writing")).to_contain_text("Yes.")
    await dana.joining.ai_says("Yes.")
    pulse.end_draft(cid, draft, "done")
    await expect(dana.article("AI assistant")).to_have_text("Yes.")
    await expect(dana.page.get_by_role("group", name="AI assistant is writing")).to_have_count(0)
