from types import SimpleNamespace

import pytest

from devicesdk.wire.timebase import MINUTE
from devicesim.scenario.trigger import METRICS, parse_trigger
from devicesim.world.ledger import DOWN, RETAINED, DropCause
from gateway.core import rows
from tests_kit import worlds

TIMELINE = "timeline: [{id: dark, at: 40m, for: 5m, do: partition, target: all}]\n"


@pytest.fixture
def drill():
    return worlds.make_drill(
        worlds.scenario_text(worlds.ROLLOUT + TIMELINE, count=4, duration="50m")
    )


def metric(text):
    (found,) = parse_trigger(f"{text} >= 1").metrics()
    return found


def test_every_metric_of_the_language_can_be_read(drill):
    region = next(iter(drill.meter.sessions.regions))
    names = {"{group}": "kiosk", "{region}": region, "{rollout}": "r1", "{action}": "dark"}
    for pattern in METRICS:
        text = pattern
        for hole, name in names.items():
            text = text.replace(hole, name)
        threshold = "1s" if pattern == "clock.elapsed" else "1"
        (found,) = parse_trigger(f"{text} >= {threshold}").metrics()
        expected = 1 if pattern == "broker.connections" else 0  # the gateway's own
        assert drill.meter.read_metric(found) == expected, text


def test_metrics_follow_a_run(drill):
    seen = {}

    def look(now, _):
        for text in (
            "action.dark.active",
            "action.dark.count",
            "rollout.r1.progress",
            "rollout.r1.exposed",
            "rollout.r1.wave",
        ):
            seen[now // MINUTE, text] = drill.meter.read_metric(metric(text))

    for minute in (29, 36, 42, 46):
        drill.world.kernel.at(minute * MINUTE, look)
    drill.world.run()
    assert [seen[m, "action.dark.active"] for m in (29, 42, 46)] == [0, 1, 0]
    assert seen[46, "action.dark.count"] == 1
    assert [seen[m, "rollout.r1.progress"] for m in (29, 36)] == [0, 1.0]
    assert [seen[m, "rollout.r1.exposed"] for m in (29, 36)] == [0, 1.0]
    assert seen[36, "rollout.r1.wave"] == 1
    assert drill.meter.read("updated_ratio") == 1.0
    assert drill.meter.read("exposed_ratio") == 1.0
    assert drill.meter.read("versions") == 1
    assert drill.meter.read("online_ratio") == 1.0
    assert drill.meter.read("open_rollouts") == 0
    assert drill.meter.read("loss") == 0
    assert drill.meter.read("update_p50") > 0


def test_versions_counts_the_most_mixed_target(drill):
    new, old = (
        next(d for d, b in drill.world.bundles.items() if b.manifest.version == version)
        for version in ("1.1.0", "1.0.0")
    )
    for host, manifest in zip(drill.world.hosts, (old, old, new, new), strict=True):
        host.on, host.manifest = True, manifest
    assert drill.meter.read("versions") == 2
    for host in drill.world.hosts[2:]:
        host.on = False
    assert drill.meter.read("versions") == 1


def test_a_device_without_a_whole_slot_is_bricked(drill):
    host = drill.world.hosts[1]
    host.boot_id, host.slot, host.manifest, host.variant = 1, "b", b"m" * 32, "fp32"
    assert drill.meter.bricked() == [host]
    assert drill.meter.read("bricked") == 1


def test_throttled_counts_devices_that_are_on(drill):
    for host in drill.world.hosts[:2]:
        host.parts.body.processor.step_down(5)
    drill.world.hosts[0].on = True
    assert drill.meter.read("throttled_ratio") == 0.25


def test_an_inference_is_as_slow_as_on_the_slowest_twentieth(drill):
    for host in drill.world.hosts:
        host.on = False
    assert drill.meter.read("inference_p95") is None, "nobody is on"
    slow = drill.world.hosts[2]
    factory = slow.parts.identity
    for host in drill.world.hosts:
        host.on = True
        host.manifest, host.variant = factory.factory_manifest, factory.factory_variant
    fast_ns = drill.meter.read("inference_p95")
    for _ in range(3):
        slow.parts.body.processor.step_down(5)
    assert drill.meter.read("inference_p95") > fast_ns, "one of four is above the 95th percentile"
    assert drill.meter.slowest() == [slow]


def test_replaced_retained_messages_were_not_dropped(drill):
    drill.world.ledger.dropped(RETAINED, "have", DropCause.REPLACED, 5)
    drill.world.ledger.dropped(DOWN, "want", DropCause.BLACK_HOLE, 2)
    assert drill.meter.read("dropped") == 2


def test_a_rollout_that_is_not_over_is_open(drill):
    for key, phase in (("r1", rows.Phase.RUNNING), ("r2", rows.Phase.HALTED)):
        drill.meter.updates.rollouts[key] = SimpleNamespace(phase=phase)
    assert drill.meter.read("open_rollouts") == 1


def test_a_measure_that_is_not_there_is_an_error(drill):
    with pytest.raises(KeyError):
        drill.meter.read("happiness")
