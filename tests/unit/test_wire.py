"""Frames: what comes in is checked or refused, what goes out shows each audience its own."""

import json
import time

from hypothesis import example, given
from hypothesis import strategies as st
import msgspec
import pytest

from bridge import events as ev
from bridge import wire
from bridge.errors import FrameError
from bridge.wire import MAX_FRAME, Hello, Ping, Propose, decode
from tests.logs import said


def refused(data: bytes | str) -> FrameError:
    with pytest.raises(FrameError) as caught:
        decode(data)
    assert caught.value.close_code in {1007, 1008, 1009}
    assert len(caught.value.reason.encode()) <= 123  # RFC 6455, section 5.5.1
    return caught.value


# --- what is a frame -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "frame"),
    [
        ('{"t":"ping"}', Ping()),
        (b'{"t":"ping"}', Ping()),
        (' {"t" : "typing", "on": true}\n', wire.Typing(on=True)),
        ('{"t":"stop"}', wire.Stop()),
        ('{"t":"command","key":"k","line":"/take hi"}', wire.Command(key="k", line="/take hi")),
        (
            '{"t":"hello","site":"acme","token":"t","after":3,"log":"l"}',
            Hello(site="acme", token="t", after=3, log="l"),
        ),
        (
            '{"t":"propose","key":"k","floor":4,"events":[{"type":"TookOver"},{"type":"Said","text":"hi"}]}',
            Propose(key="k", floor=4, events=(ev.TookOver(), ev.Said(text="hi"))),
        ),
    ],
)
def test_a_frame_is_understood(data: bytes | str, frame: wire.Inbound):
    assert decode(data) == frame


def padded(size: int) -> str:
    frame = '{"t":"ping"}'
    return frame + " " * (size - len(frame))


def test_the_size_is_checked_first_and_in_bytes():
    assert decode(padded(MAX_FRAME)) == Ping()
    assert refused(padded(MAX_FRAME + 1)).close_code == 1009
    assert refused("é" * (MAX_FRAME // 2 + 1)).close_code == 1009
    assert refused(b"\xff" * (MAX_FRAME + 1)).close_code == 1009
    assert refused("[" * (MAX_FRAME + 1)).close_code == 1009


@pytest.mark.parametrize("data", [b'{"t":"\xff"}', b"\xc0\x80", b"\xed\xa0\x80", '"\ud800"', b"\xff[[[["])
def test_what_is_not_utf8_is_refused_before_it_is_parsed(data: bytes | str):
    assert refused(data).close_code == 1007


@pytest.mark.parametrize("bomb", ["[" * 60_000, "[" * 60_000 + "]" * 5, '{"a":' * 12_000, '[{"a":' * 8_000])
def test_a_bomb_of_brackets_is_refused_at_once(bomb: str):
    started = time.monotonic()
    assert refused(bomb).reason == "a frame nests at most 16 deep"
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "body", ['\\"' * 32_000, "\\" * 64_000, '"' * 64_000, '\\"[' * 20_000, '"\\' * 32_000]
)
def test_a_bomb_of_quotes_costs_no_more_than_its_length(body: str):
    started = time.monotonic()
    refused('[[[[[[[[[[[[[[[[["' + body)
    assert time.monotonic() - started < 1


def test_brackets_inside_a_text_are_just_text():
    assert said("[{" * 1_000 + '\\"]') == "[{" * 1_000 + '\\"]'


def nested(depth: int) -> str:
    return '{"t":"ping","x":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def test_sixteen_deep_is_judged_by_its_schema_and_seventeen_by_its_depth():
    assert "unknown field" in refused(nested(16)).reason
    assert refused(nested(17)).reason == "a frame nests at most 16 deep"


@pytest.mark.parametrize(
    "data",
    ['{"t":"ping","t":"ping"}', '{"t":"ping","\\u0074":"stop"}',
     '{"t":"propose","key":"k","events":[{"type":"Said","text":"a","text":"b"}]}',
     '{"t":"propose","key":"k","events":[{"type":"Opened","site":"","context":{"a":"1","a":"2"}}]}'],
)  # fmt: skip
def test_a_key_stands_once(data: str):
    error = refused(data)
    assert (error.close_code, error.reason) == (1008, "a frame has each key once")


@pytest.mark.parametrize(
    "number",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "9" * 17,
        "-" + "9" * 17,
        "9" * 5_000,
        "1.5",
        "01",
        "+1",
        "true",
    ],
)
def test_a_number_is_a_plain_one(number: str):
    assert refused(f'{{"t":"hello","after":{number}}}').close_code == 1008


