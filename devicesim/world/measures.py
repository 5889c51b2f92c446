"""The measures of a run: what checks compare and triggers look at.

Decides how each entry of the scenario language's `MEASURES` and `METRICS` is computed. Leaves out the
comparisons (checks/outcomes.py, the timeline) and curves (recorder.py).

Theory of operation. Most are counted as moments pass, by the meters that this one owns: a flag or an
instant for each device, a sum over the fleet, samples in `Latencies`. Some would cost more to keep
than to find, and the whole fleet is looked at when they are read: ``stuck``, ``versions``, ``bricked``,
``loss``, ``throttled_ratio``, ``inference_p95``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from devicesim.world import choices
from devicesim.world.bands import Lasting
from devicesim.world.checks.images import boots
from devicesim.world.checks.messages import copies_unaccounted
from devicesim.world.drifting import DriftMeter
from devicesim.world.hearing import Hearing, Listener
from devicesim.world.ledger import BROKER, DOWN, UP
from devicesim.world.replay import Replay
from devicesim.world.returns import Returns
from devicesim.world.returns import wanted as returns_wanted
from devicesim.world.session_meter import SessionMeter
from devicesim.world.stuck import Stuck
from devicesim.world.trials import TrialEars, TrialMeter
from devicesim.world.update_meter import UpdateMeter

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicesim.scenario.trigger import Metric
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.latencies import Latencies
    from devicesim.world.world import World

Number = float | int


class Meter(Listener):
    """Measures one run.

    Args:
        world: what is measured. The caller adds the meter to its `watch`; the meters that it owns
            are added here.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.hearing = Hearing()
        """Where checks and recorder hear statements."""
        self.sessions = SessionMeter(world)
        self.updates = UpdateMeter(world, self.sessions)
        self.stuck = Stuck(world)
        world.watch.add(self.hearing)
        for part in (self.sessions, self.updates, self.stuck):
            world.watch.add(part)
            self.hearing.add(part)
        self.drift = DriftMeter(world)
        world.watch.add(self.drift)
        self.trials = TrialMeter(world)
        if world.scenario.experiments:
            world.watch.add(TrialEars(self.trials))
        self.decisions = choices.Decisions(world)
        self.stepped = choices.Stepped(world)
        if choices.wanted(world):
            world.watch.add(self.stepped)
        self.returns = Returns(world)
        if returns_wanted(world):
            world.watch.add(self.returns)
        self.replay: Replay | None = None
        """How well a recording is followed; None where there is none."""
        if world.followed is not None:
            self.replay = Replay(world, world.followed)
            world.watch.add(self.replay)
        self._lasting = Lasting(world.scenario)
        self._measures = self._make_measures()
        self._metrics: dict[str, Callable[[], Number]] = {
            "clock.elapsed": lambda: world.now,
            "fleet.online": lambda: self.sessions.online_count,
            "fleet.online_ratio": lambda: self.sessions.online_ratio,
            "fleet.downloading": lambda: self.updates.downloading,
            "fleet.throttled_ratio": self.throttled_ratio,
            "broker.connections": self._connections,
            "broker.queued": lambda: world.broker.core.held_copies()[BROKER],
        }

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """Follow what lasts."""
        if phase == "begin":
            self._lasting.begins(verb, devices, now)
        else:
            self._lasting.ends(verb)

    # -- measures -------------------------------------------------------------------------------

    def read(self, measure: str) -> Number | None:
        """The present value of a measure, shares 0 to 1, durations in ns; None of no samples.

        Raises:
            KeyError: no such measure.
        """
        return self._measures[measure]()

    def _make_measures(self) -> dict[str, Callable[[], Number | None]]:
        def percentile(latencies: Latencies, share: float) -> Callable[[], int | None]:
            return lambda: latencies.percentile(share)

        def standing(verdict: str) -> Callable[[], int]:
            return lambda: self.drift.standing(verdict)

        sessions, updates, world = self.sessions, self.updates, self.world
        return {
            "online_ratio": lambda: sessions.online_ratio,
            "updated_ratio": lambda: self._of_targets("committed"),
            "exposed_ratio": lambda: self._of_targets("exposed"),
            "throttled_ratio": self.throttled_ratio,
            "stuck": lambda: len(self.stuck.find(world.now)),
            "versions": self._versions,
            "bricked": lambda: len(self.bricked()),
            "rolled_back": lambda: updates.rolled_back,
            "halted": lambda: len(updates.halted),
            "open_rollouts": self._open_rollouts,
            "tried_ratio": lambda: self.trials.tried_ratio,
            "experiments_stopped": lambda: self.trials.stopped,
            "experiments_promoted": lambda: self.trials.promoted,
            "stepped_down_ratio": lambda: self.stepped.ratio,
            "decisions": lambda: self.decisions.total,
            "drift_data": standing("data"),
            "drift_hardware": standing("hardware"),
            "drift_both": standing("both"),
            "drift_sensors": standing("sensor"),
            "drift_raised": lambda: self.drift.raised,
            "drift_delay": lambda: self.drift.first_after_ns,
            "loss": lambda: copies_unaccounted(world),
            "dropped": self._dropped,
            "queue_peak": lambda: world.broker.core.queue_peak,
            "refetched_chunks": lambda: updates.refetched_chunks,
            "reconnect_p50": percentile(sessions.reconnects, 0.5),
            "reconnect_p99": percentile(sessions.reconnects, 0.99),
            "connects_peak": lambda: self.returns.peak,
            "connects_wasted": lambda: self.returns.wasted_per_device,
            "reconnect_worst_group": lambda: self.returns.worst_group_ns,
            "kill_p50": percentile(sessions.kills, 0.5),
            "kill_p99": percentile(sessions.kills, 0.99),
            "kill_believed_p99": lambda: sessions.kill_believed_ns(0.99),
            "offer_p99": percentile(updates.offers, 0.99),
            "inference_p95": self.inference_p95_ns,
            "update_p50": percentile(updates.updates, 0.5),
            "update_p99": percentile(updates.updates, 0.99),
            "halt_delay": lambda: updates.halt_delay_ns,
            "presence_deviation": lambda: self.replay.worst() if self.replay else None,
        }

    @property
    def online_count(self) -> int:
        """Devices with a live session."""
        return self.sessions.online_count

    @property
    def refetched_chunks(self) -> int:
        """Chunks that reached a device though they had before."""
        return self.updates.refetched_chunks

    @property
    def refetched_bytes(self) -> int:
        """Bytes of chunks that reached a device though they had before."""
        return self.updates.refetched_bytes

    def throttled_ratio(self) -> float:
        """Share of all devices that are below full speed for heat."""
        hosts = self.world.hosts
        slow = sum(host.on and host.parts.body.processor.p_state > 0 for host in hosts)
        return slow / max(1, len(hosts))

    def inference_p95_ns(self) -> int | None:
        """How long one inference of what runs takes now, nearest rank over the devices that are on."""
        took = sorted(ns for ns, _ in self._inferences())
        return took[max(0, math.ceil(0.95 * len(took)) - 1)] if took else None

    def slowest(self) -> list[DeviceHost]:
        """Devices whose inference takes as long as the 95th percentile, or longer."""
        least = self.inference_p95_ns()
        return [] if least is None else [host for ns, host in self._inferences() if ns >= least]

    def _inferences(self) -> list[tuple[int, DeviceHost]]:
        """How long one inference takes on each device that is on, ns."""
        each = ((self.inference_ns(host), host) for host in self.world.hosts)
        return [(ns, host) for ns, host in each if ns >= 0]

    @staticmethod
    def inference_ns(host: DeviceHost) -> int:
        """How long one inference by the model in a device's active slot takes now; -1 where nothing runs."""
        if not host.on or not host.variant:
            return -1
        model = host.shop.models.get((host.manifest, host.variant))
        return host.parts.body.processor.latency_ns(model.macs, model.precision)

    def bricked(self) -> list[DeviceHost]:
        """Devices that have booted and have no slot that boots, though they came with one."""
        world = self.world
        return [
            host
            for host in world.hosts
            if host.boot_id
            and (host.manifest or host.parts.identity.factory_manifest)
            and not boots(world, host)
        ]

    def _of_targets(self, what: str) -> float | None:
        releases = self.updates.releases
        targets = sum(sum(release.targets) for release in releases)
        if not targets:
            return None
        done: int = sum(getattr(release, what) for release in releases)
        return done / targets

    def _versions(self) -> int:
        """Most different versions of one bundle among the running devices of one target."""
        everybody = bytearray(b"\1" * len(self.world.hosts))
        targets = [release.targets for release in self.updates.releases] or [everybody]
        return max(self._versions_among(target) for target in targets)

    def _versions_among(self, target: bytearray) -> int:
        running: dict[str, dict[bytes, None]] = {}
        for host in self.world.hosts:
            if target[host.index] and host.on and host.manifest:
                bundle = self.world.bundles[host.manifest].manifest.id
                running.setdefault(bundle, {})[host.manifest] = None
        return max([0, *(len(found) for found in running.values())])

    def _open_rollouts(self) -> int:
        return sum(not row.phase.ended for row in self.updates.rollouts.values())

    def _dropped(self) -> int:
        ledger = self.world.ledger
        return sum(sum(ledger.drops(leg).values()) for leg in (UP, BROKER, DOWN))

    # -- triggers -------------------------------------------------------------------------------

    def read_metric(self, metric: Metric) -> Number:
        """The present value of a trigger's metric (`devicesim.scenario.trigger.METRICS`).

        Raises:
            KeyError: no such metric.
        """
        if metric.subject is None:
            return self._metrics[metric.pattern]()
        family, name = metric.subject
        what = metric.pattern.rpartition(".")[2]
        if family == "group":
            return self.sessions.groups[name].ratio
        if family == "region":
            return self.sessions.regions[name].ratio
        if family == "action":
            return self._of_action(name, what)
        return self._of_rollout(name, what)

    def _of_action(self, name: str, what: str) -> int:
        lasting = self._lasting
        return int(lasting.lasts(name)) if what == "active" else lasting.begun.get(name, 0)

    def _of_rollout(self, name: str, what: str) -> Number:
        updates = self.updates
        row = updates.rollouts.get(name)
        if what == "halted":
            return int(name in updates.halted)
        if what == "exposed":
            (release,) = (one for one in updates.releases if one.plan.id == name)
            return release.exposed / max(1, sum(release.targets))
        if row is None:
            return 0
        if what == "wave":
            return len(row.waves)
        if what == "failed":
            return sum(wave.failed + wave.rolled_back for wave in row.waves)
        committed = sum(wave.committed for wave in row.waves)
        return committed / max(1, updates.population.get(name, 0))

    def _connections(self) -> int:
        outlet = self.world.broker.core.outlet
        devices = sum(outlet(host.device) is not None for host in self.world.hosts)
        return devices + int(self.world.gateway.connected)
