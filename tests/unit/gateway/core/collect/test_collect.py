from __future__ import annotations

import pytest

from devicesdk.sketches.cardinality import hll_bytes
from devicesdk.sketches.membership import bloom_bytes
from devicesdk.sketches.quantile import kll_bytes
from devicesdk.wire.timebase import MINUTE, MS, SECOND
from devicesim.entropy import Entropy
from gateway.core.collect import notes, rows
from gateway.core.collect.collect import Collect, window_key
from gateway.core.collect.limits import CollectLimits
from gateway.core.effects import Note, Persist
from gateway.core.internal import (
    BundleKnown,
    DeviceLabelled,
    Judged,
    Tracking,
    Watching,
    WindowSeen,
)
from gateway.core.stimuli import Arrived, BrokerUp, DeadlineReached, Started


class Store:
    """Durable rows: what a host would have committed."""

    def __init__(self) -> None:
        self.rows = {}

    def commit(self, effects) -> None:
        for effect in effects:
            if isinstance(effect, Persist):
                self.rows.pop((effect.table, effect.key), None)
                if effect.row is not None:
                    self.rows[effect.table, effect.key] = effect.row

    def stored(self):
        return [(table, key, row) for (table, key), row in self.rows.items()]

    def tables(self):
        return sorted({table for table, _ in self.rows})


def machine(**bounds) -> Collect:
    return Collect(CollectLimits(**bounds))


def close(collect: Collect):
    due, why = collect.deadline() or (0, "nothing is due")
    assert "window closes" in why, why
    return collect.handle(DeadlineReached(), due)


def closed_row(effects) -> rows.WindowRow:
    [row] = [e.row for e in effects if isinstance(e, Persist) and e.table == rows.WINDOW and e.row]
    return row


def test_telemetry_is_counted_in_the_cohort_of_bundle_hardware_and_region(lab):
    collect = machine()
    collect.handle(DeviceLabelled("d1", {"hardware_class": "arm", "region": "eu"}), 0)
    assert collect.handle(lab.arrived("d1"), 0) == []
    collect.handle(lab.arrived("d2"), 0)
    collect.handle(lab.arrived("d1", 2, bundle=lab.CANDIDATE), 0)
    names = [view.name for view in collect.overview().cohorts]
    assert names == sorted(
        [
            f"{lab.BUNDLE.hex()}/arm/eu",
            f"{lab.BUNDLE.hex()}/unknown/unknown",
            f"{lab.CANDIDATE.hex()}/arm/eu",
        ]
    )
    collect.validate()


def test_a_device_that_is_labelled_anew_changes_its_cohort(lab):
    collect = machine()
    collect.handle(lab.arrived("d1"), 0)
    collect.handle(DeviceLabelled("d1", {"profile": "pi", "region": "us"}), 0)
    collect.handle(lab.arrived("d1", 2), 0)
    assert [view.open_frames for view in collect.overview().cohorts] == [4, 4]


def test_repetitions_and_gaps_are_counted(lab):
    collect = machine()
    for seq in (1, 1, 2, 5, 5):
        collect.handle(lab.arrived("d1", seq), 0)
    counters = collect.overview().counters
    assert (counters.received, counters.accepted, counters.duplicates, counters.gaps) == (
        5,
        3,
        2,
        2,
    )
    assert counters.frames_accepted == 12
    collect.validate()


def test_rubbish_is_counted_noted_and_dropped(lab):
    collect = machine()
    assert collect.handle(Arrived("tel", "d1", b"\xc1"), 0) == [Note(notes.MALFORMED, "d1", 1)]
    assert collect.handle(lab.arrived("d1", confidence=b"\x01"), 0) == [
        Note(notes.MALFORMED, "d1", 2)
    ]
    assert collect.deadline() is None
    collect.handle(lab.arrived("d1"), 0)
    assert collect.overview().counters.accepted == 1, "a malformed message uses up no number"
    collect.validate()


def test_full_tables_refuse_and_say_so(lab):
    collect = machine(sources_max=2, cohorts_max=1)
    collect.handle(DeviceLabelled("d2", {"region": "eu"}), 0)
    collect.handle(lab.arrived("d1"), 0)
    assert collect.handle(lab.arrived("d3"), 0) == [Note(notes.FULL, "d3", 2)]
    assert collect.handle(lab.arrived("d2"), 0) == [Note(notes.FULL, "d2", 1)]
    assert collect.handle(DeviceLabelled("d4", {}), 0) == []
    assert collect.overview().counters.refused == 2
    collect.validate()
    close(collect)
    assert collect.handle(lab.arrived("d2", 2), 16 * MINUTE) == [], "the silent cohort makes room"
    collect.validate()


