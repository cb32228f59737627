"""The widget in Chromium, on a page of another origin under the strictest policy: what the visitor sees and does."""

from collections.abc import AsyncIterator
import re

from playwright.async_api import expect
import pytest
import pytest_asyncio

from bridge import events as ev
from bridge import pulse
from bridge.conversation import MAX_TEXT
from tests.browsers import PHONE, text_of
from tests.eventually import eventually
from tests.visiting import AI, DANA, SAM, Place, Visit, place

pytestmark = pytest.mark.asyncio(loop_scope="module")

SYSTEM = ev.System()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Place]:
    async with place() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def visit(here: Place) -> AsyncIterator[Visit]:
    async with here.visit() as begun:
        yield begun
        assert begun.screen.complaints == []


# --- the first message --------------------------------------------------------------------------


async def test_nothing_is_kept_or_connected_before_the_first_message(here: Place) -> None:
    async with here.visit(launch=False) as visit:
        sockets: list[str] = []
        visit.page.on("websocket", lambda socket: sockets.append(socket.url))
        await visit.open()
        await visit.box.fill("Do you")
        await visit.button("Minimise chat").click()
        await visit.page.reload()
        await visit.open()
        stored = "localStorage.length + sessionStorage.length + document.cookie.length"
        assert await visit.page.evaluate(stored) == 0
        assert await visit.page.context.cookies() == []
        assert sockets == []
        await visit.says("Do you ship to Norway?")
        assert list(await visit.page.evaluate("Object.keys(localStorage)")) == ["joinline:acme"]
        assert len(sockets) == 1


async def test_the_own_words_stand_there_at_once_and_once(visit: Visit) -> None:
    await visit.says("First")  # the connection is there, and the code is warm
    await visit.page.evaluate(
        """() => {
          const root = document.querySelector('joinline-chat').shadowRoot;
          const log = root.querySelector('[role=log]');
          const input = root.querySelector('textarea');
          window.additions = 0;
          new MutationObserver(all => { for (const one of all) window.additions += one.addedNodes.length; })
            .observe(log, {childList: true});
          root.querySelector('form.composer').addEventListener('submit', () => {
            const begin = performance.now();
            queueMicrotask(() => { window.shown = [log.lastElementChild.textContent, performance.now() - begin]; });
          }, {capture: true});
        }"""
    )
    await visit.says("Do you ship to Norway?")
    text, milliseconds = await visit.page.evaluate("window.shown")
    assert "Do you ship to Norway?" in text
    assert milliseconds <= 50
    await expect(visit.said("You")).to_have_count(2)
    assert await visit.page.evaluate("window.additions") == 1
    said = [e for e in await visit.events() if isinstance(e, ev.Said)]
    assert [e.text for e in said] == ["First", "Do you ship to Norway?"]


async def test_the_team_learns_of_the_page_only_what_the_site_allows(here: Place) -> None:
    async with here.visit(attributes='data-context="url"', launch=False) as visit:
        await visit.page.goto(f"{visit.origin}/tents?token=secret&utm_source=mail#part")
        await visit.page.evaluate("document.title = 'Private title'")
        await visit.open()
        await visit.page.evaluate("joinline.setContext({cart: '2 items', total: 12})")
        await visit.says("Hello")
        opened = (await visit.events())[0]
        assert isinstance(opened, ev.Opened)
        assert (opened.site, opened.page, opened.title) == ("acme", f"{visit.origin}/tents", "")
        assert opened.context == {"cart": "2 items", "total": "12"}
        assert opened.locale == "en"


# --- the assistant --------------------------------------------------------------------------------


