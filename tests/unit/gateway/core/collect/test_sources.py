from __future__ import annotations

import pytest

from gateway.core.collect.sources import REACH, Source, Sources


def fed(*windows: tuple[int, int]) -> tuple[list[bool], Source]:
    source = Source("d", 0)
    return [source.accept(boot, seq) for boot, seq in windows], source


def test_numbers_in_a_row_are_each_counted_once():
    answers, source = fed((1, 5), (1, 6), (1, 6), (1, 7), (1, 5))
    assert answers == [True, True, False, True, False]
    assert source.gaps == 0


def test_a_gap_is_seen_and_filled_by_what_comes_late():
    answers, source = fed((1, 1), (1, 5))
    assert answers == [True, True]
    assert source.gaps == 3
    assert [source.accept(1, seq) for seq in (3, 3, 2, 4)] == [True, False, True, True]
    assert source.gaps == 0


def test_what_came_before_the_first_is_new():
    answers, source = fed((1, 9), (1, 6), (1, 6), (1, 8))
    assert answers == [True, True, False, True]
    assert source.gaps == 1


def test_a_jump_beyond_reach_forgets_what_was_seen():
    answers, source = fed((1, 1), (1, 1 + REACH), (1, 1), (1, 2), (1, 2**53))
    assert answers == [True, True, False, True, True], "2 is just within reach, 1 is not"
    assert source.gaps == REACH - 2 + 2**53 - REACH - 2
    assert source.mask == 1


def test_a_new_boot_begins_its_own_numbers_and_the_old_ones_go_on():
    answers, source = fed((1, 1), (1, 2), (2, 0), (1, 4), (1, 2), (1, 3), (2, 1), (2, 0))
    assert answers == [True, True, True, True, False, True, True, False]
    assert (source.boot_id, source.high, source.gaps) == (2, 1, 0)


def test_an_earlier_boot_may_come_second():
    answers, source = fed((7, 3), (6, 9), (6, 9), (6, 10))
    assert answers == [True, True, False, True]
    assert (source.boot_id, source.high) == (7, 3)


def test_older_boots_cannot_be_told_from_repetitions():
    answers, _ = fed((1, 1), (2, 1), (3, 1), (1, 2), (2, 2))
    assert answers == [True, True, True, False, True]


def test_a_cursor_survives_its_row():
    _, source = fed((1, 1), (1, 4), (2, 8), (2, 9), (2, 2**53))
    again = Source("d", 0)
    again.load(source.cursor())
    for seen in ((1, 4), (2, 9), (1, 1), (2, 2**53)):
        assert not again.accept(*seen)
    assert again.accept(1, 3)
    assert again.cursor().gaps <= 2**53


def test_pages_hold_so_many_and_only_dirty_ones_are_written():
    sources = Sources(100, 2)
    made = [sources.get(f"d{i}") for i in range(5)]
    assert [source.page for source in made if source] == [0, 0, 1, 1, 2]
    assert sources.dirty_pages() == []
    for index in (4, 1):
        source = made[index]
        assert source is not None
        source.accept(1, 1)
        sources.changed(source)
    pages = sources.dirty_pages()
    assert [(number, len(page.cursors)) for number, page in pages] == [(0, 2), (2, 1)]
    assert sources.dirty_pages() == []
    assert not any(source.dirty for source in sources.all())


def test_loaded_devices_keep_their_pages():
    sources = Sources(100, 2)
    for i in range(5):
        source = sources.get(f"d{i}")
        assert source is not None
        source.accept(1, i)
        sources.changed(source)
    again = Sources(100, 2)
    again.load(sources.dirty_pages()[::-1])
    assert [(s.device, s.page, s.high) for s in again.all()] == [
        (f"d{i}", i // 2, i) for i in range(5)
    ]
    sixth = again.get("d5")
    assert sixth is not None
    assert sixth.page == 2


@pytest.mark.parametrize("bound", [0, 3])
def test_the_table_is_bounded(bound):
    sources = Sources(bound, 2)
    assert [sources.get(f"d{i}") is not None for i in range(5)] == [i < bound for i in range(5)]
    assert len(sources) == bound
