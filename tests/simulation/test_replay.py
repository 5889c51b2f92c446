"""A recording is replayed: the recorded outage of a real mosquitto, and small ones made by hand.

`tests/data/outage-200.log.gz` is the log of mosquitto 2.0.11 with 200 clients behind a wall that went dark for
three minutes; ``PYTHONPATH=. python tests/kit/outage.py OUT.log`` makes another one (eight minutes).
"""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.models.availability import Outages
from devicesim.recordings.drafting import Draft, chosen, counts_of, write_draft
from devicesim.recordings.intervals import Recording, RecordingError
from devicesim.recordings.reading import read_files
from devicesim.rehearse import Rehearsal, open_scenario
from devicesim.world import replay
from tests_kit import worlds

DATA = Path(__file__).parents[1] / "data" / "outage-200.log.gz"
WITHIN = 0.02


def imported(folder, recording):
    recording, _ = chosen(recording)
    write_draft(Draft(name="lab", recording=recording, counts=counts_of(recording)), folder, {})
    return folder / "scenario.yaml"


def replayed(file, overrides=(), **more):
    rehearsal = Rehearsal(open_scenario(file, tuple(overrides)), file, **more)
    record = rehearsal.run()
    return record, rehearsal.drill.meter.replay


def made(presence, length_s, **more):
    edges = {
        device: array("q", [int(at * SECOND) for at in seconds])
        for device, seconds in presence.items()
    }
    return Recording(1_721_000_000 * SECOND, length_s * SECOND, edges, **more)


@pytest.fixture(scope="module")
def outage(tmp_path_factory):
    """The recorded outage, imported and run once."""
    findings = read_files([str(DATA)])
    file = imported(tmp_path_factory.mktemp("outage"), findings.recording)
    return findings, file, *replayed(file)


def test_the_log_of_a_real_outage_is_understood_to_the_last_line(outage):
    findings = outage[0]
    assert (findings.unclear, findings.orphans, findings.setbacks) == (0, 0, 0)
    assert len(findings.recording.edges) == 200
    assert findings.about == 764


def test_a_real_outage_of_three_minutes_replays_within_two_percent_at_every_minute(outage):
    findings, _, record, meter = outage
    found = meter.deviation(findings.recording.length_ns)
    assert len(found.apart) == 8
    assert max(found.recorded) == 200
    assert min(found.recorded) == 0
    for minute, apart in enumerate(found.apart):
        assert apart <= WITHIN, (
            f"minute {minute}: recorded {found.recorded[minute]:.1f} online, replayed {found.found[minute]:.1f}"
        )
    assert record.verdict == "passed"


def test_and_so_do_the_very_instants_of_the_minutes(outage):
    curves = outage[2].series["online"].values
    for minute, (recorded, online) in enumerate(
        zip(curves["recorded"], curves["online"], strict=True)
    ):
        assert abs(recorded - online) <= WITHIN * 200, f"minute {minute}: {recorded} and {online}"
    assert (min(curves["recorded"]), max(curves["recorded"])) == (0, 200)


def test_the_same_recording_gives_the_same_run(outage):
    again, _ = replayed(outage[1])
    assert again.trace_digest == outage[2].trace_digest


def test_a_tenth_of_the_fleet_follows_a_tenth_of_the_recording(outage):
    record, meter = replayed(outage[1], ["scale=0.1"])
    assert record.verdict == "passed"
    assert max(meter.deviation(int(record.virtual_s * SECOND)).recorded) == 20


def test_with_its_own_back_off_an_agent_comes_back_when_it_likes(outage, tmp_path):
    text = (
        outage[1]
        .read_text()
        .replace("presence: presence.csv", "presence: {file: presence.csv, reconnect: agent}")
    )
    (tmp_path / "scenario.yaml").write_text(text)
    (tmp_path / "presence.csv").write_bytes((outage[1].parent / "presence.csv").read_bytes())
    record, meter = replayed(tmp_path / "scenario.yaml", ["agent.backoff.base=20s"])
    assert meter.worst() > WITHIN, "back-offs of up to two minutes cannot follow it"
    failed = [check for check in record.checks if check.held is False]
    assert [check.name for check in failed] == ["presence_deviation <= 0.02"], failed


def test_a_device_that_flaps_is_followed_through_every_session(tmp_path):
    flaps = [at for start in range(0, 590, 10) for at in (start, start + 6)]
    presence = {"d-0": flaps, "d-1": [0, 600], "d-2": [], "d-3": [300, 300.5]}
    record, meter = replayed(imported(tmp_path, made(presence, 600)))
    assert record.verdict == "passed", [c.story for c in record.checks if c.held is False]
    assert meter.worst() <= WITHIN


