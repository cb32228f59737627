"""The widget and its connection: lost, blocked, offline; page changes and several tabs; what the page may ask of it."""

import asyncio
from collections.abc import AsyncIterator
import hashlib
import hmac
import json
import urllib.request

from playwright.async_api import Page, Request, Route, WebSocketRoute, expect
import pytest
import pytest_asyncio

from bridge import events as ev
from tests.browsers import Screen, screen
from tests.eventually import eventually
from tests.running import website
from tests.visiting import DANA, Place, Visit, place

pytestmark = pytest.mark.asyncio(loop_scope="module")

KB = 1024
IDENTITY = "wZ3kR8pQ1vN6xT4mB9sL2dF7hJ5cG0yA"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Place]:
    async with place(identity_secret=IDENTITY) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def visit(here: Place) -> AsyncIterator[Visit]:
    async with here.visit() as begun:
        yield begun
        assert begun.screen.complaints == []


async def said(visit: Visit) -> list[str]:
    return [e.text for e in await visit.events() if isinstance(e, ev.Said)]


def beside(visit: Visit, page: Page) -> Visit:
    """The same visitor in another tab."""
    return Visit(visit.place, Screen(page), visit.origin)


# --- delivery -------------------------------------------------------------------------------------


async def test_offline_words_wait_and_survive_a_change_of_page(visit: Visit) -> None:
    await visit.says("Hello")
    context = visit.page.context
    await context.set_offline(True)
    await expect(visit.status).to_have_text("You're offline. Messages will be sent when you reconnect.")
    await expect(visit.widget).to_have_attribute("connection", "offline")
    for text in ("One", "Two"):
        await visit.box.fill(text)
        await visit.box.press("Enter")
        await expect(visit.said("You").last).to_contain_text(text)
        await expect(visit.said("You").last).to_contain_text("Waiting to send")
    assert await said(visit) == ["Hello"]
    assert [p["events"][-1]["text"] for p in (await visit.kept())["pending"]] == ["One", "Two"]
    await visit.page.evaluate("window.stop()")
    await context.route("**/live/**", lambda route: route.abort())  # the next page finds no server either
    await context.route_web_socket("**/live/visitor", lambda socket: socket.close())
    await context.set_offline(False)
    await visit.page.reload()
    visit.screen.complaints.clear()  # the browser logs every connection that failed
    await expect(visit.said("You").last).to_contain_text("Two")
    await context.unroute_all()
    other = await context.new_page()  # the switch stays for pages that exist
    await other.goto(visit.origin)
    tab = beside(visit, other)
    await expect(tab.said("You")).to_have_count(3)
    await expect(tab.said("You").last).to_have_attribute("data-state", "sent")
    await eventually(lambda: said(visit))
    assert await said(visit) == ["Hello", "One", "Two"]
    await visit.page.close()


async def test_back_online_is_said_and_the_gap_is_filled(visit: Visit) -> None:
    await visit.says("Hello")
    await visit.page.context.set_offline(True)
    await expect(visit.status).to_have_text("You're offline. Messages will be sent when you reconnect.")
    await visit.takes_over(DANA)
    await visit.propose(DANA, ev.Said(text="While you were away"))
    await visit.page.context.set_offline(False)
    await expect(visit.said("Dana")).to_contain_text("While you were away")
    await expect(visit.answering).to_contain_text("Dana (team)")
    await expect(visit.widget).to_have_attribute("connection", "online")
    await expect(visit.widget.locator(".bar")).to_be_hidden()


async def test_a_restarted_server_is_found_again(visit: Visit) -> None:
    await visit.says("Hello")
    await expect(visit.widget).to_have_attribute("connection", "online")
    visit.place.hang_up()
    await expect(visit.widget).to_have_attribute("connection", "reconnecting")
    await visit.ai_says("Meanwhile")
    await expect(visit.said("AI assistant")).to_contain_text("Meanwhile")
    await expect(visit.widget).to_have_attribute("connection", "online")
    await visit.says("Still here")
    assert await said(visit) == ["Hello", "Meanwhile", "Still here"]


