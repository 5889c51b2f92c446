"""Faults of power and storage: each is seen to act, and to be over when it is undone."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import MINUTE
from devicesim.world.watch import Watcher
from tests_kit.worlds import ROLLOUT, broken, make_drill, scenario_text


class Seen(Watcher):
    """Boots and refused writes, by instant."""

    def __init__(self, drill):
        self.boots, self.refused = [], []
        drill.world.watch.add(self)

    def booted(self, host, now):
        self.boots.append(now)

    def noted(self, host, effect, now):
        if effect.kind == "storage_failed":
            self.refused.append(now)


def ran(rest, *, count=4, duration="4h", seed=None):
    drill = make_drill(scenario_text(rest, count=count, duration=duration), seed=seed)
    seen = Seen(drill)
    seen.digest = drill.world.run()
    assert broken(drill) == []
    return drill, seen


def versions(drill):
    names = {digest: bundle.manifest.version for digest, bundle in drill.world.bundles.items()}
    return sorted(names[host.manifest] for host in drill.world.hosts)


DIPS = "timeline:\n  - {at: 28m, do: brown_out, every: 20s, for: 30m, target: all}\n"


@pytest.mark.parametrize("seed", range(4))
def test_dips_reset_who_works_and_the_update_comes_through(seed):
    drill, seen = ran(ROLLOUT + DIPS, seed=seed)
    resets = [at for at in seen.boots if at >= 28 * MINUTE]
    assert len(resets) >= 8, "nobody felt the dips"
    assert max(resets) < 59 * MINUTE, "dips after the end"
    assert all(host.online and host.fuse <= 0 and not host.revives for host in drill.world.hosts)
    phase = drill.meter.updates.rollouts["r1"].phase.name
    assert phase in ("COMPLETED", "HALTED"), f"{phase}: the rollout hangs"


def test_a_device_at_rest_rides_through():
    quiet = scenario_text(DIPS.replace("28m", "29m").replace("30m", "20s"), count=4)
    drill = make_drill(quiet.replace("window: 15m, frames: 2", "window: 2h, frames: 1"))
    seen = Seen(drill)
    drill.world.run()
    assert [at for at in seen.boots if 29 * MINUTE < at < 30 * MINUTE] == []


def test_worn_flash_fails_updates_while_it_lasts_and_what_runs_goes_on():
    worn = "timeline:\n  - {at: 29m, do: flash.worn, share: 1, for: 1h, target: id=kiosk-0001}\n"
    drill, seen = ran(
        ROLLOUT.replace("soak: 1m", "soak: 1m, gate: {failures: 60%}") + worn, duration="5h"
    )
    assert seen.refused, "no write was refused"
    assert max(seen.refused) < 90 * MINUTE, "a write was refused after the end"
    assert versions(drill) == ["1.0.0", "1.1.0", "1.1.0", "1.1.0"]
    assert all(host.parts.flash.worn == () for host in drill.world.hosts)
    assert all(host.online for host in drill.world.hosts)


def test_two_wears_at_once_end_one_by_one():
    rest = (
        "timeline:\n  - {at: 10m, do: flash.worn, share: 0, for: 30m, target: all}\n"
        "  - {at: 20m, do: flash.worn, share: 0, for: 40m, target: all}\n"
    )
    drill = make_drill(scenario_text(rest, count=1))
    counts = []
    for at in (15, 25, 45, 70):
        drill.world.kernel.at(
            at * MINUTE,
            lambda _, host: counts.append(len(host.parts.flash.worn)),
            drill.world.hosts[0],
        )
    drill.world.run()
    assert counts == [1, 2, 1, 0]


def test_wear_and_power_cuts_together_break_nothing():
    rest = (
        ROLLOUT + "timeline:\n  - {at: 29m, do: flash.worn, share: 10%, for: 2h, target: all}\n"
        "  - {at: 29m, do: brown_out, every: 30s, for: 2h, target: all}\n"
    )
    for seed in range(6):
        _, seen = ran(rest, seed=seed)
        assert seen.refused or seen.boots


def test_the_same_seed_has_the_same_dips():
    assert ran(ROLLOUT + DIPS, seed=3)[1].digest == ran(ROLLOUT + DIPS, seed=3)[1].digest
