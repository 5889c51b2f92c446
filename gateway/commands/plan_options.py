"""The options of a rollout's plan, as the command line declares them.

Decides names, units and help. Leaves out their defaults and what becomes of them (plans.py).
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from gateway.commands.completing import bundle_names

_GATE: Final = "What must hold between waves"
_PACE: Final = "When, and how many at once"
_DEVICE: Final = "What each device waits for"

RolloutName = Annotated[str, typer.Argument(metavar="ROLLOUT", help="Id of the rollout.")]
Bundle = Annotated[
    str, typer.Option(help="What to roll out: id@version.", autocompletion=bundle_names)
]
Waves = Annotated[str, typer.Option(help="Cumulative shares in percent, rising to 100.")]
Soak = Annotated[str, typer.Option(help="Between a wave's quorum and its verdict.")]
Jitter = Annotated[str, typer.Option(help="Devices spread their start over this.")]
OnHalt = Annotated[str, typer.Option(help="hold or revert.")]
Factory = Annotated[bool, typer.Option("--factory", help="Devices run it already: offer nothing.")]
Delta = Annotated[
    bool, typer.Option("--delta/--no-delta", help="Let devices fetch deltas where they can.")
]
Failures = Annotated[
    float, typer.Option(help="Percent of failures that are tolerated.", rich_help_panel=_GATE)
]
Evidence = Annotated[
    float,
    typer.Option(help="Halt past this e-value; false alarms: 1 in so many.", rich_help_panel=_GATE),
]
Quorum = Annotated[
    float, typer.Option(help="Percent of a wave that must have ended.", rich_help_panel=_GATE)
]
LatencyRatio = Annotated[
    float | None,
    typer.Option(help="Most p95 latency over what runs now.", rich_help_panel=_GATE),
]
DrainRatio = Annotated[
    float | None,
    typer.Option(help="Most use of battery over what runs now.", rich_help_panel=_GATE),
]
Drift = Annotated[
    bool, typer.Option("--drift", help="A verdict of drift halts.", rich_help_panel=_GATE)
]
DriftRaw = Annotated[
    bool,
    typer.Option(
        "--drift-raw", help="Any such verdict halts, the weather's too.", rich_help_panel=_GATE
    ),
]
WaveTimeout = Annotated[
    str, typer.Option(help="A wave is judged after this.", rich_help_panel=_PACE)
]
Expires = Annotated[
    str,
    typer.Option(
        help="A device may begin so long after its wave; 0s: for ever.", rich_help_panel=_PACE
    ),
]
StartAt = Annotated[
    str,
    typer.Option(help="Not before, such as 2026-03-01T02:00:00Z.", rich_help_panel=_PACE),
]
Window = Annotated[
    list[str] | None,
    typer.Option(
        help="On each device's clock, 'Mon-Fri 01:00-05:00'; repeatable.",
        rich_help_panel=_PACE,
    ),
]
Zone = Annotated[
    str,
    typer.Option(help="Of devices whose label tz names none.", rich_help_panel=_PACE),
]
Budget = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LABEL=N",
        help="At most N, or N%, of each value updating or offline; repeatable.",
        rich_help_panel=_PACE,
    ),
]
ApproveWave = Annotated[
    list[int] | None,
    typer.Option(
        metavar="WAVE",
        help="Opens when somebody approves; from 0; repeatable.",
        rich_help_panel=_PACE,
    ),
]
LatePerHour = Annotated[
    int, typer.Option(help="Of those who join late; 0: at once.", rich_help_panel=_PACE)
]
LateAfterGate = Annotated[
    bool,
    typer.Option("--late-after-gate", help="They wait for the last gate.", rich_help_panel=_PACE),
]
Plugged = Annotated[
    bool, typer.Option("--plugged", help="Only on a charger.", rich_help_panel=_DEVICE)
]
BatteryMin = Annotated[int, typer.Option(help="Percent of charge.", rich_help_panel=_DEVICE)]
ChipMax = Annotated[int, typer.Option(help="Degrees Celsius of its chip.", rich_help_panel=_DEVICE)]
Trial = Annotated[str, typer.Option(help="It tries the release so long.", rich_help_panel=_DEVICE)]
Rehearsed = Annotated[
    bool,
    typer.Option(
        "--rehearsed",
        help="Begin only when a rehearsal of exactly this has held.",
        rich_help_panel=_GATE,
    ),
]
Unrehearsed = Annotated[
    str,
    typer.Option(
        metavar="WHY",
        help="Begin though it must be rehearsed and was not; somebody else approves.",
        rich_help_panel=_GATE,
    ),
]