async def test_a_lost_connection_is_said_after_two_seconds(visit: Visit) -> None:
    await visit.says("Hello")
    await visit.page.context.route_web_socket("**/live/visitor", lambda _socket: None)  # opens, then silence
    visit.place.hang_up()
    await expect(visit.status).to_have_text("Connection lost. Reconnecting…")
    await expect(visit.widget.locator(".bar")).to_be_visible()
    await visit.screen.axe("connection lost")
    await visit.box.fill("I go on writing")
    await visit.box.press("Enter")
    await expect(visit.said("You").last).to_contain_text("Sending…")


async def test_what_cannot_be_sent_is_kept_and_sent_again_or_deleted(here: Place) -> None:
    async with here.visit(launch=False) as visit:
        closed = True

        async def socket(route: WebSocketRoute) -> None:
            if closed:
                await route.close()
            else:
                route.connect_to_server()

        async def post(route: Route) -> None:
            await (route.abort() if closed else route.continue_())

        await visit.page.route_web_socket("**/live/visitor", socket)
        await visit.page.route("**/live/visitor/*", post)
        await visit.page.clock.install()
        await visit.page.reload()
        await visit.open()
        for text in ("First", "Second"):
            await visit.box.fill(text)
            await visit.box.press("Enter")
        await visit.page.clock.run_for(500)
        await expect(visit.said("You").last).to_contain_text("Sending…")
        await visit.page.clock.run_for(10_500)
        await expect(visit.said("You").last).to_have_attribute("data-state", "failed")
        await expect(visit.alert).to_have_text("Not sent. Check your connection.")
        await visit.screen.axe("failed")
        await visit.said("You").last.get_by_role("button", name="Delete unsent message").click()
        await expect(visit.said("You")).to_have_count(1)
        closed = False
        await visit.said("You").get_by_role("button", name="Retry sending").click()
        for _ in range(40):
            await visit.page.clock.run_for(1_000)
            if await visit.said("You").get_attribute("data-state") == "sent":
                break
            if await visit.button("Retry sending").is_visible():
                await visit.button("Retry sending").click()
        assert await said(visit) == ["First"]


async def test_the_own_words_are_never_doubled_by_a_lost_answer(here: Place) -> None:
    """The server took the message, its acknowledgement got lost, the browser sends again."""
    async with here.visit(launch=False) as visit:
        lost = 0

        def socket(route: WebSocketRoute) -> None:
            server = route.connect_to_server()

            def from_server(message: str | bytes) -> None:
                nonlocal lost
                frame = json.loads(message)
                if frame["t"] == "ack" and not lost:
                    lost += 1
                    asyncio.ensure_future(route.close())  # noqa: RUF006 - Playwright keeps it alive
                elif not (frame["t"] == "entries" and not lost):
                    route.send(message)

            server.on_message(from_server)

        await visit.page.route_web_socket("**/live/visitor", socket)
        await visit.open()
        await visit.says("Only once")
        await expect(visit.said("You")).to_have_count(1)
        assert lost == 1
        assert await said(visit) == ["Only once"]


@pytest.mark.parametrize("way", ["stream", "poll"])
async def test_a_proxy_that_blocks_sockets_does_not_stop_the_chat(here: Place, way: str) -> None:
    async with here.visit(launch=False) as visit:
        calls: list[str] = []

        async def post(route: Route) -> None:
            calls.append(route.request.url.rpartition("/")[2])
            if way == "poll" and calls[-1] == "stream":
                await route.abort()
            else:
                await route.continue_()

        await visit.page.route_web_socket("**/live/visitor", lambda socket: socket.close())
        await visit.page.route("**/live/visitor/*", post)
        visit.screen.expected.append("ERR_FAILED")
        await visit.open()
        await visit.box.fill("Can you hear me?")
        await visit.box.press("Enter")
        await expect(visit.widget).to_have_attribute("connection", "online", timeout=20_000)
        await expect(visit.said("You")).to_have_attribute("data-state", "sent")
        await visit.ai_says("Loud and clear")
        await expect(visit.said("AI assistant")).to_contain_text("Loud and clear")
        await visit.says("Good")
        assert await said(visit) == ["Can you hear me?", "Loud and clear", "Good"]
        assert way in calls
        await expect(visit.said("You")).to_have_count(2)


