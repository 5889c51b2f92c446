"""Sums of products: of devices, not of messages, in whatever order and blocks."""

from __future__ import annotations

import numpy as np

from devicesim.entropy import Entropy
from gateway.core.collect.bins import BINS, HISTOGRAMS
from gateway.core.collect.likeness import ROWS_MAX, Likeness


def messages(count=40, frames=3, seed=1):
    stream = Entropy(seed).stream("likeness")
    counts = np.zeros((count, BINS), np.int64)
    for row in counts:
        for first, stop in HISTOGRAMS:
            for _ in range(frames):
                row[first + stream.integer(stop - first)] += 1
    slots = np.array([stream.integer(3) for _ in range(count)])
    return slots, np.arange(count), np.full(count, frames), counts


def summed(parts) -> Likeness:
    likeness = Likeness()
    for part in parts:
        likeness.keep(*part)
    likeness.settle()
    return likeness


def test_products_are_those_of_the_definition():
    slots, devices, frames, counts = messages()
    likeness = summed([(slots, devices, frames, counts)])
    for index, (first, stop) in enumerate(HISTOGRAMS):
        mine = counts[slots == 1, first:stop]
        found = likeness.of(1, index)
        assert found.devices == likeness.devices(1) == len(mine)
        assert found.sizes_squared == 9 * len(mine)
        assert found.cross.tolist() == (3 * mine.sum(axis=0)).tolist()
        assert found.squares.tolist() == (mine.T @ mine).tolist()


def test_a_device_that_sends_many_messages_is_one_device():
    slots, devices, frames, counts = messages(40)
    slots[:] = 0
    halves = summed([(slots, devices // 4, frames, counts)])
    whole = np.add.reduceat(counts, np.arange(0, 40, 4))
    once = summed([(slots[:10], devices[:10], np.full(10, 12), whole)])
    assert halves.devices(0) == 10
    assert halves.of(0, 3).squares.tolist() == once.of(0, 3).squares.tolist()


def test_a_fleet_that_talks_much_is_as_many_devices_as_it_has():
    """A thousand devices with a window every ten seconds: a block of messages is not a second fleet."""
    _, _, frames, counts = messages(100)
    slots, likeness = np.zeros(100, np.int64), Likeness()
    for _ in range(2 * ROWS_MAX // 100):
        likeness.keep(slots, np.arange(100) % 10, frames, counts)
    likeness.settle()
    assert likeness.devices(0) == 10
    assert [len(numbers) for _, numbers, _ in likeness.ranks] == [10]


def test_what_one_device_says_does_not_overflow():
    """The most frames that a message may carry, and enough of them to pass 2^31."""
    frames_max, said = 1_000_000, 2_500
    counts = np.zeros((said, BINS), np.int64)
    counts[:, [first for first, _ in HISTOGRAMS]] = frames_max
    where = np.zeros(said, np.int64)
    likeness = summed([(where, where, np.full(said, frames_max), counts)])
    assert likeness.of(0, 0).cross[0] == (frames_max * said) ** 2


def test_neither_order_nor_blocks_change_a_number():
    parts = messages(60)
    order = np.argsort(np.array([(7 * i) % 60 for i in range(60)]))
    shuffled = tuple(part[order] for part in parts)
    split = [tuple(part[i : i + 7] for part in shuffled) for i in range(0, 60, 7)]
    one, other = summed([parts]), summed(split)
    assert [one.pack_row(slot) for slot in range(3)] == [other.pack_row(slot) for slot in range(3)]


def test_single_frames_need_no_products_and_have_the_same_sums():
    slots, devices, frames, counts = messages(30, frames=1)
    found = summed([(slots, devices, frames, counts)]).of(2, 0)
    mine = counts[slots == 2, :20]
    assert found.squares.tolist() == (mine.T @ mine).tolist()


def test_huge_counts_stay_exact():
    slots, devices, frames, counts = messages(8)
    slots[:] = 0
    counts, frames = counts * 250_000_000, frames * 250_000_000
    mine = [[int(value) for value in row[:20]] for row in counts]
    found = summed([(slots, devices, frames, counts)]).of(0, 0).squares.tolist()
    assert found == [
        [sum(row[i] * row[j] for row in mine) for j in range(20)] for i in range(20)
    ], "rounding would make the order of messages matter"


def test_rows_survive_and_strange_ones_are_left_out():
    one, other = summed([messages()]), Likeness()
    other.add_row(1, one.pack_row(1))
    other.add_row(1, b"of another version")
    assert other.pack_row(1) == one.pack_row(1)
    assert other.devices(99) == other.of(99, 0).devices == 0
    one.clear()
    assert one.devices(1) == 0
