"""How a Redis is named in a URL, and what is said of one that is wrong, never with its password."""

import pytest

from bridge.store.address import Address, parse, shown


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", Address(kind="single", hosts=(("localhost", 6379),))),
        ("redis://[::1]:7000/3", Address(kind="single", hosts=(("::1", 7000),), db=3)),
        (
            "rediss://ann:p%40ss%2F@redis.example.com:6380/",
            Address(
                kind="single", tls=True, hosts=(("redis.example.com", 6380),), user="ann", password="p@ss/"
            ),
        ),
        (
            "redis+sentinel://:pw@a,b:26380/main/2",
            Address(kind="sentinel", hosts=(("a", 26379), ("b", 26380)), name="main", db=2, password="pw"),
        ),
        (
            "rediss+cluster://a:7000,b:7001,c:7002",
            Address(kind="cluster", tls=True, hosts=(("a", 7000), ("b", 7001), ("c", 7002))),
        ),
    ],
)
def test_an_address_is_read(url: str, address: Address):
    assert parse(url) == address


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "expected sqlite:///joinline.db, memory://, redis://"),
        ("mysql://a/b", 'got "mysql://a/b"'),
        ("redis:///0", "expected"),
        ("redis://a?x=1", "expected"),
        ("redis://a,b/0", r"several make a redis\+cluster://"),
        ("redis://a:99999/0", "a host looks like redis.example.com:6379"),
        ("redis://a b/0", "a host looks like"),
        ("redis://a/zero", "the database is a number"),
        ("redis+cluster://a/1", "a Cluster has database 0 only"),
        ("redis+sentinel://a:26379", r"the name that the Sentinels give .*/mymaster/0"),
        ("redis://ann@a/0", "a user comes with a password"),
    ],
)
def test_what_is_wrong_is_said(url: str, said: str):
    with pytest.raises(ValueError, match=said):
        parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://ann:hunter2@a:x/0", "redis://:hunter2@a,b/0", "redis+cluster://:hunter2@a/9",
        "redis://:hun/ter2:hunter2@a", "redis+sentinel://:hunter2@a", "redis://ann:hunter2@a@b/x",
        "redis:/:hunter2@a", "redis//:hunter2@a/0", "redis:ann:hunter2@a", "redis://:hunter2", "redis:hunter2",
        "redis://a/0?password=hunter2", "redis://a/0#hunter2", "redis://a,:hunter2/0", "redis://a/:hunter2",
        "postgres://ann:hunter2@a/b", "redis://hunter2@a/0", "sqlite://:hunter2@a",
    ],
)  # fmt: skip
def test_no_fault_shows_a_password(url: str):
    with pytest.raises(ValueError, match="got") as fault:
        parse(url)

    assert "hunter2" not in str(fault.value)
    assert "ter2" not in str(fault.value)


def test_an_address_is_shown_without_its_password():
    for url in (
        "redis://ann:***@a:6379/0",
        "rediss+sentinel://ann:***@a:1,[::1]:2/main/0",
        "redis+cluster://a:6379",
    ):
        address = parse(url.replace("***", "hunter2"))
        assert str(address) == url
        assert "hunter2" not in repr(address)
        assert "hunter2" not in shown(url.replace("***", "hunter2"))
