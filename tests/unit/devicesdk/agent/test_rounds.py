"""Requests are booked: nothing is asked for twice at once, nothing is waited for without a timer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devicesdk.agent.rounds import LATE_ROUNDS_MAX, LOOK_CHUNKS, Rounds
from devicesdk.bundle.chunks import ChunkMap
from devicesdk.wire.timebase import NEVER


def _map(chunks=10, here=()):
    made = ChunkMap(bytes(32), chunks * 100, 100)
    for chunk in here:
        made.add(chunk)
    return made


def _open(rounds, here, chunks=2, span=8, deadline=100):
    one = rounds.open(*rounds.pick(here, chunks, span), 0)
    rounds.alive(one.seq, deadline)
    return one


def test_requests_name_the_lowest_missing_chunks_that_nobody_asked_for():
    rounds, here = Rounds(), _map(here=(0, 3))
    assert rounds.pick(here, 3, 8) == (1, 0b1011)
    _open(rounds, here, 3)
    assert rounds.pick(here, 3, 8) == (5, 0b111)


def test_a_request_spans_no_more_than_it_may():
    rounds, here = Rounds(), _map(here=(1, 2, 3, 4))
    assert rounds.pick(here, 4, 3) == (0, 0b1)


def test_when_all_is_on_its_way_nothing_is_asked_for():
    rounds, here = Rounds(), _map(chunks=3)
    _open(rounds, here, 3)
    assert rounds.pick(here, 3, 8) is None
    assert Rounds().pick(_map(chunks=2, here=(0, 1)), 2, 8) is None


def test_a_chunk_is_struck_off_once():
    one = _open(Rounds(), _map(here=(0,)))
    assert not one.takes(0), "a chunk below the request was taken"
    assert one.takes(1)
    assert not one.takes(1), "a duplicate was taken"
    assert not one.takes(3)


def test_a_closed_request_is_unknown_and_its_rest_is_asked_for_again():
    rounds, here = Rounds(), _map()
    one = _open(rounds, here)
    rounds.close(one.seq)
    assert rounds.find(one.seq) == (None, False)
    assert rounds.pick(here, 2, 8) == (0, 0b11)
    assert rounds.at == NEVER


def test_a_sign_of_life_renews_those_behind_and_not_those_before():
    rounds, here = Rounds(), _map()
    first, second = _open(rounds, here, deadline=50), _open(rounds, here, deadline=60)
    rounds.alive(second.seq, 90)
    assert (first.deadline, second.deadline, rounds.at) == (50, 90, 50)
    rounds.alive(first.seq, 120)
    assert (first.deadline, second.deadline) == (120, 120)


def test_an_expired_request_is_remembered_for_late_frames():
    rounds, here = Rounds(), _map()
    one = _open(rounds, here, deadline=50)
    assert rounds.expire(49) == []
    assert rounds.expire(50) == [one]
    assert rounds.find(one.seq) == (one, False)
    assert rounds.pick(here, 2, 8) == (0, 0b11)


def test_few_late_requests_are_remembered():
    rounds, here = Rounds(), _map()
    first = _open(rounds, here)
    rounds.expire(1000)
    for _ in range(LATE_ROUNDS_MAX):
        _open(rounds, here)
        rounds.expire(1000)
    assert rounds.find(first.seq) == (None, False)


def test_setting_aside_keeps_what_is_on_its_way():
    rounds, here = Rounds(), _map()
    one = _open(rounds, here)
    rounds.set_aside()
    assert (len(rounds), rounds.at) == (0, NEVER)
    assert rounds.find(one.seq) == (one, False)
    rounds.close_all()
    assert rounds.find(one.seq) == (None, False)


def test_only_a_request_made_alone_measures_the_path():
    rounds, here = Rounds(), _map()
    assert _open(rounds, here).asked_alone
    assert not _open(rounds, here).asked_alone


def _one_by_one(here, asked, chunks_max, span_max):
    """The rule of `pick`, chunk by chunk."""
    wanted = [n for n in range(here.chunks) if n not in here and n not in asked]
    if not wanted:
        return None
    base = wanted[0]
    within = [n for n in wanted if n < base + span_max][:chunks_max]
    return base, sum(1 << (n - base) for n in within)


@given(st.data())
def test_what_is_picked_is_what_the_rule_says_chunk_by_chunk(data):
    chunks = data.draw(st.integers(1, 70))
    here = _map(chunks, data.draw(st.sets(st.integers(0, chunks - 1))))
    span = data.draw(st.integers(1, 80))
    rounds, asked = Rounds(), set()
    while (
        picked := _one_by_one(here, asked, most := data.draw(st.integers(1, 20)), span)
    ) is not None:
        assert rounds.pick(here, most, span) == picked, f"asked for {sorted(asked)} already"
        base, bits = picked
        one = rounds.open(base, bits, 0)
        asked |= {base + n for n in range(bits.bit_length()) if bits >> n & 1}
        for chunk in sorted(asked):
            if data.draw(st.booleans()) and one.takes(chunk):
                here.add(chunk)
    assert rounds.pick(here, most, span) is None


def test_what_is_missing_far_behind_what_was_asked_for_is_found():
    here = _map(3 * LOOK_CHUNKS, set(range(3 * LOOK_CHUNKS)) - {1, 2 * LOOK_CHUNKS + 7})
    rounds = Rounds()
    assert rounds.pick(here, 4, 8) == (1, 0b1)
    rounds.open(1, 0b1, 0)
    assert rounds.pick(here, 4, 8) == (2 * LOOK_CHUNKS + 7, 0b1)
    rounds.open(2 * LOOK_CHUNKS + 7, 0b1, 0)
    assert rounds.pick(here, 4, 8) is None
