"""The timeline: what the scenario does, when.

Decides the instants: faults at their `at` or when their trigger turns true (looked at once a virtual
second at most), their undo after `for`, rollouts, flags and kills. Leaves out what a fault does
(faults.py) and what the gateway makes of a plan.

Rules: an undo belongs to its beginning; a trigger acts on the step from false to true; devices are
selected when the fault begins, from streams named by the occasion.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from typing import Any, Final

from devicesdk.wire.messages import UpdatePolicy
from devicesdk.wire.timebase import DAY, MINUTE, MS, SECOND
from devicesim.scenario.action import Action, Hits
from devicesim.scenario.experiments import Experiment
from devicesim.scenario.release import FlagSetting, FlagStep, Rollout
from devicesim.scenario.selector import EVERYBODY, Selector
from devicesim.scenario.trigger import Metric
from devicesim.world import paces, policies, trials
from devicesim.world.device_host import DeviceHost
from devicesim.world.faults import BEGIN, ENDS_ITSELF
from devicesim.world.world import World
from gateway.core import stimuli as hear

LOOK_EVERY_NS: Final = SECOND
WAVE_TIMEOUT_NS: Final = 7 * DAY
"""When a wave that is not through is judged by those who have ended; a rollout that expires says so itself."""
REVERT_POLICY: Final = {"revert": "revert", "keep": "hold"}


class Timeline:
    """Puts a scenario's plan on the clock.

    Args:
        world: what it happens to.
        read: the present value of a trigger's metric.
    """

    def __init__(self, world: World, read: Callable[[Metric], float]) -> None:
        self._world, self._read = world, read
        self._labels = [host.parts.labels for host in world.hosts]
        self._was: dict[int, bool] = {}
        self._watched: list[int] = []
        self._lasting: dict[int, tuple[Action, Callable[[int], None], list[DeviceHost]]] = {}
        self._begun = 0
        self._ceased = False

    def arm(self) -> None:
        """Put everything that has an instant on the clock, and start looking at triggers."""
        kernel, scenario = self._world.kernel, self._world.scenario
        for rollout in scenario.rollouts:
            kernel.at(rollout.at_ns, self._roll_out, rollout)
        for experiment in scenario.experiments:
            kernel.at(experiment.at_ns, self._experiment, experiment)
        paces.Approver(self._world, self._tell).arm()
        policies.put_in_force(self._world, self._tell)
        for step in scenario.flags:
            kernel.at(step.at_ns, self._flag, step)
        for index, action in enumerate(scenario.timeline):
            if action.at_ns is not None:
                kernel.at(action.at_ns, self._begin, index)
            else:
                self._watched.append(index)
        if self._watched:
            kernel.at(LOOK_EVERY_NS, self._look)

    def _look(self, now: int, _: object) -> None:
        still: list[int] = []
        for index in self._watched:
            action = self._world.scenario.timeline[index]
            assert action.when is not None
            true = action.when.holds(self._read)
            fires = true and not self._was.get(index, False)
            self._was[index] = true
            if fires:
                self._begin(now, index)
            if not (fires and action.once):
                still.append(index)
        self._watched = still
        if still:
            self._world.kernel.at(now + LOOK_EVERY_NS, self._look)

    def cease(self, now: int, inside: Container[int], *, keep: bool) -> None:
        """End all faults for the devices of these indices, broker and gateway, and begin no other.

        Args:
            now: the instant.
            inside: indices of devices.
            keep: whether faults of the others end in their time; else never.
        """
        self._ceased = True
        self._watched = []
        for token, (action, undo, hosts) in list(self._lasting.items()):
            outside = [host for host in hosts if host.index not in inside]
            hosts[:] = [host for host in hosts if host.index in inside]
            undo(now)
            hosts[:] = outside  # what undoes it looks at this very list
            if not (outside and keep):
                hosts.clear()
                del self._lasting[token]
                self._world.faulted(action.key, "end", 0, now)

    def _begin(self, now: int, index: int) -> None:
        if self._ceased:
            return
        world = self._world
        action: Action = world.scenario.timeline[index]
        if action.verb in world.stage.cannot:
            world.skip(action.key, world.stage.cannot[action.verb], now)
            return
        hosts: list[DeviceHost] = []
        if action.hits is Hits.DEVICES:
            assert action.target is not None
            occasion = world.scenario.occasion(index)
            chosen = action.target.select(self._labels, world.entropy, occasion)
            hosts = [world.hosts[i] for i in chosen]
        world.faulted(action.key, "begin", len(hosts), now)
        undo = BEGIN[action.verb](world, action, hosts, now)
        token = self._begun = self._begun + 1
        if undo is not None:
            self._lasting[token] = (action, undo, hosts)
        if action.for_ns is not None and undo is not None:
            world.kernel.at(now + action.for_ns, self._end, token)
        elif undo is None and action.verb not in ENDS_ITSELF:
            world.faulted(action.key, "end", len(hosts), now)

    def _end(self, now: int, token: int) -> None:
        lasting = self._lasting.pop(token, None)
        if lasting is not None:
            action, undo, _ = lasting
            undo(now)
            self._world.faulted(action.key, "end", 0, now)

    # -- releases -------------------------------------------------------------------------------

    def _tell(self, stimulus: hear.AnyStimulus, now: int, tries: int = 600) -> None:
        """The operator's side: an API call without an answer is made again."""
        gateway = self._world.gateway
        gateway.stimulate(stimulus, now)
        if not gateway.up:  # no answer, before or in the middle of it: ask again, later less often
            wait = SECOND if tries > 0 else MINUTE
            self._world.kernel.at(
                now + wait, lambda at, _: self._tell(stimulus, at, tries - 1), None
            )

    def _roll_out(self, now: int, rollout: Rollout) -> None:
        start_ns = self._world.scenario.clock.start_unix_ns
        given = self._world.plans.get(rollout.id)
        self._tell(hear.CreateRollout(given or plan_of(rollout, start_ns)), now)

    def _experiment(self, now: int, experiment: Experiment) -> None:
        self._tell(hear.CreateExperiment(trials.plan_of(experiment)), now)

    def _flag(self, now: int, step: FlagStep) -> None:
        if step.kill is not None:
            self._tell(hear.Kill(step.kill), now)
        if step.policy is not None:
            for segment in self._segments(step.target or EVERYBODY):
                self._tell(policies.changed(self._world, segment, step.policy), now)
        for flag, setting in step.settings.items():
            for segment in self._segments(setting.target):
                self._tell(hear.SetFlag(segment, flag, flag_definition(flag, setting)), now)

    def _segments(self, target: Selector) -> list[str]:
        """The groups that the target selects: a segment of flags is a group of devices."""
        chosen = target.select(self._labels, self._world.entropy, "flags")
        groups = dict.fromkeys(self._world.hosts[i].parts.group for i in chosen)
        return list(groups)


