"""Unit test of `Stream.at` in `devicesim/entropy.py`: luck that belongs to an instant."""

from __future__ import annotations

from devicesim.entropy import Entropy


def test_draws_by_index_are_repeatable_and_disturb_nothing():
    stream, other = Entropy(3).stream("luck", "d1"), Entropy(3).stream("luck", "d1")
    found = [stream.at(k) for k in range(100)]
    assert [other.at(k) for k in reversed(range(100))] == found[::-1]
    assert stream.uniform() == Entropy(3).stream("luck", "d1").uniform()
    assert Entropy(3).stream("luck", "d2").at(5) != found[5]
    assert Entropy(4).stream("luck", "d1").at(5) != found[5]


def test_each_byte_is_spread_evenly_even_over_neighbouring_instants():
    stream = Entropy(3).stream("luck", "d1")
    counts = [[0] * 16 for _ in range(8)]
    total = 16_000
    for k in range(total):
        bits = stream.at(k * 1_000_000_000)
        for byte in range(8):
            counts[byte][(bits >> (8 * byte)) & 15] += 1
    for row in counts:
        chi_square = sum((count - total / 16) ** 2 / (total / 16) for count in row)
        assert chi_square < 44.0, "15 degrees of freedom, one in ten thousand"