def test_a_window_closes_at_its_boundary_and_the_next_message_opens_another(lab):
    collect = machine()
    collect.handle(Started(wall_ms=1_000_000), 0)
    collect.handle(lab.arrived("d1", errors={"E7": 2}), 5 * MINUTE)
    assert collect.deadline() == (15 * MINUTE, "collect: a telemetry window closes")
    assert collect.handle(DeadlineReached(), 15 * MINUTE - 1) == []
    effects = collect.handle(DeadlineReached(), 15 * MINUTE)
    row = closed_row(effects)
    epoch = 1_000_000 * MS
    assert (row.number, row.opened_ns, row.closed_ns) == (
        0,
        epoch + 5 * MINUTE,
        epoch + 15 * MINUTE,
    )
    assert (row.cohorts[0].frames, row.cohorts[0].errors) == (4, {"E7": 2})
    assert effects[-1] == Note(notes.WINDOW_CLOSED, "0", 1, 4)
    assert collect.deadline() is None
    collect.validate()
    # A late host: the message closes the window before it is counted in the next one.
    collect.handle(lab.arrived("d1", 2), 16 * MINUTE)
    late = collect.handle(lab.arrived("d1", 3), 31 * MINUTE)
    assert closed_row(late).number == 1
    assert collect.overview().cohorts[0].open_frames == 4
    collect.validate()


def test_closed_windows_are_bounded_and_the_oldest_goes(lab):
    collect, store = machine(windows_kept_max=2), Store()
    for number in range(3):
        collect.handle(lab.arrived("d1", number), number * 15 * MINUTE)
        effects = close(collect)
        store.commit(effects)
    assert Note(notes.WINDOW_DROPPED, "", 0, 2) in effects
    assert [row.number for row in collect.overview().windows] == [1, 2]
    assert [key for table, key in store.rows if table == rows.WINDOW] == [
        window_key(1), window_key(2),
    ]  # fmt: skip
    assert collect.overview().counters.windows_dropped == 1
    collect.validate()


def test_sketches_are_kept_beside_and_bad_ones_ignored(lab):
    collect = machine()
    good = {"kll": kll_bytes([1.0, 2.0, 3.0]), "hll": hll_bytes([7, 8, 9])}
    collect.handle(lab.arrived("d1", 1, **good), 0)
    collect.handle(lab.arrived("d1", 2, **good), 0)
    collect.handle(lab.arrived("d1", 3, kll=b"rubbish"), 0)
    collect.handle(lab.arrived("d1", 4, hll=b"rubbish"), 0)
    collect.handle(lab.arrived("d1", 5, kll=good["kll"]), 0)
    overview = collect.overview()
    assert overview.cohorts[0].quantiles == (1.0, 1.0, 2.0, 3.0, 3.0)
    assert overview.counters.bad_sketches == 2
    assert overview.counters.accepted == 5
    assert closed_row(close(collect)).cohorts[0].distinct == 3


def test_a_shift_in_one_region_is_found_and_healthy_ones_stay_calm(lab):
    collect, stream = machine(), Entropy(5).stream("collect.shift")
    collect.handle(BundleKnown(lab.BUNDLE, lab.flat_baseline()), 0)
    told = []
    for number in range(6):
        for i in range(300):
            device, region = f"d{i}", ("eu", "us", "asia")[i % 3]
            collect.handle(DeviceLabelled(device, {"hardware": "arm", "region": region}), 0)
            looks = 5 if region == "us" and number >= 2 else 10
            arrived = lab.arrived(device, number, look=stream.integer(looks))
            collect.handle(arrived, number * 15 * MINUTE + i)
        told += [(number, note.kind, note.subject.split(":")[0]) for note in close(collect)
                 if isinstance(note, Note) and note.kind.startswith("drift")]  # fmt: skip
    assert told == [(3, notes.RAISED["data"], f"{lab.BUNDLE.hex()}/arm/us")], (
        "the shift began in window 2 and must be an alarm, and the only one, in window 3"
    )
    raised = {p.cohort for p in collect.overview().series() if p.alarm}
    assert raised == {f"{lab.BUNDLE.hex()}/arm/us"}


