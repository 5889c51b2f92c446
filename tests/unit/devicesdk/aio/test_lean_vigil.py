"""Keep-alive by looking: pings in time, death in time, and nobody declared dead for our own pause."""

from __future__ import annotations

import pytest

from devicesdk.aio.lean_vigil import GRACE_S, Due, Vigil


def test_a_quiet_side_of_either_kind_brings_a_ping():
    for side in ("read_at", "written_at"):
        vigil = Vigil(10.0, now=100.0)
        setattr(vigil, side, 109.0)
        assert vigil.look(109.5) == (Due.NOTHING, 110.0)
        assert vigil.look(110.0)[0] is Due.PING


def test_a_busy_connection_is_left_alone():
    vigil = Vigil(10.0, now=0.0)
    vigil.read_at = vigil.written_at = 9.0
    assert vigil.look(10.0) == (Due.NOTHING, 19.0)


def test_one_ping_for_a_silence():
    vigil = Vigil(10.0, now=0.0)
    assert vigil.look(10.0) == (Due.PING, 15.0)
    assert vigil.look(12.0) == (Due.NOTHING, 15.0)


def test_an_answered_ping_starts_afresh():
    vigil = Vigil(10.0, now=0.0)
    vigil.look(10.0)
    vigil.written_at = vigil.read_at = 10.1
    assert vigil.look(15.0) == (Due.NOTHING, 20.1)
    assert vigil.look(20.1)[0] is Due.PING


def test_dead_after_one_and_a_half_keepalives_and_a_grace():
    vigil = Vigil(10.0, now=0.0)
    vigil.look(10.0)
    assert vigil.look(15.0) == (Due.NOTHING, 15.0 + GRACE_S)
    assert vigil.look(15.0 + GRACE_S)[0] is Due.DEATH


def test_a_pause_of_our_own_is_not_taken_for_silence():
    vigil = Vigil(10.0, now=0.0)
    due, again_at = vigil.look(60.0)
    assert due is Due.NOTHING, "the loop slept for a minute and has not read yet"
    vigil.read_at = 60.1  # what had come meanwhile was read in the grace
    assert vigil.look(again_at)[0] is not Due.DEATH
    assert vigil.look(76.0)[0] is Due.NOTHING, "a new silence gets a grace of its own"
    assert vigil.look(76.3)[0] is Due.DEATH


def test_a_keepalive_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="above 0"):
        Vigil(0, now=0.0)
