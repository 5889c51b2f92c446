"""Rows of debug mode: only under a grant, bounded, apart from what is judged."""

from __future__ import annotations

from gateway.core.collect import notes, rows
from gateway.core.collect.collect import Collect
from gateway.core.collect.debugged import DebugFrame, spelt
from gateway.core.collect.limits import CollectLimits
from gateway.core.effects import Note, Persist
from gateway.core.internal import DebugGranted

ROW = bytes.fromhex("1f130f0123456904")
FRAME = DebugFrame(31, 19, 15, (0, 1, 2, 3, 4, 5, 6, 9), 4)


def machine(**bounds):
    collect = Collect(CollectLimits(**bounds))
    collect.handle(DebugGranted("d1", 41), 0)
    return collect


def told(collect, device="d1"):
    return [(view.grant, view.seq, view.told) for view in collect.debugged.of(device)]


def test_rows_under_a_grant_are_kept_and_durable(lab):
    collect = machine()
    (effect,) = collect.handle(lab.arrived("d1", 1, debug_grant=41, debug=ROW * 2), 0)
    assert isinstance(effect, Persist)
    assert effect.table == rows.DEBUG
    assert told(collect) == [(41, 1, [FRAME, FRAME])]
    again = Collect(CollectLimits())
    again.restore([(effect.table, effect.key, effect.row)], 0)
    assert told(again) == told(collect)


def test_rows_under_no_grant_or_that_of_another_device_are_dropped_and_noted(lab):
    collect = machine()
    for device, number in (("d1", 40), ("d2", 41)):
        effects = collect.handle(lab.arrived(device, 1, debug_grant=number, debug=ROW), 0)
        assert effects == [Note(notes.DEBUG_UNASKED, device, number)]
        assert told(collect, device) == []
    assert collect.overview().counters.accepted == 2, "the window itself counts as ever"


def test_a_repetition_is_kept_once_and_the_oldest_window_goes(lab):
    collect = machine(debug_windows_max=2)
    for seq in (1, 1, 2):
        effects = collect.handle(lab.arrived("d1", seq, debug_grant=41, debug=ROW), seq)
    assert [seq for _, seq, _ in told(collect)] == [1, 2]
    effects = collect.handle(lab.arrived("d1", 3, debug_grant=41, debug=ROW), 3)
    assert [seq for _, seq, _ in told(collect)] == [2, 3]
    gone = [effect.key for effect in effects if isinstance(effect, Persist) and effect.row is None]
    assert len(gone) == 1, f"expected the oldest row to be forgotten for good, found {effects}"


def test_bytes_of_half_a_row_are_no_row():
    assert spelt(ROW + ROW[:5]) == [FRAME]
    assert spelt(b"") == []