async def test_a_draft_streams_outside_the_log_and_becomes_one_message(visit: Visit) -> None:
    await visit.says("Do you ship to Norway?")
    await expect(visit.status).to_have_text("AI assistant is writing.")
    await expect(visit.widget).to_have_attribute("activity", "ai-thinking")
    await visit.page.evaluate(
        """() => {
          const log = document.querySelector('joinline-chat').shadowRoot.querySelector('[role=log]');
          window.additions = window.shift = 0;
          new MutationObserver(all => { window.additions += all.length; }).observe(log, {childList: true, subtree: true});
          new PerformanceObserver(list => { for (const e of list.getEntries()) if (!e.hadRecentInput) window.shift += e.value; })
            .observe({type: 'layout-shift', buffered: false});
        }"""
    )
    draft = await visit.draft()
    for _ in range(20):
        draft.add("word 🙂 " * 30)
        await visit.page.wait_for_timeout(20)
    streaming = visit.widget.locator(".draft")
    await expect(streaming).to_contain_text("word")
    await expect(streaming).to_have_attribute("aria-hidden", "true")
    await expect(visit.log).not_to_contain_text("word")
    await expect(visit.widget).to_have_attribute("activity", "ai-streaming")
    await expect(visit.button("Stop answer")).to_be_visible()
    await draft.finish()
    await expect(visit.said("AI assistant")).to_have_count(1)
    await expect(visit.said("AI assistant")).to_contain_text("word 🙂 word")
    await expect(streaming).to_be_empty()
    await expect(visit.button("Stop answer")).to_be_hidden()
    await expect(visit.widget).to_have_attribute("activity", "")
    assert await visit.page.evaluate("window.additions") == 1
    assert await visit.page.evaluate("window.shift") == 0


async def test_an_answer_is_stopped(visit: Visit) -> None:
    await visit.says("Tell me everything")
    draft = await visit.draft()
    draft.add("It began long ago")
    wanted: list[pulse.Signal] = []
    with visit.bridge.pulse.listen(await visit.cid(), wanted.append):
        await visit.button("Stop answer").click()
        await eventually(lambda: any(isinstance(s, pulse.StopWanted) for s in wanted))
    await visit.ai_says("It began long ago")
    draft.end("stopped")
    await expect(visit.said("AI assistant")).to_contain_text("It began long ago")
    await expect(visit.button("Stop answer")).to_be_hidden()
    await expect(visit.widget).not_to_contain_text("(interrupted)")


async def test_a_takeover_withdraws_the_draft(visit: Visit) -> None:
    await visit.says("Can I have a discount?")
    draft = await visit.draft()
    draft.add("Certainly, 90 percent off")
    await expect(visit.widget.locator(".draft")).to_contain_text("90 percent")
    await visit.takes_over(DANA)
    await expect(visit.status).to_have_text("Dana joined the conversation.")
    await expect(visit.answering).to_have_text("DDana (team)")
    await expect(visit.widget).to_have_attribute("controller", "human")
    await expect(visit.widget).to_contain_text("(interrupted)")
    await visit.page.evaluate(
        """() => {
          const place = document.querySelector('joinline-chat').shadowRoot.querySelector('.draft');
          window.seen = '';
          new MutationObserver(() => { window.seen += place.textContent; }).observe(place, {childList: true, subtree: true});
        }"""
    )
    draft.add(" and more of it")  # what still comes is from before
    stray = await visit.draft()
    stray.add_as_if_before("A whole new promise")
    await visit.propose(DANA, ev.Said(text="I am sorry, no."))
    await expect(visit.said("Dana")).to_contain_text("I am sorry, no.")
    await expect(visit.widget).not_to_contain_text("90 percent")
    await expect(visit.widget).not_to_contain_text("more of it")
    assert await visit.page.evaluate("window.seen") == ""
    await expect(visit.button("Talk to a person")).to_be_hidden()
    await visit.propose(DANA, ev.HandedBack())
    await expect(visit.status).to_have_text("Dana left. The AI assistant is answering again.")
    await expect(visit.answering).to_have_text("AI assistant")
    again = await visit.draft() if (await visit.bridge.state(await visit.cid())).owed else None
    assert again is None  # Dana has answered


async def test_a_failed_answer_offers_to_try_again(visit: Visit) -> None:
    await visit.says("Why?")
    draft = await visit.draft()
    draft.add("Beca")
    draft.end("failed")
    await expect(visit.alert).to_have_text("The AI assistant couldn't answer.")
    await expect(visit.widget).not_to_contain_text("Beca")
    await visit.screen.axe("failed answer")
    await visit.button("Try again").click()
    await expect(visit.said("You")).to_have_count(2)
    await expect(visit.alert).to_be_empty()
    await visit.ai_says("Because.")
    await expect(visit.said("AI assistant")).to_contain_text("Because.")


