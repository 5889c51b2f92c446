"""Commands ``fleetdrill gateway experiment ...``: begin, look at and steer experiments.

Decides options. Leaves out talking to the gateway (cli.py, runtime/knock.py) and what an experiment is
(gateway/core/experiments).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import STATE, AsJson, State, _ask, _knock, _pairs, _said

experiment_app = typer.Typer(
    no_args_is_help=True, help="Compare a candidate with what runs, in the field."
)
Name = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Id of the experiment.")]


@experiment_app.command("create")
def create(
    name: Name,
    *,
    bundle: Annotated[str, typer.Option(help="The candidate: id@version.")],
    production: Annotated[str, typer.Option(help="What it is compared with: id@version.")],
    mode: Annotated[str, typer.Option(help="shadow, interleaved or bandit.")],
    segment: Annotated[str, typer.Option(help="Segment whose flags carry it.")] = "all",
    share: Annotated[float, typer.Option(help="Percent of devices; a bandit's cap.")] = 100.0,
    tolerated: Annotated[float, typer.Option(help="Percent of windows that may be bad.")] = 2.0,
    errors: Annotated[float, typer.Option(help="Percent of a window's frames in error.")] = 5.0,
    latency_ms_max: Annotated[float, typer.Option(help="p95 of a window; 0: not judged.")] = 0.0,
    look: Annotated[str, typer.Option(help="Between two looks at the arms.")] = "15m",
    manual: Annotated[bool, typer.Option("--manual", help="Never promote by itself.")] = False,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Only devices with it; repeatable."),
    ] = None,
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Stage a candidate beside what runs, and begin to compare."""

    def work() -> Any:
        import msgspec

        from gateway.runtime import verbs

        said = {
            "verb": "experiment.create", "id": name, "bundle": bundle, "production": production,
            "mode": mode, "segment": segment, "share": share / 100, "tolerated": tolerated / 100,
            "errors": errors / 100, "latency_ms_max": latency_ms_max, "look": look,
            "promote": "manual" if manual else "evidence", "selector": _pairs(label),
        }  # fmt: skip
        return _knock(state, msgspec.convert(said, verbs.CreateExperiment))

    _ask(work, as_json=as_json, show=_said)


@experiment_app.command("list")
def experiments(*, state: State = STATE, as_json: AsJson = False) -> None:
    """Show all experiments with their evidence."""

    def show(found: list[dict[str, Any]]) -> str:
        lines = []
        for view in found:
            frozen = ", frozen" if view["frozen"] else ""
            lines += [
                f"{view['id']}  {view['bundle']} beside {view['production']}  {view['mode']}  "
                f"{view['state']}{frozen}  {view['why']}".rstrip(),
                (
                    f"  share {100 * view['share']:.4g} % of at most {100 * view['cap']:.4g} %; "
                    f"{view['bad']} bad of {view['windows']} windows, production "
                    f"{view['production_bad']} of {view['production_windows']}; e-value "
                    f"{view['evidence_against']:.3g} against, {view['evidence_for']:.3g} for"
                ),
            ]
        return "\n".join(lines) or "no experiments"

    def work() -> Any:
        from gateway.runtime import verbs

        return _knock(state, verbs.ListExperiments())

    _ask(work, as_json=as_json, show=show)


def _steer(how: str, help_text: str) -> None:
    @experiment_app.command(how, help=help_text)
    def steer(name: Name, *, state: State = STATE, as_json: AsJson = False) -> None:
        _ask(lambda: _steered(state, name, how), as_json=as_json, show=_said)


def _steered(state: Path, name: str, how: str) -> Any:
    import msgspec

    from gateway.runtime import verbs

    said = {"verb": "experiment.steer", "experiment": name, "how": how}
    return _knock(state, msgspec.convert(said, verbs.SteerExperiment))


_steer("promote", "Make the candidate the devices' own, by flag.")
_steer("stop", "End it; devices drop the candidate.")
_steer("freeze", "Let the allocation not grow, and take it back to where it began.")
_steer("thaw", "Take an operator's freeze back.")
