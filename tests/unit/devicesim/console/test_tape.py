"""Blocks of a trace, and the rows of one actor among them."""

import numpy as np
import pytest

from devicesim.console.tape import Tape


def block(*rows):
    return np.array(rows, dtype=np.int64).tobytes()


@pytest.fixture
def tape():
    made = Tape()
    yield made
    made.close()


def test_the_newest_rows_of_one_actor_are_told_in_their_order(tape):
    tape(block((1, 0, 5, 0, 0), (2, 1, 6, 0, 0), (3, 0, 7, 1, 2)))
    tape(block((4, 1, 8, 0, 0), (5, 0, 9, 3, 4)))
    assert tape.read(tape.blocks, 0, 10) == [(1, 5, 0, 0), (3, 7, 1, 2), (5, 9, 3, 4)]
    assert tape.read(tape.blocks, 0, 2) == [(3, 7, 1, 2), (5, 9, 3, 4)]
    assert tape.read(tape.blocks, 7, 2) == []


def test_what_came_later_is_not_told_of_before(tape):
    tape(block((1, 0, 5, 0, 0)))
    before = tape.blocks
    tape(block((2, 0, 6, 0, 0)))
    assert tape.read(before, 0, 10) == [(1, 5, 0, 0)]


def test_it_begins_anew(tape):
    tape(block((1, 0, 5, 0, 0)))
    tape.clear()
    tape(block((9, 0, 6, 0, 0)))
    assert tape.read(tape.blocks, 0, 10) == [(9, 6, 0, 0)]