async def test_a_rerun_begins_anew(visit: Visit) -> None:
    await visit.says("One")
    draft = await visit.draft()
    draft.add("The first try")
    await expect(visit.widget.locator(".draft")).to_contain_text("The first try")
    draft.end("rerun")
    await expect(visit.widget.locator(".draft")).to_be_empty()
    again = await visit.draft()
    again.add("The second try")
    await expect(visit.widget.locator(".draft")).to_contain_text("The second try")
    await again.finish()
    await expect(visit.said("AI assistant")).to_have_count(1)


# --- a person -------------------------------------------------------------------------------------


async def test_asking_for_a_person_when_nobody_comes(visit: Visit) -> None:
    await visit.says("Hello")
    await expect(visit.status).to_have_text("AI assistant is writing.")  # what is said after it stays
    await visit.button("Talk to a person").click()
    await expect(visit.status).to_have_text("We've asked the team to join. You can keep writing.")
    await expect(visit.answering).to_have_text("Waiting for a person")
    await expect(visit.widget).to_have_attribute("controller", "waiting")
    await expect(visit.button("Talk to a person")).to_be_hidden()
    await visit.propose(SYSTEM, ev.HelpWanted(step=1))
    looking = "Still looking for someone. Keep chatting with the AI assistant, or leave your email."
    await expect(visit.status).to_have_text(looking)
    await expect(visit.widget.locator(".card")).to_contain_text(looking)
    await visit.screen.axe("nudge")
    await visit.propose(SYSTEM, ev.HelpWanted(step=2, last=True))
    await expect(visit.status).to_have_text(
        "Nobody is available right now. Leave your email and we'll reply."
    )
    form = visit.page.get_by_role("form", name="Leave your email")
    await form.get_by_role("textbox", name="Email").fill("not an address")
    await form.get_by_role("button", name="Send email address").click()
    await expect(visit.alert).to_have_text("Enter an email address like name@example.com.")
    await visit.screen.axe("wrong email")
    await form.get_by_role("textbox", name="Email").fill("maria@example.org")
    await form.get_by_role("textbox", name="Email").press("Enter")
    await expect(visit.widget.locator(".card")).to_contain_text("We'll reply to maria@example.org.")
    await expect(visit.alert).to_be_empty()

    async def identified() -> bool:
        return (await visit.bridge.state(await visit.cid())).visitor.email == "maria@example.org"

    await eventually(identified)
    await visit.page.reload()
    await expect(visit.widget.locator(".card")).to_contain_text("We'll reply to maria@example.org.")
    await visit.takes_over(DANA)
    await expect(visit.widget.locator(".card")).to_be_hidden()


async def test_a_person_is_asked_for_before_anything_is_said(visit: Visit) -> None:
    await visit.button("Talk to a person").click()
    await expect(visit.answering).to_have_text("Waiting for a person")
    assert [type(e) for e in await visit.events()] == [ev.Opened, ev.HelpWanted]


async def test_typing_is_seen_not_announced_and_ends(visit: Visit) -> None:
    await visit.page.clock.install()
    await visit.says("Hello")
    await visit.takes_over(DANA)
    await expect(visit.status).to_have_text("Dana joined the conversation.")
    cid = await visit.cid()
    visit.bridge.pulse.publish(cid, pulse.Typing(by=DANA, on=True, public=True))
    await expect(visit.widget.get_by_text("Dana is typing…")).to_be_visible()
    await expect(visit.widget).to_have_attribute("activity", "human-typing")
    await expect(visit.status).to_have_text("Dana joined the conversation.")
    await visit.page.clock.fast_forward(6_100)
    await expect(visit.widget.get_by_text("Dana is typing…")).to_be_hidden()
    visit.bridge.pulse.publish(cid, pulse.Typing(by=DANA, on=True, public=True))
    await expect(visit.widget.get_by_text("Dana is typing…")).to_be_visible()
    await visit.propose(DANA, ev.Said(text="Hi"))
    await expect(visit.widget.get_by_text("Dana is typing…")).to_be_hidden()


