"""Writing at the join page: replies, notes and guidance, commands, the menu, and the end."""

from collections.abc import AsyncIterator

from playwright.async_api import expect
import pytest

from bridge import events as ev
from tests.browsers import screen, text_of
from tests.eventually import eventually
from tests.joining import VISITOR
from tests.joinwindow import Window, opened


@pytest.fixture
async def dana() -> AsyncIterator[Window]:
    async with opened(permissions=["clipboard-read", "clipboard-write"]) as window:
        yield window


def types(events: list[ev.Event]) -> list[str]:
    return [type(e).__name__ for e in events]


# --- writing -------------------------------------------------------------------------------------


async def test_each_kind_of_message_has_words_of_its_own(dana: Window) -> None:
    await dana.answer()
    await dana.box().fill("a reply")
    await dana.page.get_by_role("tab", name="Note").click()
    await expect(dana.box("Note to team")).to_have_value("")
    await dana.box("Note to team").fill("a secret")
    await dana.page.get_by_role("tab", name="Guide AI").click()
    await dana.box("Guidance for the AI").fill("be kind")
    await dana.button("Send guidance").click()
    await expect(dana.article("Guidance to AI, Dana")).to_contain_text("be kind")
    await dana.page.get_by_role("tab", name="Note").click()
    await expect(dana.box("Note to team")).to_have_value("a secret")
    await dana.button("Add note").click()
    await expect(dana.article("Note, Dana")).to_contain_text("Team only")
    await dana.page.get_by_role("tab", name="Reply").click()
    await expect(dana.box()).to_have_value("a reply")


async def test_the_tabs_are_moved_through_by_arrow_keys(dana: Window) -> None:
    await dana.join()
    tabs = dana.page.get_by_role("tablist", name="Message type").get_by_role("tab")
    assert await tabs.all_inner_texts() == ["Reply", "Note", "Guide AI"]
    await tabs.nth(0).focus()
    await dana.page.keyboard.press("ArrowRight")
    await expect(tabs.nth(1)).to_be_focused()
    await expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
    await dana.page.keyboard.press("End")
    await expect(tabs.nth(2)).to_be_focused()


async def test_enter_sends_shift_enter_breaks_the_line_and_composing_does_neither(dana: Window) -> None:
    await dana.answer()
    await dana.box().focus()
    await dana.page.keyboard.type("one")
    await dana.page.keyboard.press("Shift+Enter")
    await dana.page.keyboard.type("two")
    await dana.box().dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
    await expect(dana.box()).to_have_value("one\ntwo")
    await dana.page.keyboard.press("Enter")
    await dana.joining.says(lambda events: isinstance(events[-1], ev.Said) and events[-1].text == "one\ntwo")


async def test_new_messages_while_writing_are_counted(dana: Window) -> None:
    await dana.answer()
    await dana.box().fill("Let me see")
    await dana.joining.visitor_says("Also, in blue?")
    await expect(dana.page.get_by_text("1 new message since you started writing.")).to_be_visible()
    await dana.joining.visitor_says("Or green?")
    await expect(dana.page.get_by_text("2 new messages since you started writing.")).to_be_visible()
    await dana.button("Send reply").click()
    await expect(dana.page.get_by_text("since you started writing")).to_have_count(0)


async def test_too_long_a_message_is_kept(dana: Window) -> None:
    await dana.answer()
    await dana.box().fill("x" * 4_120)
    await dana.button("Send reply").click()
    await expect(dana.page.get_by_text("Message is too long (4,120 of 4,000 characters).")).to_be_visible()
    assert len(await dana.box().input_value()) == 4_120


async def test_typing_is_seen_and_ends(dana: Window) -> None:
    await dana.answer()
    seen: list[object] = []
    with dana.joining.bridge.pulse.listen(dana.joining.cid, seen.append):
        await dana.box().press_sequentially("Hel")
        await eventually(lambda: [s.on for s in seen if hasattr(s, "on")] == [True])
        await dana.box().fill("")
        await eventually(lambda: [s.on for s in seen if hasattr(s, "on")][-1] is False)


# --- commands ------------------------------------------------------------------------------------


async def test_commands_do_what_the_buttons_do(dana: Window) -> None:
    await dana.join()

    async def run(line: str) -> None:
        await dana.page.locator("textarea").fill(line)
        await expect(dana.button("Run command")).to_be_visible()
        await dana.page.keyboard.press("Enter")

    await run("/take Hello from a command")
    await expect(dana.article("Dana")).to_have_text("Hello from a command")
    await run("/name Dana Olsen")
    await expect(dana.banner).to_contain_text("Maria sees you as Dana Olsen")
    await run("/note for us")
    await expect(dana.article("Note, Dana Olsen")).to_contain_text("for us")
    await run("/guide be brief")
    await expect(dana.article("Guidance to AI, Dana Olsen")).to_contain_text("be brief")
    await run("/who")
    await expect(dana.page.get_by_text("Answering: Dana Olsen. Joined: Dana Olsen (you).")).to_be_visible()
    await dana.button("Dismiss").click()
    await run("/back")
    await expect(dana.banner).to_contain_text("AI assistant is answering")
    await run("/help")
    await expect(dana.page.get_by_text("observe: Watch without answering")).to_be_visible()
    await run("/tkae")
    await expect(dana.page.get_by_text("There is no command “tkae”. Did you mean “take”?")).to_be_visible()
    await expect(dana.page.locator("textarea")).to_have_value("/tkae")
    await run("/close")
    await expect(dana.page.get_by_role("heading", level=1, name="Conversation ended")).to_be_visible()


