"""The command ``fleetdrill shrink``.

Decides options, which failure is meant, exit codes and where ``repro.yaml`` goes. Leaves out the shrinking
(`devicesim.sweep.shrink`).

Exit codes: 0 the smallest scenario found is written; 1 the failure could not be repeated; 2 an argument or the
scenario is invalid; 3 interrupted, or a bug of ours. What was found so far is written in any case.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from devicesim.guarded import EXIT_FAILED, EXIT_HELD, guarded
from devicesim.sweep_cli import (
    JOBS_DEFAULT,
    AsJson,
    EngineName,
    Jobs,
    Overrides,
    Plugins,
    Timeout,
)

if TYPE_CHECKING:
    from devicesim.sweep.shrink import Shrunk
    from devicesim.sweep.task import Setup, Task

REPRO_FILE: Final = "repro.yaml"

Where = Annotated[
    Path,
    typer.Argument(
        metavar="RUN|SWEEP|FILE",
        help="Folder of a run or of a sweep, or a scenario file.", show_default=False,
    ),
]  # fmt: skip
Seed = Annotated[
    int | None, typer.Option(help="Which run; the run's own, or the first that failed, by default.")
]
CheckName = Annotated[
    str | None, typer.Option("--check", help="Which check; the first that failed by default.")
]
Reseed = Annotated[
    int,
    typer.Option(
        min=0, help="Other seeds to try where a cut changes who is unlucky; 0 keeps the seed."
    ),
]
RunsMax = Annotated[int, typer.Option(min=1, help="Runs that may be spent.")]
TimeMax = Annotated[str, typer.Option(help="Real time that may be spent.")]
OutFile = Annotated[
    Path | None,
    typer.Option("--out", help="File to write; repro.yaml in the folder given, or here."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(shrink)


class _Wish(msgspec.Struct, frozen=True):
    """What is to be shrunk, and how."""

    setup: Setup
    task: Task
    out: Path
    check: str | None


def shrink(
    where: Where,
    *,
    seed: Seed = None,
    check: CheckName = None,
    overrides: Overrides = None,
    plugins: Plugins = None,
    engine: EngineName = "processes",
    jobs: Jobs = JOBS_DEFAULT,
    reseed: Reseed = 8,
    runs_max: RunsMax = 1000,
    time_max: TimeMax = "5m",
    run_timeout: Timeout = "10m",
    out: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Find the smallest scenario in which the same check still fails; write it as repro.yaml."""

    def work() -> int:
        from devicesdk.wire.timebase import parse_duration, to_seconds

        wish = _wish(where, seed, check, tuple(overrides or ()), tuple(plugins or ()), out)
        seconds = to_seconds(parse_duration(time_max)), to_seconds(parse_duration(run_timeout))
        return _shrink(wish, engine, jobs, reseed, runs_max, *seconds, as_json=as_json)

    raise typer.Exit(guarded(work, "shrinker"))


def _wish(
    where: Path,
    seed: int | None,
    check: str | None,
    overrides: tuple[str, ...],
    plugins: tuple[str, ...],
    out: Path | None,
) -> _Wish:
    from devicesim.stock import read_texts
    from devicesim.sweep.plan import PLAN_FILE
    from devicesim.sweep.task import Setup

    if not where.exists() and not where.suffix:
        raise ValueError(
            f"expected a run, a sweep or a scenario file in {where}, found nothing there: check the path; "
            "`fleetdrill run` and `fleetdrill sweep` say where they wrote"
        )
    if (where / PLAN_FILE).is_file():
        return _of_sweep(where, seed, check, overrides, plugins, out)
    file, folder = where, Path()
    if where.is_dir():
        manifest = where / "manifest.json"
        if not manifest.is_file():
            raise FileNotFoundError(
                f"expected a run, a sweep or a scenario file, found neither manifest.json nor {PLAN_FILE} "
                f"in {where}"
            )
        said = json.loads(manifest.read_text())
        file, folder = Path(said["scenario"]), where
        overrides = (*said["overrides"], *overrides)
        seed = said["seed"] if seed is None else seed
    text, bases = read_texts(file)
    setup = Setup(file=str(file), text=text, bases=bases, plugins=plugins, watch_all=False)
    return _make(setup, seed, check, overrides, out or folder / REPRO_FILE)


