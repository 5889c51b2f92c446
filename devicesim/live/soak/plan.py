"""What a soak is asked for, and the scenario that follows from it.

Decides how command-line wishes change a scenario (real time, count of devices, restarts of the broker) and
which part of a scenario is left after a pause. Leaves out running it (run.py).

Rules: a soak is the scenario plus what was asked for, nothing hidden: restarts of the broker are actions of
the timeline like those in the file, and everything is in ``plan.json``.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

import msgspec
from pydantic import TypeAdapter

from devicesdk.wire.timebase import HOUR, MINUTE, SECOND, format_duration
from devicesim.rehearse import open_scenario
from devicesim.scenario.checks import Soak
from devicesim.scenario.faults import BrokerRestart
from devicesim.scenario.schema import Scenario

FILE: Final = "plan.json"
SHORT_NS: Final = 10 * MINUTE
WINDOW_SHORT_NS: Final = 10 * SECOND
WINDOW_NS: Final = 60 * SECOND
WINDOWS_MIN: Final = 4
"""A window of the scenario's that would give fewer is not used."""
MARGIN_NS: Final = HOUR
"""The scenario lasts this much longer than asked, so that the soak ends it and not the reverse."""
_RESTART: Final[TypeAdapter[BrokerRestart]] = TypeAdapter(BrokerRestart)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. Durations are real nanoseconds."""

    file: str
    for_ns: int
    broker: str = "auto"
    devices: int | None = None
    speed: float = 1.0
    seed: int | None = None
    window_ns: int | None = None
    restart_every_ns: int | None = None
    restart_down_ns: int = 2 * SECOND
    lose_sessions: bool = False
    persistence: bool = True
    autosave_changes: int | None = None
    """After so many a broker of ours saves, None for by time; at 1 it loses nothing whose acknowledgement was proven."""
    direct: bool = False
    beat_ns: int = 30 * SECOND
    """Between a flip of a kill and of a flag; 0 for none."""
    metrics_port: int = 0
    overrides: tuple[str, ...] = ()

    def window(self, soak: Soak | None) -> int:
        """The length of a window: as asked, else the scenario's if it fits, else by the duration."""
        if self.window_ns is not None:
            return self.window_ns
        if soak is not None and soak.window_ns * WINDOWS_MIN <= self.for_ns:
            return soak.window_ns
        return WINDOW_SHORT_NS if self.for_ns < SHORT_NS else WINDOW_NS

    def command(self) -> str:
        """The command that repeats it."""
        words = ["fleetdrill soak", self.file, "--for", format_duration(self.for_ns)]
        said: list[tuple[str, object, object]] = [
            ("--broker", self.broker, "auto"),
            ("--devices", self.devices, None),
            ("--speed", f"{self.speed:g}", "1"),
            ("--seed", self.seed, None),
            ("--window", _spelled(self.window_ns), None),
            ("--restart-broker-every", _spelled(self.restart_every_ns), None),
            ("--autosave", self.autosave_changes, None),
            ("--restart-for", _spelled(self.restart_down_ns), "2s"),
            ("--beat", format_duration(self.beat_ns) if self.beat_ns else "0s", "30s"),
        ]
        words += [f"{name} {value}" for name, value, usual in said if value != usual]
        switches = {"--lose-sessions": self.lose_sessions, "--direct": self.direct,
                    "--no-persistence": not self.persistence}  # fmt: skip
        words += [name for name, on in switches.items() if on]
        return " ".join(
            [*words, *(f"--set {shlex.quote(override)}" for override in self.overrides)]
        )


def _spelled(value_ns: int | None) -> str | None:
    return None if value_ns is None else format_duration(value_ns)


def scenario_of(plan: Plan) -> Scenario:
    """The scenario that follows from a plan.

    Raises:
        ScenarioError: the file is invalid, or an override is.
        ValueError: there cannot be so few devices, or a duration makes no sense.
    """
    file = Path(plan.file)
    lasts_ns = round(plan.for_ns * plan.speed) + MARGIN_NS
    overrides = (
        *plan.overrides,
        "clock.mode=real",
        f"clock.speed={plan.speed:g}",
        f"clock.duration={format_duration(lasts_ns // SECOND * SECOND)}",
    )
    scenario = open_scenario(file, overrides)
    if plan.devices is not None:
        groups, total = len(scenario.fleet), sum(group.count for group in scenario.fleet)
        if plan.devices < groups:
            raise ValueError(
                f"expected --devices of at least {groups}, one for each group, found {plan.devices}"
            )
        scenario = open_scenario(file, (*overrides, f"scale={plan.devices / total:.9g}"))
    return scenario.model_copy(update={"timeline": (*scenario.timeline, *restarts(plan))})


def restarts(plan: Plan) -> list[BrokerRestart]:
    """The restarts of the broker that were asked for, as actions of the timeline.

    Raises:
        ValueError: the broker would be down more than half of the time.
    """
    if plan.restart_every_ns is None:
        return []
    if plan.restart_every_ns < 2 * plan.restart_down_ns:
        raise ValueError(
            f"expected --restart-broker-every of at least twice --restart-for "
            f"({format_duration(plan.restart_down_ns)}), found {format_duration(plan.restart_every_ns)}"
        )
    last = plan.for_ns - 2 * plan.restart_down_ns
    instants = range(plan.restart_every_ns, last, plan.restart_every_ns)
    return [_restart(plan, place, at) for place, at in enumerate(instants, 1)]


def _restart(plan: Plan, place: int, at_ns: int) -> BrokerRestart:
    def scenario_ms(real_ns: int) -> str:
        return f"{max(1, round(real_ns * plan.speed / 1_000_000))}ms"

    return _RESTART.validate_python(
        {
            "do": "broker.restart",
            "id": f"restart-{place}",
            "at": scenario_ms(at_ns),
            "for": scenario_ms(plan.restart_down_ns),
            "lose_sessions": plan.lose_sessions,
        }
    )


def rest_of(scenario: Scenario, passed_ns: int) -> Scenario:
    """What is left of a scenario after so much of it: instants move, what has begun is over."""

    def left(items: tuple[object, ...]) -> tuple[object, ...]:
        moved = []
        for item in items:
            at_ns = getattr(item, "at_ns", None)
            if at_ns is None:
                moved.append(item)
            elif at_ns >= passed_ns:
                moved.append(item.model_copy(update={"at_ns": at_ns - passed_ns}))  # type: ignore[attr-defined]
        return tuple(moved)

    clock = scenario.clock.model_copy(
        update={"start_unix_ns": scenario.clock.start_unix_ns + passed_ns}
    )
    return scenario.model_copy(
        update={
            "clock": clock,
            "rollouts": left(scenario.rollouts),
            "flags": left(scenario.flags),
            "timeline": left(scenario.timeline),
        }
    )


def save(folder: Path, plan: Plan) -> None:
    """Write ``plan.json``."""
    (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=1))


def load(folder: Path) -> Plan:
    """Read ``plan.json``.

    Raises:
        ValueError: there is none.
    """
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Plan)
    except (FileNotFoundError, msgspec.DecodeError) as error:
        raise ValueError(f"expected the folder of a soak with {FILE}, found: {error}") from error