async def test_the_team_sees_the_visitor_typing(visit: Visit) -> None:
    await visit.says("Hello")
    heard: list[bool] = []

    def listen(signal: pulse.Signal) -> None:
        if isinstance(signal, pulse.Typing) and isinstance(signal.by, ev.Visitor):
            heard.append(signal.on)

    with visit.bridge.pulse.listen(await visit.cid(), listen):
        await visit.box.press_sequentially("And")
        await eventually(lambda: heard == [True])
        await visit.box.fill("")
        await eventually(lambda: heard == [True, False])


async def test_the_team_edits_and_takes_back(visit: Visit) -> None:
    await visit.says("Hello")
    await visit.takes_over(SAM)
    first = await visit.propose(SAM, ev.Said(text="Is costs 12 euro"))
    second = await visit.propose(SAM, ev.Said(text="Wrong window"))
    await visit.propose(SAM, ev.Edited(target=first, text="It costs 12 euro"))
    await visit.propose(SAM, ev.Retracted(target=second))
    await expect(visit.said("Sam").first).to_contain_text("It costs 12 euro")
    await expect(visit.said("Sam").last).to_contain_text("Message removed")
    await visit.page.reload()
    await expect(visit.said("Sam").first).to_contain_text("It costs 12 euro")
    await expect(visit.widget).not_to_contain_text("Wrong window")


async def test_notes_and_guidance_leave_no_trace(visit: Visit) -> None:
    await visit.says("Hello")
    await visit.propose(DANA, ev.Joined())
    await visit.propose(DANA, ev.Noted(text="Angry customer"))
    await visit.propose(DANA, ev.Guided(text="Offer a voucher"))
    await visit.ai_says("How can I help?")
    await expect(visit.said("AI assistant")).to_contain_text("How can I help?")
    await expect(visit.widget).not_to_contain_text("Dana")
    await expect(visit.widget).not_to_contain_text("Angry")
    await expect(visit.widget).not_to_contain_text("voucher")


# --- the end --------------------------------------------------------------------------------------


async def test_the_end_a_verdict_and_a_new_beginning(visit: Visit) -> None:
    await visit.says("Hello")
    first = await visit.cid()
    await visit.button("Conversation options").click()
    await visit.page.get_by_role("menuitem", name="End conversation").click()
    await expect(visit.status).to_have_text("Conversation ended.")
    await expect(visit.widget).to_have_attribute("controller", "none")
    await expect(visit.box).to_be_hidden()
    await visit.screen.axe("ended")
    rating = visit.page.get_by_role("radiogroup", name="Rate this conversation")
    for name in ("Good", "OK", "Bad"):
        await expect(rating.get_by_role("radio", name=name, exact=True)).to_have_count(1)
    await rating.get_by_role("radio", name="Good").focus()
    await visit.page.keyboard.press("ArrowRight")
    await visit.page.get_by_role("textbox", name="Comment (optional)").fill("Fine")
    await visit.button("Send rating").click()
    await expect(visit.widget).to_contain_text("Thank you for your rating.")

    async def rated() -> object:
        return (await visit.bridge.state(first)).rated

    assert await eventually(rated) == ev.Rated(score="ok", comment="Fine")
    await visit.page.reload()
    await expect(visit.widget).to_contain_text("Thank you for your rating.")
    await visit.button("Start a new conversation").click()
    await expect(visit.said("You")).to_have_count(0)
    await visit.says("Something else")
    assert await visit.cid() != first
    assert len(await visit.events()) == 2


async def test_a_message_to_a_closed_conversation_stays_and_says_why(visit: Visit) -> None:
    await visit.says("Hello")
    await visit.page.context.set_offline(True)
    await visit.box.fill("One more thing")
    await visit.box.press("Enter")
    await visit.propose(SYSTEM, ev.Closed())
    await visit.page.context.set_offline(False)
    await expect(visit.alert).to_have_text("This conversation was closed.")
    await expect(visit.said("You").last).to_have_attribute("data-state", "failed")
    await expect(visit.button("Start a new conversation")).to_be_visible()


async def test_the_transcript_holds_what_was_said(visit: Visit) -> None:
    await visit.says("Do you ship to Norway?")
    await visit.ai_says("We **do**.")
    await expect(visit.said("AI assistant")).to_be_visible()
    await visit.button("Conversation options").click()
    async with visit.page.expect_download() as download:
        await visit.page.get_by_role("menuitem", name="Download transcript").click()
    text = await text_of(await download.value)
    assert re.search(
        r"\[\d\d:\d\d\] You: Do you ship to Norway\?\n\[\d\d:\d\d\] AI assistant: We \*\*do\*\*\.", text
    )


