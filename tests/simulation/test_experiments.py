"""Experiments in small worlds: every mode, through crashes, power cuts and black holes."""

from __future__ import annotations

import pytest

from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import HOUR
from gateway.core import rows, stimuli
from gateway.core.experiments.rows import EXPERIMENT, Phase
from tests_kit import worlds

POISONED = "  - {id: gauge, version: 1.2.0, path: models/gauge-poisoned/1.2.0}\n"
WORDS = (
    "experiments: [{{id: e1, group: kiosk, bundle: gauge@{candidate}, production: gauge@1.0.0,"
    " at: 10m, look: 15m, tolerated: 10%, apart: 50%, apart_permille: 300, mode: {mode}}}]\n"
)
HARDSHIP = (
    "timeline:\n"
    "  - {at: 40m, for: 1m, do: gateway.crash}\n"
    "  - {at: 50m, for: 5m, do: power.cut, target: 'share(all, 0%..40%)'}\n"
    "  - {at: 70m, for: 10m, do: partition, target: 'share(all, 30%..70%)'}\n"
    "  - {at: 95m, for: 2m, do: gateway.crash}\n"
)


def live(mode, candidate="1.1.0", rest="", duration="5h", count=20):
    words = POISONED + WORDS.format(mode=mode, candidate=candidate) + rest
    drill = worlds.make_drill(worlds.scenario_text(words, count=count, duration=duration))
    drill.world.run()
    return drill


def experiment(drill):
    stored = drill.world.gateway.store.rows()
    return next(row for table, _, row in stored if table == EXPERIMENT)


def runs(drill, version):
    bundles = drill.world.bundles
    return sum(bundles[host.manifest].name == f"gauge@{version}" for host in drill.world.hosts)


@pytest.mark.parametrize("mode", ["shadow", "interleaved"])
@pytest.mark.parametrize("rest", ["", HARDSHIP], ids=["calm", "hardship"])
def test_a_good_candidate_becomes_the_fleets_own_whatever_happens(mode, rest):
    drill = live(mode, rest=rest)
    assert worlds.broken(drill) == []
    assert experiment(drill).phase is Phase.PROMOTED, experiment(drill)
    assert runs(drill, "1.1.0") == 20
    assert drill.meter.stuck.find(drill.world.now) == []


@pytest.mark.parametrize("mode", ["shadow", "interleaved"])
@pytest.mark.parametrize("rest", ["", HARDSHIP], ids=["calm", "hardship"])
def test_a_poisoned_candidate_is_stopped_and_nobody_runs_it_for_good(mode, rest):
    drill = live(mode, "1.2.0", rest)
    assert worlds.broken(drill) == []
    assert experiment(drill).phase is Phase.STOPPED, experiment(drill)
    assert runs(drill, "1.0.0") == 20


def test_a_kill_wins_over_an_experiment():
    kill = "flags: [{at: 20m, set: {gauge: {percent: 100}}}, {at: 40m, kill: gauge}]\n"
    drill = live("bandit", rest=kill, duration="90m")
    assert worlds.broken(drill) == []
    assert not any(host.frames_under_way(drill.world.now) for host in drill.world.hosts)


def test_a_rollout_of_something_else_supersedes_the_candidate():
    rollout = "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 1h, waves: [100%], soak: 1m}]\n"
    drill = live("shadow", "1.2.0", rollout, duration="3h")
    assert worlds.broken(drill) == []
    assert runs(drill, "1.1.0") == 20


def test_the_same_seed_gives_the_same_experiment():
    digests = {live("bandit", "1.2.0", HARDSHIP, "2h").world.trace.close() for _ in range(2)}
    assert len(digests) == 1


def test_a_device_that_slept_through_a_promotion_takes_it_when_it_wakes():
    asleep = "timeline: [{at: 30m, for: 3h, do: power.cut, target: 'id=kiosk-0003'}]\n"
    drill = live("shadow", rest=asleep)
    assert worlds.broken(drill) == []
    assert runs(drill, "1.1.0") == 20


def test_an_operator_stops_and_every_device_drops_it():
    words = WORDS.format(mode="bandit", candidate="1.1.0")
    drill = worlds.make_drill(worlds.scenario_text(words, count=6, duration="2h"))
    gateway, kernel = drill.world.gateway, drill.world.kernel
    kernel.at(HOUR, lambda now, _: gateway.stimulate(stimuli.SteerExperiment("e1", "stop"), now))
    drill.world.run()
    assert worlds.broken(drill) == []
    states = {row.state for t, _, row in gateway.store.rows() if t == rows.REPORTED}
    assert states == {UpdateState.CANCELED}
    assert runs(drill, "1.0.0") == 6
