import msgspec
import pytest

from devicesim.report.record import RunRecord
from devicesim.world.run_record import Circumstances, build_record
from tests_kit import worlds

REST = (
    worlds.ROLLOUT
    + "flags: [{at: 20m, set: {new-dial: {percent: 50}}}, {at: 50m, kill: new-dial}]\n"
    + "timeline: [{id: dark, at: 40m, for: 5m, do: partition, target: 'share(all, 0%..50%)'}]\n"
    + "checks:\n  finally: [{stuck: '== 0'}, {online_ratio: '< .5'}]\n"
)
AROUND = Circumstances(wall_s=2.0, cpu_s=1.5, memory_mib=80.0, machine={"cpu": "abacus"})


@pytest.fixture(scope="module")
def drill():
    drill = worlds.make_drill(worlds.scenario_text(REST, count=4, duration="70m"))
    drill.world.run()
    return drill


@pytest.fixture(scope="module")
def record(drill):
    return build_record(
        drill.world, drill.meter, drill.recorder, drill.checks, trace_digest="abc", around=AROUND
    )


def test_what_ran_where(record):
    assert (record.scenario, record.seed, record.devices) == ("lab", 7, 4)
    assert record.clock_start == "2024-07-16T00:00:00Z"
    assert record.virtual_s == 4200.0
    assert record.speedup == pytest.approx(4200 / 2)
    assert [(g.name, g.count, g.profile, g.link) for g in record.groups] == [
        ("kiosk", 4, "rpi4-kiosk", "fcc-dsl")
    ]
    assert record.machine == {"cpu": "abacus"}


def test_counts_are_those_of_the_world(record, drill):
    assert record.inferences == sum(host.frames_run for host in drill.world.hosts)
    assert record.events == drill.world.kernel.events
    assert record.windows > 0
    assert sum(row.opened for row in record.ledger) > record.messages > 0
    for row in record.ledger:
        assert row.opened == row.delivered + row.dropped + row.held, row


def test_one_check_that_does_not_hold_fails_the_run(record):
    assert record.verdict == "failed"
    assert [row.name for row in record.checks if row.held is False] == ["online_ratio < .5"]
    assert record.first_bad_minute is None, "what fails at the end has no minute"


def test_the_rollout_with_its_wave(record):
    (rollout,) = record.rollouts
    assert (rollout.id, rollout.bundle, rollout.state) == ("r1", "gauge@1.1.0", "completed")
    (wave,) = rollout.waves
    assert (wave.share, wave.size, wave.committed, wave.opened_s) == (1.0, 4, 4, 1800.0)


def test_flags_and_kills_with_how_long_they_took(record):
    assert [(row.at_s, row.what, row.reached) for row in record.flags] == [
        (1200.0, "flags of kiosk, revision 1", 4),
        (3000.0, "kill list 1", 4),
    ]
    assert all(row.p50_s <= row.p99_s <= row.last_s for row in record.flags)


def test_percentiles_for_the_run_and_each_phase(record):
    found = {(row.metric, row.phase): row for row in record.percentiles}
    assert found["update", "whole run"].n == 4
    assert found["update", "before the faults"].n == 4
    assert found["kill to obeyed", "after the faults"].n == 4
    assert found["reconnect", "after the faults"].n >= 1
    assert all(row.p50 <= row.p90 <= row.p99 <= row.max for row in record.percentiles)


def test_bands_and_worst_devices(record):
    assert [(band.start_s, band.end_s, band.kind) for band in record.bands] == [
        (2400.0, 2700.0, "partition")
    ]
    assert len(record.worst_devices) == 4
    assert record.worst_devices[0].lines
    assert "connects, away" in record.worst_devices[0].score_text


def test_a_failed_promise_names_its_minute_with_the_devices_story(drill):
    check = next(check for check in drill.checks if check.name == "energy")
    host = drill.world.hosts[2]
    check.fail(2_430_000_000_000, "expected sunshine, found rain", host)
    try:
        record = build_record(
            drill.world, drill.meter, drill.recorder, drill.checks, trace_digest="", around=AROUND
        )
    finally:
        check.failures, check.failed = 0, []
    bad = record.first_bad_minute
    assert bad.at_s == 2400.0
    assert bad.what == f"energy: {host.device}: expected sunshine, found rain"
    assert not any("sunshine" in line for line in bad.lines), "its failure is said once"
    assert any("connected" in line for line in bad.lines)


def test_curves_without_a_single_value_are_left_out(record):
    assert "battery" not in record.series, "a kiosk has none"
    for key, series in record.series.items():
        assert series.values, key
        for curve in series.values.values():
            assert len(curve) == len(series.t_s), key


def test_all_but_the_gaps_in_curves_survives_json(record):
    plain = msgspec.structs.replace(record, series={})
    assert msgspec.json.decode(msgspec.json.encode(plain), type=RunRecord) == plain
