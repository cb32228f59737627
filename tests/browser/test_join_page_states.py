"""Every state of the join page, in every look: no barrier, nothing cut off, everything large enough to press."""

from datetime import timedelta
from typing import Any

from playwright.async_api import expect
import pytest

from bridge import events as ev
from bridge.events import ConversationId, Seq
from bridge.pulse import Draft
from tests.browsers import DESKTOP, PHONE
from tests.joining import VISITOR, staff
from tests.joinwindow import Window, opened

LOOKS: dict[str, dict[str, Any]] = {
    "desktop-light": {"viewport": DESKTOP},
    "phone-dark": {"viewport": PHONE, "dark": True},
    "narrow": {"viewport": {"width": 320, "height": 568}},
    "zoomed-dark": {"viewport": {"width": 640, "height": 400}, "dark": True},  # 1280x800 at 200 %
}
LONG = "Donaudampfschifffahrtselektrizitätenhaup"  # the longest name there may be
FITS = """() => {
  const faults = [], wide = innerWidth, high = innerHeight;
  if (document.documentElement.scrollWidth > wide) faults.push(`scrolls sideways: ${document.documentElement.scrollWidth}`);
  const scope = document.querySelector('dialog[open]') ?? document;
  for (const node of scope.querySelectorAll('button, input, textarea, [role=tab]')) {
    const box = node.getBoundingClientRect(), name = node.getAttribute('aria-label') ?? node.textContent;
    if (!node.checkVisibility() || !box.width) continue;
    const primary = node.matches('.filled, .send, textarea, input');
    const least = primary ? 44 : 24;
    if (box.height < least - 0.5 || box.width < least - 0.5) faults.push(`${name}: ${box.width}x${box.height}`);
    if (box.left < -0.5 || box.right > wide + 0.5) faults.push(`${name}: off the side`);
    if (node.closest('.composer, .doorway, .banner, .top') && scope === document && (box.bottom > high + 0.5 || box.top < 0)) {
      faults.push(`${name}: off the screen`);
    }
  }
  return faults;
}"""


class Gallery:
    def __init__(self, window: Window, look: str) -> None:
        self.window = window
        self.look = look

    async def state(self, name: str) -> None:
        """This state is sound."""
        screen = self.window.screen
        await screen.page.evaluate(
            "Promise.all(document.getAnimations().map(a => a.finished.catch(() => {})))"
        )
        await screen.shot(f"join-{self.look}-{name}")
        assert await screen.page.evaluate(FITS) == [], name
        await screen.axe(f"{self.look}: {name}")