async def test_a_log_that_is_another_one_resets_the_widget(visit: Visit) -> None:
    await visit.says("Hello")
    await visit.ai_says("From a store that will be lost")
    await expect(visit.said("AI assistant")).to_be_visible()
    store = visit.bridge.store
    before = store.log_id
    try:
        store.log_id = "restored-from-a-copy"  # type: ignore[misc]
        visit.place.hang_up()
        await expect(visit.widget).to_have_attribute("connection", "reconnecting")
        await expect(visit.widget).to_have_attribute("connection", "online")
        await expect(visit.said("AI assistant")).to_have_count(1)
        await expect(visit.said("You")).to_have_count(1)
        await visit.says("Go on")
        assert (await said(visit))[-1] == "Go on"
    finally:
        store.log_id = before  # type: ignore[misc]


# --- pages and tabs --------------------------------------------------------------------------------


async def test_a_change_of_page_changes_nothing(visit: Visit) -> None:
    await visit.says("Hello")
    await visit.ai_says("Hi")
    await expect(visit.said("AI assistant")).to_be_visible()
    await visit.box.fill("Half a thou")
    await visit.page.goto(f"{visit.origin}/other")
    await expect(visit.box).to_have_value("Half a thou")
    assert await visit.page.evaluate("document.activeElement.tagName") == "BODY"
    await expect(visit.said("You")).to_contain_text("Hello")
    await expect(visit.said("AI assistant")).to_contain_text("Hi")
    assert await visit.attribute("unread") in (None, "0")
    await visit.button("Minimise chat").click()
    await visit.page.goto(visit.origin)
    await expect(visit.button("Open chat")).to_be_visible()


async def test_tabs_share_the_conversation(visit: Visit) -> None:
    other = await visit.page.context.new_page()
    await other.goto(visit.origin)
    tab = beside(visit, other)
    await expect(tab.button("Open chat")).to_be_visible()
    await visit.says("Hello")
    await expect(tab.page.get_by_role("dialog")).to_be_visible()
    assert await tab.page.evaluate("document.activeElement.tagName") == "BODY"  # nobody asked for it there
    await expect(tab.said("You")).to_contain_text("Hello")
    await tab.says("From the other tab")
    await expect(visit.said("You").last).to_contain_text("From the other tab")
    await expect(visit.said("You")).to_have_count(2)
    await tab.button("Minimise chat").click()
    await expect(visit.page.get_by_role("dialog")).to_be_hidden()
    await visit.ai_says("Anyone?")
    for one in (visit, tab):
        await expect(one.button("Open chat, 1 unread message")).to_be_visible()
    await tab.button("Open chat, 1 unread message").click()
    await expect(visit.button("Close chat")).to_be_visible()
    for one in (visit, tab):
        await expect(one.widget).to_have_attribute("unread", "0")
    await tab.page.evaluate("joinline.reset()")
    await expect(visit.said("You")).to_have_count(0)
    await tab.says("Anew")
    await expect(visit.said("You")).to_contain_text("Anew")
    assert await said(visit) == ["Anew"]


async def test_unread_messages_are_counted_on_the_launcher(visit: Visit) -> None:
    await visit.says("Hello")
    await visit.page.keyboard.press("Escape")
    await visit.ai_says("One")
    await expect(visit.button("Open chat, 1 unread message")).to_be_visible()
    await visit.ai_says("Two")
    await expect(visit.button("Open chat, 2 unread messages")).to_be_visible()
    await visit.screen.axe("unread")
    await visit.page.reload()
    await expect(visit.button("Open chat, 2 unread messages")).to_be_visible()
    await visit.button("Open chat, 2 unread messages").click()
    await expect(visit.widget).to_have_attribute("unread", "0")
    await visit.page.reload()
    await expect(visit.said("AI assistant")).to_have_count(2)
    await expect(visit.button("Close chat")).to_be_visible()


