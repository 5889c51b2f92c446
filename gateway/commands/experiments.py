"""Commands ``fleetdrill experiment ...``: begin, look at and steer experiments.

Decides options and words. Leaves out talking to the gateway (asking.py) and what an experiment is
(gateway/core/experiments).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.commands.asking import Ask, Label, asks, changes, pairs
from gateway.commands.completing import bundle_names, experiment_ids

experiment_app = typer.Typer(
    no_args_is_help=True, help="Compare a candidate with what runs, in the field."
)
Name = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT", help="Id of the experiment.", autocompletion=experiment_ids
    ),
]
Bundle = Annotated[
    str, typer.Option(help="The candidate: id@version.", autocompletion=bundle_names)
]


@experiment_app.command("create")
@changes
def create(
    ask: Ask,
    name: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Id of the experiment.")],
    *,
    bundle: Bundle,
    production: Annotated[
        str,
        typer.Option(help="What it is compared with: id@version.", autocompletion=bundle_names),
    ],
    mode: Annotated[str, typer.Option(help="shadow, interleaved or bandit.")],
    segment: Annotated[str, typer.Option(help="Segment whose flags carry it.")] = "all",
    share: Annotated[float, typer.Option(help="Percent of devices; a bandit's cap.")] = 100.0,
    tolerated: Annotated[float, typer.Option(help="Percent of windows that may be bad.")] = 2.0,
    errors: Annotated[float, typer.Option(help="Percent of a window's frames in error.")] = 5.0,
    latency_ms_max: Annotated[float, typer.Option(help="p95 of a window; 0: not judged.")] = 0.0,
    look: Annotated[str, typer.Option(help="Between two looks at the arms.")] = "15m",
    manual: Annotated[bool, typer.Option("--manual", help="Never promote by itself.")] = False,
    label: Label = None,
) -> None:
    """Stage a candidate beside what runs, and begin to compare."""
    ask.change({
        "verb": "experiment.create", "id": name, "bundle": bundle, "production": production,
        "mode": mode, "segment": segment, "share": share / 100, "tolerated": tolerated / 100,
        "errors": errors / 100, "latency_ms_max": latency_ms_max, "look": look,
        "promote": "manual" if manual else "evidence", "selector": pairs(label),
    })  # fmt: skip


@experiment_app.command("list")
@asks
def experiments(ask: Ask) -> None:
    """Show all experiments with their evidence."""
    found = ask.do({"verb": "experiment.list"})
    ask.tell(found, lambda found: "\n".join(map(_text, found)) or "no experiments")


@experiment_app.command("show")
@asks
def experiment(ask: Ask, name: Name) -> None:
    """Show one experiment with its evidence."""
    from gateway.runtime.verbs import VerbError

    views = [view for view in ask.do({"verb": "experiment.list"}) if view["id"] == name]
    if not views:
        raise VerbError("unknown", f"expected the id of an experiment, found {name!r}")
    ask.tell(views[0], _text)


def _text(view: dict[str, Any]) -> str:
    frozen = ", frozen" if view["frozen"] else ""
    head = (
        f"{view['id']}  {view['bundle']} beside {view['production']}  {view['mode']}  "
        f"{view['state']}{frozen}  {view['why']}"
    )
    return (
        f"{head.rstrip()}\n"
        f"  share {100 * view['share']:.4g} % of at most {100 * view['cap']:.4g} %; "
        f"{view['bad']} bad of {view['windows']} windows, production "
        f"{view['production_bad']} of {view['production_windows']}; e-value "
        f"{view['evidence_against']:.3g} against, {view['evidence_for']:.3g} for"
    )


def _steer(how: str, help_text: str) -> None:
    def steer(ask: Ask, name: Name) -> None:
        ask.change({"verb": "experiment.steer", "experiment": name, "how": how})

    experiment_app.command(how, help=help_text)(changes(steer))


_steer("promote", "Make the candidate the devices' own, by flag.")
_steer("stop", "End it; devices drop the candidate.")
_steer("freeze", "Let the allocation not grow, and take it back to where it began.")
_steer("thaw", "Take an operator's freeze back.")
