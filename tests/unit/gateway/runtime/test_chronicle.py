"""What the chronicle remembers, and what goes when there is too much."""

from devicesdk.wire import codec
from devicesdk.wire.messages import Telemetry, UpdateState
from gateway.core import rows
from gateway.core.effects import Persist
from gateway.core.stimuli import RolloutPlan
from gateway.runtime.chronicle import (
    DEVICES_MAX,
    EVENTS_MAX,
    POINTS_MAX,
    ROLLOUTS_MAX,
    WINDOWS_MAX,
    Chronicle,
)

OLD, NEW = b"\x01" * 32, b"\x02" * 32


class Clock:
    def __init__(self):
        self.ms = 1_000

    def __call__(self):
        return self.ms


def chronicle():
    clock = Clock()
    return Chronicle(clock), clock


def persist(made, table, key, row):
    made.persisted(Persist(table, key, row), 0)


def told(made, device="kiosk-1"):
    return [(one.kind, one.about, one.why) for one in made.events(device)]


def test_an_update_is_told_from_the_want_to_the_outcome_and_what_stays_the_same_is_not():
    made, clock = chronicle()
    wanted = rows.DesiredRow(2, NEW, "spring", rows.Purpose.UPDATE)
    persist(made, rows.DESIRED, "kiosk-1", wanted)
    said = {"generation": 2, "running": OLD}
    persist(made, rows.REPORTED, "kiosk-1", rows.ReportedRow(7, 1, state=UpdateState.DOWNLOADING, **said))  # fmt: skip
    persist(made, rows.REPORTED, "kiosk-1", rows.ReportedRow(7, 2, state=UpdateState.DOWNLOADING, bytes_done=9, **said))  # fmt: skip
    clock.ms = 2_000
    persist(made, rows.REPORTED, "kiosk-1", rows.ReportedRow(7, 3, 2, NEW, state=UpdateState.COMMITTED))  # fmt: skip
    persist(made, rows.DESIRED, "kiosk-1", rows.DesiredRow(2, NEW, "spring", rows.Purpose.UPDATE, outcome=rows.Outcome.COMMITTED))  # fmt: skip
    assert told(made) == [
        ("wanted", NEW.hex(), "spring"),
        ("booted", "7", ""),
        ("runs", OLD.hex(), ""),
        ("state", "downloading", ""),
        ("runs", NEW.hex(), ""),
        ("state", "committed", ""),
        ("outcome", "committed", "spring"),
    ]
    assert [one.at_ms for one in made.events("kiosk-1")] == [1_000] * 4 + [2_000] * 3
    assert made.events("kiosk-2") == []


def test_connections_and_a_quarantine_are_told():
    made, _ = chronicle()
    for session, online in ((1, True), (2, True), (2, False)):
        persist(made, rows.PRESENCE, "kiosk-1", rows.PresenceRow(1, session, online))
    for quarantine in ((), (OLD,), (OLD, NEW)):
        persist(made, rows.DEVICE, "kiosk-1", rows.DeviceRow({}, enrolled=True, quarantine=quarantine))  # fmt: skip
    assert told(made) == [
        ("connected", "", ""),
        ("disconnected", "", ""),
        ("quarantined", OLD.hex(), ""),
        ("quarantined", NEW.hex(), ""),
    ]


def window(seq, boot=1, **more):
    said = Telemetry(boot_id=boot, seq=seq, bundle=b"12345678", frames=10, **more)
    return codec.encode(said)


def test_heat_and_charge_are_told_once_each_window_and_rubbish_is_not():
    made, _ = chronicle()
    for payload in (window(1, chip_c=61, battery_percent=40, throttled=3), window(1), b"\x00rubbish", b"", b"\x91" * 5_000, b"\xa1\xff", window(2)):  # fmt: skip
        made.heard("kiosk-1", payload)
    made.heard("kiosk-1", window(1, boot=2, chip_c=-4))
    found = [(one.chip_c, one.battery_percent, one.frames, one.throttled) for one in made.windows("kiosk-1")]  # fmt: skip
    assert found == [(61, 40, 10, 3), (0, 100, 10, 0), (-4, 100, 10, 0)]


def wave(**counts):
    return rows.WaveRow(0.5, 10, 0, **counts)


def rollout(*waves, first=0):
    return rows.RolloutRow(RolloutPlan("spring", "gauge@1.0.0"), 1, rows.Phase.RUNNING, "", NEW, waves, first)  # fmt: skip


def test_a_rollout_is_summed_over_its_waves_since_it_was_tried_again():
    made, clock = chronicle()
    persist(made, rows.ROLLOUT, "spring", rollout())
    assert made.points("spring") == []
    for ms, row in (
        (1_000, rollout(wave(offered=10, committed=4, failed=1))),
        (5_000, rollout(wave(offered=10, committed=9), wave(offered=10, committed=2, rolled_back=3, e_value=4.0))),
        (9_000, rollout(wave(offered=10, committed=9), wave(offered=10, committed=7), first=1)),
    ):  # fmt: skip
        clock.ms = ms
        persist(made, rows.ROLLOUT, "spring", row)
    found = [(p.at_ms, p.offered, p.committed, p.bad, p.wave, p.e_value) for p in made.points("spring")]  # fmt: skip
    assert found == [(1_000, 10, 4, 1, 0, 1.0), (5_000, 20, 11, 3, 1, 4.0), (9_000, 10, 7, 0, 1, 1.0)]  # fmt: skip


def test_nothing_grows_without_a_bound():
    made, clock = chronicle()
    for number in range(3 * POINTS_MAX):
        clock.ms += 1_000
        persist(made, rows.ROLLOUT, "spring", rollout(wave(committed=number)))
        persist(made, rows.PRESENCE, "kiosk-1", rows.PresenceRow(1, number, number % 2 == 0))
        made.heard("kiosk-1", window(number + 1))
    points = made.points("spring")
    assert len(points) <= POINTS_MAX
    assert (points[0].committed, points[-1].committed) == (0, 3 * POINTS_MAX - 1)
    assert [one.at_ms for one in points] == sorted(one.at_ms for one in points)
    assert (len(made.events("kiosk-1")), len(made.windows("kiosk-1"))) == (EVENTS_MAX, WINDOWS_MAX)
    for number in range(ROLLOUTS_MAX):
        persist(made, rows.ROLLOUT, f"r{number}", rollout(wave()))
    assert made.points("spring") == [], "the one that stood still longest goes"
    for number in range(DEVICES_MAX):
        persist(made, rows.PRESENCE, f"d{number}", rows.PresenceRow(1, 1, online=True))
    assert made.events("kiosk-1") == [], "the one that was silent longest goes"


def test_of_a_busy_second_the_newest_stays():
    made, clock = chronicle()
    for ms in range(0, 2_500, 100):
        clock.ms = ms
        persist(made, rows.ROLLOUT, "spring", rollout(wave(committed=ms)))
    assert len(made.points("spring")) <= 4
    assert made.points("spring")[-1].committed == 2_400
