"""A check that cannot fail proves nothing: each one meets the bug that it is there for.

Every case is a small world in which all checks hold, and the same world with one bug planted into the
real code, in which the check that the case names must fail and tell what it found.
"""

from typing import NamedTuple

import pytest
from msgspec.structs import replace

from devicesdk.agent import slots, work
from devicesdk.agent.backoff import Backoff
from devicesdk.agent.download import Download
from devicesdk.agent.effects import Publish, Sync
from devicesdk.agent.experiments import Experiments
from devicesdk.agent.install import Install
from devicesdk.agent.outbox import Outbox
from devicesdk.agent.report import Report
from devicesdk.agent.update import Update
from devicesdk.bundle import chunks
from devicesdk.bundle.chunks import ChunkMap
from devicesdk.bundle.manifest import Manifest
from devicesdk.wire.timebase import HOUR, SECOND
from devicesim.models.battery import Battery
from devicesim.models.body import Body
from devicesim.scenario.checks import ALWAYS
from devicesim.world import bundles
from devicesim.world.broker.delivery import Delivery
from devicesim.world.broker.lifecycle import Lifecycle
from devicesim.world.broker.session import Session
from devicesim.world.connection import Connection
from devicesim.world.device_host import DeviceHost
from devicesim.world.device_messages import publish
from devicesim.world.gateway_host import GatewayHost
from gateway.core.control import outcomes, strata
from gateway.core.control.rollouts import Rollouts
from gateway.core.control.twins import Twin, Twins
from gateway.core.experiments import bandit
from gateway.core.internal import Paused, Revoked
from gateway.core.transfers.transfers import Transfers
from tests_kit import worlds

COUNT = 6
FLAGS = "flags: [{at: 25m, set: {new-dial: {percent: 50}}}, {at: 26m, kill: new-dial}]\n"
POISONED = "  - {id: gauge, version: 1.2.0, path: models/gauge-poisoned/1.2.0}\n"


def rollout(bundle="1.1.0", **more):
    plan = {"waves": "[100%]", "soak": "1m", "at": "30m", **more}
    rest = ", ".join(f"{key}: {value}" for key, value in plan.items())
    return f"rollouts: [{{id: r1, bundle: gauge@{bundle}, {rest}}}]\n"


def timeline(*actions):
    return "timeline:\n" + "".join(f"  - {{{action}}}\n" for action in actions)


BANDIT = (
    "experiments: [{id: e1, group: kiosk, bundle: gauge@1.1.0, production: gauge@1.0.0, at: 10m,"
    " look: 10m, mode: bandit}]\n"
)
SLOW = "at: 29m, for: 20m, do: bandwidth, rate: 4kbit/s, target: all"
CUT = "at: 31m5s, for: 10s, do: partition, how: reset, target: all"
OFF = "at: 20m, for: 30m, do: power.cut, target: 'share(all, 0%..50%)'"
DARK = "at: 20m, for: 30m, do: partition, target: 'share(all, 0%..50%)'"


# -- the bugs -------------------------------------------------------------------------------------


def broker_forgets_what_it_should_queue(patch):
    patch.setattr(Delivery, "_queue", lambda self, session, message: None)


def gateway_counts_a_report_as_success(patch):
    patch.setattr(outcomes, "in_sync", lambda desired, reported: bool(reported.generation))


def device_says_it_runs_what_is_wanted(patch):
    compose = Report._compose

    def boast(self):
        have, want = compose(self), self._books.want
        return have if want is None else replace(have, running=want.manifest, trial=False)

    patch.setattr(Report, "_compose", boast)


def agent_trusts_the_manifest_instead_of_the_bytes(patch):
    hashed = Install.file_hashed

    def believe(self, job, answer, now):
        if job is not None and job.variant is not None:
            answer = replace(answer, digest=job.variant.image.raw)
        return hashed(self, job, answer, now)

    for digests in (chunks.RealDigests, chunks.RememberingDigests):
        patch.setattr(digests, "match", lambda self, digest, data: True)
    patch.setattr(Install, "file_hashed", believe)


def map_is_saved_before_its_data(patch):
    checkpoint = Download._checkpoint

    def hasty(self):
        out = self._shared.out
        before = len(out)
        checkpoint(self)
        fresh = out[before:]
        out[before:] = sorted(fresh, key=lambda effect: isinstance(effect, Sync))

    patch.setattr(Download, "_checkpoint", hasty)


def map_forgets_a_chunk(patch):
    to_bytes = ChunkMap.to_bytes

    def forgetful(self):
        if self.count > 4:
            twin = ChunkMap(self.blob, self.size_bytes, self.chunk_bytes)
            for chunk in range(1, self.chunks):
                if chunk in self:
                    twin.add(chunk)
            return to_bytes(twin)
        return to_bytes(self)

    patch.setattr(ChunkMap, "to_bytes", forgetful)


def transfer_starts_over_after_a_disconnect(patch):
    online = Download.online

    def afresh(self, now):
        if self.source is not None and self.source.hashes is not None:
            self._fetch_again(self.source, now)
        online(self, now)

    patch.setattr(Download, "online", afresh)


