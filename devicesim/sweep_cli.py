"""The command ``fleetdrill sweep``.

Decides options, exit codes and what Ctrl-C leaves behind. Leaves out the work (`devicesim.sweep`) and what the
reports say.

Exit codes: 0 every run held; 1 one did not, or what the scenario insists on having exercised never occurred;
2 an argument or the scenario is invalid; 3 the sweep did not come to its end, or runs broke without any check
failing.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Final

import typer

from devicesim.guarded import EXIT_BROKEN, EXIT_FAILED, EXIT_HELD, guarded

if TYPE_CHECKING:
    from devicesim.sweep.plan import Plan
    from devicesim.sweep.record import SweepRecord

RUNS: Final = Path("runs")
JOBS_DEFAULT: Final = max(1, len(os.sched_getaffinity(0)))

ScenarioFile = Annotated[
    Path | None, typer.Argument(help="Scenario file (YAML).", show_default=False)
]
Seeds = Annotated[
    str, typer.Option(help="How many (200: 1 to 200), a range (1..200), or a list (3,7,42).")
]
Grid = Annotated[
    list[str] | None,
    typer.Option(metavar="PATH=V1,V2", help="Values of a parameter; several make a product."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a value; repeatable."),
]
EngineName = Annotated[str, typer.Option("--engine", help="processes, ray or inline.")]
Jobs = Annotated[int, typer.Option(min=1, help="Runs at a time; by default one per processor.")]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin", metavar="MODULE[:FUNCTION]",
        help="Imported, and called, in each worker before its first run; repeatable.",
    ),
]  # fmt: skip
Timeout = Annotated[str, typer.Option(help="Longest that one run may take, real time.")]
Out = Annotated[Path, typer.Option(help="Folder in which the sweep's folder is made.")]
Resume = Annotated[
    Path | None,
    typer.Option(metavar="SWEEP", help="Go on with an interrupted sweep; all else is as it was."),
]
StopAfter = Annotated[int | None, typer.Option(min=1, help="Stop when so many runs did not hold.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from devicesim import shrink_cli

    app.command()(sweep)
    shrink_cli.register(app)


def sweep(
    scenario: ScenarioFile = None,
    *,
    seeds: Seeds = "100",
    grid: Grid = None,
    overrides: Overrides = None,
    engine: EngineName = "processes",
    jobs: Jobs = JOBS_DEFAULT,
    plugins: Plugins = None,
    run_timeout: Timeout = "10m",
    out: Out = RUNS,
    resume: Resume = None,
    stop_after_failures: StopAfter = None,
    as_json: AsJson = False,
) -> None:
    """Run a scenario with many seeds and parameters; keep every result, tell their distribution."""

    def work() -> int:
        from devicesdk.wire.timebase import parse_duration, to_seconds

        timeout_s = to_seconds(parse_duration(run_timeout))
        plan, folder = _begin(scenario, resume, out, seeds, grid, overrides, plugins)
        return _sweep(plan, folder, engine, jobs, timeout_s, stop_after_failures, as_json=as_json)

    raise typer.Exit(guarded(work, "sweep"))


def _begin(
    file: Path | None,
    resume: Path | None,
    out: Path,
    seeds: str,
    grid: list[str] | None,
    overrides: list[str] | None,
    plugins: list[str] | None,
) -> tuple[Plan, Path]:
    from devicesim.rundir import code_digest, new_folder
    from devicesim.sweep.plan import load_plan, make_plan, read_axis, read_seeds, save_plan

    if (file is None) == (resume is None):
        found = "neither" if file is None else "both"
        raise ValueError(f"expected a scenario file or --resume SWEEP, found {found}")
    if resume is not None:
        return load_plan(resume, code_digest()), resume
    assert file is not None
    plan = make_plan(
        file, read_seeds(seeds), overrides=tuple(overrides or ()),
        grid=tuple(read_axis(axis) for axis in grid or ()), plugins=tuple(plugins or ()),
        code=code_digest(),
    )  # fmt: skip
    folder = new_folder(out, f"sweep-{plan.name}")
    save_plan(folder, plan)
    return plan, folder


def _sweep(
    plan: Plan,
    folder: Path,
    engine: str,
    jobs: int,
    timeout_s: float,
    stop_after: int | None,
    *,
    as_json: bool,
) -> int:
    from devicesim.sweep.engines import open_engine
    from devicesim.sweep.run import PAGE_FILE, conclude, run_sweep
    from devicesim.sweep.screen import SweepScreen, summary

    interrupted = False
    try:
        with (
            SweepScreen(plan.name, plan.size, perf_counter) as screen,
            open_engine(engine, plan.setup, jobs, task_s_max=timeout_s) as workers,
        ):
            run_sweep(plan, folder, workers, stop_after_failures=stop_after, show=screen.show)
    except KeyboardInterrupt:
        interrupted = True
        typer.echo(
            f"fleetdrill: interrupted; go on with fleetdrill sweep --resume {folder}", err=True
        )
    record = conclude(plan, folder)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(record), indent=2).decode())
    else:
        summary(record, page=str(folder / PAGE_FILE))
    return EXIT_BROKEN if interrupted else exit_code(record)


def exit_code(record: SweepRecord) -> int:
    """What a sweep exits with."""
    if record.verdict in ("broken", "unfinished"):
        return EXIT_BROKEN
    return EXIT_HELD if record.verdict == "passed" else EXIT_FAILED
