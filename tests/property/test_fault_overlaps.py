"""Faults of networks and services in any overlap: nothing vanishes, and when all are over nothing is left."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests_kit import faulted, worlds

KINDS = [
    "do: hold, target: all",
    "do: captive_portal, target: all",
    "do: captive_portal, existing: live, target: id=kiosk-0001",
    "do: nat.timeout, idle: 40s, target: all",
    "do: dns.gone, target: all",
    "do: dns.gone, ttl: 3m, target: id=kiosk-0000",
    "do: partition, target: id=kiosk-0001",
    "do: partition, how: reset, target: all",
    "do: partition, how: detach, target: id=kiosk-0002",
    "do: broker.certificate_expires",
    "do: broker.refuse, share: 50%",
    "do: broker.flow_control, share: 40%",
    "do: broker.overflow, queue_max: 2",
    "do: broker.drop_acked, share: 20%",
    "do: broker.take_over, every: 70s, target: id=kiosk-0002",
    "do: broker.restart",
    "do: source.gone, share: 60%",
    "do: gateway.crash",
    "do: gateway.crash, effect: 9",
    "do: gateway.restart",
    "do: gateway.full_store",
    "do: gateway.deploy_older",
    "do: gateway.slow_store, commit: 3s",
]
LINES = st.tuples(st.integers(70, 900), st.integers(1, 500), st.sampled_from(KINDS)).map(
    lambda line: f"{{at: {line[0]}s, for: {line[1]}s, {line[2]}}}"
)
ROLLOUT = "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 4m, waves: [100%], soak: 1m}]\n"


def text(lines):
    return worlds.scenario_text(
        f"{ROLLOUT}agent: {{keepalive: 60s}}\ntimeline: [{', '.join(lines)}]\n",
        count=3,
        duration="45m",
    ).replace("window: 15m", "window: 2m")


@settings(max_examples=10, deadline=None, derandomize=True)
@given(lines=st.lists(LINES, min_size=2, max_size=7))
def test_any_overlap_of_faults_is_over_when_all_of_them_are(lines):
    drill = worlds.make_drill(text(lines))
    drill.world.run()
    told = "\n".join(lines)
    assert worlds.broken(drill) == [], told
    assert faulted.nothing_left(drill) == [], told
    assert drill.meter.sessions.online_count == 3, f"somebody is not back:\n{told}"
    gateway = drill.world.gateway
    assert gateway.up, f"the gateway is not back:\n{told}"
    assert (gateway.kept_down, gateway.fuse, gateway.full) == (0, -1, False), told
    assert drill.meter.read("updated_ratio") == 1.0, f"the release did not get through:\n{told}"


@settings(max_examples=2, deadline=None, derandomize=True)
@given(lines=st.lists(LINES, min_size=2, max_size=7))
def test_the_same_overlap_gives_the_same_trace(lines):
    digests = {worlds.make_drill(text(lines)).world.run() for _ in range(2)}
    assert len(digests) == 1, "\n".join(lines)
