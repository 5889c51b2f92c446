"""Worlds in which devices choose at run time: heat, a dead link, batteries, and back."""

import msgspec
import pytest
from msgspec.structs import replace

from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from devicesim.scenario import load
from devicesim.world.assemble import Stock, assemble
from devicesim.world.drill import Drill
from devicesim.world.watch import Watcher
from gateway.core import stimuli as hear
from gateway.core.gateway import Gateway, GatewayConfig
from gateway.core.offload.limits import OffloadLimits
from tests_kit.worlds import _files, _sources, broken, make_drill, scenario_text

CARRY = {"int8-rr": ("rule",), "fp32": ("int8-rr", "rule")}


def drill_of(text, policy, *, config=None, make_gateway=None, change=lambda source: source):
    """A drill whose bundles carry lighter variants and whose group has a policy."""
    profiles, book = _files()
    scenario = load(text, (), None)
    sources = {
        name: change(replace(source, spec=replace(source.spec, carry=CARRY)))
        for name, source in _sources(text).items()
    }
    stock = Stock(profiles, book, sources)
    drill = Drill(assemble(scenario, stock, make_gateway=make_gateway))
    world = drill.world
    for host in world.hosts:
        if config:
            host.parts.config = replace(host.parts.config, **config)
    if policy is not None:
        set_flag(world, "policy", {"v1": policy, "off": {}}, "v1")
    return drill


def set_flag(world, name, variants, default, segment="kiosk"):
    definition = {"state": "ENABLED", "variants": variants, "defaultVariant": default}
    world.gateway.stimulate(
        hear.SetFlag(segment, name, msgspec.json.encode(definition).decode()), world.kernel.now
    )


class Notes(Watcher):
    """What the agents noted: (instant, device, a, b) by kind, and how many frames ran where."""

    def __init__(self):
        self.said, self.ran = {}, 0

    def noted(self, host, effect, now):
        self.said.setdefault(effect.kind, []).append((now, host.index, effect.a, effect.b))

    def inferred(self, host, frames, now):
        self.ran += frames

    def between(self, kind, start, end):
        return [entry for entry in self.said.get(kind, []) if start <= entry[0] < end]


def watched(drill):
    notes = Notes()
    drill.world.watch.add(notes)
    return notes


HEAT = {
    "rules": [
        {"name": "hot", "when": {"chip_c_min": 70}, "use": {"variants": ["rule"], "frames_permille": 500, "side": 16}},
        {"name": "normal"},
    ],
    "margin": {"chip_c": 4, "hold_s": 0},
}  # fmt: skip


def test_heat_brings_the_rule_and_coolness_the_model_back():
    text = scenario_text(
        "timeline:\n  - {at: 1h, do: heat.wave, by_c: 45, for: 2h, target: all}\n",
        duration="6h", count=3,
    )  # fmt: skip
    drill = drill_of(text, HEAT)
    notes = watched(drill)
    drill.world.run()
    changes = notes.said["rule_chosen"]
    for device in range(3):
        mine = [(a, at) for at, index, a, _ in changes if index == device]
        assert [a for a, _ in mine] == [1, 0, 1], f"device {device} flapped: {mine}"
        assert HOUR < mine[1][1] < 1.5 * HOUR, "the heat was not noticed"
        assert mine[2][1] > 3 * HOUR, "the rule gave up while it was hot"
    ran = drill.world.pool.variant_stats()
    assert set(ran) == {"gauge@1.0.0/int8-rr", "gauge@1.0.0/rule+default@16"}
    assert 15 <= ran["gauge@1.0.0/rule+default@16"].frames_run <= 30, "half the frames, for 2 hours"
    counted = drill.recorder.decisions
    assert counted["policy.hot"] >= 15
    assert counted["policy.normal"] > counted["policy.hot"]
    assert broken(drill) == []


def test_without_a_policy_nobody_chooses_and_nothing_is_counted():
    drill = make_drill(scenario_text(duration="2h", count=3))
    notes = watched(drill)
    drill.world.run()
    assert not [kind for kind in drill.recorder.decisions if kind.startswith("policy.")]
    assert "rule_chosen" not in notes.said
    assert all(host.elsewhere is None for host in drill.world.hosts)


ASKING = {
    "rules": [
        {"name": "ask", "when": {"link": ["unmetered"]}, "use": {"path": "offload"}},
        {"name": "otherwise", "use": {"variants": ["rule"]}},
    ],
    "offload": {"timeout_ms": 2000, "pause_s": 600},
}
CONSENT = {"offload_consent": True}


