"""A rollout that expires: who was away for too long is out, and says so."""

from __future__ import annotations

import pytest

from tests_kit import faulted, worlds

ROLLOUT = "rollouts: [{{id: r1, bundle: gauge@1.1.0, at: 15m, waves: [100%], soak: 1m{expires}}}]\n"
OFF = "{at: 12m, for: 30m, do: power.cut, target: id=kiosk-0001}"
HIDDEN = "{at: 12m, for: 30m, do: partition, target: id=kiosk-0001}"


def outcomes(drill):
    return {
        host.device: drill.world.gateway.core.twin_view(host.device).outcome
        for host in drill.world.hosts
    }


@pytest.mark.parametrize("fault", [OFF, HIDDEN])
def test_a_device_that_comes_back_after_the_rollout_expired_stays_as_it_is(fault):
    drill, _ = faulted.ran([fault], ROLLOUT.format(expires=", expires: 10m"), duration="2h")
    assert outcomes(drill) == {
        "kiosk-0000": "committed",
        "kiosk-0001": "stopped",
        "kiosk-0002": "committed",
        "kiosk-0003": "committed",
    }
    assert drill.meter.read("updated_ratio") == 0.75
    assert worlds.broken(drill) == []


def test_who_is_back_before_it_expires_takes_it():
    drill, _ = faulted.ran([OFF], ROLLOUT.format(expires=", expires: 40m"), duration="2h")
    assert set(outcomes(drill).values()) == {"committed"}


def test_a_rollout_that_does_not_say_when_it_expires_waits_for_everybody():
    drill, _ = faulted.ran([OFF], ROLLOUT.format(expires=""), duration="2h")
    assert set(outcomes(drill).values()) == {"committed"}
