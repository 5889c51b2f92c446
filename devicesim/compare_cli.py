"""`fleetdrill compare A B`: two policies on the same luck.

Decides options, exit codes and what goes to which stream. Leaves out running, comparing and layout
(devicesim/compare).

Exit codes: 0 compared; 1 an expected improvement is not there (``--expect-better``); 2 a scenario or an
argument is invalid, or the runs cannot be compared; 3 the simulator itself failed; 4 the runs differ, though
they were expected to be the same (``--expect-same``).
"""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter_ns
from typing import Annotated, Any, NamedTuple

import typer

from devicesim.guarded import EXIT_DIVERGED, EXIT_FAILED, EXIT_HELD, guarded

SideArgument = Annotated[
    Path, typer.Argument(help="Scenario file, or the folder of a run.", show_default=False)
]
_SET = "PATH=VALUE"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)


def compare(
    a: SideArgument,
    b: Annotated[
        Path | None,
        typer.Argument(help="The other one; A's own file by default.", show_default=False),
    ] = None,
    *,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar=_SET, help="Override a value on both sides; repeatable."),
    ] = None,
    overrides_a: Annotated[
        list[str] | None, typer.Option("--set-a", metavar=_SET, help="Override it in A alone.")
    ] = None,
    overrides_b: Annotated[
        list[str] | None, typer.Option("--set-b", metavar=_SET, help="Override it in B alone.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of both; A's own by default.")] = None,
    seeds: Annotated[
        int, typer.Option(help="Repeat over this many seeds, one after the other.")
    ] = 1,
    until: Annotated[
        str | None, typer.Option(help="Stop at this scenario time, such as 6h.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Processes; as many as there are cores by default.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the comparison's folder is made.")] = Path(
        "runs"
    ),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output.")
    ] = False,
    expect_same: Annotated[
        bool, typer.Option("--expect-same", help="Exit with 4 if anything differs.")
    ] = False,
    expect_better: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MEASURE",
            help="Exit with 1 unless B is better in this, its interval excluding zero; repeatable.",
        ),
    ] = None,
) -> None:
    """Compare two policies on the same luck: paired differences, intervals, a page."""
    both = tuple(overrides or ())
    sides = (a, (*both, *(overrides_a or ()))), (b or a, (*both, *(overrides_b or ())))
    wish = _Wish(sides, seed, seeds, until, jobs, out, as_json, expect_same, expect_better or [])
    raise typer.Exit(guarded(lambda: _compare(wish)))


class _Wish(NamedTuple):
    """What was asked for."""

    sides: tuple[tuple[Path, tuple[str, ...]], tuple[Path, tuple[str, ...]]]
    seed: int | None
    seeds: int
    until: str | None
    jobs: int | None
    out: Path
    as_json: bool
    expect_same: bool
    expect_better: list[str]


def _compare(wish: _Wish) -> int:
    from devicesdk.wire.timebase import parse_duration
    from devicesim.compare import document, page, runs, terminal
    from devicesim.compare import result as held_against
    from devicesim.rundir import new_folder

    a, b = (runs.Wanted(path, overrides) for path, overrides in wish.sides)
    _refuse_nonsense(wish, a, b)
    first = runs.seed_of(a, b, wish.seed)
    seeds = list(range(first, first + wish.seeds))
    until = parse_duration(wish.until) if wish.until is not None else None
    todo = runs.orders(a, b, seeds, until, Path())
    if wish.sides[0] == wish.sides[1] and not wish.expect_same:
        raise ValueError(
            "expected two different sides, found the same twice: give a second scenario or run, or "
            "--set-b PATH=VALUE (or --expect-same, to prove that a run repeats itself)"
        )
    folder = new_folder(wish.out, f"compare-{_name(a)}-{_name(b)}-{first}")
    todo = runs.orders(a, b, seeds, until, folder)
    _make(todo, wish.jobs)
    found = held_against.compare(runs.gather(a, b, seeds, folder))
    for name in wish.expect_better:
        found.measure(name)
    report = folder / "compare.html"
    report.write_text(page.render(found, folder))
    (folder / "compare.json").write_text(document.encode(found, str(report)))
    if wish.as_json:
        typer.echo(document.encode(found, str(report)), nl=False)
    else:
        terminal.summary(found, report=str(report))
    return _judge(found, wish)


def _refuse_nonsense(wish: _Wish, a: Any, b: Any) -> None:
    from devicesim.compare.runs import SEEDS_MAX

    if not 1 <= wish.seeds <= SEEDS_MAX:
        raise ValueError(f"expected 1 to {SEEDS_MAX} seeds, found {wish.seeds}")
    if (a.is_run or b.is_run) and wish.seeds > 1:
        raise ValueError(
            "expected two scenario files with --seeds, found the folder of a run: it has one seed"
        )
    for side, name in ((a, "A"), (b, "B")):
        if side.is_run and side.overrides:
            raise ValueError(
                f"expected no --set for {side.path}, which has been run: name the scenario file instead"
            )
        if not side.path.exists():
            raise FileNotFoundError(
                f"expected a scenario file or the folder of a run as {name}, found no {side.path}"
            )


def _name(side: Any) -> str:
    return str(side.path.resolve().stem)


def _make(todo: list[Any], jobs: int | None) -> None:
    """Make the runs: a single process shows each as `run` does, several show how many are done."""
    from devicesim.compare import runs

    if not todo:
        return
    wanted = jobs if jobs is not None else min(len(todo), os.cpu_count() or 1)
    if wanted == 1:
        for order in todo:
            _one(order)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("runs", total=len(todo))
        runs.carry_out_all(todo, wanted, lambda _, done, __: progress.update(task, completed=done))


def _one(order: Any) -> None:
    from devicesim.cli import _glance
    from devicesim.compare import runs
    from devicesim.rehearse import open_scenario
    from devicesim.report.terminal import Progress

    scenario = open_scenario(order.path, order.overrides)
    end = min(order.until_ns or scenario.clock.duration_ns, scenario.clock.duration_ns)
    with Progress(f"{order.folder.name} {scenario.name}", end, perf_counter_ns) as progress:
        runs.carry_out(order, lambda made, now: progress.update(now, **_glance(made)))


def _judge(found: Any, wish: _Wish) -> int:
    if wish.expect_same and not found.same:
        typer.echo("expected the same on both sides, found other traces", err=True)
        return EXIT_DIVERGED
    code = EXIT_HELD
    for name in wish.expect_better:
        measure = found.measure(name)
        if measure.direction != "better":
            from devicesim.compare.wording import interval_text, signed

            difference = signed(measure.difference, measure.column.unit)
            typer.echo(
                f"expected B to be better in {name}, found {difference}, interval "
                f"{interval_text(measure)}: {measure.direction}",
                err=True,
            )
            code = EXIT_FAILED
    return code