def test_frames_go_to_the_gateway_and_come_home_when_the_link_dies():
    text = scenario_text(
        "timeline:\n  - {at: 2h, do: partition, how: blackhole, for: 1h, target: all}\n",
        duration="5h", count=3,
    )  # fmt: skip
    drill = drill_of(text, ASKING, config=CONSENT)
    set_flag(drill.world, "offload", {"on": True, "off": False}, "on")
    notes = watched(drill)
    drill.world.run()
    answered = notes.said["answered"]
    assert len(notes.between("answered", 0, 2 * HOUR)) >= 3 * 6, "asks were not answered"
    assert all(0 < took < 2000 for _, _, took, _ in answered)
    assert notes.between("answered", 2 * HOUR + SECOND, 3 * HOUR) == [], (
        "answers out of a dead link"
    )
    assert notes.between("ask_failed", 2 * HOUR, 3 * HOUR), "nobody noticed that the link is dead"
    assert notes.between("answered", 3.5 * HOUR, 5 * HOUR), "nobody asked again"
    served = drill.world.gateway.core.offload
    assert served.served_frames >= sum(2 for _ in answered)
    assert served.in_flight == 0
    ran = drill.world.pool.variant_stats()
    assert "gauge@1.0.0/rule" in ran, "nobody read by itself while the link was dead"
    assert broken(drill) == []


@pytest.mark.parametrize(
    ("config", "flag"),
    [({}, "on"), (CONSENT, "off"), (CONSENT | {"regulatory_mode": "privacy"}, "on")],
    ids=["no consent", "no flag", "privacy"],
)
def test_no_frame_leaves_a_device_without_consent_flag_and_freedom(config, flag):
    drill = drill_of(scenario_text(duration="2h", count=2), ASKING, config=config)
    set_flag(drill.world, "offload", {"on": True, "off": False}, flag)
    notes = watched(drill)
    drill.world.run()
    assert "asked" not in notes.said
    assert drill.recorder.decisions["policy.ask>local"] > 10
    assert drill.world.gateway.core.offload.served_frames == 0
    assert broken(drill) == []


def test_a_busy_gateway_says_wait_and_the_device_reads_by_itself():
    limits = OffloadLimits(device_frames_max=2, device_period_ns=HOUR)

    def make(director, flags, roles):
        return Gateway(GatewayConfig(offload=limits), director, flags, roles)

    drill = drill_of(
        scenario_text(duration="3h", count=2), ASKING, config=CONSENT, make_gateway=make
    )
    set_flag(drill.world, "offload", {"on": True, "off": False}, "on")
    notes = watched(drill)
    drill.world.run()
    waits = [a for _, _, a, _ in notes.said["ask_failed"]]
    assert waits
    assert set(waits) == {3}, f"expected to be told to wait, found {waits}"
    assert 2 <= len(notes.said["answered"]) <= 8, "more frames than the budget gives"
    assert broken(drill) == []


def test_what_is_deferred_is_run_when_the_plug_is_back_and_the_queue_is_bounded():
    policy = {
        "rules": [
            {"name": "wait", "when": {"plugged": False, "urgency": "batch"}, "use": {"path": "defer"}},
            {"name": "otherwise"},
        ],
        "defer": {"bursts_max": 3},
        "margin": {"hold_s": 0},
    }  # fmt: skip
    fleet = "  - {group: kiosk, count: 2, profile: handheld, link: wifi}"
    text = scenario_text(
        "timeline:\n  - {at: 1h, do: plug, for: 1m, target: all}\n"
        "  - {at: 2h, do: unplug, for: 2h, target: all}\n"
        "  - {at: 4h, do: plug, for: 2h, target: all}\n",
        duration="6h", fleet=fleet,
    )  # fmt: skip
    drill = drill_of(text, policy, config={"urgency": "batch"})
    notes = watched(drill)
    drill.world.run()
    waiting = [a for at, _, a, _ in notes.said["deferred"]]
    assert max(waiting) == 3, f"expected the queue to fill and to stay bounded, found {waiting}"
    assert notes.said["deferred_dropped"], "the oldest did not go"
    in_time = notes.between("deferred", 4 * HOUR + 20 * MINUTE, 6 * HOUR)
    assert in_time == [], "deferred on the plug"
    assert [len(host.elsewhere._kept) for host in drill.world.hosts] == [0, 0], "kept for nobody"
    assert broken(drill) == []


def test_the_same_seed_chooses_the_same():
    def digest():
        drill = drill_of(scenario_text(duration="3h", count=3), ASKING, config=CONSENT)
        set_flag(drill.world, "offload", {"on": True, "off": False}, "on")
        return drill.world.run()

    assert digest() == digest()
