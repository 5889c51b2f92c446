"""What the shipped scenarios about choosing must show, at a hundredth or so of their size.

Each claim is held against the same world without the mechanism: without the policy, without the budget,
without the device's own look at the manifest.
"""

from pathlib import Path

import pytest

from devicesdk.bundle.manifest import Manifest
from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import HOUR
from devicesim.rehearse import open_scenario
from devicesim.stock import stock_for
from devicesim.world import bundles
from devicesim.world.assemble import assemble
from devicesim.world.drill import Drill
from devicesim.world.hearing import Listener
from tests_kit.worlds import broken

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def drill_of(name, *changes):
    file = SCENARIOS / f"{name}.yaml"
    scenario = open_scenario(file, changes)
    return Drill(assemble(scenario, stock_for(scenario, file)))


def failed(drill):
    return [f"{check.title}: {check.story()}" for check in drill.checks if check.held is False]


class Ears(Listener):
    """What devices said of their updates and did, by device: (instant, state, reason); what they ran."""

    def __init__(self, drill):
        self.said, self.ran, self.chosen, self.throttled = {}, {}, {}, []
        self.silent = set()
        self._meter = drill.meter
        drill.meter.hearing.add(self)
        drill.world.watch.add(self)

    def said_have(self, host, have, now):
        self.said.setdefault(host.device, []).append((now, have.state, have.reason))

    def said_window(self, host, window, now):
        if not window.rules:
            self.silent.add((host.device, window.boot_id, window.seq))

    def activated(self, host, effect, now):
        self.ran.setdefault(host.device, []).append((now, effect.manifest))

    def noted(self, host, effect, now):
        if effect.kind == "rule_chosen":
            self.chosen.setdefault(host.device, []).append((now, effect.a))

    def checkpoint(self, now):
        if now % (HOUR // 4) == 0:
            self.throttled.append(self._meter.throttled_ratio())

    def states(self, device):
        return {state for _, state, _ in self.said.get(device, [])}

    def reasons(self, devices):
        return {reason for d in devices for _, _, reason in self.said.get(d, []) if reason}


def group(drill, name):
    return [host.device for host in drill.world.hosts if host.parts.group == name]


def named(drill, name):
    return next(b.digest for b in drill.world.bundles.values() if b.name == name)


# -- heat-wave-throttle -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def heat():
    drill = drill_of("heat-wave-throttle", "scale=0.03")
    ears = Ears(drill)
    drill.world.run()
    return drill, ears


def test_the_rules_step_aside_for_the_heat_before_the_firmware_has_to(heat):
    drill, ears = heat
    assert failed(drill) == []
    without = drill_of("heat-wave-throttle", "scale=0.03", "choosing.policy.rules=[{name: normal}]")
    hot = Ears(without)
    without.world.run()
    assert all("throttled_ratio" in one for one in broken(without)), "more than the heat was broken"
    assert max(hot.throttled) > 0.4, "a heat wave that throttles nobody proves nothing"
    assert max(ears.throttled) < max(hot.throttled) / 2
    assert sum(ears.throttled) < sum(hot.throttled) / 2


def test_heat_is_met_where_it_is_step_by_step_and_everybody_recovers(heat):
    drill, ears = heat
    rules = ["throttled", "hot", "warm", "normal"]
    regions = {host.device: host.parts.labels["region"] for host in drill.world.hosts}
    deepest, steps = {}, {}
    for device, choices in ears.chosen.items():
        deepest.setdefault(regions[device], []).append(min(rule for _, rule in choices))
        steps[device] = [rule for _, rule in choices]
    assert set(map(rules.__getitem__, deepest["coast"])) == {"normal"}, "stepped down in mild air"
    inland = [rules[rule] for rule in deepest["inland"]]
    assert inland.count("normal") == 0, "stood in the heat and saw nothing"
    assert inland.count("hot") + inland.count("throttled") > len(inland) / 2
    assert all(taken[0] == taken[-1] == 3 for taken in steps.values()), "did not come back"
    assert max(map(len, steps.values())) <= 12, f"flapped: {max(steps.values(), key=len)}"


def test_each_decision_is_counted_once_and_by_name(heat):
    drill, ears = heat
    counts = next(check for check in drill.checks if check.name == "telemetry_counts")
    assert counts.held
    decisions = drill.meter.decisions
    tried = [d for d in ears.said if UpdateState.TRIAL in ears.states(d)]
    assert sorted(device for device, _, _ in ears.silent) == sorted(tried), (
        "only the one burst that a trial is judged by is decided by no rule"
    )
    assert decisions.total == counts.windows - len(ears.silent), (
        "a decision is one burst, one window"
    )
    assert set(decisions.by_rule) == {"throttled", "hot", "warm", "normal"}
    assert set(decisions.by_rule["hot"]) == {"arm64-neon", "arm64-dotprod"}
    assert set(decisions.by_rule["throttled"]) == {"arm64-dotprod"}, (
        "a phone's body trips 3 K sooner"
    )
    ran = drill.world.pool.variant_stats()
    assert {name.rpartition("/")[2] for name in ran} >= {"int8-rr", "rule"}, (
        "a rule that changed no variant"
    )


# -- wrong-hardware ---------------------------------------------------------------------------------


def run_wrong_hardware(*changes):
    drill = drill_of("wrong-hardware", "scale=0.05", *changes)
    ears = Ears(drill)
    drill.world.run()
    return drill, ears


@pytest.fixture(scope="module")
def wrong():
    return run_wrong_hardware()


def test_nobody_runs_what_is_not_for_it_whatever_the_registry_says(wrong):
    drill, ears = wrong
    assert failed(drill) == []
    old, new = group(drill, "old-reader"), group(drill, "new-reader")
    assert ears.reasons(old) == {"hardware", "validation:latency"}
    for device in old:
        assert UpdateState.TRIAL not in ears.states(device), f"{device} tried what it must refuse"
        assert {manifest for _, manifest in ears.ran[device]} == {named(drill, "gauge@1.0.0")}
    meant = named(drill, "gauge@1.1.0")
    assert all(drill.world.host(device).manifest == meant for device in new)
    second = drill.meter.updates.rollouts["r2"].waves
    assert sum(wave.rejected for wave in second) == 0, "offered what devices had said they are not"
    assert sum(wave.committed for wave in second) > 0


def test_a_device_that_does_not_look_at_its_hardware_is_found_out(monkeypatch):
    list_it = bundles.listed
    monkeypatch.setattr(bundles, "listed", lambda *one: list_it(*one)._replace(hardware=("*",)))
    monkeypatch.setattr(Manifest, "variant_for", lambda self, *_: self.variants[0])
    drill, ears = run_wrong_hardware()
    old = group(drill, "old-reader")
    assert "hardware" not in ears.reasons(old)
    assert any("hardware_fit" in story or "images for" in story for story in failed(drill))


def test_without_its_weight_the_same_release_is_tried(wrong):
    _, weighed = wrong
    drill, ears = run_wrong_hardware("bundles.2.costs.work=1")
    old = group(drill, "old-reader")
    assert "validation:latency" not in ears.reasons(old)
    assert "validation:latency" in weighed.reasons(old)
    assert any(UpdateState.TRIAL in ears.states(device) for device in old)


# -- late-drain -------------------------------------------------------------------------------------


def run_late_drain(*changes):
    drill = drill_of("late-drain", "scale=0.08", *changes)
    drill.world.run()
    return drill, drill.meter.updates.rollouts["r1"]


def test_a_drain_that_comes_after_the_first_gate_is_caught_by_the_second():
    drill, row = run_late_drain()
    assert failed(drill) == []
    assert [wave.verdict.partition(":")[0] for wave in row.waves] == ["passed", "drain"]
    first = row.waves[0]
    hours = (row.waves[1].closed_ns - first.opened_ns) / HOUR
    assert 7 < hours < 9, f"halted {hours:.1f} h after the first offer; the lock comes after 7"
    assert drill.meter.online_count == len(drill.world.hosts)


def test_without_the_gate_on_discharge_the_fleet_goes_dark():
    drill, row = run_late_drain("rollouts.r1.gate.drain=+10000%")
    assert row.phase.name == "COMPLETED"
    assert drill.meter.online_count < len(drill.world.hosts) / 2
    assert drill.meter.bricked() == [], "an empty battery is no brick"


def test_the_gate_on_discharge_lets_a_release_pass_that_drains_nothing():
    _, row = run_late_drain("bundles.1.costs.keeps_busy=0")
    assert row.phase.name == "COMPLETED", row.why
