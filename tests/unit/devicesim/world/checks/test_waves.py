from types import SimpleNamespace

import pytest

from devicesdk.agent.effects import Activate
from devicesdk.wire.messages import Want
from devicesdk.wire.timebase import MINUTE
from devicesim.world.checks.releases import digest_of
from devicesim.world.checks.waves import WaveCap, cap
from gateway.core import notes, rows
from gateway.core.effects import Note, Persist
from tests_kit import worlds

PLAN = (
    "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 30m, waves: [10%, 20%, 50%, 100%], soak: 10m,"
    " target: '!id=kiosk-0009'}]\n"
)


class Rehearsal:
    def __init__(self):
        self.world = worlds.make_world(worlds.scenario_text(PLAN, count=10))
        self.check = WaveCap(self.world)
        self.digest = digest_of(self.world, "gauge@1.1.0")
        self.waves = []

    def opens(self, share, now):
        self.waves.append(SimpleNamespace(share=share))
        row = SimpleNamespace(waves=tuple(self.waves))
        self.check.persisted(Persist(rows.ROLLOUT, "r1", row), now)

    def offer(self, number, now=1):
        device = f"kiosk-{number:04}"
        want = Want(
            device=device, generation=1, deployment="r1", manifest=self.digest, manifest_bytes=9
        )
        self.check.wanted(device, want, now)

    def run(self, number, manifest=None, now=1):
        host = self.world.hosts[number]
        self.check.activated(host, Activate("b", manifest or self.digest, "fp32"), now)


@pytest.fixture
def rehearsal():
    return Rehearsal()


def test_a_share_allows_one_device_at_least():
    assert [cap(share, 9) for share in (0.01, 0.2, 0.5, 1.0)] == [1, 1, 4, 9]


def test_waves_in_their_order_and_time_are_as_they_should_be(rehearsal):
    rehearsal.opens(0.1, 30 * MINUTE)
    rehearsal.offer(0)
    rehearsal.run(0)
    rehearsal.check.checkpoint(31 * MINUTE)
    rehearsal.opens(0.5, 41 * MINUTE)  # 20 % of nine devices is still one
    for number in (1, 2, 3):
        rehearsal.offer(number)
        rehearsal.run(number)
    rehearsal.check.checkpoint(42 * MINUTE)
    assert rehearsal.check.verdict is True


def test_one_device_too_many_is_found(rehearsal):
    rehearsal.opens(0.1, 30 * MINUTE)
    rehearsal.offer(0)
    rehearsal.offer(1)
    rehearsal.check.checkpoint(31 * MINUTE)
    assert "at most 1 devices in 1 waves of r1, found 2 offered it" in rehearsal.check.story()


def test_an_offer_before_any_wave_is_found(rehearsal):
    rehearsal.offer(0)
    rehearsal.check.checkpoint(31 * MINUTE)
    assert "at most 0 devices" in rehearsal.check.story()


def test_a_wave_soaks(rehearsal):
    rehearsal.opens(0.1, 30 * MINUTE)
    rehearsal.opens(0.5, 39 * MINUTE)
    assert "to soak for 10m" in rehearsal.check.story()


def test_no_wave_is_left_out(rehearsal):
    rehearsal.opens(0.1, 30 * MINUTE)
    rehearsal.opens(1.0, 41 * MINUTE)
    assert "to open its wave of 50 % next, found 100 %" in rehearsal.check.story()


def test_the_gateway_may_find_fewer_devices_and_never_more(rehearsal):
    rehearsal.check.gateway_noted(Note(notes.ROLLOUT_CREATED, "r1", 4, 5), 1)
    rehearsal.opens(0.1, 30 * MINUTE)
    rehearsal.opens(0.5, 41 * MINUTE)
    for number in (0, 1, 2):
        rehearsal.offer(number)
    rehearsal.check.checkpoint(42 * MINUTE)
    assert "at most 2 devices" in rehearsal.check.story()


def test_nobody_outside_the_target_is_offered_it(rehearsal):
    rehearsal.opens(0.1, 30 * MINUTE)
    rehearsal.offer(9)
    assert "outside its target" in rehearsal.check.story()


def test_nothing_runs_without_an_offer_but_what_the_factory_shipped(rehearsal):
    factory = rehearsal.world.hosts[0].parts.identity.factory_manifest
    rehearsal.run(0, factory)
    rehearsal.run(0, factory)
    assert rehearsal.check.held
    rehearsal.run(0)
    assert "expected an offer before gauge@1.1.0 runs" in rehearsal.check.story()
