from __future__ import annotations

import pytest

from devicesim.world.broker.topics import Branch, is_filter, is_topic, matches, split_share


@pytest.mark.parametrize("topic", ["a", "/", "a//b", "$SYS/x", "ä/ö", "a" * 65_535])
def test_topics(topic: str) -> None:
    assert is_topic(topic, 200)


@pytest.mark.parametrize(
    "topic", ["", "a/+", "#", "a#", "a\0b", "a" * 65_536, "ä" * 40_000, "/" * 200]
)
def test_no_topics(topic: str) -> None:
    assert not is_topic(topic, 200)


@pytest.mark.parametrize("name", ["#", "+", "a/+/b", "+/#", "a/#", "/", "+//+"])
def test_filters(name: str) -> None:
    assert is_filter(name, 200)


@pytest.mark.parametrize("name", ["", "a/#/b", "a+", "+a/b", "a/b#", "##", "a\0"])
def test_no_filters(name: str) -> None:
    assert not is_filter(name, 200)


def test_shares() -> None:
    assert split_share("a/b") == ("", "a/b")
    assert split_share("$share/g/a/#") == ("g", "a/#")
    for bad in ("$share/g", "$share//a", "$share/g/", "$share/g+/a"):
        assert split_share(bad) is None


# The examples of MQTT 5, 4.7.1 and 4.7.2.
@pytest.mark.parametrize(
    ("name", "topic", "expected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/x", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/x", True),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
    ],
)
def test_matching(name: str, topic: str, expected: bool) -> None:
    assert matches(name, topic) is expected


def test_a_branch_is_cut_when_nothing_hangs_below_it() -> None:
    root: Branch[int] = Branch()
    for value, path in enumerate((["a"], ["a", "b", "c"], ["a", "b"]), 1):
        root.plant(path).value = value
    root.prune(["a", "b", "c"])
    assert root.size() == 2
    root.prune(["a"])
    assert root.plant(["a", "b"]).value == 3
    root.prune(["a", "b"])
    assert not root.children
