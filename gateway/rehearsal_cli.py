"""Commands ``fleetdrill rollout rehearse`` and ``rollout rehearsals``: a rollout in the simulator, before it touches a device.

Decides options, words and exit codes. Leaves out what is done (gateway/runtime/rehearsals.py). Asking is handed in
(`Asking`), so whichever way leads to a gateway is good.

Exit codes: 0 it held; 1 it failed; 2 it could not be rehearsed, or an argument is invalid; 3 it broke or was lost; 5 no gateway
answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import sleep  # noqa: TID251 - a person waits in front of it
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from gateway.runtime.verbs import AnyVerb

Asking = Callable[["AnyVerb"], Any]
"""Asks a gateway for a verb; returns plain values, raises `VerbError`."""

LOOK_S: Final = 0.5
STATE: Final = Path("fleetdrill-state")
EXITS: Final = {"held": 0, "failed": 1, "refused": 2, "broken": 3, "lost": 3}
EXIT_INVALID: Final = 2
EXIT_AWAY: Final = 5
PLAN_BYTES_MAX: Final = 1024 * 1024

State = Annotated[Path, typer.Option("--state", help="State folder of the gateway.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def register(rollouts: typer.Typer) -> None:
    """Add the commands to those of rollouts."""
    rollouts.command("rehearse")(rehearse_command)
    rollouts.command("rehearsals")(list_command)


def rehearse_command(
    rollout: Annotated[
        str | None,
        typer.Argument(help="Id of a rollout that was created already.", show_default=False),
    ] = None,
    *,
    plan: Annotated[
        Path | None,
        typer.Option(help="A plan that was not created yet: a JSON file as the API takes it."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=0, max=16, help="Virtual fleets; 0: as set up.")] = 0,
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Rehearse a rollout: the fleet's shape, the plan and the bundle's own bytes go into the simulator."""

    def work(ask: Asking) -> int:
        verb = wish(rollout, plan, seeds)
        found = followed(ask, ask(verb)["number"])
        typer.echo(json.dumps(found) if as_json else "\n".join(words(found)))
        return EXITS[found["state"]]

    raise typer.Exit(guarded(state, work))


def list_command(
    rollout: Annotated[
        str, typer.Argument(help="Only those of plans with this id.", show_default=False)
    ] = "",
    *,
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Show the rehearsals that are kept, the newest first."""

    def work(ask: Asking) -> int:
        from gateway.runtime.verbs import ListRehearsals

        found = ask(ListRehearsals(rollout=rollout))
        lines = [
            f"{one['number']}  {one['rollout']}  {one['bundle']}  {one['state']}  {one['why']}".rstrip()
            for one in found["rehearsals"]
        ]
        typer.echo(json.dumps(found) if as_json else "\n".join(lines) or "no rehearsals")
        return 0

    raise typer.Exit(guarded(state, work))


def guarded(state: Path, work: Callable[[Asking], int]) -> int:
    """Work with the gateway of a state folder; what goes wrong becomes words and an exit code."""
    from gateway.runtime.knock import NoGatewayError, knock
    from gateway.runtime.verbs import VerbError

    try:
        return work(lambda verb: knock(state, verb))
    except NoGatewayError as error:
        typer.echo(f"fleetdrill: {error}", err=True)
        return EXIT_AWAY
    except VerbError as error:
        typer.echo(f"fleetdrill: {error}", err=True)
        return EXIT_AWAY if error.code in ("busy", "stopped") else EXIT_INVALID
    except (ValueError, OSError) as error:
        typer.echo(f"fleetdrill: {error}", err=True)
        return EXIT_INVALID


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


def followed(ask: Asking, number: int, wait: Callable[[float], None] = sleep) -> dict[str, Any]:
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