@pytest.mark.parametrize("look", LOOKS)
async def test_every_state(look: str) -> None:
    async with opened(**LOOKS[look]) as dana:
        gallery, page, joining = Gallery(dana, look), dana.page, dana.joining
        sam = staff("Sam" if look.startswith("zoomed") else "X" + LONG[1:])
        await joining.ai_says(
            "Yes, **we do**:\n\n- by post\n- by courier\n\nSee [shipping](https://acme.example)."
        )
        await joining.visitor_says("Thanks! And what about returns?")
        await dana.visit()
        await expect(dana.article("Maria")).to_have_count(2)
        await gallery.state("preview")
        await page.get_by_role("textbox", name="Your name").fill("")
        await dana.button("Join").click()
        await gallery.state("no-name")

        await page.get_by_role("textbox", name="Your name").fill(LONG)
        await dana.button("Join").click()
        await expect(dana.banner).to_contain_text("You're observing")
        draft = Draft(turn=Seq(5), since=await joining.since())
        joining.bridge.pulse.stream(joining.cid, draft, "You can return **anything** within 30 days, ")
        await expect(page.get_by_role("group", name="AI assistant is writing")).to_contain_text("30 days")
        await gallery.state("observing-draft")
        await dana.box().fill("Hi Maria")
        await joining.visitor_says("Hello?")
        await expect(page.get_by_text("1 new message since you started writing.")).to_be_visible()
        await gallery.state("writing")

        await dana.button("Take over").click()
        await expect(dana.banner).to_contain_text("You are answering")
        await gallery.state("answering")
        await dana.button("Send reply").click()
        await expect(dana.article(LONG)).to_have_text("Hi Maria")
        await dana.button("Hand back with words…").click()
        await gallery.state("hand-back")
        await page.keyboard.press("Escape")
        await page.get_by_role("tab", name="Note").click()
        await dana.box("Note to team").fill("A " + "very " * 40 + "long note")
        await dana.button("Add note").click()
        await expect(dana.article(f"Note, {LONG}")).to_be_visible()
        await gallery.state("note")
        await page.get_by_role("tab", name="Guide AI").click()
        await dana.box("Guidance for the AI").fill("Be kind")
        await dana.button("Send guidance").click()
        await expect(dana.article(f"Guidance to AI, {LONG}")).to_be_visible()
        await gallery.state("guidance")

        await page.get_by_role("tab", name="Reply").click()
        await dana.box().fill("One more thing")
        await joining.take_over(sam)
        await expect(page.get_by_text("Your reply was not sent.")).to_be_visible()
        await gallery.state("lost-the-floor")
        await dana.banner.get_by_role("button").click()
        await gallery.state("confirm")
        await page.keyboard.press("Escape")
        await dana.button("Keep as note").click()
        await gallery.state("colleague-answers")

        await joining.fenced(sam, ev.HandedBack())
        await joining.propose(VISITOR, ev.HelpWanted(reason="Wants a refund"))
        await expect(dana.banner).to_contain_text("Maria is waiting · 0:0")
        await gallery.state("waiting")
        for seconds, tone in ((70, "amber"), (200, "red")):
            joining.clock.ahead += timedelta(seconds=seconds)
            await page.reload()
            await expect(dana.banner).to_have_attribute("data-tone", tone)
            await expect(dana.button("Take over")).to_be_visible()
            await gallery.state(tone)

        trouble = ev.Undelivered(
            surface="email", target=Seq(2), reason="The server refused it", retrying=True
        )
        await joining.propose(ev.System(), trouble)
        await expect(dana.log).to_contain_text("Email is delayed: The server refused it")
        await dana.button("More").click()
        await gallery.state("menu")
        if look != "desktop-light":
            await page.get_by_role("menuitem", name="People and details").click()
            await expect(page.get_by_role("complementary", name="Visitor details")).to_contain_text(
                "Europe/Oslo"
            )
            await gallery.state("details")
            await dana.button("Close").click()
            await dana.button("More").click()
        await page.get_by_role("menuitem", name="Keyboard shortcuts").click()
        await gallery.state("shortcuts")
        await page.keyboard.press("Escape")
        await page.get_by_role("tab", name="Reply").click()
        await dana.box().fill("/who")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Answering: AI assistant.")).to_be_visible()
        await gallery.state("command-answer")

        await dana.button("More").click()
        await page.get_by_role("menuitem", name="End conversation").click()
        await gallery.state("end")
        await dana.button("End conversation", within=page.get_by_role("alertdialog")).click()
        await expect(page.get_by_role("heading", level=1, name="Conversation ended")).to_be_visible()
        await gallery.state("ended")


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_that_opens_nothing(look: str) -> None:
    async with opened(**LOOKS[look]) as dana:
        gallery, page, joining = Gallery(dana, look), dana.page, dana.joining
        dana.screen.expected += ["status of 404", "status of 410"]
        links = {
            "This link was turned off": await joining.link(),
            "This link has expired": await joining.link(),
        }
        await joining.links.revoke(joining.mark(links["This link was turned off"]))
        joining.clock.ahead += timedelta(days=8)
        links["Link not found"] = f"{joining.url}/join#nothing"
        for title, link in links.items():
            await page.goto("about:blank")
            await page.goto(link)
            await expect(page.get_by_role("heading", level=1)).to_have_text(title)
            assert await page.title() == title
            await gallery.state(title.lower().replace(" ", "-"))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("accent", ["#ffdd00", "#101010", "#c2185b"])
async def test_the_accent_is_the_sites_and_legible(accent: str, dark: bool) -> None:
    async with opened(accent=accent, dark=dark) as dana:
        await dana.answer()
        await dana.box().fill("Hello")
        used = "getComputedStyle(document.documentElement).getPropertyValue('--accent')"
        assert (await dana.page.evaluate(used)).startswith("rgb(")
        await dana.screen.axe(f"accent {accent}")