# --- limits ---------------------------------------------------------------------------------------


async def test_a_message_that_is_too_long_is_kept_and_explained(visit: Visit) -> None:
    await visit.box.fill("😀" * (MAX_TEXT + 120))
    await visit.box.press("Enter")
    await expect(visit.alert).to_have_text("Message is too long (4,120 of 4,000 characters).")
    await visit.screen.axe("too long")
    await expect(visit.said("You")).to_have_count(0)
    await visit.box.fill("😀" * MAX_TEXT)
    await expect(visit.alert).to_be_empty()
    await visit.box.press("Enter")
    await expect(visit.said("You")).to_have_attribute("data-state", "sent")


async def test_too_many_messages_wait_for_their_time(visit: Visit) -> None:
    await visit.page.evaluate("for (let i = 1; i <= 24; i++) joinline.sendMessage(`Number ${i}`)")
    too_fast = re.compile(r"^You're sending messages too quickly\. Try again in \d+ seconds?\.$")
    await expect(visit.alert).to_have_text(too_fast)
    failed = visit.log.locator("[data-state=failed]")
    delivered = visit.log.locator("[data-state=sent]")
    await eventually(lambda: _all_settled(visit))
    refused = await failed.count()
    assert 0 < refused <= 4
    await expect(delivered).to_have_count(24 - refused)
    await visit.screen.axe("too fast")
    for left in range(refused, 0, -1):
        await expect(failed).to_have_count(left)
        await failed.first.get_by_role("button", name="Delete unsent message").click()
    await expect(visit.said("You")).to_have_count(24 - refused)
    said = [e.text for e in await visit.events() if isinstance(e, ev.Said)]
    assert said == [f"Number {i}" for i in range(1, 25 - refused)]


async def _all_settled(visit: Visit) -> bool:
    return await visit.log.locator("article:not([data-state=failed], [data-state=sent])").count() == 0


async def test_a_flood_of_answers_leaves_the_reader_alone(visit: Visit) -> None:
    await visit.says("Hello")
    await visit.ai_says("Once upon a time. " * 200)
    await expect(visit.said("AI assistant")).to_have_count(1)
    scroller = visit.widget.locator(".scroller")
    await scroller.evaluate("e => { e.scrollTop = 40; }")
    await expect(visit.button("Jump to latest")).to_be_visible()
    for number in range(3):
        await visit.ai_says(f"And then {number}")
    await expect(visit.button("Jump to latest, 3 new messages")).to_be_visible()
    await visit.screen.axe("new below")
    assert await scroller.evaluate("e => e.scrollTop") == 40
    await visit.button("Jump to latest, 3 new messages").click()
    await expect(visit.button("Jump to latest")).to_be_hidden()
    await visit.ai_says("The end")
    await expect(visit.said("AI assistant").last).to_be_in_viewport()


async def test_hostile_words_are_shown_as_words(visit: Visit) -> None:
    hostile = "<img src=x onerror=alert(1)> {{7*7}} ${7*7} <script>alert(1)</script> \u202egnp.exe"
    answer = (
        f"{hostile}\n\n[Click](javascript:alert(1)) [b](data:text/html,x) ![p](https://pictures.test/p.png)\n\n"
        "[https://bank.test](https://evil.test/) https://good.test@evil.test/ [help@bank.test](mailto:me@evil.test)\n\n"
        "[tel](tel:+4712345678) [x](https://xn--80ak6aa92e.test/) `<b>` **bold *both*** _it_ snake_case_name"
    )
    await visit.says(hostile)
    await visit.ai_says(answer)
    told = visit.said("AI assistant")
    await expect(told).to_contain_text("<script>alert(1)</script>")
    await expect(visit.said("You")).to_contain_text("<img src=x onerror=alert(1)>")
    assert await visit.widget.locator("img, script, iframe, style, [style*=url]").count() == 0
    links = await told.locator("a").evaluate_all("all => all.map(a => [a.textContent, a.href, a.rel])")
    assert [link[1] for link in links] == [
        "https://pictures.test/p.png", "https://evil.test/", "https://good.test@evil.test/",
        "mailto:me@evil.test", "tel:+4712345678", "https://xn--80ak6aa92e.test/",
    ]  # fmt: skip
    assert all("noopener" in link[2] for link in links)
    shown = await told.locator(".host").all_inner_texts()
    assert [s.strip() for s in shown] == [
        "(pictures.test)", "(evil.test)", "(evil.test)", "(me@evil.test)", "(+4712345678)", "(xn--80ak6aa92e.test)",
    ]  # fmt: skip
    assert await told.locator("strong").first.inner_text() == "bold both"
    await expect(told).to_contain_text("snake_case_name")
    await expect(told).to_contain_text("[Click](javascript:alert(1))")