def new_image_goes_into_the_slot_that_runs(patch):
    patch.setattr(Install, "_slot_file", lambda self: f"slot-{self._slots.committed}")


def quarantine_is_forgotten(patch):
    patch.setattr(slots.Slots, "is_banned", lambda self, manifest: False)
    patch.setattr(outcomes, "fault_of", lambda state, reason: outcomes.Fault.CIRCUMSTANCE)


def nobody_looks_at_the_hardware(patch):
    made = bundles.build_bundle

    def elsewhere(source, models, chunk_bytes):
        built = made(source, models, chunk_bytes)
        manifest = built.manifest
        if manifest.version == "1.0.0":
            return built
        variants = tuple(replace(v, hardware=("mainframe",)) for v in manifest.variants)
        return replace(built, manifest=replace(manifest, variants=variants))

    patch.setattr(bundles, "build_bundle", elsewhere)
    list_it = bundles.listed
    patch.setattr(bundles, "listed", lambda *one: list_it(*one)._replace(hardware=("*",)))
    patch.setattr(Manifest, "variant_for", lambda self, *facts: self.variants[0])
    patch.setattr(Twins, "fits", lambda self, twin, manifest: True)


def first_wave_is_everybody(patch):
    patch.setattr(strata, "cap", lambda share, population: population)


def wave_does_not_soak(patch):
    quorum = Rollouts._quorum

    def impatient(self, rollout, at, out):
        quorum(self, rollout, at, out)
        wave = rollout.wave
        if wave is not None and wave.quorum_ns and not wave.closed_ns:
            self._close_wave(rollout, at, out)

    patch.setattr(Rollouts, "_quorum", impatient)


def agent_is_deaf_while_it_updates(patch):
    offered, told = Update.offered, Transfers._told
    patch.setattr(
        Transfers,
        "_told",
        lambda self, said: [] if type(said) in (Paused, Revoked) else told(self, said),
    )

    def deaf(self, payload, now):
        if self.job is None:
            offered(self, payload, now)

    patch.setattr(Update, "offered", deaf)


def gateway_tells_nobody_of_a_halt(patch):
    patch.setattr(Rollouts, "brake", lambda self, rollout, brake, out: None)


def generations_start_anew(patch):
    patch.setattr(Twin, "next_generation", property(lambda self: 1))


def take_over_leaves_the_old_connection(patch):
    def cut(self, now, session, reason):
        self.lost(now, session, reason)

    patch.setattr(Lifecycle, "cut", cut)


def keep_alive_is_forgotten(patch):
    patch.setattr(Connection, "silence_ends_at", lambda self, now: now + HOUR)


def agent_hammers(patch):
    patch.setattr(Backoff, "next", lambda self, dice: SECOND)


def everybody_waits_alike(patch):
    def alike(self, dice):
        self.losses += 1
        return min(2**self.losses, 60) * SECOND

    patch.setattr(Backoff, "next", alike)


def broker_queues_without_bound(patch):
    made = Delivery.__init__

    def boundless(self, limits, ledger):
        made(self, limits, ledger)
        self.queue_max = 10**9

    patch.setattr(Delivery, "__init__", boundless)


def broker_sends_without_waiting(patch):
    """To a gateway that acknowledges nothing."""
    attach = Session.attach
    patch.setattr(
        Session, "attach", lambda self, outlet, window, most: attach(self, outlet, 10**6, most)
    )
    patch.setattr(GatewayHost, "_group_commit", lambda self, now: None)


def radio_is_paid_twice(patch):
    message = Body.message

    def twice(self, *arguments, **more):
        joules = message(self, *arguments, **more)
        self.radio_j += 50.0
        return joules

    patch.setattr(Body, "message", twice)


def charger_ignores_the_cold(patch):
    current = Battery.charging_current
    patch.setattr(
        Battery, "charging_current", lambda self, watts, temp: current(self, watts, max(temp, 20.0))
    )


def window_counts_a_frame_too_many(patch):
    encode = work.encode_window

    def padded(boot, seq, bundle, rev, span, ran, rows, **told):
        ran = replace(ran, frames=ran.frames + 1)
        return encode(boot, seq, bundle, rev, span, ran, rows, **told)

    patch.setattr(work, "encode_window", padded)


def window_is_lost_on_the_way_to_the_outbox(patch):
    window = Outbox.window

    def leaky(self, payload, now):
        if b"\xa1q\x02" not in payload:  # the second window of each boot
            window(self, payload, now)

    patch.setattr(Outbox, "window", leaky)


def host_speaks_after_its_last_breath(patch):
    power_off = DeviceHost.power_off

    def dying_words(self, now, *, tear=True):
        was_on = self.on
        power_off(self, now, tear=tear)
        if was_on:
            publish(self, Publish("ev", b"\x83\xa1b\x01\xa1q\x01\xa1k\xa2ow", 0, False), now)

    patch.setattr(DeviceHost, "power_off", dying_words)


def gateway_opens_the_cap(patch):
    def generous(luck, candidate, production, brakes, cap, cap_max, *, fresh):
        return bandit.Step(1.0, 1.0, frozen=False)

    patch.setattr(bandit, "look", generous)


