"""Bloom filters: never a wrong no, few wrong ones among the yes, and a union of any sizes."""

from __future__ import annotations

import pytest

from devicesdk.sketches.membership import BYTES_MAX, ITEMS_MAX, Members, bloom_bytes
from devicesdk.wire.errors import BadMessage


def members(*filters):
    found = Members()
    for data in filters:
        found.add(data)
    return found


@pytest.mark.parametrize(
    ("count", "size"), [(1, 8), (8, 8), (9, 16), (20, 32), (64, 64), (128, 128)]
)
def test_what_went_in_is_found_and_what_did_not_is_seldom(count, size):
    items = [7 * number for number in range(count)]
    data = bloom_bytes(items)
    assert len(data) == size
    found = members(data)
    assert all(found.might_contain(item) for item in items), "a wrong no"
    wrong = sum(found.might_contain(10**6 + number) for number in range(20_000)) / 20_000
    assert wrong <= 0.03, f"{100 * wrong:.1f} % of strangers are said to have been seen"


def test_order_and_repetition_change_nothing():
    assert bloom_bytes([3, 1, 2, 1]) == bloom_bytes([1, 2, 3])


def test_none_and_too_many_have_no_filter():
    assert bloom_bytes([]) == b""
    assert bloom_bytes(range(ITEMS_MAX + 1)) == b""


def test_a_union_of_small_and_large_ones_has_the_members_of_all():
    small, large = list(range(5)), list(range(1000, 1100))
    found = members(bloom_bytes(small), bloom_bytes(large))
    assert all(found.might_contain(item) for item in small + large)
    assert 0 < found.fill < 1
    assert members(bloom_bytes(small)).fill < found.fill


@pytest.mark.parametrize(
    "data", [b"", bytes(7), b"\1" * 7, bytes(8), b"\1" * 24, b"\1" * 2 * BYTES_MAX]
)
def test_what_is_no_filter_of_ours_is_refused_and_adds_nothing(data):
    found = Members()
    with pytest.raises(BadMessage, match="expected a Bloom filter"):
        found.add(data)
    assert found.fill == 0


def test_the_bytes_are_pinned_for_other_languages():
    assert bloom_bytes([0, 1, 99_999_999]).hex() == PINNED


PINNED = "0201800c02c50002"