async def test_storage_that_is_blocked_costs_memory_and_nothing_else(here: Place) -> None:
    async with here.visit(launch=False) as visit:
        await visit.page.add_init_script(
            "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
        )
        await visit.page.reload()
        await visit.open()
        await visit.box.fill("Hello")
        await visit.box.press("Enter")
        await expect(visit.said("You")).to_have_attribute("data-state", "sent")
        assert visit.screen.complaints == []


# --- what the page may ask --------------------------------------------------------------------------


async def test_the_page_steers_and_hears(here: Place) -> None:
    async with here.visit(launch=False) as visit:
        page = visit.page
        await expect(visit.button("Open chat")).to_be_visible()
        await page.evaluate(
            """() => { window.heard = [];
              for (const name of ['open', 'close', 'message', 'unread', 'controller', 'connection', 'ended', 'error'])
                document.addEventListener(`joinline:${name}`, e => heard.push([name, e.detail, e.composed]));
              joinline.on('message', detail => heard.push(['on', detail, true])); }"""
        )
        await page.evaluate(
            "joinline.prefill('Half'), joinline.identify({id: 'u1', name: 'Maria', email: 'm@example.org'})"
        )
        await page.evaluate("joinline.open()")
        await expect(visit.box).to_have_value("Half")
        await page.evaluate("joinline.sendMessage('Hello from the page')")
        await expect(visit.said("You")).to_have_attribute("data-state", "sent")
        visitor = (await visit.bridge.state(await visit.cid())).visitor
        assert (visitor.user, visitor.name, visitor.email, visitor.verified) == (
            "u1",
            "Maria",
            "m@example.org",
            False,
        )
        await visit.ai_says("Hi")
        await expect(visit.said("AI assistant")).to_be_visible()
        await visit.takes_over(DANA)
        await expect(visit.answering).to_contain_text("Dana")
        await page.evaluate("joinline.close()")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await page.evaluate("joinline.toggle()")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.evaluate("joinline.setLocale('he')")
        await expect(visit.widget).to_have_attribute("dir", "rtl")
        await page.evaluate("joinline.end()")
        await expect(visit.button("Start a new conversation")).to_be_visible()
        await page.evaluate("joinline.hide()")
        await expect(visit.button("Open chat")).to_be_hidden()
        await page.evaluate("joinline.show()")
        await expect(visit.button("Open chat")).to_be_visible()
        heard = await page.evaluate("heard")
        assert all(composed for _, _, composed in heard)
        names = [name for name, _, _ in heard]
        assert {"open", "close", "message", "controller", "connection", "ended"} <= set(names)
        messages = [detail for name, detail, _ in heard if name == "message"]
        assert [(m["by"], m["text"]) for m in messages] == [
            ("visitor", "Hello from the page"),
            ("assistant", "Hi"),
        ]
        assert names.count("on") == 2
        controllers = [detail["controller"] for name, detail, _ in heard if name == "controller"]
        assert controllers == ["human", "none"]


async def test_the_page_s_own_server_vouches_for_the_visitor(here: Place) -> None:
    proof = hmac.new(IDENTITY.encode(), b"42", hashlib.sha256).hexdigest()
    for hashed, verified in ((proof, True), ("0" * 64, False)):
        async with here.visit() as visit:
            visit.screen.expected += ["403", "does not belong to this id"]
            told: list[str] = []
            visit.page.on("console", lambda message, told=told: told.append(message.text))
            await visit.page.evaluate("hash => joinline.identify({id: '42', name: 'Maria'}, {hash})", hashed)
            assert await visit.page.evaluate("localStorage.length") == 0
            async with visit.page.expect_response("**/sites/acme/vouch") as answered:
                await visit.says("Hello")
            assert (await answered.value).status == (204 if verified else 403)
            visitor = (await visit.bridge.state(await visit.cid())).visitor
            name = "" if verified else "Maria"  # the proof is of the id alone
            assert (visitor.user, visitor.name, visitor.verified) == ("42", name, verified)
            assert visit.screen.complaints == []


async def test_an_origin_that_is_not_named_gets_nothing(here: Place) -> None:
    with website(here.url) as foreign:
        async with screen(here.browser) as seen:
            told: list[str] = []
            seen.page.on("console", lambda message: told.append(message.text))
            await seen.page.goto(foreign)
            await eventually(lambda: any("sites.acme.origins" in text for text in told))
            assert await seen.page.locator("joinline-chat").count() == 0
            assert any(foreign in text for text in told)
            assert await seen.page.evaluate("typeof window.joinline") == "undefined"


