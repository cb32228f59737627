"""What every engine of the store promises: the docstrings of `bridge.store.Store`, one by one.

Another engine joins by an entry in tests.stores.ENGINES: how to open it, given a place of its own.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from msgspec.structs import replace
import pytest

from bridge.errors import ConfigError, Conflict, StoreError
from bridge.events import (
    Assistant,
    ConversationId,
    HandedBack,
    HelpWanted,
    Opened,
    Said,
    Seq,
    Staff,
    StaffId,
    System,
    TookOver,
)
from bridge.store import Cursor, Growth, Record, Standing, Store, open_store
from tests.eventually import PATIENCE, eventually
from tests.redises import RedisServer, flush
from tests.stores import DURABLE, ENGINES, NOW, Place, entry, grow

A, B, C = ConversationId("a"), ConversationId("b"), ConversationId("c")


@pytest.fixture
async def place(tmp_path: Path, redis_server: RedisServer) -> Place:
    await flush(redis_server)
    return Place(tmp_path, redis_server.url)


@pytest.fixture(params=ENGINES)
async def store(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Store]:
    store = await ENGINES[request.param](place)
    yield store
    await store.close()


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


# --- The log -------------------------------------------------------------------------------------


async def test_what_was_appended_is_read_in_order(store: Store):
    entries = [
        entry(1, Opened(site="acme", page="https://acme.example/", context={"plan": "pro", "": "ünï"})),
        entry(2, Said(text="Hi")),
        entry(3, Said(text="Hello!"), Assistant()),
        entry(4, HelpWanted(reason="refund", step=1), System()),
        entry(5, TookOver(), Staff(id=StaffId("sales"), name="Ann")),
        entry(6, HandedBack(), Staff(id=StaffId("sales"), name="Ann")),
    ]
    await store.append(A, entries[:2], after=Seq(0), due=None)
    await store.append(A, entries[2:], after=Seq(2), due=None)

    assert await store.read(A) == entries


async def test_reading_goes_on_after_a_seq_and_stops_at_the_limit(store: Store):
    await grow(store, A, 10)

    assert [e.seq for e in await store.read(A, after=7)] == [8, 9, 10]
    assert [e.seq for e in await store.read(A, limit=3)] == [1, 2, 3]
    assert [e.seq for e in await store.read(A, after=4, limit=2)] == [5, 6]
    assert await store.read(A, after=10) == []
    assert await store.read(A, after=99) == []


async def test_a_log_that_does_not_exist_is_empty(store: Store):
    assert await store.read(A) == []
    assert await store.heads([A]) == {}


async def test_each_conversation_has_a_log_of_its_own(store: Store):
    await grow(store, A, 2)
    await grow(store, B, 3)
    await grow(store, A, 2)

    assert [e.seq for e in await store.read(A)] == [1, 2, 3, 4]
    assert [e.seq for e in await store.read(B)] == [1, 2, 3]
    assert await store.heads([A, B, C]) == {A: 4, B: 3}
    assert await store.heads([]) == {}


@pytest.mark.parametrize("after", [0, 1, 3, 4, 99])
async def test_an_append_that_is_not_after_the_head_is_a_conflict(store: Store, after: int):
    await grow(store, A, 2)

    with pytest.raises(Conflict) as conflict:
        await store.append(A, [entry(after + 1)], after=Seq(after), due=None)

    assert conflict.value.head == 2
    assert len(await store.read(A)) == 2


async def test_a_log_cannot_begin_with_a_hole(store: Store):
    with pytest.raises(Conflict) as conflict:
        await store.append(A, [entry(2)], after=Seq(1), due=NOW)

    assert conflict.value.head == 0
    assert await store.heads([A]) == {}
    assert await store.due(NOW) == []


@pytest.mark.parametrize("seqs", [[], [2], [1, 3], [1, 1], [0, 1], [2, 1]])
async def test_entries_that_are_not_dense_are_a_fault_of_the_caller(store: Store, seqs: list[int]):
    with pytest.raises(ValueError, match="entr"):
        await store.append(A, [entry(seq) for seq in seqs], after=Seq(0), due=None)

    assert await store.read(A) == []


async def test_of_many_appends_at_one_head_exactly_one_wins(store: Store):
    appends = [
        store.append(A, [entry(1, Said(text=f"by {number}"))], after=Seq(0), due=None) for number in range(50)
    ]

    answers = await asyncio.gather(*appends, return_exceptions=True)

    assert [answer.head for answer in answers if isinstance(answer, Conflict)] == [1] * 49
    assert [e.event for e in await store.read(A)] == [Said(text=f"by {answers.index(None)}")]


async def test_writers_that_catch_up_after_a_conflict_all_get_in_without_a_hole(store: Store):
    async def write(number: int) -> None:
        for turn in range(5):
            head = 0
            while True:
                text = f"{number}.{turn}"
                two = [entry(head + 1, Said(text=text)), entry(head + 2, Said(text=f"{text}+"))]
                try:
                    await store.append(A, two, after=Seq(head), due=None)
                except Conflict as conflict:
                    head = conflict.head
                else:
                    break

    await asyncio.gather(*map(write, range(12)))

    log = await store.read(A)
    assert [e.seq for e in log] == list(range(1, 121))
    texts = [e.event.text for e in log if isinstance(e.event, Said)]
    assert texts[1::2] == [f"{text}+" for text in texts[::2]]
    for number in range(12):
        assert [t for t in texts[::2] if t.startswith(f"{number}.")] == [f"{number}.{i}" for i in range(5)]


async def test_appends_to_many_conversations_at_once_stay_apart(store: Store):
    cids = [ConversationId(f"c{i}") for i in range(60)]

    async def write(cid: ConversationId) -> None:
        for seq in range(1, 6):
            text = f"{cid} {seq}"
            await store.append(cid, [entry(seq, Said(text=text))], after=Seq(seq - 1), due=None)

    await asyncio.gather(*map(write, cids))

    assert await store.heads(cids) == dict.fromkeys(cids, 5)
    for cid in cids:
        assert [e.event for e in await store.read(cid)] == [Said(text=f"{cid} {n}") for n in range(1, 6)]


async def test_an_append_whose_caller_went_away_disturbs_nobody(store: Store):
    first = asyncio.create_task(store.append(A, [entry(1)], after=Seq(0), due=None))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    await grow(store, B, 1)

    assert await store.heads([B]) == {B: 1}


@pytest.mark.parametrize(
    "text",
    [
        "👩‍👩‍👧‍👦🏳️‍🌈" * 400,
        "𝕏" * 4_000,
        "🙂" * 4_000,
        "שלום مرحبا \u202e evil \u2066",
        "a\u0301\u0323" * 100,
        '"quoted" \\ back \\u0041 \\" slash / </script>',
        "line\nline\r\ntab\t\u2028\u2029\u0085",
        "nul \x00 bell \x07 del \x7f \ufeff \ufffd \uffff \U0010ffff",
        "{} [] , [1,2,{}] null",
        "'); DROP TABLE entry; --",
        " ",
    ],
)
async def test_text_comes_back_character_for_character(store: Store, text: str):
    entries = [entry(1, Opened(site="acme", context={text: text})), entry(2, Said(text=text)), entry(3)]

    await store.append(A, entries, after=Seq(0), due=None)

    assert await store.read(A) == entries


async def test_text_that_is_no_unicode_is_refused_and_harms_no_other(store: Store):
    bad = store.append(A, [entry(1, Said(text="\ud800"))], after=Seq(0), due=None)
    good = store.append(B, [entry(1)], after=Seq(0), due=None)

    failed, stored = await asyncio.gather(bad, good, return_exceptions=True)

    assert isinstance(failed, UnicodeEncodeError)
    assert stored is None
    assert await store.heads([A, B]) == {B: 1}


@pytest.mark.parametrize("cid", ["x" * 200, "ünï-📨", 'a"b', "a'b", "a\\b", "%", "_", "", "A", "a,b]"])
async def test_any_text_can_name_a_conversation(store: Store, cid: str):
    await grow(store, A, 1)

    await grow(store, ConversationId(cid), 2, due=NOW)

    assert await store.heads([ConversationId(cid), A]) == {ConversationId(cid): 2, A: 1}
    assert await store.due(NOW) == [cid]
    assert set(await store.behind("slack")) == {cid, A}


async def test_a_moment_keeps_its_microseconds(store: Store):
    moment = datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    await store.append(A, [replace(entry(1), at=moment)], after=Seq(0), due=None)

    assert (await store.read(A))[0].at == moment


async def test_two_stores_are_two_incarnations(store: Store, tmp_path: Path):
    other = await open_store(f"sqlite:///{tmp_path}/other.db")
    try:
        assert store.log_id
        assert other.log_id != store.log_id
    finally:
        await other.close()


# --- Changes -------------------------------------------------------------------------------------


async def test_every_listener_hears_what_grew_since_it_asked(store: Store):
    await grow(store, C)
    first, second = store.changes(), store.changes()
    await grow(store, A, 3)
    await grow(store, B)
    late = store.changes()
    await grow(store, B)

    async with asyncio.timeout(PATIENCE):
        for listener in (first, second):
            assert [await anext(listener), await anext(listener)] == [Growth(A, Seq(3)), Growth(B, Seq(2))]
        assert await anext(late) == Growth(B, Seq(2))


async def test_a_listener_that_waits_is_woken(store: Store):
    async def hear() -> Growth:
        return await anext(listener)

    listener = store.changes()
    for _ in range(20):
        waiting = asyncio.create_task(hear())
        await grow(store, A)
        async with asyncio.timeout(PATIENCE):
            assert (await waiting).cid == A


async def test_who_was_told_finds_it_in_the_log(store: Store):
    listener = store.changes()
    appending = asyncio.create_task(grow(store, A))

    async with asyncio.timeout(PATIENCE):
        assert await anext(listener) == Growth(A, Seq(1))
        assert await store.heads([A]) == {A: 1}
    await appending


async def test_a_refused_append_is_not_announced(store: Store):
    listener = store.changes()
    with pytest.raises(Conflict):
        await store.append(A, [entry(5)], after=Seq(4), due=None)
    await grow(store, B)

    async with asyncio.timeout(PATIENCE):
        assert await anext(listener) == Growth(B, Seq(1))


async def test_listeners_end_when_the_store_closes(store: Store):
    async def collect() -> list[Growth]:
        return [growth async for growth in listener]

    listener = store.changes()
    hearing = asyncio.create_task(collect())
    await grow(store, A)
    await store.close()

    async with asyncio.timeout(PATIENCE):
        assert await hearing == [Growth(A, Seq(1))]
        assert [growth async for growth in store.changes()] == []


# --- The clock -----------------------------------------------------------------------------------


async def test_due_lists_what_is_at_or_before_now_the_earliest_first(store: Store):
    await grow(store, A, due=NOW + minutes(2))
    await grow(store, B, due=NOW)
    await grow(store, C, due=NOW + minutes(1))
    await grow(store, ConversationId("never"), due=None)

    assert await store.due(NOW - timedelta(microseconds=1)) == []
    assert await store.due(NOW) == [B]
    assert await store.due(NOW + minutes(1)) == [B, C]
    assert await store.due(NOW + minutes(9)) == [B, C, A]
    assert await store.due(NOW + minutes(9), limit=2) == [B, C]


async def test_each_append_replaces_the_due_moment(store: Store):
    await grow(store, A, due=NOW)
    await grow(store, A, due=NOW + minutes(5))
    assert await store.due(NOW) == []
    assert await store.due(NOW + minutes(5)) == [A]

    await grow(store, A, due=None)
    assert await store.due(NOW + minutes(9)) == []


async def test_a_refused_append_leaves_the_due_moment(store: Store):
    await grow(store, A, 2, due=NOW)
    with pytest.raises(Conflict):
        await store.append(A, [entry(2)], after=Seq(1), due=None)

    assert await store.due(NOW) == [A]


async def test_arming_replaces_the_due_moment_at_its_head(store: Store):
    head = Seq(await grow(store, A, 2, due=NOW))

    await store.arm(A, NOW + minutes(3), head=head)
    assert await store.due(NOW) == []
    assert await store.due(NOW + minutes(3)) == [A]

    await store.arm(A, None, head=head)
    assert await store.due(NOW + minutes(9)) == []


async def test_arming_from_a_stale_head_is_ignored(store: Store):
    await grow(store, A, 2)
    await grow(store, A, due=NOW)

    await store.arm(A, None, head=Seq(2))

    assert await store.due(NOW) == [A]


async def test_a_due_moment_is_the_same_in_every_time_zone(store: Store):
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-8)))
    await grow(store, A, due=elsewhere)

    assert await store.due(NOW) == [A]
    assert await store.due(elsewhere - timedelta(microseconds=1)) == []


async def test_arming_what_has_no_log_does_nothing(store: Store):
    await store.arm(A, NOW, head=Seq(0))

    assert await store.due(NOW) == []
    assert await store.heads([A]) == {}


# --- Pushed surfaces -----------------------------------------------------------------------------


async def test_a_cursor_begins_at_zero_without_an_anchor(store: Store):
    await grow(store, A)

    assert await store.cursor("slack", A) == Cursor(position=Seq(0), anchor=None)
    assert await store.cursor("slack", B) == Cursor()


async def test_a_cursor_moves_forward_and_never_back(store: Store):
    await grow(store, A, 5)
    await store.advance("slack", A, position=Seq(3))
    await store.advance("slack", A, position=Seq(1))
    assert await store.cursor("slack", A) == Cursor(position=Seq(3))

    await store.advance("slack", A, position=Seq(4))
    assert await store.cursor("slack", A) == Cursor(position=Seq(4))


async def test_an_anchor_stays_until_another_is_given(store: Store):
    await grow(store, A, 5)
    await store.advance("slack", A, position=Seq(1), anchor="171.1")
    await store.advance("slack", A, position=Seq(2))
    assert await store.cursor("slack", A) == Cursor(position=Seq(2), anchor="171.1")

    await store.advance("slack", A, position=Seq(2), anchor="171.2")
    assert await store.cursor("slack", A) == Cursor(position=Seq(2), anchor="171.2")


async def test_surfaces_have_cursors_of_their_own(store: Store):
    await grow(store, A, 2)
    await store.advance("slack", A, position=Seq(2), anchor="171.1")

    assert await store.cursor("email", A) == Cursor()
    assert await store.behind("slack") == []
    assert await store.behind("email") == [A]


async def test_an_anchor_is_found_on_its_surface(store: Store):
    await grow(store, A)
    await grow(store, B)
    await store.advance("slack", A, position=Seq(1), anchor="171.1")
    await store.advance("slack", B, position=Seq(0), anchor="171.2")

    assert await store.find_anchor("slack", "171.1") == A
    assert await store.find_anchor("slack", "171.2") == B
    assert await store.find_anchor("slack", "171") is None
    assert await store.find_anchor("email", "171.1") is None

    await store.advance("slack", A, position=Seq(1), anchor="171.9")
    assert await store.find_anchor("slack", "171.1") is None
    assert await store.find_anchor("slack", "171.9") == A


@pytest.mark.parametrize("known", [False, True], ids=["asked for the first time", "asked before"])
async def test_behind_lists_the_longest_waiting_first(store: Store, *, known: bool):
    if known:
        assert await store.behind("slack") == []
    for cid in (B, A, C, A, B):
        await grow(store, cid)
    assert await store.behind("slack") == [B, A, C]
    assert await store.behind("slack", limit=2) == [B, A]

    await store.advance("slack", B, position=Seq(1))  # its second entry is the newest of all
    assert await store.behind("slack") == [A, C, B]

    await store.advance("slack", A, position=Seq(2))
    assert await store.behind("slack") == [C, B]

    await grow(store, C)  # waits already: keeps its place
    await grow(store, A)
    assert await store.behind("slack") == [C, B, A]

    for cid, head in (await store.heads([A, B, C])).items():
        await store.advance("slack", cid, position=head)
    assert await store.behind("slack") == []

    await grow(store, C, 2)
    assert await store.behind("slack") == [C]


async def test_a_surface_that_is_asked_about_later_is_behind_with_everything(store: Store):
    await grow(store, A)
    await store.advance("telegram", A, position=Seq(1))
    await grow(store, B)
    await grow(store, A)

    assert await store.behind("telegram") == [B, A]
    assert await store.behind("slack") == [A, B]


async def test_a_cursor_without_a_log_is_behind_with_nothing(store: Store):
    await store.advance("slack", A, position=Seq(2), anchor="171.1")

    assert await store.behind("slack") == []
    assert await store.heads([A]) == {}
    assert await store.find_anchor("slack", "171.1") == A

    await grow(store, A, 2)
    assert await store.behind("slack") == []
    await grow(store, A, 1)
    assert await store.behind("slack") == [A]


# --- Records -------------------------------------------------------------------------------------


async def test_a_record_is_kept_replaced_and_deleted(store: Store):
    assert await store.get("link", "k") is None
    assert await store.put("link", "k", b"one")
    assert await store.get("link", "k") == b"one"
    assert await store.put("link", "k", b"\x00\xfftwo")
    assert await store.get("link", "k") == b"\x00\xfftwo"
    assert await store.get("session", "k") is None

    await store.delete("link", "k")
    await store.delete("link", "k")
    assert await store.get("link", "k") is None


async def test_a_new_record_takes_only_a_free_key(store: Store):
    assert await store.put("mail", "k", b"one", new=True)
    assert not await store.put("mail", "k", b"two", new=True)
    assert await store.get("mail", "k") == b"one"
    assert await store.put("other", "k", b"two", new=True)

    await store.delete("mail", "k")
    assert await store.put("mail", "k", b"three", new=True)


async def test_of_many_who_want_one_key_exactly_one_gets_it(store: Store):
    puts = [store.put("mail", "k", f"{number}".encode(), new=True) for number in range(30)]

    got = await asyncio.gather(*puts)

    assert got.count(True) == 1
    assert await store.get("mail", "k") == f"{got.index(True)}".encode()


async def test_what_many_add_to_a_number_is_all_in_it(store: Store):
    sums = await asyncio.gather(*(store.add("tokens", "k", amount) for amount in range(1, 31)))

    assert max(sums) == sum(range(1, 31))
    assert len(set(sums)) == 30, "each is told the sum that it made"
    assert await store.get("tokens", "k") == b"465"
    assert await store.add("tokens", "k", -465) == 0
    assert await store.add("tokens", "other", 3 * 10**12) == 3 * 10**12
    assert [r.key for r in await store.scan("tokens")] == ["k", "other"]


async def test_a_number_expires_as_the_last_addition_says(store: Store):
    await store.add("tokens", "k", 2, expires_at=NOW)
    assert await store.get("tokens", "k", now=NOW) is None
    assert await store.add("tokens", "k", 3, expires_at=NOW + minutes(1)) == 5, "until it is purged"

    assert await store.purge(NOW) == 0
    assert await store.purge(NOW + minutes(1)) == 1
    assert await store.add("tokens", "k", 1) == 1
    assert await store.purge(NOW + minutes(99)) == 0


async def test_an_expired_record_is_gone_for_those_who_give_the_time(store: Store):
    await store.put("link", "k", b"v", expires_at=NOW)

    assert await store.get("link", "k", now=NOW - timedelta(microseconds=1)) == b"v"
    assert await store.get("link", "k", now=NOW) is None
    assert await store.get("link", "k") == b"v"
    assert not await store.put("link", "k", b"w", new=True)

    await store.put("link", "k", b"v")  # replaced, with the moment
    assert await store.get("link", "k", now=NOW) == b"v"


async def test_a_batch_is_stored_whole_and_replaces_what_was_there(store: Store):
    await store.put("inbox", "old", b"old", expires_at=NOW)
    await store.put("inbox", "kept", b"kept")

    await store.put_all(
        "inbox",
        [
            Record(key="old", value=b"new"),
            Record(key="brief", value=b"\x00", expires_at=NOW),
            Record(key="twice", value=b"1"),
            Record(key="twice", value=b"2"),
        ],
    )
    await store.put_all("inbox", [])

    assert await store.scan("inbox") == [
        Record(key="brief", value=b"\x00", expires_at=NOW),
        Record(key="kept", value=b"kept"),
        Record(key="old", value=b"new"),
        Record(key="twice", value=b"2"),
    ]
    assert await store.get("inbox", "brief", now=NOW) is None
    assert await store.purge(NOW) == 1, "the replaced record expires no more"
    assert await store.scan("other") == []


@pytest.mark.parametrize("engine", DURABLE)
async def test_of_a_batch_that_fails_nothing_is_stored(engine: str, place: Place):
    store = await ENGINES[engine](place)
    try:
        await store.put("inbox", "a", b"old")
        batch = [Record(key=key, value=b"new") for key in ("a", "b", "\ud800")]

        failed, stored = await asyncio.gather(
            store.put_all("inbox", batch),
            store.put_all("inbox", [Record(key="c", value=b"good")]),
            return_exceptions=True,
        )

        assert isinstance(failed, UnicodeEncodeError)
        assert stored is None
        assert await store.scan("inbox") == [Record(key="a", value=b"old"), Record(key="c", value=b"good")]
    finally:
        await store.close()


async def test_a_scan_lists_a_space_by_key_with_the_expired(store: Store):
    for key in ("b/2", "b/1", "a", "c", "b", "b/10"):
        await store.put("link", key, key.encode(), expires_at=NOW if key == "b/1" else None)
    await store.put("other", "b/9", b"")

    assert [r.key for r in await store.scan("link")] == ["a", "b", "b/1", "b/10", "b/2", "c"]
    assert await store.scan("link", "b/1") == [
        Record(key="b/1", value=b"b/1", expires_at=NOW),
        Record(key="b/10", value=b"b/10"),
    ]
    assert await store.scan("none") == []


async def test_a_prefix_means_its_characters_and_nothing_else(store: Store):
    keys = [
        "100%", "100%/x", "100", "1000", "a_b", "axb", "a*b", "a?b", "a[b]", "A_B", "a\\b", "a'b",
        "ä/1", "ä", "z", "é\U0010ffff", "é\U0010ffff/1", "é\U0010ffff\U0010ffff", "\U0010ffff", "ê", "\ud7ff1", "\ue000",
    ]  # fmt: skip
    for key in keys:
        await store.put("link", key, b"")

    for prefix in ["", *keys, "a", "100%/", "é", "\ud7ff", "nothing"]:
        found = [record.key for record in await store.scan("link", prefix)]
        assert found == sorted(key for key in keys if key.startswith(prefix)), prefix


async def test_a_purge_drops_what_has_expired(store: Store):
    await store.put("link", "old", b"", expires_at=NOW - minutes(1))
    await store.put("session", "now", b"", expires_at=NOW)
    await store.put("link", "later", b"", expires_at=NOW + timedelta(microseconds=1))
    await store.put("link", "ever", b"")

    assert await store.purge(NOW) == 2
    assert await store.purge(NOW) == 0
    assert [r.key for r in await store.scan("link")] == ["ever", "later"]
    assert await store.scan("session") == []


async def test_a_purge_of_many_drops_all(store: Store):
    puts = [store.put("mail", f"{n}", b"", expires_at=NOW) for n in range(2_500)]
    await asyncio.gather(*puts)

    assert await store.purge(NOW) == 2_500
    assert await store.scan("mail") == []


# --- The end -------------------------------------------------------------------------------------


# --- Everything, to move a store -----------------------------------------------------------------


async def test_all_conversations_are_listed_once(store: Store):
    assert [cid async for page in store.conversations() for cid in page] == []
    many = [ConversationId(f"c{n}") for n in range(1_200)]
    await asyncio.gather(*(grow(store, cid) for cid in many))
    await store.advance("slack", ConversationId("without a log"), position=Seq(1))

    listed = [cid async for page in store.conversations() for cid in page]

    assert len(listed) == len(many)
    assert set(listed) == set(many)


async def test_a_standing_has_head_due_moment_and_cursors(store: Store):
    for surface in ("slack", "mail"):
        await store.behind(surface)
    await grow(store, A, 3, due=NOW)
    await grow(store, B, 1)
    await store.advance("slack", A, position=Seq(2), anchor="171.1:x")
    await store.advance("mail", A, position=Seq(3))
    await store.advance("mail", B, position=Seq(0), anchor="<root>")

    assert await store.standings([A, B, C]) == {
        A: Standing(
            head=Seq(3),
            due=NOW,
            cursors={
                "slack": Cursor(position=Seq(2), anchor="171.1:x"),
                "mail": Cursor(position=Seq(3)),
            },
        ),
        B: Standing(head=Seq(1), cursors={"mail": Cursor(anchor="<root>")}),
        C: Standing(),
    }
    assert await store.standings([]) == {}


async def test_the_spaces_that_hold_records_are_listed(store: Store):
    assert await store.spaces() == []
    await store.put("link", "k", b"v")
    await store.put("ünï:{x}", "k", b"v")
    await store.put("link", "l", b"v")
    await store.put("gone", "k", b"v")
    await store.delete("gone", "k")

    assert await store.spaces() == ["link", "ünï:{x}"]


async def test_others_that_have_the_store_open_are_counted(place: Place):
    one, two = await ENGINES["redis"](place), await ENGINES["redis"](place)
    try:
        assert await one.others() == 1
        await two.close()
        assert await eventually(lambda: _alone(one))
    finally:
        await one.close()


async def _alone(store: Store) -> bool:
    return await store.others() == 0


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
async def test_a_store_of_one_process_has_no_others(engine: str, place: Place):
    store = await ENGINES[engine](place)
    assert await store.others() == 0
    await store.close()


async def test_a_closed_store_says_so(store: Store):
    await grow(store, A)
    await store.close()
    await store.close()

    for call in (
        store.append(A, [entry(2)], after=Seq(1), due=None),
        store.read(A),
        store.heads([A]),
        store.due(NOW),
        store.arm(A, NOW, head=Seq(1)),
        store.cursor("slack", A),
        store.advance("slack", A, position=Seq(1)),
        store.behind("slack"),
        store.find_anchor("slack", "171.1"),
        store.standings([A]),
        store.spaces(),
        store.others(),
        anext(store.conversations()),
        store.put("link", "k", b""),
        store.get("link", "k"),
        store.delete("link", "k"),
        store.scan("link"),
        store.purge(NOW),
    ):
        with pytest.raises(StoreError, match="closed"):
            await call


async def test_closing_finishes_what_was_accepted(store: Store):
    appends = [
        asyncio.create_task(store.append(ConversationId(f"c{n}"), [entry(1)], after=Seq(0), due=None))
        for n in range(100)
    ]
    await asyncio.sleep(0)
    await store.close()

    assert await asyncio.gather(*appends) == [None] * 100


@pytest.mark.parametrize("engine", DURABLE)
async def test_everything_is_there_after_a_restart(engine: str, place: Place):
    store = await ENGINES[engine](place)
    await store.behind("slack")
    await grow(store, A, 3, due=NOW)
    await grow(store, B, 2)
    await store.advance("slack", A, position=Seq(2), anchor="171.1")
    await store.put("link", "k", b"v", expires_at=NOW)
    log, log_id = await store.read(A), store.log_id
    await store.close()

    store = await ENGINES[engine](place)
    try:
        assert store.log_id == log_id
        assert await store.read(A) == log
        assert await store.heads([A, B]) == {A: 3, B: 2}
        assert await store.due(NOW) == [A]
        assert await store.cursor("slack", A) == Cursor(position=Seq(2), anchor="171.1")
        assert await store.behind("slack") == [A, B]
        assert await store.scan("link") == [Record(key="k", value=b"v", expires_at=NOW)]
        await store.advance("slack", A, position=Seq(3))
        await store.advance("slack", B, position=Seq(2))
        await grow(store, A, 1)
        assert await store.behind("slack") == [A]
        with pytest.raises(Conflict):
            await store.append(B, [entry(1)], after=Seq(0), due=None)
    finally:
        await store.close()


@pytest.mark.parametrize("url", ["", "joinline.db", "sqlite://joinline.db", "sqlite:///", "mysql://x/y"])
async def test_an_unknown_url_is_a_fault_of_the_configuration(url: str):
    with pytest.raises(ConfigError, match="sqlite:///"):
        await open_store(url)
