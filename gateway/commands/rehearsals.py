"""Commands ``fleetdrill rollout rehearse``, ``rehearsals`` and ``cancel-rehearsal``: a rollout in the simulator, before it touches a device.

Decides options, words and exit codes. Leaves out talking to the gateway (asking.py) and what is done
(gateway/runtime/rehearsals.py).

Exit codes: 0 it held; 1 it failed; 2 it could not be rehearsed; 3 it broke, was lost or cancelled; and those of asking.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.commands.asking import EXIT_DONE, Ask, _sleep, asks, changes
from gateway.commands.completing import rollout_ids

if TYPE_CHECKING:
    from gateway.runtime.verbs import AnyVerb

Asking = Callable[["AnyVerb"], Any]
"""Asks a gateway for a verb; returns plain values, raises `VerbError`."""

LOOK_S: Final = 0.5
EXITS: Final = {"held": 0, "failed": 1, "refused": 2, "broken": 3, "lost": 3, "cancelled": 3}
PLAN_BYTES_MAX: Final = 1024 * 1024


def register(rollouts: typer.Typer) -> None:
    """Add the commands to those of rollouts."""
    rollouts.command("rehearse")(rehearse_command)
    rollouts.command("rehearsals")(list_command)
    rollouts.command("cancel-rehearsal")(cancel_command)


@changes
def rehearse_command(
    ask: Ask,
    rollout: Annotated[
        str | None,
        typer.Argument(
            help="Id of a rollout that was created already.",
            show_default=False,
            autocompletion=rollout_ids,
        ),
    ] = None,
    *,
    plan: Annotated[
        Path | None,
        typer.Option(help="A plan that was not created yet: a JSON file as the API takes it."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=0, max=16, help="Virtual fleets; 0: as set up.")] = 0,
) -> int:
    """Rehearse a rollout: the fleet's shape, the plan and the bundle's own bytes go into the simulator."""
    verb = wish(rollout, plan, seeds)
    found = followed(ask.way.ask, ask.way.ask(verb)["number"])
    ask.tell(found, lambda found: "\n".join(words(found)))
    return EXITS[found["state"]]


@asks
def list_command(
    ask: Ask,
    rollout: Annotated[
        str,
        typer.Argument(
            help="Only those of plans with this id.", show_default=False, autocompletion=rollout_ids
        ),
    ] = "",
) -> int:
    """Show the rehearsals that are kept, the newest first."""

    def show(found: dict[str, Any]) -> str:
        lines = [
            f"{one['number']}  {one['rollout']}  {one['bundle']}  {one['state']}  {one['why']}".rstrip()
            for one in found["rehearsals"]
        ]
        return "\n".join(lines) or "no rehearsals"

    ask.tell(ask.do({"verb": "rehearsal.list", "rollout": rollout}), show)
    return EXIT_DONE


@changes
def cancel_command(
    ask: Ask,
    number: Annotated[int, typer.Argument(min=1, help="Number of the rehearsal.")],
    *,
    why: Annotated[str, typer.Option(help="Stands in the audit log.")] = "",
) -> int:
    """End a rehearsal that waits or runs, without a verdict."""
    from gateway.runtime.verbs import CancelRehearsal

    found = ask.way.ask(CancelRehearsal(number=number, why=why))
    ask.tell(found, lambda found: "\n".join(found["said"]))
    return EXIT_DONE


def wish(rollout: str | None, plan: Path | None, seeds: int) -> AnyVerb:
    """What is to be rehearsed.

    Raises:
        ValueError: neither a rollout nor a plan, or both; or no plan in the file.
        OSError: it cannot be read.
    """
    import msgspec

    from gateway.runtime.verbs import CreateRollout, RehearsePlan, RehearseRollout

    if (rollout is None) is (plan is None):
        raise ValueError("expected either the id of a rollout or --plan FILE")
    if plan is None:
        return RehearseRollout(rollout=str(rollout), seeds=seeds)
    with plan.open("rb") as file:
        text = file.read(PLAN_BYTES_MAX + 1)
    try:
        said = {**msgspec.json.decode(text, type=dict[str, Any]), "verb": "rollout.create"}
        return RehearsePlan(plan=msgspec.convert(said, CreateRollout), seeds=seeds)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{plan}: expected a plan, found: {error}") from error


def followed(ask: Asking, number: int, wait: Callable[[float], None] = _sleep) -> dict[str, Any]:
    """Wait for the verdict behind a bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from gateway.runtime.verbs import ShowRehearsal

    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"rehearsal {number}", total=1.0)
        while True:
            found: dict[str, Any] = ask(ShowRehearsal(number=number))
            doing = found["doing"] or found["state"]
            bar.update(task, completed=found["share"], description=f"rehearsal {number}: {doing}")
            if found["ended_ms"]:
                return found
            wait(LOOK_S)


def words(found: dict[str, Any]) -> list[str]:
    """A rehearsal for people."""
    lines = [f"rehearsal {found['number']} of {found['rollout']} {found['state']}: {found['why']}"]
    verdict = found["verdict"] or {"story": (), "runs": (), "assumptions": ()}
    lines += [f"  {line}" for line in verdict["story"]]
    for run in verdict["runs"]:
        held = "held" if run["held"] else "failed"
        lines.append(
            f"  seed {run['seed']}: {held}, rollout {run['state']}, {run['exposed']} of {run['devices']} virtual devices "
            f"ran it, trace {run['digest'][:16]}"
        )
    lines += [f"  assumed: {line}" for line in verdict["assumptions"]]
    if found["stale"]:
        lines.append(f"  since then {found['stale']}")
    return lines