def test_devices_are_matched_by_id_when_all_of_them_are_there(tmp_path):
    presence = {"d-0002": [0, 60], "d-0000": [60, 120], "d-0001": [0, 120]}
    file = imported(tmp_path, made(presence, 120, groups=dict.fromkeys(presence, "d")))
    rehearsal = Rehearsal(open_scenario(file), file)
    followed = rehearsal.world.followed.edges
    assert [followed[i][0] // SECOND for i in range(3)] == [60, 0, 0]


def test_more_devices_than_recorded_ones_play_them_over_again(tmp_path):
    presence = {"x": [0, 60], "y": [60, 120]}
    file = imported(tmp_path, made(presence, 120))
    rehearsal = Rehearsal(open_scenario(file, ("scale=2.5",)), file)
    followed = rehearsal.world.followed.edges
    assert [followed[i][0] // SECOND for i in range(5)] == [0, 60, 0, 60, 0]


def test_a_group_of_the_recording_that_is_not_there_is_an_error(tmp_path):
    file = imported(tmp_path, made({"d-0": [0, 60]}, 120))
    file.write_text(
        file.read_text().replace(
            "presence: presence.csv", "presence: {file: presence.csv, of: cars}"
        )
    )
    with pytest.raises(RecordingError, match=r"expected a group cars in presence\.csv, found d"):
        Rehearsal(open_scenario(file), file)


def test_a_recording_that_is_not_there_says_where_it_was_looked_for(tmp_path):
    file = imported(tmp_path, made({"d-0": [0, 60]}, 120))
    (tmp_path / "presence.csv").unlink()
    with pytest.raises(
        RecordingError, match=r"expected a recording in presence\.csv, found no such file"
    ):
        Rehearsal(open_scenario(file), file)


def test_after_the_recording_its_last_state_holds(tmp_path):
    file = imported(tmp_path, made({"d-0": [0, 120], "d-1": [0, 60]}, 120))
    record, meter = replayed(file, ["clock.duration=6m"])
    assert meter.deviation(6 * MINUTE).found == pytest.approx((2, 1, 1, 1, 1, 1), abs=0.05)
    assert record.verdict == "passed"


def test_what_nobody_saw_is_not_held_against_the_run(tmp_path):
    presence = {"d-0": [0, 120]}
    file = imported(tmp_path, made(presence, 180, unknown=((65 * SECOND, 70 * SECOND),)))
    _, meter = replayed(file)
    assert meter.deviation(3 * MINUTE).apart[1] is None


def test_outages_are_the_other_side_of_presence():
    edges = array("q", [10, 20, 30, 40])
    lie = replay.outages_of(edges, 100)
    assert [lie.is_up(at) for at in (0, 10, 19, 20, 30, 39, 40, 99)] == [
        False, True, True, False, True, True, False, False,
    ]  # fmt: skip
    always = replay.outages_of(array("q", [0, 100]), 100)
    assert isinstance(always, Outages)
    assert always.next_change(0)[1] is True


TRACED = "  - {group: kiosk, count: 6, profile: rpi4-kiosk, link: {trace: %s}%s}"


def test_a_recorded_link_is_played_from_a_place_of_its_own_for_each_device(tmp_path):
    (tmp_path / "way.csv").write_text(
        "time,down_kbit_s,rtt\n0,100,40\n30,5000,80\n60,900,120\n90,10,500\n"
    )
    (tmp_path / "lab.yaml").write_text(
        worlds.scenario_text(worlds.ROLLOUT, fleet=TRACED % ("way.csv", ""), duration="3h")
    )
    file = tmp_path / "lab.yaml"
    (tmp_path / "profiles").symlink_to(worlds.ROOT / "scenarios" / "profiles")
    rehearsal = Rehearsal(open_scenario(file), file)
    rtts = [
        {h.parts.link.rtt_ns(at * SECOND) // 10**6 for at in range(0, 120, 5)}
        for h in rehearsal.world.hosts
    ]
    assert all(found == {40, 80, 120, 500} for found in rtts), rtts
    first = [h.parts.link.rtt_ns(0) for h in rehearsal.world.hosts]
    assert len(set(first)) > 1, "each device begins elsewhere in the trace"
    record = rehearsal.run()
    assert record.verdict == "passed", [c.story for c in record.checks if c.held is False]
    assert record.rollouts[0].state == "completed"


def test_presence_over_a_recorded_link_is_what_counts(tmp_path):
    (tmp_path / "link.csv").write_text(
        "time,mbit\n0,5\n20,0\n40,5\n"
    )  # 20 s of nothing in each minute
    file = imported(tmp_path, made({f"d-{i}": [0, 240, 300, 600] for i in range(8)}, 600))
    file.write_text(file.read_text().replace("link: ethernet", "link: {trace: link.csv}"))
    _, meter = replayed(file)
    found = meter.deviation(600 * SECOND)
    assert found.found[4] == pytest.approx(0.0, abs=0.01)
    assert min(found.found[6:]) > 0, "a stall is no outage when presence is told"