async def test_two_slashes_send_one(dana: Window) -> None:
    await dana.answer()
    await dana.box().fill("//take is a command")
    await dana.button("Send reply").click()
    await expect(dana.article("Dana")).to_have_text("/take is a command")


# --- the menu, and the end -----------------------------------------------------------------------


async def test_the_menu_by_keyboard(dana: Window) -> None:
    await dana.join()
    await dana.button("More").focus()
    await dana.page.keyboard.press("Enter")
    menu = dana.page.get_by_role("menu", name="More")
    items = [
        "Download transcript",
        "Copy link to this conversation",
        "Keyboard shortcuts",
        "End conversation",
    ]
    assert await menu.get_by_role("menuitem").all_inner_texts() == items
    await expect(menu.get_by_role("menuitem").first).to_be_focused()
    await dana.page.keyboard.press("ArrowUp")
    await expect(menu.get_by_role("menuitem").last).to_be_focused()
    await dana.page.keyboard.press("Escape")
    await expect(menu).to_have_count(0)
    await expect(dana.button("More")).to_be_focused()


async def test_the_transcript_is_a_file_for_the_team(dana: Window) -> None:
    await dana.answer()
    await dana.box().fill("Hi **Maria**")
    await dana.button("Send reply").click()
    await dana.page.get_by_role("tab", name="Note").click()
    await dana.box("Note to team").fill("a secret")
    await dana.button("Add note").click()
    await expect(dana.article("Note, Dana")).to_be_visible()
    await dana.button("More").click()
    async with dana.page.expect_download() as download:
        await dana.page.get_by_role("menuitem", name="Download transcript").click()
    text = await text_of(await download.value)
    assert "Maria: Do you ship to Norway?" in text
    assert "* Dana took over from the AI assistant" in text
    assert "Dana: Hi **Maria**" in text
    assert "(team only) Dana: a secret" in text


async def test_a_copied_link_opens_the_conversation_elsewhere(dana: Window) -> None:
    await dana.join()
    await dana.button("More").click()
    await dana.page.get_by_role("menuitem", name="Copy link to this conversation").click()
    await expect(dana.page.get_by_text("Link copied.")).to_be_visible()
    url = await dana.page.evaluate("navigator.clipboard.readText()")
    async with screen(dana.browser) as other:
        await other.page.goto(url)
        await expect(other.page.get_by_role("log")).to_contain_text("Do you ship to Norway?")


async def test_ending_asks_first(dana: Window) -> None:
    await dana.join()
    for answer in ("Cancel", "End conversation"):
        await dana.button("More").click()
        await dana.page.get_by_role("menuitem", name="End conversation").click()
        asked = dana.page.get_by_role("alertdialog", name="End this conversation?")
        await expect(dana.button("Cancel", within=asked)).to_be_focused()
        await dana.button(answer, within=asked).click()
        await expect(asked).to_have_count(0)
    await expect(dana.page.get_by_role("heading", level=1, name="Conversation ended")).to_be_visible()
    await expect(dana.button("Download transcript", within=dana.banner)).to_be_visible()
    await expect(dana.page.locator("textarea")).to_be_hidden()
    await dana.joining.says(lambda events: types(events)[-1] == "Closed")


async def test_keys_while_the_conversation_has_the_focus(dana: Window) -> None:
    await dana.join()
    await expect(dana.log).to_be_focused()
    await dana.page.keyboard.press("n")
    await expect(dana.box("Note to team")).to_be_focused()
    await dana.page.keyboard.type("tbrg?")
    await expect(dana.box("Note to team")).to_have_value("tbrg?")
    await dana.page.keyboard.press("Escape")
    await expect(dana.log).to_be_focused()
    await dana.page.keyboard.press("?")
    await expect(dana.page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("/take [words]")
    await dana.page.keyboard.press("Escape")
    await dana.log.focus()
    await dana.page.keyboard.press("t")
    await expect(dana.banner).to_contain_text("You are answering")


async def test_an_early_end_is_not_seen_by_who_has_not_joined(dana: Window) -> None:
    await dana.visit()
    await expect(dana.button("Join")).to_be_visible()
    await dana.joining.propose(VISITOR, ev.Closed())
    await expect(dana.page.get_by_role("heading", level=1, name="Conversation ended")).to_be_visible()
    await expect(dana.button("Join")).to_be_hidden()
    await expect(dana.log).to_contain_text("Maria ended the conversation")
