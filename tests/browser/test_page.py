"""The chat without JavaScript, in a browser that has it switched off."""

from collections.abc import AsyncIterator

from playwright.async_api import expect
import pytest
import pytest_asyncio

from bridge import events as ev
from bridge.events import Proposal
from connectors.website.visitors import cid_of
from tests.browsers import PHONE, screen
from tests.visiting import DANA, Place, place

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Place]:
    async with place() as opened:
        yield opened


async def test_a_conversation_without_javascript(here: Place) -> None:
    async with screen(here.browser, java_script_enabled=False) as seen:
        page = seen.page
        await page.goto(f"{here.url}/chat/acme")
        await expect(page.get_by_role("heading", level=1, name="Chat with Acme")).to_be_visible()
        await expect(page.get_by_role("group", name="Answering now")).to_have_text("AI assistant")
        assert await page.context.cookies() == []
        await page.get_by_role("textbox", name="Message").fill("Do you ship to Norway?")
        await page.get_by_role("button", name="Send message").click()
        log = page.frame_locator("iframe").get_by_role("log", name="Conversation")
        await expect(log).to_contain_text("Do you ship to Norway?")
        cookies = await page.context.cookies()
        assert [(c["httpOnly"], c["sameSite"]) for c in cookies] == [(True, "Strict")]
        cid = cid_of("acme", cookies[0]["value"])

        # Half a message is typed while the answer comes: nothing of it is lost.
        await page.get_by_role("textbox", name="Message").fill("Half a thou")
        state = await here.bridge.state(cid)
        said = ev.Said(text="We do. <b>Really</b>")
        await here.bridge.submit(
            cid, Proposal(events=(said,), by=ev.Assistant(), via="ai", key="1", floor=state.floor.since)
        )
        await expect(log).to_contain_text("We do. <b>Really</b>")
        await expect(page.get_by_role("textbox", name="Message")).to_have_value("Half a thou")

        await page.get_by_role("button", name="Talk to a person").click()
        await expect(page.get_by_role("group", name="Answering now")).to_have_text("Waiting for a person")
        since = (await here.bridge.state(cid)).floor.since
        taken = (ev.TookOver(), ev.Said(text="Dana here"))
        await here.bridge.submit(cid, Proposal(events=taken, by=DANA, via="web", key="1", floor=since))
        await expect(log).to_contain_text("Dana joined the conversation.")
        await expect(log).to_contain_text("Dana here")
        await page.get_by_role("link", name="Check for new messages").click()
        await expect(page.get_by_role("group", name="Answering now")).to_have_text("Dana (team)")
        await page.get_by_role("textbox", name="Email").fill("maria@example.org")
        await page.get_by_role("button", name="Send email address").click()
        await expect(page.get_by_text("We'll reply to maria@example.org")).to_be_visible()
        await page.get_by_role("button", name="End conversation").click()
        await page.get_by_role("radio", name="Good").check()
        await page.get_by_role("button", name="Send rating").click()
        await expect(page.get_by_text("Thank you for your rating.")).to_be_visible()
        await page.get_by_role("button", name="Start a new conversation").click()
        await expect(page.get_by_role("button", name="Send message")).to_be_visible()
        assert await page.context.cookies() == []


@pytest.mark.parametrize("window", [{}, {"viewport": PHONE, "dark": True}])
async def test_the_page_has_no_barrier(here: Place, window: dict[str, object]) -> None:
    async with screen(here.browser, **window) as seen:  # type: ignore[arg-type]
        page = seen.page
        await page.goto(f"{here.url}/chat/acme")
        await seen.axe("page, empty")
        await page.get_by_role("textbox", name="Message").fill("Hello " + "long" * 200)
        await page.get_by_role("button", name="Send message").click()
        await expect(page.frame_locator("iframe").get_by_role("log")).to_contain_text("Hello")
        await seen.axe("page, begun")
        await seen.shot(f"page-{'dark' if window else 'light'}")
        await page.get_by_role("button", name="End conversation").click()
        await seen.axe("page, ended")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert seen.complaints == []
