"""The common ground: saves that change nothing are skipped, a clock that was never set is none."""

from __future__ import annotations

from devicesdk.agent.effects import Note, Save
from devicesdk.agent.notes import NoteKind
from devicesdk.wire.timebase import SECOND
from tests_kit.agent_bundles import shared_of


def test_a_save_that_changes_nothing_is_skipped():
    shared = shared_of()
    shared.take_snapshot = lambda: b"one"
    shared.save_state()
    shared.save_state()
    assert shared.out == [Save("state", b"one")]
    shared.take_snapshot = lambda: b"two"
    shared.save_state()
    shared.forget_saved()
    shared.save_state()
    assert [effect.data for effect in shared.out] == [b"one", b"two", b"two"]


def test_wall_time_moves_with_the_clock_of_the_boot():
    shared = shared_of()
    shared.booted(2, 1_750_000_000_000, 10 * SECOND)
    assert shared.wall_ms(12 * SECOND) == 1_750_000_002_000


def test_a_clock_from_1970_is_no_clock():
    shared = shared_of()
    for wall_ms in (None, 0, 86_400_000):
        shared.booted(2, wall_ms, 0)
        assert shared.wall_ms(SECOND) is None


def test_tokens_are_never_used_twice_and_never_zero():
    shared = shared_of()
    assert [shared.token() for _ in range(3)] == [1, 2, 3]


def test_notes_are_effects():
    shared = shared_of()
    shared.note(NoteKind.ONLINE, 1, 2)
    assert shared.out == [Note("online", 1, 2)]
