"""The options that say how a rollout shall go, for every command that takes a plan.

Decides names, units and defaults of the options: percent, durations such as ``20m``, instants in RFC 3339. Leaves out
what a plan means (gateway/core/control) and which values it may have (gateway/runtime/verbs.py).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Final, ParamSpec, get_type_hints

import typer

from gateway.commands.asking import Label, pairs
from gateway.commands.completing import bundle_names

if TYPE_CHECKING:
    from gateway.commands.asking import Ask
    from gateway.runtime.verbs import CreateRollout

P = ParamSpec("P")
RolloutName = Annotated[str, typer.Argument(metavar="ROLLOUT", help="Id of the rollout.")]
_GATE: Final = "What must hold between waves"
_PACE: Final = "When, and how many at once"
_DEVICE: Final = "What each device waits for"


def plan_of(
    name: RolloutName,
    *,
    bundle: Annotated[
        str, typer.Option(help="What to roll out: id@version.", autocompletion=bundle_names)
    ],
    waves: Annotated[
        str, typer.Option(help="Cumulative shares in percent, rising to 100.")
    ] = "1,10,25,100",
    soak: Annotated[str, typer.Option(help="Between a wave's quorum and its verdict.")] = "20m",
    jitter: Annotated[str, typer.Option(help="Devices spread their start over this.")] = "1m",
    label: Label = None,
    on_halt: Annotated[str, typer.Option(help="hold or revert.")] = "revert",
    factory: Annotated[
        bool, typer.Option("--factory", help="Devices run it already: offer nothing.")
    ] = False,
    delta: Annotated[
        bool, typer.Option("--delta/--no-delta", help="Let devices fetch deltas where they can.")
    ] = True,
    failures: Annotated[
        float, typer.Option(help="Percent of failures that are tolerated.", rich_help_panel=_GATE)
    ] = 2.0,
    evidence: Annotated[
        float,
        typer.Option(
            help="Halt past this e-value; false alarms: 1 in so many.", rich_help_panel=_GATE
        ),
    ] = 20.0,
    quorum: Annotated[
        float, typer.Option(help="Percent of a wave that must have ended.", rich_help_panel=_GATE)
    ] = 90.0,
    latency_ratio: Annotated[
        float | None,
        typer.Option(help="Most p95 latency over what runs now.", rich_help_panel=_GATE),
    ] = None,
    drain_ratio: Annotated[
        float | None,
        typer.Option(help="Most use of battery over what runs now.", rich_help_panel=_GATE),
    ] = None,
    drift: Annotated[
        bool, typer.Option("--drift", help="A verdict of drift halts.", rich_help_panel=_GATE)
    ] = False,
    wave_timeout: Annotated[
        str, typer.Option(help="A wave is judged after this.", rich_help_panel=_PACE)
    ] = "1d",
    expires: Annotated[
        str,
        typer.Option(
            help="A device may begin so long after its wave; 0s: for ever.", rich_help_panel=_PACE
        ),
    ] = "0s",
    start_at: Annotated[
        str,
        typer.Option(help="Not before, such as 2026-03-01T02:00:00Z.", rich_help_panel=_PACE),
    ] = "",
    window: Annotated[
        list[str] | None,
        typer.Option(
            help="On each device's clock, 'Mon-Fri 01:00-05:00'; repeatable.",
            rich_help_panel=_PACE,
        ),
    ] = None,
    zone: Annotated[
        str,
        typer.Option(help="Of devices whose label tz names none.", rich_help_panel=_PACE),
    ] = "UTC",
    budget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=N",
            help="At most N, or N%, of each value updating or offline; repeatable.",
            rich_help_panel=_PACE,
        ),
    ] = None,
    approve_wave: Annotated[
        list[int] | None,
        typer.Option(
            metavar="WAVE",
            help="Opens when somebody approves; from 0; repeatable.",
            rich_help_panel=_PACE,
        ),
    ] = None,
    late_per_hour: Annotated[
        int, typer.Option(help="Of those who join late; 0: at once.", rich_help_panel=_PACE)
    ] = 0,
    late_after_gate: Annotated[
        bool,
        typer.Option(
            "--late-after-gate", help="They wait for the last gate.", rich_help_panel=_PACE
        ),
    ] = False,
    plugged: Annotated[
        bool, typer.Option("--plugged", help="Only on a charger.", rich_help_panel=_DEVICE)
    ] = False,
    battery_min: Annotated[
        int, typer.Option(help="Percent of charge.", rich_help_panel=_DEVICE)
    ] = 0,
    chip_max: Annotated[
        int, typer.Option(help="Degrees Celsius of its chip.", rich_help_panel=_DEVICE)
    ] = 150,
    trial: Annotated[
        str, typer.Option(help="It tries the release so long.", rich_help_panel=_DEVICE)
    ] = "1m",
) -> CreateRollout:
    """The plan that options say.

    Raises:
        ValueError: a value cannot be read, or is out of its bounds.
    """
    import msgspec

    from devicesdk.wire.messages import UpdatePolicy
    from devicesdk.wire.timebase import MS, parse_duration
    from gateway.runtime import verbs

    policy = UpdatePolicy(
        battery_percent_min=battery_min,
        chip_c_max=chip_max,
        plugged=plugged,
        trial_ms=parse_duration(trial) // MS,
    )
    said = {
        "verb": "rollout.create", "id": name, "bundle": bundle, "soak": soak, "jitter": jitter,
        "waves": [_share(share) for share in waves.split(",")],
        "selector": pairs(label), "on_halt": on_halt, "initial": factory, "delta": delta,
        "gate": {
            "failures": failures / 100, "evidence": evidence, "quorum": quorum / 100,
            "latency_p95_ratio": latency_ratio, "drain_ratio": drain_ratio, "drift": drift,
        },
        "policy": msgspec.to_builtins(policy), "wave_timeout": wave_timeout, "expires": expires,
        "start_at": start_at, "windows": window or [], "zone": zone, "budgets": _budgets(budget),
        "approvals": approve_wave or [], "late_per_hour": late_per_hour,
        "late_after_gate": late_after_gate,
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


def _share(text: str) -> float:
    try:
        return float(text) / 100
    except ValueError:
        raise ValueError(f"expected shares in percent such as 1,10,100, found {text!r}") from None


def _budgets(words: list[str] | None) -> dict[str, int | str]:
    """Budgets by label: a number, or percent as text."""
    return {label: int(most) if most.isdecimal() else most for label, most in pairs(words).items()}
