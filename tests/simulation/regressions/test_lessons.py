"""Faults that a rehearsal found, each kept as the smallest world that shows it."""

from collections import Counter

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.timebase import MINUTE
from devicesim.world.ledger import BROKER, DropCause
from devicesim.world.watch import Watcher
from tests_kit import worlds

HERD = "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 40m, waves: [100%], soak: 1m, jitter: 0s}]\n"


def test_telemetry_that_waits_for_its_commit_does_not_starve_chunk_requests():
    """docs/adr/0005: unacknowledged telemetry filled the broker's in-flight window, requests waited
    for seconds, timers expired, and chunks were fetched twice."""
    drill = worlds.make_drill(
        worlds.scenario_text(HERD, count=400, duration="50m", link="ethernet")
    )
    drill.world.run()
    assert worlds.broken(drill) == []
    assert drill.meter.refetched_chunks == 0, "requests waited longer than the agents' patience"


def test_a_rollout_does_not_leave_a_fleet_that_reports_in_step():
    """After a commit each device began a new window at once, so a wave reported in one minute for ever."""

    class Windows(Watcher):
        def __init__(self):
            self.by_minute = Counter()

        def published(self, host, effect, now):
            if effect.kind == "tel" and now > 75 * MINUTE:
                self.by_minute[now // MINUTE] += 1

    drill = worlds.make_drill(worlds.scenario_text(HERD, count=300, duration="105m"))
    windows = Windows()
    drill.world.watch.add(windows)
    drill.world.run()
    even = 300 / 15
    worst = max(windows.by_minute.values())
    assert worst < 3 * even, f"{worst} windows in one minute where an even spread has {even:.0f}"


def test_a_device_whose_flash_is_full_says_so_and_stays_what_it_was():
    """The host went on with a batch after a refused write, so a device said COMMITTED and was not."""
    full = "timeline: [{at: 35m, for: 30m, do: flash.full, target: all}]\n"
    plan = "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 40m, waves: [100%], soak: 1m}]\n"
    drill = worlds.make_drill(worlds.scenario_text(plan + full, count=6, duration="60m"))
    drill.world.run()
    assert worlds.broken(drill) == []
    factory = {host.parts.identity.factory_manifest for host in drill.world.hosts}
    assert {host.manifest for host in drill.world.hosts} == factory


def test_a_session_that_began_behind_the_devices_back_does_not_leave_it_deaf():
    """Found against mosquitto: the broker lost its sessions while the carrier was dark; the first CONNECT
    after it began a new one, its CONNACK came after the device had given up, and the next one said
    "session present". The device believed in its subscriptions of before, and heard nothing ever again."""
    storm = (
        "timeline:\n"
        "  - {at: 20m, do: partition, how: blackhole, target: all}\n"
        "  - {at: 25m, for: 10s, do: broker.restart, lose_sessions: true}\n"
        "  - {at: 35m, do: heal, target: all}\n"
        "  - {at: 35m1s, for: 90s, do: latency, add: 6200ms, target: all}\n"
        "flags: [{at: 5m, set: {dial: {percent: 100}}}, {at: 45m, kill: dial}]\n"
    )

    class Obeyed(Watcher):
        def __init__(self):
            self.devices = set()

        def noted(self, host, effect, now):
            if effect.kind == NoteKind.KILL_OBEYED:
                self.devices.add(host.index)

    drill = worlds.make_drill(
        worlds.scenario_text(storm, count=40, duration="60m", link="ethernet")
    )
    obeyed = Obeyed()
    drill.world.watch.add(obeyed)
    drill.world.run()
    deaf = [host.device for host in drill.world.hosts if host.index not in obeyed.devices]
    assert deaf == [], f"{len(deaf)} of 40 devices never heard of the kill"


def test_what_a_broker_has_nobody_for_is_not_lost():
    """docs/adr/0027: the broker forgot its sessions, and the gateway was the last to come back. Devices took
    "no matching subscribers" for an acknowledgement, and whole windows of the fleet were gone."""
    outage = (
        "timeline:\n"
        "  - {at: 20m, for: 15m, do: gateway.crash}\n"
        "  - {at: 21m, for: 10s, do: broker.restart, lose_sessions: true}\n"
    )
    drill = worlds.make_drill(
        worlds.scenario_text(outage, count=40, duration="60m", link="ethernet")
    )
    drill.world.run()
    assert worlds.broken(drill) == []
    unheard = drill.world.ledger.drops(BROKER)[DropCause.NO_SUBSCRIBER]
    assert unheard > 20, (
        f"the broker had nobody for {unheard} messages only: the lesson is not taught"
    )
    collect = drill.world.gateway.core.collect.overview().counters
    assert (collect.gaps, collect.windows_dropped) == (0, 0), "windows of the outage never came"


def _after_a_kill(agent=""):
    """600 devices hear of a kill, before a gateway whose store takes a thousand messages a second and a
    broker that keeps two hundred for it: what the broker dropped, and how many devices that are there the
    gateway does not know to have obeyed."""
    crowd = (
        agent + "broker: {queue_max: 200}\n"
        "flags: [{at: 5m, set: {dial: {percent: 100}}}, {at: 20m, kill: dial}]\n"
        "timeline: [{at: 1m, do: gateway.slow_store, commit: 100ms, for: 24m}]\n"
    )
    drill = worlds.make_drill(
        worlds.scenario_text(crowd, count=600, duration="25m", link="ethernet")
    )
    drill.world.run()
    assert worlds.broken(drill) == []
    core = drill.world.gateway.core
    online = [host.device for host in drill.world.hosts if host.online]
    unknown = sum(core.twin_view(device).kill_version == 0 for device in online)
    return sum(drill.world.ledger.drops(BROKER).values()), unknown


def test_a_fleet_that_obeys_at_once_does_not_answer_at_once():
    """docs/adr/0025: all devices hear of a kill in the same tenth of a second. When they all said so in
    the next, the queue of the gateway's session overflowed, and the broker acknowledged what it dropped."""
    assert _after_a_kill() == (0, 0)


def test_and_did_overrun_its_gateway_when_it_answered_at_once():
    dropped, unknown = _after_a_kill("agent: {answer_after: 0s, answer_spread: 0s}\n")
    assert dropped > 100, "the world in which the lesson was learned is too kind to teach it"
    assert unknown > 100, "whoever was not heard is not known to have obeyed"
