"""One world: a kernel, a broker, a gateway, devices, and those who watch.

Decides who is reachable from whom by name, and how a run proceeds: minute by minute to its end, with a
checkpoint of the trace every ten. Leaves out how it is put together (assemble.py) and what happens
when (timeline.py).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from threadpoolctl import threadpool_limits

from devicesdk.wire.timebase import MINUTE
from devicesim.entropy import Entropy
from devicesim.models.profile import Profile
from devicesim.scenario.schema import Scenario
from devicesim.world.buggify import Buggify
from devicesim.world.bundles import InstalledBundle
from devicesim.world.crashes import CrashLoops
from devicesim.world.device_host import DeviceHost
from devicesim.world.fault_kit import Layers
from devicesim.world.faults import Heals
from devicesim.world.inference import InferencePool
from devicesim.world.kernel import Kernel
from devicesim.world.ledger import Ledger
from devicesim.world.places import BrokerPlace, GatewayPlace, Stage
from devicesim.world.replay import Followed
from devicesim.world.roles import WorldRoles
from devicesim.world.trace import CHECKPOINT_NS, WORLD, Trace
from devicesim.world.watch import Watch
from gateway.core.stimuli import RolloutPlan

GARBAGE_THRESHOLD = (200_000, 50, 100)


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Keep the garbage collector from walking a whole fleet that is alive anyway."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def one_core() -> Iterator[None]:
    """Keep products of matrices on the core that asks for them.

    Ours are small: a second thread of BLAS spins for work that never comes (a third of all processor time
    of a run of 1,000 devices), and how many threads there are decides the last bits of a sum of floats.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@contextmanager
def patient_collector() -> Iterator[None]:
    """Keep the garbage collector from walking all modules, and a fleet that grows, again and again.

    What is alive now is left alone until a run is over.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class World:
    """Everything of one run."""

    __slots__ = (
        "_minute", "_pulse", "broker", "buggify", "bundles", "crashes", "duration_ns", "entropy", "followed", "gateway", "heals", "hosts", "kernel", "layers", "ledger", "numbers", "plans", "policies", "pool", "profiles", "roles", "scenario", "skipped", "stage", "trace", "watch",
    )  # fmt: skip

    def __init__(
        self,
        *,
        scenario: Scenario,
        entropy: Entropy,
        kernel: Kernel,
        trace: Trace,
        ledger: Ledger,
        watch: Watch,
        broker: BrokerPlace,
        gateway: GatewayPlace,
        pool: InferencePool,
        profiles: dict[str, Profile],
        bundles: dict[bytes, InstalledBundle],
        hosts: list[DeviceHost],
        stage: Stage,
        roles: WorldRoles | None = None,
        policies: Mapping[str, str] = MappingProxyType({}),
        buggify: Buggify | None = None,
        followed: Followed | None = None,
        plans: Mapping[str, RolloutPlan] = MappingProxyType({}),
    ) -> None:
        self.scenario, self.entropy, self.kernel, self.trace = scenario, entropy, kernel, trace
        self.ledger, self.watch, self.broker, self.gateway = ledger, watch, broker, gateway
        self.pool, self.profiles, self.bundles, self.hosts = pool, profiles, bundles, hosts
        self.duration_ns = scenario.clock.duration_ns
        self.stage = stage
        self.roles = roles
        """Who signs for the fleet's owner; None: devices go by keys alone."""
        self.policies = policies
        """Run-time policies that the scenario names by path."""
        self.buggify = buggify
        """Hardship at named places of our own code; None: there is none."""
        self.followed = followed
        """The recording that devices follow; None of nothing."""
        self.plans = plans
        """Plans that the gateway is given in place of what the scenario spells, by the rollout's id."""
        self.skipped: list[str] = []
        """Actions of the timeline that could not be done on this stage: what and why."""
        self.heals = Heals()
        self.crashes = CrashLoops(self)
        self.layers = Layers()
        """What faults of one kind have laid over broker and gateway at the same time."""
        self.numbers = {host.device: host.index for host in hosts}
        self._minute = kernel.alarm(self._minute_passes)
        self._pulse: Callable[[int], None] | None = None

    @property
    def now(self) -> int:
        """The instant being executed."""
        return self.kernel.now

    def host(self, device: str) -> DeviceHost:
        """Find a device by its id.

        Raises:
            KeyError: there is none of that name.
        """
        return self.hosts[self.numbers[device]]

    def profile_of(self, host: DeviceHost) -> Profile:
        """The physical profile of a device."""
        return host.parts.profile

    def run(self, until: int | None = None, pulse: Callable[[int], None] | None = None) -> str:
        """Run to `until` (or the scenario's end) and return the digest of the trace.

        Args:
            until: instant to stop at, ns.
            pulse: called with the virtual instant now and then, for progress.
        """
        end = self.open(until, pulse)
        with quiet_collector(), one_core():
            self.kernel.run(end, self.breathe)
            return self.close(end)

    def open(self, until: int | None, pulse: Callable[[int], None] | None) -> int:
        """Begin: the minutes tick; returns the instant of the end."""
        self._pulse = pulse
        self._minute.arm(MINUTE)
        return self.duration_ns if until is None else min(until, self.duration_ns)

    def close(self, end: int) -> str:
        """End: everybody who watches judges; returns the digest of the trace."""
        self.pool.flush()
        for seen in self.watch.ended:
            seen(end)
        return self.trace.close()

    def heal_is_over(self, now: int, action: Any) -> None:
        """The last device of a heal is back."""
        self.faulted(action.key, "end", 0, now)

    def skip(self, key: str, why: str, now: int) -> None:
        """Note that an action of the timeline cannot be done here."""
        self.trace.row(now, WORLD, f"skipped {key}", 0)
        self.skipped.append(f"{key}: {why}")

    def faulted(self, key: str, phase: str, devices: int, now: int) -> None:
        """Tell everybody who watches that a fault begins or ends."""
        self.trace.row(now, WORLD, f"fault {phase} {key}", devices)
        for seen in self.watch.faulted:
            seen(key, phase, devices, now)

    def breathe(self, now: int) -> None:
        """Let the trace write and the progress show; called now and then."""
        self.trace.breathe()
        if self._pulse is not None:
            self._pulse(now)

    def _minute_passes(self, now: int) -> None:
        for seen in self.watch.checkpoint:
            seen(now)
        if now % CHECKPOINT_NS == 0:
            self.trace.checkpoint(now)
        self._minute.arm(now + MINUTE)
