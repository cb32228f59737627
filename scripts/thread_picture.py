"""Draw docs/images/slack-thread.png: a conversation in a channel, as the messages that Slack was sent.

.venv/bin/python -m scripts.thread_picture
"""

import asyncio
from pathlib import Path
import struct
import tempfile
import zlib

from tests.browsers import chromium, screen
from tests.chatter import Chatter
from tests.eventually import eventually
from tests.fakes.model import FakeModel, asks_for_person, says
from tests.slackroom import SOON, Room, room
from tests.threadpage import page_of

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "slack-thread.png"
SHOP = "https://www.acme.example"
OPENED = {"type": "Opened", "site": "acme", "page": f"{SHOP}/tents/fjell-2", "title": "Fjell 2 tent"}


async def _converse(here: Room, maria: Chatter, model: FakeModel) -> None:
    model.play(
        says("Yes, **we do**. A parcel to Norway takes 3 to 5 days."),
        asks_for_person("needs the tent by Friday", text="I can't promise a day. I'll ask somebody who can."),
    )
    first = {"type": "Said", "text": "Do you ship to Norway?"}
    await maria.propose(OPENED, {"type": "Identified", "name": "Maria"}, first)
    await here.begun()
    await here.reads("AI assistant: Yes, *we do*. A parcel to Norway takes 3 to 5 days.")
    await maria.propose({"type": "Said", "text": "I need the Fjell 2 by Friday. Is that possible?"})
    await eventually(lambda: [m for m in here.thread if m.broadcast], within=SOON)
    sam = here.slack.add_user("sam", display_name="Sam")
    note = await here.says("Two left in Bergen.", user=sam)
    await here.reaction(note, "memo")
    await here.presses("take")
    await here.reads("Lee took over and is answering.")
    reply = await here.says("Hi Maria, Friday works. I'll send it today with the express parcel.")
    await here.reaction(reply, "white_check_mark")
    await maria.propose({"type": "Said", "text": "Wonderful, thank you!"})
    await here.reads("Maria · visitor: Wonderful, thank you!")
    await here.card("*Answering:* Lee", "*Waiting for a reply:*")


async def _draw(folder: Path) -> None:
    async with (
        FakeModel().serving() as model,
        room(
            folder,
            origin=SHOP,
            config={"assistant": {"kind": "openai", "base_url": model.base_url, "model": "m"}},
        ) as here,
        Chatter(f"{here.server.url}/live/visitor", origin=SHOP, token="m" * 43) as maria,
        chromium() as browser,
        screen(browser, viewport={"width": 720, "height": 500}, device_scale_factor=1.75) as window,
    ):
        await _converse(here, maria, model)
        await window.page.set_content(page_of(here.slack, here.root))
        IMAGE.parent.mkdir(exist_ok=True)
        IMAGE.write_bytes(_smaller(await window.page.locator("main").screenshot()))


def _smaller(png: bytes) -> bytes:
    """The same picture, packed as tightly as it can be: a browser packs in a hurry."""
    head, chunks, pixels, at = png[:8], [], b"", 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == b"IDAT":
            pixels += png[at + 8 : at + 8 + length]
        else:
            chunks.append(png[at : at + 12 + length])
        at += 12 + length
    packed = b"IDAT" + zlib.compress(zlib.decompress(pixels), 9)
    data = struct.pack(">I", len(packed) - 4) + packed + struct.pack(">I", zlib.crc32(packed))
    return head + b"".join([*chunks[:-1], data, chunks[-1]])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_draw(Path(folder)))


if __name__ == "__main__":
    main()
