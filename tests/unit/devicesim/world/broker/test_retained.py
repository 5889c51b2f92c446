from __future__ import annotations

import pytest

from devicesim.world.broker.packets import Message
from devicesim.world.broker.retained import RetainedStore
from devicesim.world.ledger import Ledger


class Shelf:
    def __init__(self, most: int = 100) -> None:
        self.ledger = Ledger()
        self.store = RetainedStore(most, self.ledger)

    def put(self, topic: str, payload: bytes = b"x", expires: int | None = None) -> bool:
        return self.store.store(Message(topic, payload, 1, True, expires, "want"))

    def see(self, topic_filter: str, now: int = 0) -> list[str]:
        return [message.topic for message in self.store.matching(now, topic_filter)]


@pytest.fixture
def shelf():
    made = Shelf()
    yield made
    made.store.validate()
    assert made.ledger.conserved({"retained": len(made.store)}) is None


def test_the_newest_replaces_and_an_empty_one_deletes(shelf: Shelf) -> None:
    assert shelf.put("a/b", b"1")
    assert shelf.put("a/b", b"2")
    assert shelf.store.get(0, "a/b").payload == b"2"
    assert shelf.put("a/b", b"")
    assert shelf.put("never", b"")
    assert shelf.store.get(0, "a/b") is None
    assert shelf.ledger.rows()[0].dropped == {"replaced": 2}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", ["a"]),
        ("a/#", ["a", "a/b", "a/b/c", "a/$x"]),
        ("a/+", ["a/b", "a/$x"]),
        ("+", ["a", "z"]),
        ("#", ["a", "a/b", "a/b/c", "a/$x", "z", "p/q/r"]),
        ("+/+/c", ["a/b/c"]),
        ("$SYS/#", ["$SYS/up"]),
        ("+/up", []),
        ("p", []),
        ("+/+/+", ["a/b/c", "p/q/r"]),
        ("p/+", []),
        ("a/b/c/d", []),
        ("+/+/+/+", []),
    ],
)
def test_what_a_new_subscription_is_shown(shelf: Shelf, name: str, expected: list[str]) -> None:
    for topic in ("a", "a/b/c", "a/b", "a/$x", "$SYS/up", "z", "p/q/r"):
        shelf.put(topic)
    assert shelf.see(name) == expected


def test_expired_messages_go_when_somebody_looks(shelf: Shelf) -> None:
    shelf.put("a/1", expires=10)
    shelf.put("a/2")
    assert shelf.see("a/+", now=9) == ["a/1", "a/2"]
    assert len(shelf.store) == 2
    assert shelf.see("a/+", now=10) == ["a/2"]
    assert len(shelf.store) == 1
    shelf.put("a/1", expires=20)
    assert shelf.store.get(20, "a/1") is None


def test_a_full_store_refuses_new_topics_only() -> None:
    shelf = Shelf(most=1)
    assert shelf.put("a")
    assert shelf.put("a", b"2")
    assert not shelf.put("b")
    assert shelf.put("a", b"")
    assert shelf.put("b")
    shelf.store.validate()


def test_a_loss_is_accounted_for(shelf: Shelf) -> None:
    shelf.put("a")
    shelf.put("b/c")
    shelf.store.lose()
    assert len(shelf.store) == 0
    assert shelf.ledger.rows()[0].dropped == {"session_lost": 2}