def plan_of(rollout: Rollout, start_unix_ns: int = 0) -> hear.RolloutPlan:
    """The gateway's plan of a scenario's rollout; `start_unix_ns`: when its run starts."""
    gate, policy = rollout.gate, rollout.policy
    increase = gate.latency_p95_increase_max
    return hear.RolloutPlan(
        id=rollout.id,
        bundle=rollout.bundle,
        waves=tuple(rollout.waves),
        soak_ns=rollout.soak_ns,
        gate=hear.GatePlan(
            failures=gate.failures_max,
            latency_p95_ratio=None if increase is None else 1.0 + increase,
            drift=gate.drift != "any",
            drain_ratio=None if gate.drain_increase_max is None else 1.0 + gate.drain_increase_max,
            drift_raw=gate.drift == "raw",
        ),
        selector=() if str(rollout.target) == "all" else ((f"rollout-{rollout.id}", "yes"),),
        jitter_ms=rollout.jitter_ns // MS,
        policy=UpdatePolicy(
            battery_percent_min=round(policy.battery_min * 100),
            chip_c_max=policy.chip_c_max,
            plugged=policy.plugged,
            trial_ms=policy.trial_ns // MS,
        ),
        delta=rollout.delta == "auto",
        on_halt="revert" if rollout.on_halt == "revert" else "hold",
        wave_timeout_ns=rollout.expires_ns or WAVE_TIMEOUT_NS,
        expires_ns=rollout.expires_ns or 0,
        pace=paces.pace_in(rollout, start_unix_ns),
    )


def flag_definition(flag: str, setting: FlagSetting) -> str:
    """A flagd flag: on for a sticky percentage of targeting keys (https://flagd.dev/reference)."""
    definition: dict[str, Any] = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "on" if setting.percent >= 100 else "off",
    }
    if 0 < setting.percent < 100:
        share = round(setting.percent)
        key: Any = {"var": "targetingKey"}
        seed = flag if setting.sticky else f"{flag}-{setting.percent:g}"
        definition["targeting"] = {
            "fractional": [{"cat": [seed, key]}, ["on", share], ["off", 100 - share]]
        }
    return json.dumps(definition, sort_keys=True)
