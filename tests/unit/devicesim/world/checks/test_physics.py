from types import SimpleNamespace

import pytest

from devicesdk.agent.config import TELEMETRY_OUTBOX_WINDOWS_MAX
from devicesdk.agent.effects import Note
from devicesdk.agent.notes import NoteKind
from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.world.checks.physics import REPEATED_WINDOWS_MAX, Energy, TelemetryCounts, sample
from devicesim.world.hearing import Window
from tests_kit import worlds


@pytest.fixture
def world():
    return worlds.make_world(worlds.scenario_text(count=2))


def test_a_sample_is_evenly_spaced_and_always_the_same():
    world = SimpleNamespace(hosts=list(range(1001)))
    assert sample(world, 500)[:3] == [0, 3, 6]
    assert len(sample(world, 500)) == 334
    assert sample(SimpleNamespace(hosts=[]), 500) == []


def body(residual=0.0, charging=False, body_c=20.0):
    reading = SimpleNamespace(charging=charging, body_c=body_c)
    return SimpleNamespace(energy_residual=lambda: residual, read=lambda: reading)


@pytest.mark.parametrize(
    ("found", "held"),
    [
        (body(0.0099), True),
        (body(0.0101), False),
        (body(float("nan")), False),
        (body(charging=True, body_c=-0.1), False),
        (body(charging=True, body_c=0.1), True),
    ],
)
def test_energy_closes_and_cold_batteries_are_not_charged(world, found, held):
    world.hosts[0].parts.body = found
    check = Energy(world)
    check.checkpoint(MINUTE)
    assert check.verdict is None
    check.checkpoint(HOUR)
    assert check.held is held


@pytest.fixture
def counts(world):
    check, host = TelemetryCounts(world), world.hosts[0]
    host.boot_id = 1
    check.booted(host, 0)
    return check, host


def test_each_burst_is_one_window(counts):
    check, host = counts
    for seq, frames in enumerate((4, 0, 2), 1):
        check.inferred(host, frames, seq)
    check.said_window(host, Window(1, 1, 4), 5)
    check.said_window(host, Window(1, 2, 2), 6)
    check.said_window(host, Window(1, 2, 2), 7)
    check.ended(8)
    assert check.verdict is True
    assert (check.frames_ran, check.frames_told, check.windows) == (6, 6, 2)


@pytest.mark.parametrize(
    "window", [Window(1, 1, 5), Window(1, 2, 4), Window(2, 1, 4), Window(1, 0, 4)]
)
def test_a_window_that_tells_of_something_else_is_found(counts, window):
    check, host = counts
    check.inferred(host, 4, 1)
    check.said_window(host, window, 2)
    assert not check.held


def test_what_was_not_sent_dies_with_the_power(counts):
    check, host = counts
    check.inferred(host, 4, 1)
    check.went_off(host, 2)
    check.ended(3)
    assert check.held
    assert check.frames_lost == 4


def test_a_connected_device_keeps_nothing_back_for_long(counts):
    check, host = counts
    host.online, host.path.black = True, False
    check.connected(host, 1)
    check.inferred(host, 4, 2)
    check.ended(MINUTE)
    assert check.held
    check.ended(HOUR)
    assert "never sent" in check.story()


def test_a_full_outbox_that_counts_what_it_drops_is_excused(counts):
    check, host = counts
    host.online, host.path.black = True, False
    check.inferred(host, 4, 2)
    check.noted(host, Note(NoteKind.WINDOW_DROPPED, 1), 3)
    check.ended(HOUR)
    assert check.held


def test_a_long_boot_keeps_no_more_windows_than_may_still_be_sent(counts):
    check, host = counts
    kept = REPEATED_WINDOWS_MAX + TELEMETRY_OUTBOX_WINDOWS_MAX + 16
    for seq in range(1, 3 * kept + 1):
        check.inferred(host, 1, seq)
        if seq != 2:  # a full outbox dropped that one
            check.said_window(host, Window(1, seq, 1), seq)
    check.noted(host, Note(NoteKind.WINDOW_DROPPED, 1), 3 * kept)
    check.said_window(host, Window(1, 2 * kept + 1, 1), 3 * kept)
    assert check.held, check.story()
    check.went_off(host, 3 * kept)
    check.ended(HOUR)
    assert check.held, check.story()
    assert (check.frames_told, check.frames_lost) == (3 * kept - 1, 1)


def test_a_window_that_no_outbox_holds_any_more_is_found(counts):
    check, host = counts
    for seq in range(1, 5000):
        check.inferred(host, 1, seq)
    check.said_window(host, Window(1, 1, 1), 5000)
    assert "lately" in check.story()
