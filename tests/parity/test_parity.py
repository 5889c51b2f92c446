"""The one idea, held to its word: the same scenario in virtual time and against mosquitto.

Without faults each device goes through the same update states, generations, kill and flag versions in
both modes. What may differ is listed in `MAY_COMMUTE`, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

import pytest

from devicesdk.agent.notes import NoteKind
from devicesdk.wire import codec
from devicesdk.wire.messages import Have, UpdateState
from devicesdk.wire.timebase import MINUTE
from devicesim.live.drive import drive
from devicesim.live.stage import Setting, open_stage
from devicesim.rehearse import open_scenario
from devicesim.stock import stock_for
from devicesim.world.assemble import assemble
from devicesim.world.drill import Drill
from devicesim.world.watch import Watcher

ROOT = Path(__file__).parents[2]
FILE = ROOT / "scenarios" / "first-light.yaml"
DEVICES = 200
SPEED = 30.0
"""Divides the keep-alive of a minute: MQTT counts it in whole seconds, and what is rounded up is noticed late."""
LENGTH_NS = 33 * MINUTE
STORM_NS = 50 * MINUTE
"""Faults delay, and real time by more on a busy machine: both have the same time to settle."""
WITHIN_S = 600.0
"""Bounds a run that hangs: it takes 66 or 100 s where nobody waits for a processor."""
HELD_SHARE_MAX = 0.5
"""Of the run's real time. A clock that stands for longer makes durations look short that are not."""
SHORT = (
    "scale=0.1", "rollouts.0.at=3m", "rollouts.0.soak=1m",
    "rollouts.0.jitter=10s", "telemetry.window=2m", "flags.0.at=2m", "flags.1.at=20m",
    "rollouts.0.policy={battery_min: 0%, trial: 1m}",
)  # fmt: skip
CALM = (
    *SHORT, "timeline=[]", "checks={}", "flags.0.at=6m", "rollouts.0.at=8m", "flags.1.at=25m",
)  # fmt: skip
"""Everybody is there, on a slow machine as well, before anything is said."""
STORMY = (
    *SHORT,
    (
        "timeline=["
        "{id: dark, at: 6m, do: partition, how: blackhole, target: link~lte},"
        "{at: 7m, for: 30s, do: gateway.crash},"
        "{at: 8m, for: 20s, do: broker.restart, lose_sessions: true},"
        "{id: back, at: 11m, do: heal, target: link~lte, order: swizzle(1m)},"
        "{at: 12m, for: 1m, do: power.cut, target: 'sample(group=kiosk, 20%)'},"
        "{at: 13m, do: partition, for: 30s, how: reset, target: group=camera},"
        "{at: 14m, for: 2m, do: latency, add: 200ms, target: group=factory}]"
    ),
    (
        "checks={eventually: [{online_ratio: '>= .99', within: 10m, after: back}], "
        "finally: [{bricked: '== 0'}, {halted: '== 0'}, {versions: '<= 1'}, {loss: '== 0'}], "
        "slo: [{reconnect_p99: '< 300s'}]}"
    ),
)
UNJUDGED_LIVE = {"conservation", "one_session"}
"""Nobody outside can count a real broker's queues."""
MAY_COMMUTE = {
    "states of different topics": "want, flags and kill travel on topics of their own, and MQTT orders "
    "messages only within a topic (4.6.0): how a kill falls between two states is luck in both modes",
    "WAITING": "whether a device finds the gateway busy, or itself hot, at the very moment of an offer "
    "depends on milliseconds; being told to wait is no step of an update",
}
"""What two runs of the same day may do differently, and why."""