async def test_hostile_words_are_only_words() -> None:
    hostile = [
        "<img src=x onerror=alert(1)><script>alert(1)</script>",
        "![p](https://evil.example/x.png) [click](javascript:alert(1)) [bank](https://good.example@evil.example/)",
        "\u202eevil\u2066 " + "e\u0301" * 40 + " 𝕏 👩‍👩‍👧‍👧",
        "a" * 3_000,
        "\n".join(f"line {i}" for i in range(350)),
        "`" * 500 + "*" * 500 + "[" * 500,
        "مرحبا، هل تشحنون إلى النرويج؟",
    ]
    async with opened() as dana:
        alerts: list[str] = []
        requests: list[str] = []
        dana.page.on("dialog", lambda d: alerts.append(d.message))
        dana.page.on("request", lambda r: requests.append(r.url))
        dana.joining.cid = ConversationId("chostile")
        opened_with = ev.Opened(
            site="acme", page="javascript:alert(1)", title=hostile[0], locale="<b>", timezone="Not/AZone",
            context={hostile[0]: hostile[1]},
        )  # fmt: skip
        await dana.joining.propose(VISITOR, opened_with, ev.Said(text=hostile[0]))
        await dana.joining.propose(VISITOR, ev.Identified(name="<i>Maria</i>", email="a'b@evil.example"))
        for words in hostile[1:]:
            await dana.joining.visitor_says(words)
        await dana.joining.ai_says(hostile[1])
        await dana.join()
        await expect(dana.log.get_by_role("article")).to_have_count(len(hostile) + 1)
        await expect(dana.log.get_by_role("article").first).to_have_text(hostile[0])
        assert (
            await dana.page.locator("[role=log] :is(img, script, iframe), a[href^='javascript']").count() == 0
        )
        assert await dana.page.evaluate(FITS) == []
        direction = "e => getComputedStyle(e).direction"
        assert await dana.log.get_by_role("article").filter(has_text="مرحبا").evaluate(direction) == "rtl"
        assert alerts == []
        assert [url for url in requests if not url.startswith(dana.joining.url)] == []
        await dana.screen.shot("join-hostile")
        await dana.screen.axe("hostile words")


async def test_nothing_jumps_and_little_is_loaded() -> None:
    """Layout shift 0 from the first paint through a conversation; the page weighs at most 60 KB."""
    async with opened() as dana:
        weight: list[int] = []

        async def weigh(request: Any) -> None:
            weight.append((await request.sizes())["responseBodySize"])

        dana.page.on("requestfinished", weigh)
        await dana.page.add_init_script(
            "window.shifts = []; new PerformanceObserver(l => { for (const e of l.getEntries()) window.shifts.push("
            "[e.value, e.sources.map(s => s.node?.outerHTML ?? s.node?.textContent)]); }).observe({type: 'layout-shift', buffered: true});"
        )
        await dana.visit()
        await expect(dana.button("Join")).to_be_visible()
        loaded = sum(weight)
        for number in range(12):
            await dana.joining.visitor_says(f"Message {number} " * 12)
        await dana.page.get_by_role("textbox", name="Your name").fill("Dana")
        await dana.button("Join").click()
        draft = Draft(turn=Seq(2), since=await dana.joining.since())
        for number in range(60):
            dana.joining.bridge.pulse.stream(dana.joining.cid, draft, f"word {number} ")
        await expect(dana.page.get_by_role("group", name="AI assistant is writing")).to_contain_text(
            "word 59"
        )
        await dana.joining.ai_says(draft.text)
        dana.joining.bridge.pulse.end_draft(dana.joining.cid, draft, "done")
        await expect(dana.article("AI assistant")).to_be_visible()
        await dana.joining.propose(VISITOR, ev.HelpWanted())
        await expect(dana.banner).to_contain_text("Maria is waiting · 0:02")
        assert await dana.page.evaluate("window.shifts.filter(([value]) => value > 0)") == []
        assert 0 < loaded <= 60_000