async def test_the_attributes_of_the_script(here: Place) -> None:
    attributes = (
        'data-position="start" data-color-scheme="dark" data-accent="#ffee00" data-launcher="tab" '
        'data-title="Ask Acme" data-privacy-url="https://www.acme.example/privacy" data-locale="ar" data-load="eager"'
    )
    async with here.visit(attributes=attributes, launch=False) as visit:
        box = await visit.button("Open chat").bounding_box()
        assert box is not None
        assert box["x"] > 640  # start, where reading begins on the right
        await visit.open()
        await expect(visit.page.get_by_role("dialog", name="Ask Acme")).to_be_visible()
        privacy = visit.page.get_by_role("link", name="Privacy")
        await expect(privacy).to_have_attribute("href", "https://www.acme.example/privacy")
        await visit.screen.axe("attributes")
        assert visit.screen.complaints == []
    async with here.visit(attributes='data-accent="#ffee00"') as visit:
        assert any("#ffee00" in text for text in visit.screen.complaints)
        await visit.says("Hello")
        await visit.screen.axe("a mended accent")
        seen = await visit.said("You").locator(".bubble").evaluate("e => getComputedStyle(e).backgroundColor")
        assert seen != "rgb(255, 238, 0)"
    async with here.visit(attributes='data-launcher="none"', launch=False) as visit:
        await eventually(lambda: visit.page.evaluate("'joinline' in window"))
        await expect(visit.button("Open chat")).to_be_hidden()
        await visit.page.evaluate("joinline.open()")
        await expect(visit.box).to_be_visible()


async def test_the_greeting_comes_once_a_visit_and_can_be_dismissed(here: Place) -> None:
    async with here.visit(attributes='data-greeting="Questions? <b>Ask</b>"', launch=False) as visit:
        greeting = visit.button("Questions? <b>Ask</b>")
        await expect(greeting).to_be_visible()
        await visit.screen.axe("greeting")
        await visit.button("Dismiss").click()
        await expect(greeting).to_be_hidden()
        await visit.page.get_by_role("link", name="Another page").click()
        await visit.page.wait_for_url("**/other")
        await expect(visit.button("Open chat")).to_be_visible()
        await expect(greeting).to_be_hidden()
        assert await visit.page.evaluate("localStorage.length + sessionStorage.length") == 0


async def test_a_panel_that_cannot_be_loaded_says_so_and_tries_again(here: Place) -> None:
    async with here.visit(launch=False) as visit:
        await visit.page.route("**/widget/chat.js", lambda route: route.abort())
        visit.screen.expected += ["ERR_FAILED", "Failed to fetch dynamically imported module"]
        await visit.button("Open chat").click()
        await expect(visit.widget.get_by_role("alert")).to_have_text("Chat couldn't load.")
        await visit.screen.axe("could not load")


async def test_little_is_loaded_and_nothing_before_a_click_that_is_not_needed(here: Place) -> None:
    async with here.visit(launch=False, attributes='data-accent="#2f5d46"') as visit:
        asked: dict[str, None] = {}

        def note(request: Request) -> None:
            if request.url.startswith(here.url):
                asked[request.url] = None

        visit.page.on("request", note)
        await visit.page.goto(f"{visit.origin}/other")
        await expect(visit.button("Open chat")).to_be_visible()

        async def loaded() -> int:
            """Bytes of the bodies as they travel."""
            await visit.page.wait_for_load_state("networkidle")
            return sum([await asyncio.to_thread(weigh, url, visit.origin) for url in asked])

        before = await loaded()
        assert 0 < before <= 5 * KB, list(asked)
        await visit.open()
        await visit.says("Hello")
        await visit.propose(ev.System(), ev.Closed())
        await expect(visit.button("Start a new conversation")).to_be_visible()
        after = await loaded()
        assert before < after <= 35 * KB, list(asked)


def weigh(url: str, origin: str) -> int:
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip", "Origin": origin})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return len(answer.read())