def _of_sweep(
    folder: Path,
    seed: int | None,
    check: str | None,
    overrides: tuple[str, ...],
    plugins: tuple[str, ...],
    out: Path | None,
) -> _Wish:
    """The first run of the sweep, in the plan's order, that did not hold and fits what was said."""
    from devicesim.sweep.journal import read_journal
    from devicesim.sweep.plan import key_of, load_plan
    from devicesim.sweep.shrink import matches

    plan, results = load_plan(folder), read_journal(folder)
    for cell in plan.cells:
        for one in plan.seeds if seed is None else (seed,):
            result = results.get(key_of(one, cell))
            if result is not None and any(
                check is None or matches(f, check) for f in result.failing
            ):
                said = plan.overrides + cell.overrides + overrides
                setup = msgspec.structs.replace(
                    plan.setup, plugins=(*plan.plugins, *plugins), watch_all=False
                )
                return _make(setup, one, check, said, out or folder / REPRO_FILE)
    what = f"{check or 'a check'} failing" + ("" if seed is None else f" with seed {seed}")
    raise ValueError(f"expected a run of {folder} with {what}, found none")


def _make(
    setup: Setup, seed: int | None, check: str | None, overrides: tuple[str, ...], out: Path
) -> _Wish:
    from devicesim.sweep.bench import Bench
    from devicesim.sweep.task import Task

    bench = Bench(msgspec.structs.replace(setup, plugins=()))
    scenario = bench.open(Task(key="", seed=0, overrides=overrides))
    if scenario.clock.mode == "real":
        raise ValueError("expected clock.mode: virtual, found real: only virtual time repeats")
    bench.stock(scenario)
    own = scenario.seed if seed is None else seed
    return _Wish(setup, Task(key="as it is", seed=own, overrides=overrides), out, check)


def _shrink(
    wish: _Wish,
    engine_name: str,
    jobs: int,
    reseeds: int,
    runs_max: int,
    seconds_max: float,
    task_s_max: float,
    *,
    as_json: bool,
) -> int:
    from devicesim.sweep import shrink as shrinker
    from devicesim.sweep.bench import Bench
    from devicesim.sweep.engines import open_engine
    from devicesim.sweep.judge import Budget, Judge
    from devicesim.sweep.screen import ShrinkScreen

    setup, task = wish.setup, wish.task
    bench = Bench(msgspec.structs.replace(setup, plugins=()))
    with (
        ShrinkScreen(runs_max, perf_counter) as screen,
        open_engine(engine_name, setup, jobs, task_s_max=task_s_max) as engine,
    ):
        first = shrinker.find_first(engine, task)
        try:
            failing = shrinker.choose(first, wish.check)
        except shrinker.CannotRepeat as error:
            typer.echo(f"fleetdrill: {error}", err=True)
            return EXIT_FAILED
        judge = Judge(
            engine,
            bench,
            failing.identity,
            Budget(runs_max, seconds_max),
            perf_counter,
            screen.show,
        )
        data = shrinker.data_of(setup, task.overrides)
        done = shrinker.shrink(data, task.seed, first, failing, judge, bench, reseeds)
    command = write(wish, done)
    _tell(wish, done, command, as_json=as_json)
    return EXIT_HELD


def write(wish: _Wish, done: Shrunk) -> str:
    """Write the scenario with its head; returns the command that repeats it."""
    from devicesim.sweep.repro import to_yaml, with_head

    words = ["fleetdrill", "run", str(wish.out), "--expect-digest", done.digest]
    if wish.setup.plugins or not done.digest:
        words = ["fleetdrill", "sweep", str(wish.out), "--seeds", f"{done.seed}..{done.seed}"]
        for plugin in wish.setup.plugins:
            words += ["--plugin", plugin]
    command = shlex.join(words)
    origin = [wish.setup.file, f"seed {wish.task.seed}"]
    origin += [f"--set {shlex.quote(override)}" for override in wish.task.overrides]
    facts = {
        "check": f"{done.failing.name} ({done.failing.kind})",
        "story": done.failing.story,
        "from": ", ".join(origin),
        "before": done.before,
        "after": done.after,
        "again": command,
    }
    wish.out.parent.mkdir(parents=True, exist_ok=True)
    wish.out.write_text(with_head(to_yaml(done.data, done.seed), facts), "utf-8")
    return command


def _tell(wish: _Wish, done: Shrunk, command: str, *, as_json: bool) -> None:
    from devicesim.sweep.screen import shrunk_summary

    if not as_json:
        shrunk_summary(done, str(wish.out), command)
        return
    told: dict[str, Any] = {
        "file": str(wish.out), "seed": done.seed, "check": done.failing.name,
        "kind": done.failing.kind, "story": done.failing.story, "at_s": done.failing.at_s,
        "before": done.before, "after": done.after, "runs": done.runs, "complete": done.complete,
        "digest": done.digest, "reproduce": command,
    }  # fmt: skip
    typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
