"""`joinline migrate`: all that a store holds is moved to another engine, whatever comes between."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
import re
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from bridge.errors import ConfigError, StoreError
from bridge.events import ConversationId, Entry, Seq
from bridge.store import Record, Standing, Store, move, open_store, transfer
from bridge.store.transfer import Progress
from tests.chatter import Chatter
from tests.eventually import PATIENCE, eventually
from tests.fakes.slack import Slack
from tests.fakes.smtp import SmtpServer
from tests.redises import RedisServer, flush
from tests.running import Server
from tests.stores import NOW, entry, grow

JOINLINE = Path(sys.executable).with_name("joinline")
ORIGIN = "https://www.acme.example"
WAYS = {"sqlite to redis": ("sqlite", "redis"), "redis to sqlite": ("redis", "sqlite")}

Contents = tuple[dict[str, Standing], dict[str, list[Entry]], dict[str, list[Record]]]
Url = Callable[[str], str]


@pytest.fixture
async def url(tmp_path: Path, redis_server: RedisServer) -> Url:
    await flush(redis_server)
    return lambda engine: redis_server.url if engine == "redis" else f"sqlite:///{tmp_path}/joinline.db"


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, url: Url) -> tuple[str, str]:
    source, target = WAYS[request.param]
    return url(source), url(target)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = await open_store(url)
    try:
        yield store
    finally:
        await store.close()


async def fill(url: str, *, conversations: int = 40) -> None:
    """Conversations of all kinds: long and short, due or not, delivered to some surfaces and not to others."""
    async with opened(url) as store:
        for surface in ("email", "slack"):
            await store.behind(surface)
        for n in range(conversations):
            cid = ConversationId(f"{n:05}/ünï")
            await grow(store, cid, 450 if n == 7 else 1 + n % 5, due=NOW + timedelta(n) if n % 3 else None)
            if n % 2:
                await store.advance("slack", cid, position=Seq(1), anchor=f"171.{n}")
            if n % 4 == 0:
                await store.advance("email", cid, position=Seq(n % 5))
        await store.put_all("link", [Record(key=f"k{n}", value=b"\x00\xff%d" % n) for n in range(450)])
        await store.put("session:{x}", "ünï", b"", expires_at=NOW)
        await store.put("gone", "k", b"v")
        await store.delete("gone", "k")


async def contents(url: str) -> Contents:
    async with opened(url) as store:
        cids = [cid async for page in store.conversations() for cid in page]
        logs = {cid: await store.read(cid) for cid in cids}
        spaces = [space for space in await store.spaces() if space != transfer.SPACE]
        return await store.standings(cids), logs, {space: await store.scan(space) for space in spaces}


async def moved(source: str, target: str) -> list[str]:
    said: list[str] = []
    await move.run(source, target, say=said.append)
    return said


# --- All of it -----------------------------------------------------------------------------------


async def test_all_that_a_store_holds_is_moved(way: tuple[str, str]):
    source, target = way
    await fill(source)
    before = await contents(source)

    said = await moved(source, target)

    assert await contents(target) == before
    assert await contents(source) == before
    assert "All there, and the same: 40 conversations with 567 entries, 451 records." in said
    assert "copied 40 conversations with 567 entries" in said
    assert "compared 451 records" in said


async def test_who_waits_for_what_is_kept(way: tuple[str, str]):
    """What was delivered is not delivered again, what was not still is; by anchors, replies are found."""
    source, target = way
    await fill(source)
    async with opened(source) as store:
        waiting = {surface: set(await store.behind(surface, limit=1000)) for surface in ("email", "slack")}
        due = await store.due(NOW + timedelta(20))
    await moved(source, target)

    async with opened(target) as store:
        assert {s: set(await store.behind(s, limit=1000)) for s in ("email", "slack")} == waiting
        assert 0 < len(waiting["slack"]) < 40
        assert await store.due(NOW + timedelta(20)) == due
        assert await store.find_anchor("slack", "171.9") == "00009/ünï"
        await grow(store, ConversationId("00009/ünï"), 1)
        assert (await store.read(ConversationId("00009/ünï")))[-1].seq == 6


async def test_there_and_back_it_is_the_same(url: Url, tmp_path: Path):
    await fill(url("sqlite"))
    before = await contents(url("sqlite"))
    await moved(url("sqlite"), url("redis"))
    await moved(url("redis"), f"sqlite:///{tmp_path}/back.db")

    assert await contents(f"sqlite:///{tmp_path}/back.db") == before


async def test_five_thousand_entries_take_seconds(way: tuple[str, str]):
    source, target = way
    async with opened(source) as store:
        await asyncio.gather(*(grow(store, ConversationId(f"c{n}"), 10) for n in range(500)))
    began = time.monotonic()
    said = await moved(source, target)

    assert "All there, and the same: 500 conversations with 5,000 entries, 0 records." in said
    assert time.monotonic() - began < PATIENCE


async def test_an_empty_store_is_moved(way: tuple[str, str]):
    source, target = way
    async with opened(source):
        pass
    assert "0 conversations with 0 entries, 0 records." in "\n".join(await moved(source, target))


# --- Interrupted ---------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


async def move_until(source: str, target: str, step: int) -> bool:
    """Move, and stop after `step` pieces of work; whether it came to its end before."""
    count = 0

    def tell(_: Progress) -> None:
        nonlocal count
        count += 1
        if count > step:
            raise Interrupted

    async with opened(source) as one, opened(target) as two:
        try:
            await transfer.transfer(one, two, tell=tell)
        except Interrupted:
            return False
    return True


async def test_stopped_after_every_piece_it_goes_on_and_doubles_nothing(
    way: tuple[str, str], monkeypatch: pytest.MonkeyPatch
):
    source, target = way
    monkeypatch.setattr(transfer, "BATCH", 6)
    await fill(source, conversations=20)
    before = await contents(source)

    for step in range(100):
        if await move_until(source, target, step):
            break
        async with opened(target) as store:
            with pytest.raises(StoreError, match="not filled yet"):
                await transfer.refuse_unfinished(store)
    assert step == 4 + 1 + 4 + 2 + 1, "batches, records, then batches, spaces, records compared"
    assert await contents(target) == before
    async with opened(target) as store:
        await transfer.refuse_unfinished(store)


async def test_killed_at_any_moment_it_goes_on(url: Url, redis_server: RedisServer):
    source, target = url("sqlite"), url("redis")
    async with opened(source) as store:
        await asyncio.gather(*(grow(store, ConversationId(f"c{n}"), 3) for n in range(2_000)))
    command = [JOINLINE, "migrate", "--from", source, "--to", target]
    for keys in (200, 900, 1_700):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            await eventually(lambda keys=keys: redis_server.ask("DBSIZE") > keys)
        finally:
            process.kill()
            process.wait()
        async with opened(target) as store:
            await eventually(lambda store=store: _alone(store))
            with pytest.raises(StoreError, match="not filled yet"):
                await transfer.refuse_unfinished(store)

    answer = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)

    assert "All there, and the same: 2,000 conversations with 6,000 entries, 0 records." in answer.stdout
    assert await contents(target) == await contents(source)


async def _alone(store: Store) -> bool:
    return await store.others() == 0


async def test_ctrl_c_says_how_to_go_on(url: Url, redis_server: RedisServer):
    source, target = url("sqlite"), url("redis")
    async with opened(source) as store:
        await asyncio.gather(*(grow(store, ConversationId(f"c{n}"), 3) for n in range(2_000)))
    command = [JOINLINE, "migrate", "--from", source, "--to", target]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    await eventually(lambda: redis_server.ask("DBSIZE") > 200)
    process.send_signal(signal.SIGINT)
    said, errors = await asyncio.to_thread(process.communicate)

    assert "All there" not in said
    assert errors == "interrupted: run the same again, and it goes on from here\n"
    assert process.returncode == 1


async def test_what_the_source_did_in_between_is_moved_too(way: tuple[str, str]):
    """Somebody interrupts the move, lets the server run for another day, and begins again."""
    source, target = way
    await fill(source, conversations=20)
    assert not await move_until(source, target, 2)
    async with opened(source) as store:
        await grow(store, ConversationId("00001/ünï"), 3)
        await grow(store, ConversationId("new"), 2, due=NOW)
        await store.arm(ConversationId("00002/ünï"), NOW, head=Seq(9))
        await store.arm(ConversationId("00004/ünï"), None, head=Seq(9))
        await store.advance("slack", ConversationId("00002/ünï"), position=Seq(2), anchor="171.new")
        await store.delete("link", "k3")
        await store.put("link", "k4", b"another")
        await store.delete("session:{x}", "ünï")
    await moved(source, target)

    assert await contents(target) == await contents(source)


async def test_what_was_moved_is_not_moved_again_into_what_has_moved_on(way: tuple[str, str]):
    source, target = way
    await fill(source, conversations=5)
    await moved(source, target)
    async with opened(target) as store:
        await grow(store, ConversationId("00001/ünï"), 3)
        await store.delete("link", "k3")
    after = await contents(target)

    (said,) = await moved(source, target)
    assert "was filled from there before: nothing to do" in said
    assert await contents(target) == after


# --- Compared ------------------------------------------------------------------------------------


def lset(server: RedisServer, change: Callable[[bytes], bytes]) -> None:
    (key,) = server.ask("KEYS", "*log:00002/*")
    server.ask("LSET", key, 1, change(server.ask("LINDEX", key, 1)))


def each(server: RedisServer, pattern: str, act: Callable[[bytes], Any]) -> None:
    keys = server.ask("KEYS", pattern)
    assert keys
    for key in keys:
        act(key)


TAMPERING: dict[str, tuple[Callable[[RedisServer], None], str]] = {
    "a word is another": (
        lambda r: lset(r, lambda e: e.replace(b"message 2", b"message X")),
        "conversation 00002/ünï: its entries",
    ),
    "a moment is another": (
        lambda r: lset(r, lambda e: e.replace(b"2026-03-01T12:00:00.123456", b"2026-03-01T12:00:00.123457")),
        "conversation 00002/ünï: its entries",
    ),
    "an entry is missing": (
        lambda r: each(r, "*log:00002/*", lambda key: r.ask("RPOP", key)),
        "conversation 00002/ünï: 3 entries, and 2 in the copy",
    ),
    "a conversation is missing": (
        lambda r: each(r, "*logs", lambda key: r.ask("ZREM", key, "00002/ünï")),
        "conversation 00002/ünï is in one of them only",
    ),
    "a conversation is too many": (
        lambda r: each(r, "*{b[0-9]}:logs", lambda key: r.ask("ZADD", key, 0, "0 more")),
        "conversation 0 more is in one of them only",
    ),
    "a cursor is another": (
        lambda r: each(r, "*cursor:slack", lambda key: r.ask("HSET", key, "00001/ünï", "1:171.2")),
        "conversation 00001/ünï: the cursors",
    ),
    "a due moment is another": (
        lambda r: each(r, "*due", lambda key: r.ask("ZINCRBY", key, 1, "00001/ünï")),
        "conversation 00001/ünï: its due moment",
    ),
    "a record is another": (
        lambda r: each(r, "*values:link", lambda key: r.ask("HSET", key, "k7", b"\0" * 16 + b"other")),
        "the records of link: 450, and 450 in the copy",
    ),
    "a record is missing": (
        lambda r: each(r, "*keys:link", lambda key: r.ask("ZREM", key, "k7")),
        "the records of link: 450, and 449 in the copy",
    ),
}


@pytest.mark.parametrize("what", TAMPERING)
async def test_a_copy_that_is_not_the_same_is_found_out(what: str, url: Url, redis_server: RedisServer):
    tamper, found = TAMPERING[what]
    await fill(url("sqlite"), conversations=10)

    def tell(progress: Progress) -> None:
        if progress.step == "copied" and progress.what == "records" and progress.total is not None:
            tamper(redis_server)

    async with opened(url("sqlite")) as one, opened(url("redis")) as two:
        with pytest.raises(StoreError, match=re.escape(found)):
            await transfer.transfer(one, two, tell=tell)
        with pytest.raises(StoreError, match="not filled yet"):
            await transfer.refuse_unfinished(two)


# --- Refused -------------------------------------------------------------------------------------


async def test_a_target_that_holds_something_else_is_left_alone(way: tuple[str, str]):
    source, target = way
    await fill(source, conversations=3)
    async with opened(target) as store:
        await store.append(ConversationId("theirs"), [entry(1)], after=Seq(0), due=None)
    before = await contents(target)

    with pytest.raises(StoreError, match=r"--to: it holds 1 conversation of its own: name a new file"):
        await moved(source, target)
    assert await contents(target) == before


async def test_a_target_that_holds_only_records_is_left_alone(way: tuple[str, str]):
    source, target = way
    await fill(source, conversations=3)
    async with opened(target) as store:
        await store.put("session", "k", b"v")

    with pytest.raises(StoreError, match="it holds 0 conversations of its own"):
        await moved(source, target)


async def test_a_target_half_filled_from_elsewhere_is_left_alone(url: Url, tmp_path: Path):
    await fill(url("sqlite"), conversations=3)
    await fill(f"sqlite:///{tmp_path}/other.db", conversations=3)
    assert not await move_until(url("sqlite"), url("redis"), 0)

    with pytest.raises(StoreError, match="half filled from another store"):
        await moved(f"sqlite:///{tmp_path}/other.db", url("redis"))


async def test_an_unfinished_copy_is_no_source(url: Url, tmp_path: Path):
    await fill(url("sqlite"), conversations=3)
    assert not await move_until(url("sqlite"), url("redis"), 0)

    with pytest.raises(StoreError, match="not filled yet"):
        await moved(url("redis"), f"sqlite:///{tmp_path}/other.db")


async def test_no_server_may_run_on_either(way: tuple[str, str]):
    source, target = way
    await fill(source, conversations=3)
    for busy, name in ((source, "--from"), (target, "--to")):
        async with opened(busy):
            with pytest.raises(StoreError, match=f"{name}: .*(in use by another server|has it open)"):
                await moved(source, target)
    await moved(source, target)


async def test_a_server_does_not_start_on_what_is_half_filled(url: Url, tmp_path: Path):
    await fill(url("sqlite"), conversations=3)
    assert not await move_until(url("sqlite"), url("redis"), 0)
    server = Server(
        tmp_path / "server", {"sites": {"acme": {"name": "A", "origins": [ORIGIN]}}, "store": url("redis")}
    )
    try:
        with pytest.raises(
            AssertionError, match="this store is not filled yet: run the same `joinline migrate`"
        ):
            await asyncio.to_thread(server.start)
        assert "Traceback" not in server.log
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("source", "target", "fault"),
    [
        ("memory://", "{file}", "--from: memory:// ends with its server"),
        ("{file}", "memory://", "--to: memory:// ends with its server"),
        ("{file}", "{file}", "--from and --to are the same store"),
        ("{file}", "sqlite:///{folder}/../{name}/joinline.db", "--from and --to are the same store"),
        ("{file}", "{redis}", "--from: there is no file"),
        ("mysql://u:secret@x/y", "{redis}", "--from: expected sqlite:///joinline.db, redis://"),
        ("{file}", "redis://:secret@", "--to: expected sqlite:///"),
        ("sqlite://a.db", "postgres://x", "--from: .*\n--to: "),
        ("{file}", "redis://127.0.0.1:1/0", "--from: there is no file"),
    ],
)
async def test_addresses_that_cannot_be_meant_are_refused(
    source: str, target: str, fault: str, url: Url, tmp_path: Path
):
    names = {"file": url("sqlite"), "redis": url("redis"), "folder": tmp_path, "name": tmp_path.name}
    with pytest.raises(ConfigError, match=fault) as refused:
        await moved(source.format(**names), target.format(**names))
    assert "secret" not in str(refused.value)
    assert not list(tmp_path.glob("*.db"))


async def test_an_address_where_nothing_is_says_which(url: Url, tmp_path: Path):
    await fill(url("sqlite"), conversations=1)
    with pytest.raises(StoreError, match=r"--to: redis://127\.0\.0\.1:1/0: .*is it running"):
        await moved(url("sqlite"), "redis://127.0.0.1:1/0")
    with pytest.raises(StoreError, match=r"--to: .*the directory must exist"):
        await moved(url("sqlite"), f"sqlite:///{tmp_path}/none/x.db")
    (tmp_path / "text.db").write_text("no database, but long enough that it could be one" * 20)
    with pytest.raises(StoreError, match=r"--from: .*text\.db"):
        await moved(f"sqlite:///{tmp_path}/text.db", url("redis"))


# --- Served --------------------------------------------------------------------------------------


async def test_the_moved_store_serves_and_tells_nobody_twice(url: Url, tmp_path: Path):
    """A visitor and a Slack team on SQLite, then on Redis: one thread, one mail, one conversation."""
    async with Slack() as slack, SmtpServer() as smtp:
        dana = slack.add_user("dana", display_name="Dana")
        config = {
            "sites": {"acme": {"name": "Acme", "origins": [ORIGIN], "staff": ["dana"]}},
            "staff": {"dana": {"name": "Dana", "email": "dana@acme.example"}},
            "email": {"smtp_url": smtp.url, "from": "Acme <chat@acme.example>", "settle": 0.1},
            "slack": {
                "bot_token": slack.bot_token, "app_token": slack.app_token, "channel": slack.channel,
                "api_url": slack.api_url.rstrip("/"),
            },
        }  # fmt: skip
        old = Server(tmp_path / "old", config | {"store": url("sqlite")})
        new = Server(tmp_path / "new", config | {"store": url("redis")}, port=old.port)
        try:
            await asyncio.to_thread(old.start)
            async with Chatter(f"{old.url}/live/visitor", origin=ORIGIN) as visitor:
                await visitor.say("Do you ship to Norway?")
                (root,) = await eventually(slack.roots)
                await eventually(lambda: smtp.to("dana@acme.example"))
                await visitor.say("And to Iceland?")
                await eventually(lambda: len(slack.thread(slack.channel, root.ts)) > 1)
                assert await asyncio.to_thread(old.stop) == 0
                posts, mails = len(slack.thread(slack.channel, root.ts)), len(smtp.received)
                await moved(url("sqlite"), url("redis"))
                await asyncio.to_thread(new.start)
                await eventually(lambda: slack.sockets, within=2 * PATIENCE)
                await slack.presses(dana, root.ts, action_id="take")
                await slack.says(dana, "Both, by sea", thread=root.ts)
                await eventually(lambda: visitor.texts()[-1:] == ["Both, by sea"], within=2 * PATIENCE)
                await visitor.say("Thanks")
                await eventually(lambda: _shown(slack, root.ts, "Thanks"))
            assert visitor.texts() == ["Do you ship to Norway?", "And to Iceland?", "Both, by sea", "Thanks"]
            assert len(slack.roots()) == 1
            for words in ("And to Iceland?", "Thanks"):
                assert _shown(slack, root.ts, words) == 1
            assert len(smtp.received) == mails
            assert len(slack.thread(slack.channel, root.ts)) > posts
        finally:
            old.kill()
            new.kill()


def _shown(slack: Slack, root: str, words: str) -> int:
    return sum(words in message.shown for message in slack.thread(slack.channel, root))
