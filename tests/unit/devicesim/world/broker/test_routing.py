from __future__ import annotations

import pytest

from devicesim.world.broker.routing import Routing
from devicesim.world.broker.session import Session


class Net:
    """Routing with sessions by name."""

    def __init__(self, cache: int = 100) -> None:
        self.routing = Routing(8, cache)
        self.sessions: dict[str, Session] = {}

    def sub(self, name: str, topic_filter: str, qos: int = 1) -> bool:
        session = self.sessions.setdefault(name, Session(name))
        assert self.routing.valid(topic_filter)
        return self.routing.subscribe(session, topic_filter, qos)

    def unsub(self, name: str, topic_filter: str) -> bool:
        return self.routing.unsubscribe(self.sessions[name], topic_filter)

    def who(self, topic: str) -> list[tuple[str, int]]:
        nodes = self.routing.match(topic)
        return [(s.client_id, qos) for node in nodes for s, qos in node.members]


@pytest.fixture
def net():
    made = Net()
    yield made
    made.routing.validate(made.sessions)


def test_a_remembered_route_follows_its_subscribers(net: Net) -> None:
    assert net.who("a/b") == []
    assert net.sub("one", "a/b")
    assert net.who("a/b") == [("one", 1)]
    assert net.sub("two", "a/b", 0)
    assert net.who("a/b") == [("one", 1), ("two", 0)]
    assert net.unsub("one", "a/b")
    assert net.who("a/b") == [("two", 0)]
    assert net.sub("one", "a/#")
    assert net.who("a/b") == [("two", 0), ("one", 1)]
    assert net.unsub("two", "a/b")
    assert net.unsub("one", "a/#")
    assert not net.unsub("one", "a/#")
    assert net.who("a/b") == []


def test_a_second_subscription_changes_the_qos(net: Net) -> None:
    net.sub("one", "a")
    assert not net.sub("one", "a", 0)
    assert net.who("a") == [("one", 0)]
    net.sub("two", "a", 0)
    assert not net.sub("one", "a", 1)
    assert net.who("a") == [("one", 1), ("two", 0)]


def test_members_of_a_crowd_leave_in_any_order(net: Net) -> None:
    for name in "abc":
        net.sub(name, "k")
    net.unsub("b", "k")
    net.unsub("a", "k")
    assert net.who("k") == [("c", 1)]
    net.routing.forget(net.sessions["c"])
    assert net.who("k") == []
    assert net.sub("d", "k")
    assert net.who("k") == [("d", 1)]


def test_dollar_topics_are_not_for_wildcards(net: Net) -> None:
    net.sub("all", "#")
    net.sub("deep", "a/b/c/+")
    assert net.who("a/b/c") == [("all", 1)]
    net.sub("plus", "+/x")
    net.sub("sys", "$SYS/#")
    assert net.who("$SYS/x") == [("sys", 1)]


def test_a_group_takes_turns(net: Net) -> None:
    for name in "abc":
        net.sub(name, "$share/g/t")
    assert not net.sub("b", "$share/g/t", 0)
    net.sub("z", "$share/other/t")
    group, other = net.routing.match("t")[0].groups
    assert [group.turn()[0].client_id for _ in range(4)] == ["a", "b", "c", "a"]
    assert net.unsub("c", "$share/g/t")
    assert [group.turn() for _ in range(2)] == [(net.sessions["b"], 0), (net.sessions["a"], 1)]
    assert other.turn()[0].client_id == "z"
    for name in "ab":
        net.unsub(name, "$share/g/t")
    assert net.routing.match("t")[0].groups == (other,)
    net.unsub("z", "$share/other/t")
    assert net.routing.match("t") == ()


def test_invalid_names() -> None:
    routing = Routing(3, 10)
    for bad in ("", "a#", "a/b/c/d", "$share/g", "$share/g/a#"):
        assert not routing.valid(bad)
    assert routing.match("a/+") is None
    assert routing.match("a/b/c/d") is None
    assert not routing.cache


def test_the_cache_is_bounded() -> None:
    net = Net(cache=4)
    net.sub("one", "t/+")
    for n in range(20):
        assert net.who(f"t/{n}") == [("one", 1)]
    assert len(net.routing.cache) <= 4
    net.routing.validate(net.sessions)


def test_a_stale_route_is_found_out() -> None:
    net = Net()
    net.sub("one", "a")
    net.routing.cache["a"] = ()
    with pytest.raises(AssertionError, match=r"expected filters \['a'\], remembered \[\]"):
        net.routing.validate(net.sessions)


def test_a_ghost_is_found_out() -> None:
    net = Net()
    net.sub("one", "a")
    del net.sessions["one"]
    with pytest.raises(AssertionError, match="one, whose session ended"):
        net.routing.validate(net.sessions)


def test_clear() -> None:
    net = Net()
    net.sub("one", "a/+")
    net.who("a/b")
    net.routing.clear()
    assert net.who("a/b") == []
    net.routing.validate({})