@pytest.mark.parametrize(
    "data",
    ["", " ", "null", "[]", '"ping"', "42", "{}", '{"t":"ping"', '{"t":"ping"}{"t":"ping"}', '{"t":"no"}', '{"t":1}',
     '{"t":"ping","x":1}', '{"t":"typing"}', '{"t":"typing","on":"yes"}', '{"t":"welcome"}', '{"t":"hello","v":2}',
     '{"t":"propose","key":"k"}', '{"t":"propose","key":"k","events":[{"type":"Nope"}]}',
     '{"t":"propose","key":"k","events":[{"type":"Said"}]}',
     '{"t":"propose","key":"k","events":[{"type":"Said","text":"x","by":"staff"}]}',
     '{"t":"propose","key":"k","events":[{"type":"Rated","score":"great"}]}',
     '{"t":"propose","key":"k","events":[{"type":"Edited","target":"1","text":"x"}]}',
     '{"t":"propose","key":"k","events":[],"by":{"type":"staff","id":"x","name":"y"}}',
     "\ufeff" + '{"t":"ping"}', "{'t':'ping'}", '{"t":"ping",}', '{"t":"pi\nng"}', '{"t":"\\x41"}'],
)  # fmt: skip
def test_what_is_no_frame_is_refused(data: str):
    assert refused(data).close_code == 1008


@pytest.mark.parametrize("key", ["", " ", "a b", "a#1", "k" * 65, "ü", "a/b", "a\n"])
def test_a_key_is_one(key: str):
    for frame in ({"t": "propose", "key": key, "events": []}, {"t": "command", "key": key, "line": "who"}):
        assert refused(json.dumps(frame)).close_code == 1008


def test_the_reason_quotes_no_more_of_the_client_than_a_close_frame_holds():
    refused(json.dumps({"t": "ping", "ü\u2028" * 5_000: 1}))
    refused(json.dumps({"t": "ping", "\ud800": 1}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
frame_like = st.fixed_dictionaries(
    {"t": st.sampled_from(["hello", "propose", "command", "typing", "stop", "ping"])},
    optional={
        "key": st.text(max_size=5) | json_values,
        "line": st.text(st.characters()) | json_values,
        "events": json_values
        | st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["Said", "Opened", "Edited", "HelpWanted", "Rated", "Identified"])},
                optional=dict.fromkeys(
                    ("text", "site", "target", "context", "reason", "score", "email"), json_values
                ),
            ),
            max_size=3,
        ),
        "floor": json_values,
        "after": json_values,
        "token": json_values,
        "on": json_values,
    },
)


@given(st.binary(max_size=200) | st.text(st.characters(), max_size=200))
@example(b'{"t":"\\ud800"}')
@example('{"t":"hello","token":"\\ud83d\\ude00\\ud83d"}')
def test_any_bytes_are_a_frame_or_a_frame_error(data: bytes | str):
    safely(data)


@given(json_values | frame_like)
def test_any_json_is_a_frame_or_a_frame_error(value: object):
    safely(json.dumps(value))
    safely(json.dumps(value, ensure_ascii=False))


def safely(data: bytes | str) -> None:
    try:
        frame = decode(data)
    except FrameError:
        refused(data)
        return
    again = msgspec.json.encode(frame)
    assert b"\\u0000" not in again
    assert decode(again) == frame  # cleaning once is enough