def devices_take_what_is_not_theirs(patch):
    find = Experiments._find

    def greedy(self, manifest):
        found = find(self, manifest)
        return None if found is None else (found[0], replace(found[1], arm="candidate"))

    patch.setattr(Experiments, "_find", greedy)


class Case(NamedTuple):
    """A world, a bug, and the check that must find it."""

    check: str
    plant: object
    rest: str
    more: tuple = ()


MANY = (("count", 30),)
COLD = (
    "  - {group: van, count: 6, profile: handheld, link: fcc-dsl, vary: {ambient_c: -15, soc0: .5}}"
)
CASES = [
    Case("conservation", broker_forgets_what_it_should_queue, rollout() + timeline(OFF)),
    Case("no_false_success", gateway_counts_a_report_as_success, rollout() + timeline(SLOW)),
    Case("no_false_success", device_says_it_runs_what_is_wanted, rollout() + timeline(SLOW)),
    Case(
        "digest_before_activation", agent_trusts_the_manifest_instead_of_the_bytes,
        rollout() + timeline("at: 25m, for: 9m, do: tamper.chunks, share: 50%, target: all"),
    ),
    Case("digest_before_activation", map_is_saved_before_its_data, rollout()),
    Case("digest_before_activation", map_forgets_a_chunk, rollout() + timeline(SLOW)),
    Case("resume", transfer_starts_over_after_a_disconnect, rollout() + timeline(SLOW, CUT)),
    Case("bootable_slot", new_image_goes_into_the_slot_that_runs, rollout()),
    Case("no_reflash", quarantine_is_forgotten, POISONED + rollout("1.2.0"), MANY),
    Case("hardware_fit", nobody_looks_at_the_hardware, rollout()),
    Case("wave_cap", first_wave_is_everybody, rollout(waves="[20%, 50%, 100%]", soak="5m")),
    Case("wave_cap", wave_does_not_soak, rollout(waves="[20%, 50%, 100%]", soak="5m")),
    Case("halt_holds", agent_is_deaf_while_it_updates, POISONED + rollout("1.2.0", jitter="20m"), MANY),
    Case("halt_holds", gateway_tells_nobody_of_a_halt, POISONED + rollout("1.2.0", jitter="20m"), MANY),
    Case(
        "versions_rise", generations_start_anew,
        "rollouts:\n" + "".join(
            f"  - {{id: r{n}, bundle: gauge@1.{minor}.0, at: {at}m, waves: [100%], soak: 1m}}\n"
            for n, minor, at in ((1, 1, 30), (2, 0, 50))
        ),
    ),
    Case(
        "one_session", take_over_leaves_the_old_connection,
        timeline("at: 30m, for: 10s, do: power.cut, target: all"), (("duration", "30m25s"),),
    ),
    Case("dead_link_noticed", keep_alive_is_forgotten, timeline(DARK)),
    Case("bounded_retry", agent_hammers, timeline("at: 30m, for: 20m, do: broker.restart")),
    Case(
        "bounded_retry", everybody_waits_alike, timeline("at: 30m, for: 20m, do: broker.restart"),
        (("count", 20),),
    ),
    Case(
        "bounded_queues", broker_queues_without_bound,
        "broker: {queue_max: 1}\n" + FLAGS + rollout() + timeline(OFF),
    ),
    Case("bounded_queues", broker_sends_without_waiting, "", MANY),
    Case("energy", radio_is_paid_twice, "", (("fleet", COLD),)),
    Case(
        "energy", charger_ignores_the_cold, timeline("at: 5m, do: plug, target: all"),
        (("fleet", COLD),),
    ),
    Case("telemetry_counts", window_counts_a_frame_too_many, ""),
    Case("telemetry_counts", window_is_lost_on_the_way_to_the_outbox, ""),
    Case("exposure_cap", gateway_opens_the_cap, BANDIT),
    Case("exposure_cap", devices_take_what_is_not_theirs, BANDIT, (("count", 60),)),
    Case("silent_when_off", host_speaks_after_its_last_breath, timeline(OFF)),
]  # fmt: skip
IDS = [f"{case.check}-{case.plant.__name__}" for case in CASES]


def run(case):
    more = {"count": COUNT, "duration": "80m", **dict(case.more)}
    drill = worlds.make_drill(worlds.scenario_text(case.rest, **more))
    drill.world.run()
    return {check.name: check for check in drill.checks}


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_check_finds_the_bug(case, monkeypatch):
    case.plant(monkeypatch)
    check = run(case)[case.check]
    assert not check.held, f"{case.plant.__name__} went unnoticed by {case.check}"
    assert "expected" in check.story()
    assert "found" in check.story()


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_without_the_bug_the_same_world_holds(case):
    found = run(case)
    assert [(name, check.stories()) for name, check in found.items() if not check.held] == []
    assert found[case.check].verdict is True, f"{case.check} was never put to the test"


def test_every_promise_has_a_bug_of_its_own():
    assert {case.check for case in CASES} == set(ALWAYS)
