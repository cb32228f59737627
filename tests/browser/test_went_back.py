"""A store that lost its newest part: the widget gives back what it holds, the join page says what is missing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
import re
import shutil
from typing import Any

from playwright.async_api import Locator, Page, expect
import pytest
import pytest_asyncio

from bridge import events as ev
from bridge.core import Bridge
from bridge.events import ConversationId, Visitor
from bridge.store.memory import MemoryStore
from tests.browsers import DESKTOP, PHONE, Screen, chromium, screen
from tests.eventually import eventually
from tests.fakes.smtp import SmtpServer
from tests.joinwindow import Window, opened
from tests.redises import DURABLE, RedisServer
from tests.running import free_port, running, website
from tests.visiting import DANA, Place, Visit, place

pytestmark = pytest.mark.asyncio(loop_scope="module")

GONE = "Some earlier messages were lost and can't be shown."
RESTORED = "The conversation was restored from an earlier state. What is missing here was lost."
LOOKS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": DESKTOP},
    "desktop-dark": {"viewport": DESKTOP, "dark": True},
    "phone": {"viewport": PHONE},
    "phone-dark": {"viewport": PHONE, "dark": True},
}
ANNOUNCED = """() => {
  window.announced = [];
  const status = document.querySelector('joinline-chat').shadowRoot.querySelector('[role=status]');
  new MutationObserver(() => status.textContent && announced.push(status.textContent))
    .observe(status, {childList: true, characterData: true, subtree: true});
}"""


def cut(bridge: Bridge, cid: ConversationId, head: int) -> None:
    """The store forgets what came after `head`, as one does that is restored from a copy."""
    store = bridge.store
    assert isinstance(store, MemoryStore)
    if not head:
        store._logs.pop(cid)
        return
    log = store._logs[cid]
    del log.bodies[head:]
    del log.numbers[head:]


async def head(bridge: Bridge, cid: ConversationId) -> int:
    return len(await bridge.read(cid))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Place]:
    async with place() as opened:
        yield opened


@asynccontextmanager
async def visiting(here: Place, **window: Any) -> AsyncIterator[Visit]:
    async with here.visit(**window) as visit:
        await visit.page.evaluate(ANNOUNCED)
        yield visit
        assert visit.screen.complaints == []


async def announced(page: Page) -> list[str]:
    return [text for text in await page.evaluate("announced") if text == GONE]


async def texts(visit: Visit) -> list[str]:
    """What the business has of what was said."""
    return [e.text for e in await visit.events() if isinstance(e, ev.Said)]


async def shown(visit: Visit) -> list[str]:
    return [text.strip() for text in await visit.log.locator("article .bubble").all_inner_texts()]


async def holds(visit: Visit, *said: str) -> None:
    """The log has exactly this, and every window shows exactly it."""

    async def agrees() -> bool:
        return await texts(visit) == list(said) == await shown(visit)

    try:
        await eventually(agrees)
    except AssertionError:
        raise AssertionError((said, await texts(visit), await shown(visit))) from None
    unsettled = visit.log.locator('article[data-state]:not([data-state="sent"])')
    await expect(unsettled).to_have_count(0)


async def keys(visit: Visit) -> list[str]:
    return [e.key for e in await visit.bridge.read(await visit.cid()) if isinstance(e.by, Visitor)]


# --- the widget ----------------------------------------------------------------------------------


@pytest.mark.parametrize("look", LOOKS)
async def test_own_words_are_given_back_and_lost_answers_are_spoken_of(here: Place, look: str) -> None:
    async with visiting(here, **LOOKS[look]) as visit:
        await visit.says("Do you ship to Norway?")
        await visit.ai_says("Yes, in three to five days.")
        kept = await head(visit.bridge, await visit.cid())
        await visit.says("What does it cost?")
        await visit.ai_says("Nine euros.")
        await visit.says("And to Iceland?")
        await expect(visit.said("AI assistant")).to_have_count(2)
        before = await keys(visit)
        cut(visit.bridge, await visit.cid(), kept)
        await expect(visit.log.get_by_text(GONE)).to_be_visible()
        await holds(
            visit,
            "Do you ship to Norway?",
            "Yes, in three to five days.",
            "What does it cost?",
            "And to Iceland?",
        )
        assert await keys(visit) == before
        await expect(visit.said("AI assistant")).to_have_count(1)
        assert await announced(visit.page) == [GONE]
        await visit.screen.axe("went back")
        await visit.screen.shot(f"widget-went-back-{look}")
        await visit.says("Thanks")
        await visit.page.reload()
        await expect(visit.said("You")).to_have_count(4)
        await expect(visit.log.get_by_text(GONE)).to_have_count(0)


async def test_a_conversation_that_is_gone_is_opened_anew_as_it_was(here: Place) -> None:
    async with visiting(here) as visit:
        await visit.page.evaluate("joinline.identify({id: 'u1', name: 'Maria'})")
        for text in ("One", "Two", "Three"):
            await visit.says(text)
        first = (await visit.bridge.read(await visit.cid()))[:2]
        cut(visit.bridge, await visit.cid(), 0)
        await holds(visit, "One", "Two", "Three")
        again = (await visit.bridge.read(await visit.cid()))[:2]
        assert [(e.event, e.key) for e in again] == [(e.event, e.key) for e in first]
        state = await eventually_named(visit)
        assert (state.name, state.user) == ("Maria", "u1")
        assert await announced(visit.page) == []
        await expect(visit.log.get_by_text(GONE)).to_have_count(0)


async def eventually_named(visit: Visit) -> ev.Identified:
    async def named() -> ev.Identified | None:
        found = (await visit.bridge.state(await visit.cid())).visitor
        return found if found.name else None

    found = await eventually(named)
    assert isinstance(found, ev.Identified)
    return found


async def test_nothing_is_sent_twice_where_nothing_was_lost(here: Place) -> None:
    async with visiting(here) as visit:
        await visit.says("Hello")
        await visit.ai_says("Hi")
        await visit.says("Bye")
        entries = await visit.bridge.read(await visit.cid())
        store = visit.bridge.store
        before = store.log_id
        try:
            store.log_id = "another"  # type: ignore[misc]
            visit.place.hang_up()
            await expect(visit.widget).to_have_attribute("connection", "reconnecting")
            await expect(visit.widget).to_have_attribute("connection", "online")
            await visit.says("Really")
            await holds(visit, "Hello", "Hi", "Bye", "Really")
            assert (await visit.bridge.read(await visit.cid()))[: len(entries)] == entries
            assert await announced(visit.page) == []
        finally:
            store.log_id = before  # type: ignore[misc]


async def test_what_waited_comes_after_what_was_lost(here: Place) -> None:
    """Words typed while there is no connection, to a store that goes back meanwhile and grows past the widget."""
    async with visiting(here) as visit:
        await visit.says("One")
        kept = await head(visit.bridge, await visit.cid())
        await visit.says("Two")
        await visit.says("Three")
        await visit.page.context.set_offline(True)
        await expect(visit.widget).to_have_attribute("connection", "offline")
        await visit.box.fill("Four")
        await visit.box.press("Enter")
        cut(visit.bridge, await visit.cid(), kept)
        for number in range(4):
            await visit.propose(DANA, ev.Noted(text=f"note {number}"))
        await visit.takes_over(DANA)
        await visit.propose(DANA, ev.Said(text="Are you there?"))
        await visit.page.context.set_offline(False)
        await holds(visit, "One", "Are you there?", "Two", "Three", "Four")
        assert await announced(visit.page) == []


async def test_words_sent_in_the_moment_of_the_loss_come_last(here: Place) -> None:
    async with visiting(here) as visit:
        await visit.says("One")
        await visit.says("Two")
        cut(visit.bridge, await visit.cid(), 0)
        await visit.box.fill("Three")
        await visit.box.press("Enter")
        await holds(visit, "One", "Two", "Three")


async def test_several_tabs_give_back_once(here: Place) -> None:
    async with visiting(here) as visit:
        await visit.says("One")
        await visit.ai_says("Yes?")
        other = await visit.page.context.new_page()
        await other.goto(visit.origin)
        tab = Visit(visit.place, Screen(other), visit.origin)
        await expect(tab.said("AI assistant")).to_have_count(1)
        await visit.says("Two")
        await tab.says("Three")
        await expect(visit.said("You")).to_have_count(3)
        cut(visit.bridge, await visit.cid(), 0)
        await holds(visit, "One", "Two", "Three")
        await holds(tab, "One", "Two", "Three")
        await visit.says("Four")
        await holds(tab, "One", "Two", "Three", "Four")


async def test_more_than_the_server_takes_at_once_is_given_back_in_time(here: Place) -> None:
    rate = here.house.visitor_rate
    async with visiting(here) as visit:
        said = [str(number) for number in range(6)]
        for text in said:
            await visit.says(text)
        rate._buckets.clear()
        count, per_second = rate._count, rate._per_second
        rate._count, rate._per_second = 2, 2.0
        try:
            cut(visit.bridge, await visit.cid(), 0)
            await holds(visit, *said)
        finally:
            rate._count, rate._per_second = count, per_second


async def test_erased_words_stay_erased(here: Place) -> None:
    async with visiting(here) as visit:
        await visit.says("One")
        await visit.says("My card number")
        target = await head(visit.bridge, await visit.cid())
        await visit.propose(ev.System(), ev.Redacted(target=ev.Seq(target)))
        await expect(visit.log.get_by_text("Message removed")).to_be_visible()
        await visit.says("Three")
        cut(visit.bridge, await visit.cid(), target - 1)
        await holds(visit, "One", "Three")


async def test_unread_answers_are_counted_anew(here: Place) -> None:
    async with visiting(here) as visit:
        await visit.says("One")
        await visit.ai_says("Read")
        await expect(visit.said("AI assistant")).to_have_count(1)
        kept = await head(visit.bridge, await visit.cid())
        await visit.says("Two")
        await visit.ai_says("Read, then lost")
        await expect(visit.said("AI assistant")).to_have_count(2)
        await visit.button("Minimise chat").click()
        cut(visit.bridge, await visit.cid(), kept)
        await eventually(lambda: _texts_are(visit, "One", "Read", "Two"))
        await expect(visit.button("Open chat")).to_be_visible()
        await visit.ai_says("New")
        await expect(visit.button("Open chat, 1 unread message")).to_be_visible()
        await visit.page.reload()
        await expect(visit.button("Open chat, 1 unread message")).to_be_visible()


async def _texts_are(visit: Visit, *said: str) -> bool:
    return await texts(visit) == list(said)


# --- the join page -------------------------------------------------------------------------------


@asynccontextmanager
async def joined(**look: Any) -> AsyncIterator[Window]:
    async with opened(**look) as dana:
        following = asyncio.create_task(dana.joining.bridge.run())
        yield dana
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


@pytest.mark.parametrize("look", LOOKS)
async def test_the_team_is_told_what_happened(look: str) -> None:
    async with joined(**LOOKS[look]) as dana:
        joining = dana.joining
        await dana.answer()
        kept = await head(joining.bridge, joining.cid)
        await dana.box().fill("Yes, we do.")
        await dana.button("Send reply").click()
        await joining.visitor_says("Great")
        await expect(dana.article("Maria")).to_have_count(2)
        await dana.box().fill("Half a thought")
        cut(joining.bridge, joining.cid, kept)
        alert = dana.page.get_by_role("alert").filter(has_text=RESTORED)
        await expect(alert).to_be_visible()
        await expect(dana.article("Maria")).to_have_count(1)
        await expect(dana.article("Dana")).to_have_count(0)
        await expect(dana.box()).to_have_value("Half a thought")
        await expect(dana.banner).to_contain_text("You are answering")
        await expect(dana.page.get_by_text("since you started writing")).to_have_count(0)
        await dana.screen.axe("went back")
        await dana.screen.shot(f"join-went-back-{look}")
        await dana.button("Dismiss").click()
        await expect(alert).to_have_count(0)
        await dana.button("Send reply").click()
        await expect(dana.article("Dana")).to_have_text("Half a thought")


async def test_nothing_is_said_where_the_visitor_gives_back_all() -> None:
    async with joined() as dana:
        joining = dana.joining
        await dana.join()
        kept = await joining.bridge.read(joining.cid)
        await joining.visitor_says("And to Iceland?")
        await expect(dana.article("Maria")).to_have_count(2)
        lost = (await joining.bridge.read(joining.cid, after=len(kept)))[0]
        cut(joining.bridge, joining.cid, len(kept))
        await expect(dana.article("Maria")).to_have_count(1)
        proposal = ev.Proposal(events=(lost.event,), by=lost.by, via=lost.via, key=lost.key)
        await joining.bridge.submit(joining.cid, proposal)
        await expect(dana.article("Maria")).to_have_count(2)
        await asyncio.sleep(5)  # longer than the page waits for it
        await expect(dana.page.get_by_text(RESTORED)).to_have_count(0)


async def test_visitors_words_that_do_not_come_back_are_spoken_of() -> None:
    async with joined() as dana:
        joining = dana.joining
        await dana.join()
        kept = await head(joining.bridge, joining.cid)
        await joining.visitor_says("And to Iceland?")
        await expect(dana.article("Maria")).to_have_count(2)
        cut(joining.bridge, joining.cid, kept)
        await expect(dana.page.get_by_role("alert").filter(has_text=RESTORED)).to_be_visible()


async def test_nothing_is_said_where_nothing_was_lost() -> None:
    async with joined() as dana:
        joining = dana.joining
        await dana.join()
        joining.bridge.store.log_id = "another"  # type: ignore[misc]
        joining.hang_up()
        await expect(dana.page.get_by_text("Live", exact=True)).to_have_count(0)
        await expect(dana.page.get_by_text("Live", exact=True)).to_be_visible()
        await asyncio.sleep(5)
        await expect(dana.page.get_by_text(RESTORED)).to_have_count(0)
        await expect(dana.article("Maria")).to_have_count(1)


async def test_a_floor_that_was_lost_is_not_pretended() -> None:
    async with joined() as dana:
        joining = dana.joining
        await dana.join()
        kept = await head(joining.bridge, joining.cid)
        await dana.button("Take over").click()
        await expect(dana.banner).to_contain_text("You are answering")
        await dana.box().fill("Half a thought")
        cut(joining.bridge, joining.cid, kept)
        await expect(dana.page.get_by_role("alert").filter(has_text=RESTORED)).to_be_visible()
        await expect(dana.banner).to_contain_text("AI assistant is answering")
        await expect(dana.box()).to_have_value("Half a thought")
        await dana.button("Take over and send").click()
        await expect(dana.article("Dana")).to_have_text("Half a thought")


async def test_a_session_that_was_lost_is_not_called_ended() -> None:
    async with joined() as dana:
        joining = dana.joining
        link = await joining.link()
        await dana.page.goto(link)
        await dana.page.get_by_role("textbox", name="Your name").fill("Dana")
        await dana.button("Join").click()
        await expect(dana.banner).to_contain_text("You're observing")
        await dana.box().fill("Half a thought")
        store = joining.bridge.store
        assert isinstance(store, MemoryStore)
        for place in [p for p in store._records if p[0].startswith("session")]:
            del store._records[place]
        store.log_id = "restored"
        joining.hang_up()
        await expect(dana.page.get_by_role("heading", name="You were signed out here")).to_be_visible()
        await expect(dana.page.get_by_text("restored from an earlier state")).to_be_visible()
        await dana.page.goto(link)
        await dana.page.get_by_role("textbox", name="Your name").fill("Dana")
        await dana.button("Join").click()
        await expect(dana.box()).to_have_value("Half a thought")
        dana.screen.complaints.clear()


# --- a real server, a real store ------------------------------------------------------------------


async def test_redis_that_was_restored_from_a_copy(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer(*DURABLE))
        smtp = await stack.enter_async_context(SmtpServer())
        port, shop_port = free_port(), free_port()
        config = {
            "store": redis.url,
            "sites": {
                "acme": {"name": "Acme", "origins": [f"http://127.0.0.1:{shop_port}"], "staff": ["dana"]}
            },
            "staff": {"dana": {"name": "Dana", "email": "dana@acme.example"}},
            "email": {"smtp_url": smtp.url, "from": "Acme <chat@acme.example>", "settle": 0.2},
        }
        server = await asyncio.to_thread(stack.enter_context, running(tmp_path / "bridge", config, port=port))
        shop = stack.enter_context(website(server.url, port=shop_port))
        browser = await stack.enter_async_context(chromium())
        maria = (await stack.enter_async_context(screen(browser, locale="en-GB"))).page
        dana = (await stack.enter_async_context(screen(browser))).page

        await maria.goto(shop)
        await maria.get_by_role("button", name="Open chat").click()
        await writes(maria, "Do you ship to Norway?")
        await eventually(lambda: smtp.to("dana@acme.example"))
        link = re.search(r"\S+/join#\S+", smtp.received[-1].part("plain"))
        assert link
        await dana.goto(link[0])
        await dana.get_by_role("textbox", name="Your name").fill("Dana")
        await dana.get_by_role("button", name="Join", exact=True).click()
        await dana.get_by_role("button", name="Take over", exact=True).click()
        await expect(maria.get_by_role("group", name="Answering now")).to_contain_text("Dana")

        copy = tmp_path / "copy"
        shutil.copytree(redis.folder, copy)
        await writes(maria, "What does it cost?")
        reply = dana.get_by_role("textbox", name=re.compile("^Reply to"))
        await reply.fill("Nine euros.")
        await dana.get_by_role("button", name="Send reply").click()
        await expect(said(maria, "Dana")).to_contain_text("Nine euros.")
        await writes(maria, "And to Iceland?")
        await reply.fill("Half a thought")
        redis.kill()
        shutil.rmtree(redis.folder)
        shutil.copytree(copy, redis.folder)
        redis.start()

        await expect(maria.get_by_role("log").get_by_text(GONE)).to_be_visible(timeout=30_000)
        await expect(said(maria, "Dana")).to_have_count(0)
        words = ["Do you ship to Norway?", "What does it cost?", "And to Iceland?"]
        await expect(said(maria, "You").locator(".bubble")).to_have_text(words)
        await expect(dana.get_by_role("alert").filter(has_text=RESTORED)).to_be_visible(timeout=30_000)
        await expect(dana.get_by_role("log").locator(".group.visitor .bubble")).to_have_text(words)
        await expect(dana.get_by_role("region", name="Who is answering")).to_contain_text("You are answering")
        await expect(reply).to_have_value("Half a thought")
        await dana.get_by_role("button", name="Send reply").click()
        await expect(said(maria, "Dana")).to_contain_text("Half a thought", timeout=30_000)
        await maria.reload()
        await expect(said(maria, "You").locator(".bubble")).to_have_text(words)
        await expect(said(maria, "Dana")).to_have_count(1)


async def writes(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="Message", exact=True)
    await box.fill(text)
    await box.press("Enter")
    await expect(said(page, "You").last).to_have_attribute("data-state", "sent")


def said(page: Page, who: str) -> Locator:
    return page.get_by_role("log", name="Conversation").get_by_role(
        "article", name=re.compile(rf"^{who}, \d\d:\d\d$")
    )
