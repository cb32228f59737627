"""A topic as a team sees it, drawn from what the server really sent. With JOINLINE_SHOTS it becomes a picture."""

from pathlib import Path
import time

from playwright.async_api import expect

from tests.browsers import chromium, screen
from tests.chatter import Chatter
from tests.fakes.model import FakeModel, asks_for_person, says
from tests.teamgroup import AI, HUMAN, NOTED, ORIGIN, SENT, team_group
from tests.topicpage import page_of

MORNING = 1_781_000_520.0  # 10:22


def opening(name: str, text: str, path: str) -> list[dict[str, str]]:
    return [
        {"type": "Opened", "site": "acme", "page": f"https://www.acme.example/{path}", "title": path.title()},
        {"type": "Identified", "name": name},
        {"type": "Said", "text": text},
    ]


async def test_a_topic_to_look_at(tmp_path: Path) -> None:
    model = FakeModel()
    async with model.serving():
        assistant = {"assistant": {"kind": "openai", "base_url": model.base_url, "model": "m"}}
        async with (
            team_group(tmp_path, config=assistant) as group,
            Chatter(f"{group.server.url}/live/visitor", origin=ORIGIN) as paul,
            Chatter(f"{group.server.url}/live/visitor", origin=ORIGIN) as ines,
            Chatter(f"{group.server.url}/live/visitor", origin=ORIGIN) as maria,
            chromium() as browser,
        ):
            began = time.time()
            group.telegram.now = lambda: MORNING + 60 * (time.time() - began)
            model.play(says("Yes: two sizes, both in stock."))
            await paul.propose(*opening("Paul", "Do you have packs for children?", "packs"))
            await group.begun()
            await group.reads("both in stock.")
            model.play(asks_for_person("a refund", text="I'll ask the team about that."))
            await ines.propose(*opening("Ines", "I want my money back", "returns"))
            await group.begun(2)
            await group.card("waits for a person", buttons=AI, title="person wanted")
            model.play(says("Yes, **we do**. It takes 3 to 5 days."))
            await maria.propose(*opening("Maria", "Do you ship to Norway?", "tents"))
            await group.begun(3)
            await group.card(buttons=AI, title="Maria")
            await group.reads("we do. It takes")
            model.play(says("I am not sure about Friday."))
            await maria.propose({"type": "Said", "text": "Would it be there by Friday?"})
            await group.reads("I am not sure")
            mine = await group.says("Friday works, I'll send it express.")
            await group.reaction(mine, NOTED)
            offer = await group.told(mine, "kept as a note")
            await group.presses("Take over and send", on=offer)
            await group.reads("Lee took over")
            await group.card("Answering: Lee", buttons=HUMAN, title="Lee answers")
            await group.reaction(mine, SENT)
            await maria.propose({"type": "Said", "text": "Lovely, thank you! 12 euro more?"})
            await group.reads("12 euro more?")
            await group.reaction(await group.says("No, that's on us."), SENT)
            await group.told(await group.says("Nice one!", by=group.kim), "kept as a note")
            await group.card("Answering: Lee", buttons=HUMAN)

            viewport = {"width": 1000, "height": 640}
            async with screen(browser, viewport=viewport, device_scale_factor=2) as window:
                await window.page.set_content(page_of(group.telegram, group.topic, reader=group.lee))
                await expect(window.page.locator("article")).to_have_count(len(group.standing))
                await expect(window.page.locator(".pinned")).to_contain_text("Answering: Lee")
                height = await window.page.evaluate("document.body.scrollHeight")
                await window.page.set_viewport_size({"width": 1000, "height": height})
                await window.shot("telegram-topic")
                assert window.complaints == []
