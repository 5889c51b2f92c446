"""Rollouts with faults while our own code is awkward at every named place: every promise holds."""

from __future__ import annotations

import pytest

from devicesim.world.buggify import SITES
from devicesim.world.gateway_host import GatewayHost
from tests_kit.worlds import broken, make_drill, scenario_text

PLAN = """
rollouts:
  - {id: r1, bundle: gauge@1.1.0, at: 30m, waves: [25%, 100%], soak: 5m, gate: {failures: 50%}}
  - {id: r2, bundle: gauge@1.0.0, at: 2h, waves: [100%], soak: 1m, gate: {failures: 50%}}
flags:
  - {at: 20m, set: {dial: {percent: 50}}}
  - {at: 40m, kill: dial}
timeline:
  - {at: 29m, do: latency, add: 300ms, jitter: 400ms, for: 3h, target: 'sample(all, 50%)'}
  - {at: 29m, do: loss, share: 10%, for: 3h, target: 'sample(all, 50%)'}
  - {at: 31m, do: power.cut, for: 1m, target: 'sample(all, 50%)'}
  - {at: 32m, do: partition, for: 5m, target: 'sample(all, 30%)'}
  - {at: 33m, do: gateway.crash, for: 1m}
  - {at: 35m, do: broker.restart, lose_sessions: true}
  - {at: 36m, do: keys.rotate, roles: [targets, snapshot, timestamp, director, flags]}
  - {at: 2h, do: brown_out, every: 1m, for: 10m, target: all}
  - {at: 121m, do: gateway.slow_store, commit: 2s, for: 10m}
"""
HARD = "buggify: {activate: 1, fire: .2}\n"
SEEDS, SHARDS = 20, 4


def lived(seed, hardship=HARD):
    drill = make_drill(scenario_text(PLAN + hardship, count=6, duration="4h"), seed=seed)
    return drill, drill.world.run()


@pytest.mark.parametrize("shard", range(SHARDS))
def test_nothing_is_broken_and_everybody_comes_through(shard):
    for seed in range(shard, SEEDS, SHARDS):
        drill, _ = lived(seed)
        assert broken(drill) == [], f"seed {seed}"
        away = [host.device for host in drill.world.hosts if not host.online]
        assert away == [], f"seed {seed}: {away} never came back"
        ended = {name: row.phase.name for name, row in drill.meter.updates.rollouts.items()}
        assert {ended["r1"], ended["r2"]} <= {"COMPLETED", "HALTED"}, f"seed {seed}: {ended}"


def test_each_place_acts_in_some_run():
    fired = dict.fromkeys((site.name for site in SITES), 0)
    for seed in range(2):
        for count in lived(seed, HARD.replace(".2", ".8"))[0].world.buggify.counts():
            fired[count.site.name] += count.fired
    assert [name for name, times in fired.items() if not times] == []


def test_the_same_seed_is_as_awkward_again():
    assert lived(3)[1] == lived(3)[1] != lived(4)[1]


@pytest.mark.parametrize("off", ["", "buggify: {activate: 0, fire: .5}\n"], ids=["none", "zero"])
def test_without_hardship_a_run_is_what_it_was(off):
    drill, digest = lived(3, off)
    assert drill.world.buggify is None
    assert {type(host).__name__ for host in drill.world.hosts} == {"DeviceHost"}
    assert type(drill.world.gateway) is GatewayHost
    assert digest == lived(3, "")[1] != lived(3)[1]
