from __future__ import annotations

import pytest

from devicesim.world.ledger import LEGS, DropCause, Ledger


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger()
    made.opened("down", "want", 10)
    made.delivered("down", "want", 4)
    made.dropped("down", "want", DropCause.LINK_DOWN, 3)
    made.dropped("down", "want", DropCause.BLACK_HOLE)
    made.opened("down", "dat")
    made.dropped("down", "dat", DropCause.LINK_DOWN)
    made.opened("up", "tel")
    made.delivered("up", "tel")
    return made


def test_the_table(ledger: Ledger) -> None:
    rows = [(r.leg, r.kind, r.opened, r.delivered, r.dropped, r.held) for r in ledger.rows()]
    assert rows == [
        ("up", "tel", 1, 1, {}, 0),
        ("down", "dat", 1, 0, {DropCause.LINK_DOWN: 1}, 0),
        ("down", "want", 10, 4, {DropCause.LINK_DOWN: 3, DropCause.BLACK_HOLE: 1}, 2),
    ]
    assert ledger.drops("down") == {DropCause.LINK_DOWN: 4, DropCause.BLACK_HOLE: 1}
    assert ledger.held("down") == 2
    assert ledger.leg("up").held() == 0


def test_books_that_balance(ledger: Ledger) -> None:
    assert ledger.conserved({"down": 2, "up": 0}) is None
    assert Ledger().conserved(dict.fromkeys(LEGS, 0)) is None


def test_a_copy_that_vanished(ledger: Ledger) -> None:
    story = ledger.conserved({"up": 0, "down": 1})
    assert "leg down: expected 2 copies held (11 opened - 4 delivered - 5 dropped)" in story
    assert "found 1 in the real queues: 1 vanished without a cause" in story
    assert story.endswith("Drops so far: 4 link_down, 1 black_hole")


def test_a_copy_from_nowhere(ledger: Ledger) -> None:
    assert "3 appeared from nowhere" in ledger.conserved({"down": 5})
    assert ledger.conserved({"up": 1}).endswith("Drops so far: none")


def test_a_copy_closed_twice_is_found_even_where_others_hide_it(ledger: Ledger) -> None:
    ledger.delivered("down", "dat")
    assert ledger.held("down") == 1
    story = ledger.conserved({"down": 1})
    assert "leg down, kind 'dat': expected at most the 1 copies opened" in story
    assert "1 counted twice" in story


def test_every_cause_has_its_sentence() -> None:
    for cause in DropCause:
        assert cause.sentence.endswith(".")
        assert cause.sentence.count(". ") == 0, f"{cause} says more than one sentence"
    assert len({cause.value for cause in DropCause}) == len(DropCause)
