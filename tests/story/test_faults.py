"""What a visitor and the team see when the model or the mail server is down; with the real server process."""

import asyncio
from pathlib import Path
import time

import pytest

from tests.chatter import Chatter
from tests.eventually import PATIENCE, eventually
from tests.fakes import model
from tests.fakes.model import FakeModel, Script
from tests.fakes.smtp import SmtpServer
from tests.running import Server, running

ORIGIN = "https://www.acme.example"
STAFF = {
    "sites": {"acme": {"name": "Acme", "origins": [ORIGIN], "staff": [["dana", "sam"]]}},
    "staff": {
        "dana": {"name": "Dana", "email": "dana@acme.example"},
        "sam": {"name": "Sam", "email": "sam@acme.example"},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "script",
    [
        model.hangs, model.stalls("Well"), model.breaks_off("Well, it"), model.ends_early("Well, it"),
        model.too_many_requests("1"), model.garbage, model.empty, model.refuses(500, "Oops", "internal"),
        model.drips("One word and another", 3.0), model.fails_in_band("overloaded"), model.web_page,
    ],
    ids=["hangs", "stalls", "breaks off", "ends early", "429", "garbage", "empty", "500", "drips", "in band", "web page"],
)  # fmt: skip
async def test_a_broken_model_ends_in_an_honest_word(tmp_path: Path, script: Script) -> None:
    """Law 11, with the waits scaled to a tenth; the whole is to take less than 45 s unscaled."""
    fake = FakeModel([script])
    async with fake.serving():
        assistant = {
            "kind": "openai", "base_url": fake.base_url, "model": "m", "timeout": 1.5, "connect_timeout": 0.5, "turn": 3.5,
        }  # fmt: skip
        patience = {"answer": 4.5, "ladder": [60.0, 180.0]}
        server_is = running(tmp_path, {**STAFF, "assistant": assistant, "patience": patience})
        server = await asyncio.to_thread(server_is.__enter__)
        try:
            async with Chatter(f"{server.url}/live/visitor", origin=ORIGIN) as visitor:
                begun = time.monotonic()
                await visitor.say("Do you ship to Norway?")
                await eventually(lambda: visitor.state["controller"] == "waiting", what="staff are told")
                await eventually(lambda: len(visitor.texts()) == 2, what="an honest word")
                assert time.monotonic() - begun < 4.5 + 1.0
                assert (
                    visitor.texts()[1] == "I'm sorry, I can't answer right now. I've asked the team to join."
                )
        finally:
            await asyncio.to_thread(server_is.__exit__, None, None, None)


async def test_mails_arrive_late_and_once_when_the_mail_server_was_down(tmp_path: Path) -> None:
    """The server is restarted meanwhile; the chat itself is not disturbed, and staff can see the trouble."""
    async with SmtpServer() as smtp:
        config = {
            **STAFF,
            "email": {
                "smtp_url": smtp.url,
                "from": "Acme <chat@acme.example>",
                "settle": 0.2,
                "timeout": 2.0,
            },
        }
        server = Server(tmp_path, config)
        await smtp.refuse()
        await asyncio.to_thread(server.start)
        try:
            async with Chatter(f"{server.url}/live/visitor", origin=ORIGIN) as visitor:
                await visitor.say("hello")
                for number in range(5):
                    assert (await visitor.say(str(number)))["t"] == "ack"
                assert smtp.received == []
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                await smtp.listen()
                for person in ("dana", "sam"):
                    await eventually(
                        lambda person=person: smtp.to(f"{person}@acme.example"), within=6 * PATIENCE
                    )
                await asyncio.to_thread(server.stop)
                assert sorted(r.recipient for r in smtp.received) == ["dana@acme.example", "sam@acme.example"]
        finally:
            server.kill()
