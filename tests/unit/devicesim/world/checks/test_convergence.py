from types import SimpleNamespace

import pytest

from devicesdk.agent.effects import Note
from devicesdk.agent.notes import NoteKind
from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import MINUTE
from devicesim.world.checks.convergence import Converges
from gateway.core import rows
from tests_kit import worlds

LIVENESS = "checks: {liveness: {at: 20m, core: all, within: 20m}}\n"


@pytest.fixture
def drill():
    made = worlds.make_drill(
        worlds.scenario_text(worlds.ROLLOUT + LIVENESS, count=3, duration="40m")
    )
    made.world.run(until=20 * MINUTE)
    return made


def check_of(drill):
    return Converges(drill.world, drill.meter, drill.world.scenario.checks.liveness)


def minutes(check, first=21, last=40):
    for minute in range(first, last + 1):
        check.checkpoint(minute * MINUTE)
    return check


def test_ten_minutes_of_calm_are_enough(drill):
    check = minutes(check_of(drill), last=29)
    assert check.verdict is None
    minutes(check, 30, 30)
    assert check.verdict is True
    assert check.story() == "3 devices, after 10m"
    assert check.title == "liveness: all converges within 20m of +0:20:00"


def test_nothing_is_judged_before_its_instant(drill):
    assert minutes(check_of(drill), 1, 20).verdict is None


@pytest.mark.parametrize(
    ("service", "found"),
    [("broker", "expected the broker up, found it down"),
     ("gateway", "expected the gateway at work, found it down")],
)  # fmt: skip
def test_services_must_be_at_work(drill, service, found):
    getattr(drill.world, service).up = False
    assert minutes(check_of(drill)).first.text == found


def test_a_device_without_power_is_named(drill):
    host = drill.world.hosts[1]
    host.power_off(20 * MINUTE)
    check = minutes(check_of(drill))
    assert (check.first.device, check.first.text) == (
        host.device, "expected it online, found no power",
    )  # fmt: skip


def test_an_update_that_does_not_end_is_named_with_its_state(drill):
    host = drill.world.hosts[2]
    drill.meter.stuck.noted(host, Note(NoteKind.UPDATE_STATE, UpdateState.DOWNLOADING, 1), 1)
    first = minutes(check_of(drill)).first
    assert first.device == host.device
    assert first.text.startswith("expected its update to be over, found a clear path, no timer")


def test_a_want_that_stays_open_is_named(drill):
    device = drill.world.hosts[0].device
    want = rows.DesiredRow(2, b"x", "r1", rows.Purpose.UPDATE)
    drill.world.gateway.store.put(rows.DESIRED, device, want)
    drill.world.gateway.store.commit()
    assert minutes(check_of(drill)).first.device == device


def rollout(phase):
    return SimpleNamespace(phase=phase, why="", waves=("first",))


def test_a_rollout_must_be_over(drill):
    drill.meter.updates.rollouts["r9"] = rollout(rows.Phase.COMPLETED)
    assert minutes(check_of(drill)).verdict is True
    drill.meter.updates.rollouts["r9"] = rollout(rows.Phase.RUNNING)
    found = "expected rollout r9 over, found it running, wave 1 open"
    assert minutes(check_of(drill)).first.text == found


@pytest.mark.parametrize(("grows", "verdict"), [(0, True), (1, False)])
def test_queues_may_be_long_but_must_not_grow(drill, monkeypatch, grows, verdict):
    lengths = iter(range(500, 10_000, 1) if grows else [500] * 99)
    monkeypatch.setattr(Converges, "_queued", lambda self: next(lengths))
    check = minutes(check_of(drill))
    assert check.verdict is verdict
    if grows:
        assert check.first.text == "expected queues to stay, found 510 messages waiting, then 515"