def test_a_candidate_is_judged_each_minute_while_it_speaks(lab):
    collect = machine()
    collect.handle(Watching("r1", lab.CANDIDATE, lab.BUNDLE), 0)
    assert collect.deadline() is None
    collect.handle(lab.arrived("d1"), 10 * SECOND)
    assert collect.deadline() == (MINUTE, "collect: a candidate is judged")
    assert collect.handle(DeadlineReached(), MINUTE) == []
    collect.handle(lab.arrived("d2", bundle=lab.CANDIDATE, slow=12), 70 * SECOND)
    judged, note = collect.handle(DeadlineReached(), 2 * MINUTE)
    assert isinstance(judged, Judged)
    assert judged.latency_p95_ms > 5 * judged.baseline_latency_p95_ms > 0
    assert note == Note(notes.JUDGED, f"{lab.CANDIDATE.hex()}/unknown", 45_255, 5_657)
    assert collect.handle(DeadlineReached(), 3 * MINUTE) == []
    collect.handle(lab.arrived("d2", 2, bundle=lab.CANDIDATE, slow=12), 14 * MINUTE + SECOND)
    effects = collect.handle(DeadlineReached(), 15 * MINUTE)
    assert [e.frames for e in effects if isinstance(e, Judged)] == [8], "also as a window closes"
    assert collect.deadline() is None
    collect.validate()


def test_a_watch_that_begins_in_an_open_window_is_judged_at_the_next_minute(lab):
    collect = machine()
    collect.handle(lab.arrived("d1"), 0)
    collect.handle(Watching("r1", lab.CANDIDATE, lab.BUNDLE), 61 * SECOND)
    assert collect.deadline() == (2 * MINUTE, "collect: a candidate is judged")


def test_what_is_not_for_us_is_left_alone(lab):
    collect = machine()
    assert collect.handle(Arrived("get", "d1", b"x"), 0) == []
    assert collect.handle(BrokerUp(session_present=True), 0) == []


# -- durability --------------------------------------------------------------------------------


def test_a_crash_before_the_commit_forgets_the_group_and_its_redelivery_counts(lab):
    store = Store()
    first = machine()
    for seq in (0, 1):
        first.handle(lab.arrived("d1", seq), 0)
    store.commit(first.checkpoint())
    first.handle(lab.arrived("d1", 2), 0)
    assert first.unsaved == 1
    again = machine()
    assert again.restore(store.stored(), SECOND) == []
    for seq in (1, 2):
        again.handle(lab.arrived("d1", seq), SECOND)
    counters = again.overview().counters
    assert (counters.accepted, counters.duplicates, counters.frames_accepted) == (1, 1, 12)
    again.validate()


def test_a_crash_after_the_commit_recognises_the_redelivery(lab):
    store = Store()
    first = machine()
    first.handle(lab.arrived("d1", 1), 0)
    store.commit(first.checkpoint())
    assert first.checkpoint() == []
    again = machine()
    again.restore(store.stored(), SECOND)
    again.handle(lab.arrived("d1", 1), SECOND)
    assert again.overview().counters.frames_accepted == 4


def test_closing_also_covers_the_group_that_is_still_open(lab):
    store = Store()
    first = machine()
    first.handle(lab.arrived("d1", 1), 0)
    store.commit(first.checkpoint())
    first.handle(lab.arrived("d1", 2), 0)
    store.commit(close(first))
    assert store.tables() == [rows.CURSORS, rows.WINDOW], "the journal is replaced"
    again = machine()
    again.restore(store.stored(), 20 * MINUTE)
    again.handle(lab.arrived("d1", 2), 20 * MINUTE)  # it was never acknowledged
    overview = again.overview()
    assert overview.counters.duplicates == 1
    assert [cohort.frames for row in overview.windows for cohort in row.cohorts] == [8]


def run(lab, crash_after: int | None, **bounds):
    """Feed 3 windows of 40 devices; crash once after so many messages; redeliver what was not
    acknowledged. Returns the frames per window and cohort."""
    store, stream = Store(), Entropy(3).stream("collect.crash")
    collect = machine(**bounds)
    labels = {f"d{i}": {"hardware": f"h{i % 2}", "region": "eu"} for i in range(40)}

    def begin(fresh: Collect, now: int) -> Collect:
        fresh.restore(store.stored(), now)
        fresh.handle(BundleKnown(lab.BUNDLE, lab.flat_baseline()), now)
        for device, its in labels.items():
            fresh.handle(DeviceLabelled(device, its), now)
        fresh.validate()
        return fresh

    collect = begin(collect, 0)
    handled, unacked = 0, []
    for window in range(3):
        for i in range(40):
            now = window * 15 * MINUTE + i * SECOND
            arrived = lab.arrived(f"d{i}", window, look=stream.integer(10), errors={"E": 1})
            store.commit(collect.handle(arrived, now))
            unacked.append(arrived)
            handled += 1
            if handled == crash_after:
                collect = begin(machine(**bounds), now)
                for message in unacked:
                    store.commit(collect.handle(message, now))
            if handled % 7 == 0:
                store.commit(collect.checkpoint())
                unacked.clear()
        store.commit(close(collect))
        collect.validate()
    return [
        (row.number, row.cohorts, row.alarms) for row in collect.overview().windows
    ], collect.overview().counters.gaps


