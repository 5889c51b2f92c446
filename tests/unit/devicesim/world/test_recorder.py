import pytest

from devicesdk.agent.effects import Activate, Note
from devicesdk.agent.notes import NoteKind
from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from devicesim.world.checks.releases import digest_of
from devicesim.world.recorder import RING_LINES, Recorder, Stories
from gateway.core.collect import rows as collect_rows
from gateway.core.effects import Persist
from tests_kit import worlds

TIMELINE = "timeline: [{id: dark, at: 40m, for: 5m, do: partition, target: all}]\n"


@pytest.fixture
def recorder():
    drill = worlds.make_drill(worlds.scenario_text(TIMELINE, count=3))
    return Recorder(drill.world, drill.meter)


def test_a_story_keeps_the_last_moments_of_each_device():
    stories = Stories(2)
    for n in range(RING_LINES + 4):
        stories.note(1, n * MINUTE, NoteKind.KILL_OBEYED, n, 0)
    stories.note(0, HOUR, NoteKind.UPDATE_STATE, UpdateState.TRIAL, 3)
    lines = stories.lines(1)
    assert len(lines) == RING_LINES
    assert lines[0] == "+0:04:00 kill obeyed (4)"
    assert stories.lines(0) == ["+1:00:00 update of generation 3 is TRIAL"]
    assert len(stories.lines(1, 5 * MINUTE)) == 2


def test_memory_does_not_grow_with_what_happens():
    stories = Stories(3)
    size = len(stories._ring)
    for n in range(1000):
        stories.note(n % 3, n, NoteKind.CHUNK_BAD, n, 1)
    assert len(stories._ring) == size
    assert stories.kept == 1000


def test_curves_have_a_point_a_minute_and_bodies_one_in_five(recorder):
    recorder.world.hosts[0].on = True
    for minute in range(1, 11):
        recorder.checkpoint(minute * MINUTE)
    series = recorder.series()
    assert len(series["online"].t_s) == len(series["online"].values["online"]) == 11
    assert series["temperature"].t_s == [0.0, 300.0, 600.0]
    assert series["temperature"].unit == "C"
    for found in series.values():
        assert {len(curve) for curve in found.values.values()} <= {len(found.t_s)}


def test_versions_count_devices_by_what_they_run(recorder):
    old = digest_of(recorder.world, "gauge@1.0.0")
    new = digest_of(recorder.world, "gauge@1.1.0")
    hosts = recorder.world.hosts
    for host in hosts:
        recorder.activated(host, Activate("a", old, "fp32"), 1)
    recorder.checkpoint(MINUTE)
    recorder.activated(hosts[0], Activate("b", new, "fp32"), 2)
    recorder.went_off(hosts[1], 3)
    recorder.checkpoint(2 * MINUTE)
    assert recorder.series()["versions"].values == {
        "gauge@1.0.0": [0.0, 3.0, 1.0],
        "gauge@1.1.0": [0.0, 0.0, 1.0],
    }


def test_rates_are_counted_anew_each_minute(recorder):
    host = recorder.world.hosts[0]
    for _ in range(3):
        recorder.attempted(host, 1)
    recorder.heard_chunk(host, None, 6000, 1)
    recorder.checkpoint(MINUTE)
    recorder.checkpoint(2 * MINUTE)
    series = recorder.series()
    assert series["retries"].values["connects per minute"] == [0.0, 3.0, 0.0]
    assert series["throughput"].values["chunks"] == [0.0, 100.0, 0.0]


def test_alarms_sound_until_they_end_or_power_goes(recorder):
    first, second, _ = recorder.world.hosts
    for host in (first, second):
        recorder.noted(host, Note(NoteKind.ALARM_ON, 950), 1)
    recorder.checkpoint(MINUTE)
    recorder.noted(first, Note(NoteKind.ALARM_OFF, 800), 2)
    recorder.went_off(second, 3)
    recorder.checkpoint(2 * MINUTE)
    assert recorder.series()["alarms"].values["sounding"] == [0.0, 2.0, 0.0]


def test_faults_become_bands(recorder):
    recorder.faulted("dark", "begin", 3, 40 * MINUTE)
    recorder.faulted("dark", "end", 0, 45 * MINUTE)
    recorder.faulted("dark", "begin", 2, 50 * MINUTE)
    recorder.ended(60 * MINUTE)
    assert [(b.start_s, b.end_s, b.label, b.kind) for b in recorder.bands] == [
        (2400.0, 2700.0, "dark (3)", "partition"),
        (3000.0, 3600.0, "dark (2)", "partition"),
    ]


def test_time_away_is_summed_over_disconnects_and_power_losses(recorder):
    host = recorder.world.hosts[0]
    recorder.connected(host, 10 * SECOND)
    recorder.disconnected(host, 100 * SECOND, "reset")
    recorder.connected(host, 130 * SECOND)
    recorder.went_off(host, 200 * SECOND)
    recorder.connected(host, 220 * SECOND)
    recorder.ended(300 * SECOND)
    assert recorder.offline_ns[0] == 60 * SECOND
    assert recorder.offline_ns[1] == 300 * SECOND


def test_failures_make_trouble_and_everyday_notes_do_not(recorder):
    host = recorder.world.hosts[0]
    for kind in (NoteKind.ONLINE, NoteKind.BACK_OFF, NoteKind.FETCH_BEGUN):
        recorder.noted(host, Note(kind, 1), 1)
    assert recorder.stories.lines(0) == []
    assert recorder.trouble[0] == 0
    recorder.noted(host, Note(NoteKind.UPDATE_STATE, UpdateState.ROLLED_BACK, 1), 2)
    assert recorder.trouble[0] == 50


def closed(*cohorts):
    """A closed window of the gateway: (cohort, PSI of its histograms)."""
    own = tuple(
        collect_rows.CohortWindow(
            name, 30, 240, 0, 0, 0, b"", {}, 0, "none",
            tuple(collect_rows.Score("feature0", psi, 1.0, 1.0, False) for psi in scores),
        )
        for name, *scores in cohorts
    )  # fmt: skip
    row = collect_rows.WindowRow(1, 0, 900 * SECOND, own, ())
    return Persist(collect_rows.WINDOW, "1", row)


def test_drift_is_the_worst_score_of_each_cohort(recorder):
    recorder.persisted(closed(("calm", 0.01, 0.02), ("hazy", 0.1, 0.7)), 900 * SECOND)
    recorder.persisted(closed(("hazy", 0.4)), 1800 * SECOND)
    drift = recorder.series()["drift"]
    assert drift.t_s == [900.0, 1800.0]
    assert list(drift.values) == ["hazy", "calm"]
    assert drift.values["hazy"] == [0.7, 0.4]
    assert drift.values["calm"][0] == 0.02
    assert drift.values["calm"][1] != drift.values["calm"][1]


@pytest.mark.parametrize(
    ("rest", "until_s"), [("!id=kiosk-0000", 1800.0), ("id=kiosk-0000", 3600.0)]
)
def test_a_partition_that_is_healed_part_by_part_is_over_with_its_last_device(rest, until_s):
    """It used to last until the end of the run in the report's pictures."""
    text = worlds.scenario_text(
        "timeline:\n"
        "  - {id: dark, at: 10m, do: partition, target: all}\n"
        "  - {id: one, at: 20m, do: heal, target: id=kiosk-0000}\n"
        f"  - {{id: rest, at: 30m, do: heal, target: '{rest}'}}\n",
        count=3,
    )
    drill = worlds.make_drill(text)
    drill.world.run(HOUR)
    assert [band.end_s for band in drill.recorder.bands if band.label == "dark (3)"] == [until_s]