class Diary(Watcher):
    """What each device went through, one list a kind of step."""

    def __init__(self) -> None:
        self.steps: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))

    def noted(self, host, effect, now) -> None:
        steps = self.steps[host.device]
        if effect.kind == NoteKind.UPDATE_STATE and effect.a != UpdateState.WAITING:
            steps["update"].append((effect.b, UpdateState(effect.a).name))
        elif effect.kind == NoteKind.WANT_ACCEPTED:
            steps["generation"].append((effect.a, effect.b))
        elif effect.kind == NoteKind.KILL_OBEYED:
            steps["kill"].append((effect.a, effect.b))
        elif effect.kind == NoteKind.FLAGS_TAKEN:
            steps["flags"].append(effect.a)

    def published(self, host, effect, now) -> None:
        if effect.kind != "have":
            return
        have = codec.decode(Have, effect.payload)
        for name, value in (
            ("said generation", have.generation),
            ("said flags", have.flags_rev),
            ("said kill", have.kill_version),
            ("said running", have.running.hex()[:8]),
        ):
            said = self.steps[host.device][name]
            if not said or said[-1] != value:
                said.append(value)


def virtual(overrides: tuple[str, ...], length_ns: int = LENGTH_NS) -> tuple[dict, Drill]:
    scenario = open_scenario(FILE, overrides)
    world = assemble(scenario, stock_for(scenario, FILE))
    drill, diary = Drill(world), Diary()
    world.watch.add(diary)
    world.run(length_ns)
    assert drill.meter.updates.rollouts["r1"].phase.name == "COMPLETED"
    return diary.steps, drill


async def live(
    overrides: tuple[str, ...], folder: Path, length_ns: int = LENGTH_NS
) -> tuple[dict, Drill]:
    scenario = open_scenario(FILE, (*overrides, "clock.mode=real", f"clock.speed={SPEED}"))
    diary = Diary()
    async with open_stage(Setting(folder=folder, speed=SPEED, broker="mosquitto")) as stage:
        world = assemble(scenario, stock_for(scenario, FILE), stage=stage)
        drill = Drill(world)
        world.watch.add(diary)
        await drive(world, stage, length_ns)
        assert stage.clock is not None
        held = stage.clock.held_share
    story = f"time was held for {held:.0%} of the run: a verdict on such a clock says nothing;"
    assert held <= HELD_SHARE_MAX, f"{story} it wants a machine that is less busy"
    assert drill.meter.updates.rollouts["r1"].phase.name == "COMPLETED"
    return diary.steps, drill


def verdicts(drill: Drill) -> dict[str, bool | None]:
    return {check.title: check.verdict for check in drill.checks}


@pytest.mark.mosquitto
def test_each_device_goes_through_the_same_steps_in_both_modes(tmp_path):
    rehearsed, _ = virtual(CALM)
    happened, _ = asyncio.run(asyncio.wait_for(live(CALM, tmp_path), WITHIN_S))
    assert len(rehearsed) == len(happened) == DEVICES
    differ = [
        f"{device}, {kind}:\n  virtual {steps}\n  live    {happened[device][kind]}"
        for device, kinds in sorted(rehearsed.items())
        for kind, steps in kinds.items()
        if happened[device][kind] != steps
    ]
    assert not differ, (
        f"{len(differ)} of {DEVICES} devices lived another day, against mosquitto:\n"
        + "\n".join(differ[:6])
    )


@pytest.mark.slow
@pytest.mark.mosquitto
def test_with_faults_the_verdicts_are_the_same_in_both_modes(tmp_path):
    _, rehearsed = virtual(STORMY, STORM_NS)
    _, happened = asyncio.run(asyncio.wait_for(live(STORMY, tmp_path, STORM_NS), WITHIN_S))
    before, after = verdicts(rehearsed), verdicts(happened)
    for check in UNJUDGED_LIVE:
        assert before.pop(check)
        assert after.pop(check) is None
    stories = [f"{c.title}: {c.story()}" for c in happened.checks if c.verdict is False]
    assert after == before, "\n".join(stories)
    assert False not in after.values(), "\n".join(stories)
    assert not happened.world.skipped
    assert happened.world.broker.restarts == 1
    assert happened.world.gateway.crashes == 1