# --- with and without help of hands and eyes -------------------------------------------------------


async def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit.page
    await page.evaluate("window.heard = []; addEventListener('keydown', e => heard.push(e.key))")
    await expect(visit.box).to_be_focused()
    await page.keyboard.type("One")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("two")
    assert await visit.box.input_value() == "One\ntwo"
    client = await page.context.new_cdp_session(page)
    await client.send("Input.imeSetComposition", {"text": "に", "selectionStart": 1, "selectionEnd": 1})
    await page.evaluate(
        """() => document.querySelector('joinline-chat').shadowRoot.querySelector('textarea').dispatchEvent(
          new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true, composed: true, cancelable: true}))"""
    )
    await expect(visit.said("You")).to_have_count(0)
    await client.send("Input.insertText", {"text": "日本"})
    await page.keyboard.press("Enter")
    await expect(visit.said("You")).to_contain_text("One\ntwo日本")
    assert await page.evaluate("heard") == []

    await visit.button("Conversation options").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("menuitem", name="Talk to a person")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    mute = page.get_by_role("menuitemcheckbox", name="Mute sounds")
    await expect(mute).to_be_focused()
    await page.keyboard.press("Enter")
    assert (await visit.kept())["muted"] is True
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("End")
    await expect(page.get_by_role("menuitem", name="End conversation")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("menu")).to_be_hidden()
    await expect(visit.button("Conversation options")).to_be_focused()
    await expect(page.get_by_role("dialog", name="Chat with Acme")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(visit.button("Open chat")).to_be_focused()
    await expect(visit.button("Open chat")).to_have_attribute("aria-expanded", "false")
    await page.keyboard.press("Enter")
    await expect(visit.button("Close chat")).to_have_attribute("aria-expanded", "true")
    await expect(visit.box).to_be_focused()


async def test_on_a_phone_the_panel_is_modal_and_fits(here: Place) -> None:
    async with here.visit(viewport=PHONE) as visit:
        panel = visit.page.get_by_role("dialog", name="Chat with Acme")
        assert await panel.evaluate("e => e.matches(':modal')")
        full = [0, 0, PHONE["width"], PHONE["height"]]

        async def fills_the_screen() -> bool:  # once it has come to rest
            return [round(side) for side in (await panel.bounding_box() or {}).values()] == full

        await eventually(fills_the_screen)
        await visit.box.focus()
        for _ in range(12):
            await visit.page.keyboard.press("Tab")
            assert await visit.page.evaluate("document.activeElement.tagName !== 'A'")
        size = await visit.box.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
        assert size >= 16
        await visit.says("Hello")
        await visit.screen.axe("phone")
        await visit.page.set_viewport_size({"width": 900, "height": 700})
        assert not await panel.evaluate("e => e.matches(':modal')")
        await expect(visit.said("You")).to_be_visible()


@pytest.mark.parametrize(
    ("lang", "window"),
    [
        ("en", {"dark": True}),
        ("ar", {"viewport": {"width": 320, "height": 568}}),
        ("en", {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2.0}),
        ("de", {"viewport": PHONE, "dark": True, "reduced_motion": "reduce"}),
    ],
)
async def test_no_state_has_a_barrier(here: Place, lang: str, window: dict[str, object]) -> None:
    long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3
    async with here.visit(lang=lang, launch=False, **window) as visit:
        await expect(visit.button("Open chat")).to_be_visible()
        await visit.screen.axe("launcher")
        await visit.open()
        await visit.screen.axe("empty")
        await visit.says(long)
        draft = await visit.draft()
        draft.add(
            f"# {long}\n\n- {long}\n\n```\n{long}\n```\n\n> quoted **words** and `code` [x](https://a.test)"
        )
        await expect(visit.button("Stop answer")).to_be_visible()
        await visit.screen.axe("streaming")
        await draft.finish()
        await expect(visit.said("AI assistant")).to_be_visible()
        await visit.screen.axe("answered")
        scroller = visit.widget.locator(".scroller")
        assert await scroller.evaluate("e => e.scrollWidth <= e.clientWidth")
        await visit.button("Talk to a person").click()
        await expect(visit.answering).to_have_text("Waiting for a person")
        await visit.propose(SYSTEM, ev.HelpWanted(step=1))
        await visit.propose(SYSTEM, ev.HelpWanted(step=2, last=True))
        await expect(visit.page.get_by_role("form", name="Leave your email")).to_be_visible()
        await visit.screen.axe("email card")
        await visit.takes_over(DANA)
        await visit.propose(DANA, ev.Said(text="Hello"))
        await expect(visit.said("Dana")).to_be_visible()
        await visit.screen.axe("human")
        await visit.button("Conversation options").click()
        await visit.screen.axe("menu")
        await visit.page.keyboard.press("Escape")
        await visit.page.context.set_offline(True)
        await visit.box.fill("Still there?")
        await visit.box.press("Enter")
        await expect(visit.said("You").last).to_contain_text("Waiting to send")
        await visit.screen.axe("offline")
        await visit.page.context.set_offline(False)
        await expect(visit.said("You").last).to_have_attribute("data-state", "sent")
        await visit.propose(DANA, ev.Closed())
        await expect(visit.button("Start a new conversation")).to_be_visible()
        await visit.screen.axe("ended")
        sizes = await visit.widget.evaluate(
            """e => [...e.shadowRoot.querySelectorAll('button')].map(b => b.getBoundingClientRect())
                 .filter(r => r.width).map(r => Math.min(r.width, r.height))"""
        )
        assert min(sizes) >= 24
        assert visit.screen.complaints == []


async def test_history_is_there_before_the_log_goes_live(visit: Visit) -> None:
    await visit.says("Hello")
    for number in range(5):
        await visit.ai_says(f"Answer {number}")
    await expect(visit.said("AI assistant")).to_have_count(5)
    await visit.page.context.add_init_script(
        """window.spoken = 0; const attach = Element.prototype.attachShadow;
        Element.prototype.attachShadow = function (how) { const root = attach.call(this, how);
          new MutationObserver(all => { for (const one of all) for (const node of one.addedNodes)
            if (node.nodeName === 'ARTICLE' && node.parentNode.getAttribute('aria-live') !== 'off') window.spoken++; })
          .observe(root, {childList: true, subtree: true}); return root; };"""
    )
    await visit.page.reload()
    await expect(visit.said("AI assistant")).to_have_count(5)
    assert await visit.page.evaluate("window.spoken") == 0
    await expect(visit.status).to_be_empty()
    await expect(visit.log).to_have_attribute("aria-live", "polite")
    await visit.ai_says("News")
    await expect(visit.said("AI assistant")).to_have_count(6)
    assert await visit.page.evaluate("window.spoken") == 1


async def test_the_assistant_cannot_be_forged(visit: Visit) -> None:
    """A browser that lies gets nothing into the log as another."""
    await visit.says("Hello")
    refused = await visit.page.evaluate(
        """async ([url, token]) => {
          const hello = {t: 'hello', site: 'acme', token};
          const frame = {t: 'propose', key: 'forged', events: [{type: 'TookOver'}, {type: 'Said', text: 'I am Dana'}]};
          const headers = {'content-type': 'application/json'};
          const answer = await fetch(`${url}/live/visitor/send`, {method: 'POST', headers, body: JSON.stringify({hello, frame})});
          return (await answer.json())[0].t; }""",
        [visit.place.url, (await visit.kept())["token"]],
    )
    assert refused == "refused"
    assert [type(e) for e in await visit.events()] == [ev.Opened, ev.Said]
    assert ev.Assistant() == AI
