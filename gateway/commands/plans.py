"""The options that say how a rollout shall go, for every command that takes a plan.

Decides defaults, and what options are in a plan: percent become shares. Leaves out how they are declared
(plan_options.py), what a plan means (gateway/core/control) and which values it may have (gateway/runtime/verbs.py).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, get_type_hints

from gateway.commands import plan_options as options
from gateway.commands.asking import Label, pairs
from gateway.commands.plan_options import RolloutName

if TYPE_CHECKING:
    from gateway.commands.asking import Ask
    from gateway.runtime.verbs import CreateRollout

P = ParamSpec("P")


def plan_of(
    name: RolloutName,
    *,
    bundle: options.Bundle,
    waves: options.Waves = "1,10,25,100",
    soak: options.Soak = "20m",
    jitter: options.Jitter = "1m",
    label: Label = None,
    on_halt: options.OnHalt = "revert",
    factory: options.Factory = False,
    delta: options.Delta = True,
    failures: options.Failures = 2.0,
    evidence: options.Evidence = 20.0,
    quorum: options.Quorum = 90.0,
    latency_ratio: options.LatencyRatio = None,
    drain_ratio: options.DrainRatio = None,
    drift: options.Drift = False,
    drift_raw: options.DriftRaw = False,
    wave_timeout: options.WaveTimeout = "1d",
    expires: options.Expires = "0s",
    start_at: options.StartAt = "",
    window: options.Window = None,
    zone: options.Zone = "UTC",
    budget: options.Budget = None,
    approve_wave: options.ApproveWave = None,
    late_per_hour: options.LatePerHour = 0,
    late_after_gate: options.LateAfterGate = False,
    plugged: options.Plugged = False,
    battery_min: options.BatteryMin = 0,
    chip_max: options.ChipMax = 150,
    trial: options.Trial = "1m",
    rehearsed: options.Rehearsed = False,
    unrehearsed: options.Unrehearsed = "",
) -> CreateRollout:
    """The plan that options say.

    Raises:
        ValueError: a value cannot be read, or is out of its bounds.
    """
    import msgspec

    from gateway.runtime import verbs

    said = {
        "verb": "rollout.create", "id": name, "bundle": bundle, "soak": soak, "jitter": jitter,
        "waves": [_share(share) for share in waves.split(",")],
        "selector": pairs(label), "on_halt": on_halt, "initial": factory, "delta": delta,
        "gate": {
            "failures": failures / 100, "evidence": evidence, "quorum": quorum / 100,
            "latency_p95_ratio": latency_ratio, "drain_ratio": drain_ratio,
            "drift": drift or drift_raw, "drift_raw": drift_raw,
        },
        "policy": _policy(battery_min, chip_max, trial, plugged=plugged),
        "wave_timeout": wave_timeout, "expires": expires, "start_at": start_at,
        "windows": window or [], "zone": zone, "budgets": _budgets(budget), "approvals": approve_wave or [],
        "late_per_hour": late_per_hour, "late_after_gate": late_after_gate,
        "rehearsal": "required" if rehearsed else "", "unrehearsed": unrehearsed,
    }  # fmt: skip
    return msgspec.convert(said, verbs.CreateRollout)


def with_plan(
    work: Callable[Concatenate[Ask, CreateRollout, P], int | None],
) -> Callable[..., int | None]:
    """Give a command the options of a plan; it gets the plan after its `Ask`.

    Args:
        work: has options of its own behind these two, by keyword alone.
    """
    of_plan = inspect.signature(plan_of).parameters.values()
    hints = {
        **get_type_hints(plan_of, localns=_NAMES, include_extras=True),
        **get_type_hints(work, localns=_NAMES, include_extras=True),
    }
    first, _, *own = inspect.signature(work).parameters.values()
    names = [one.name for one in of_plan]

    @functools.wraps(work)
    def command(ask: Ask, **said: Any) -> int | None:
        plan = plan_of(**{name: said.pop(name) for name in names})
        return work(ask, plan, **said)  # type: ignore[call-arg]

    parameters = [
        one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for one in (*of_plan, *own)
    ]
    command.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    del command.__wrapped__
    return command


_NAMES: Final[dict[str, Any]] = {"CreateRollout": Any, "Ask": Any}
"""Names that annotations have of modules which commands import late."""


def _policy(battery_min: int, chip_max: int, trial: str, *, plugged: bool) -> Any:
    """What each device waits for, as a verb has it."""
    import msgspec

    from devicesdk.wire.messages import UpdatePolicy
    from devicesdk.wire.timebase import MS, parse_duration

    policy = UpdatePolicy(
        battery_percent_min=battery_min,
        chip_c_max=chip_max,
        plugged=plugged,
        trial_ms=parse_duration(trial) // MS,
    )
    return msgspec.to_builtins(policy)


def _share(text: str) -> float:
    try:
        return float(text) / 100
    except ValueError:
        raise ValueError(f"expected shares in percent such as 1,10,100, found {text!r}") from None


def _budgets(words: list[str] | None) -> dict[str, int | str]:
    """Budgets by label: a number, or percent as text."""
    return {label: int(most) if most.isdecimal() else most for label, most in pairs(words).items()}