@pytest.mark.parametrize("bounds", [{}, {"journal_messages_max": 10, "cursors_per_page": 8}])
def test_a_crash_at_any_message_changes_no_count(lab, bounds):
    undisturbed = run(lab, None, **bounds)
    assert [sum(c.frames for c in cohorts) for _, cohorts, _ in undisturbed[0]] == [160] * 3
    for crash_after in range(1, 121, 3):
        assert run(lab, crash_after, **bounds) == undisturbed, f"crash after {crash_after} messages"


def test_alarms_go_on_after_a_restart(lab):
    store, collect = Store(), machine()
    for number in range(2):
        collect.handle(BundleKnown(lab.BUNDLE, lab.flat_baseline()), 0)
        for i in range(100):
            collect.handle(lab.arrived(f"d{i}", number, look=1), number * 15 * MINUTE)
        store.commit(close(collect))
    again = machine()
    again.restore(store.stored(), 40 * MINUTE)
    assert again.overview().cohorts == collect.overview().cohorts
    assert again.overview().cohorts[0].drift == "data"
    again.handle(lab.arrived("d1", 2), 40 * MINUTE)
    assert closed_row(close(again)).number == 2


@pytest.mark.parametrize("journal_messages_max", [4, 10_000])
def test_a_smaller_machine_restores_what_fits(lab, journal_messages_max):
    store, collect = Store(), machine(journal_messages_max=journal_messages_max)
    collect.handle(BundleKnown(lab.BUNDLE, lab.flat_baseline()), 0)
    for number in range(2):
        for i in range(180):
            collect.handle(DeviceLabelled(f"d{i}", {"region": f"r{i % 3}"}), 0)
            collect.handle(lab.arrived(f"d{i}", number, look=1), number * 15 * MINUTE)
            if number:
                store.commit(collect.checkpoint())
        if not number:
            store.commit(
                [e for e in close(collect) if isinstance(e, Persist) and e.table != rows.CURSORS]
            )
    for bound in (0, 1):
        again = machine(cohorts_max=bound, sources_max=bound)
        again.restore(store.stored(), 0)
        assert len(again.overview().cohorts) == bound
        again.validate()


def test_an_old_row_of_another_machine_is_skipped(lab):
    collect = machine()
    collect.restore([("control.kill", "", object())], 0)
    assert collect.overview().cohorts == ()
    assert collect.deadline() is None


def test_a_message_that_is_not_accounted_for_is_noticed(lab):
    collect = machine()
    collect.handle(lab.arrived("d1"), 0)
    collect._received += 1
    with pytest.raises(AssertionError, match="2 received, 1 accounted for"):
        collect.validate()


def test_filters_of_a_window_are_joined_and_rubbish_is_counted(lab):
    collect = machine()
    for seq, items in ((1, [5, 6]), (2, range(20))):
        collect.handle(lab.arrived("d1", seq, bloom=bloom_bytes(items)), 0)
    collect.handle(lab.arrived("d1", 3, bloom=b"\1" * 9), 0)
    (view,) = collect.overview().cohorts
    assert 0 < view.members_fill < 0.5
    assert collect.overview().counters.bad_sketches == 1
    close(collect)
    collect.handle(lab.arrived("d1", 4), 16 * MINUTE)
    (view,) = collect.overview().cohorts
    assert view.members_fill == 0, "a window remembers what another one saw"


def tracked(lab, **bounds):
    collect = machine(**bounds)
    collect.handle(Tracking((lab.BUNDLE, lab.CANDIDATE)), 0)
    return collect


def told(effects):
    return sum(isinstance(effect, WindowSeen) for effect in effects)


def test_a_window_without_a_frame_is_no_witness(lab):
    collect = tracked(lab)
    assert told(collect.handle(lab.arrived("d1", 1), 0)) == 1
    assert told(collect.handle(lab.arrived("d1", 2, frames=0), MINUTE)) == 0
    assert collect.overview().counters.accepted == 2


def test_one_device_is_no_crowd_of_witnesses(lab):
    collect = tracked(lab, witness_ns=MINUTE, witness_burst_max=8)
    hour = [
        told(collect.handle(lab.arrived("d1", second, bundle=bundle), second * SECOND))
        for second in range(1, 3600)
        for bundle in (lab.BUNDLE if second % 2 else lab.CANDIDATE,)
    ]
    assert sum(hour[:8]) == 8, "what waited while there was no link counts"
    assert sum(hour) <= 8 + 60, f"one device was {sum(hour)} witnesses in an hour, of both arms"
    assert told(collect.handle(lab.arrived("d2"), 3600 * SECOND)) == 1


def test_a_device_at_its_usual_pace_is_always_a_witness(lab):
    collect = tracked(lab)
    for seq in range(1, 200):
        assert told(collect.handle(lab.arrived("d1", seq), seq * MINUTE)) == 1
