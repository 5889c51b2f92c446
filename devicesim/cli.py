"""Commands of the simulator: `run`, `story`, `scenario validate`, `scenario schema`.

Decides options, exit codes and what goes to which stream: results to standard output, progress and
errors to standard error. Leaves out all work (rehearse.py, report/).

Exit codes: 0 all checks held; 1 a check failed; 2 the scenario (or another argument) is invalid; 3 the
simulator itself failed; 4 determinism broke.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import Annotated, Any, NamedTuple

import typer

from devicesim.guarded import EXIT_DIVERGED, EXIT_FAILED, EXIT_HELD, guarded

RUNS = Path("runs")

ScenarioFile = Annotated[Path, typer.Argument(help="Scenario file (YAML).", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Override a value, such as scale=0.1; repeatable."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

scenario_app = typer.Typer(no_args_is_help=True, help="Write and check scenarios.")


def register(app: typer.Typer) -> None:
    """Add the simulator's commands."""
    from devicesim import compare_cli, console_cli, recordings_cli, rehearse_cli, sweep_cli
    from devicesim.live.soak import cli as soak_cli
    from devicesim.playground import cli as playground_cli

    app.command()(run)
    app.command()(story)
    compare_cli.register(app)
    console_cli.register(app)
    soak_cli.register(app)
    sweep_cli.register(app)
    recordings_cli.register(app)
    rehearse_cli.register(app)
    playground_cli.register(app)
    app.add_typer(scenario_app, name="scenario")


def run(
    scenario: ScenarioFile,
    *,
    seed: Annotated[
        int | None, typer.Option(help="Master seed; the scenario's own by default.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Stop at this scenario time, such as 6h.")
    ] = None,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Folder for the files of the run.")] = RUNS,
    as_json: AsJson = False,
    expect_digest: Annotated[
        str | None, typer.Option(help="Exit with 4 unless the trace has this digest.")
    ] = None,
    broker: Annotated[
        str,
        typer.Option(
            help="With clock.mode=real: auto (mosquitto on the path, else the embedded one), "
            "mosquitto, embedded, or mqtt://host:port."
        ),
    ] = "auto",
    explain: Annotated[
        bool,
        typer.Option(
            "--explain/--no-explain",
            help="When a check fails, run again with causes to tell what led to it.",
        ),
    ] = True,
    break_at: Annotated[
        str | None,
        typer.Option(
            help="Stop at this scenario time, such as 6h12m, or at first-bad, and print the state of all."
        ),
    ] = None,
    watch: Annotated[
        str | None, typer.Option(help="Print what happens to this device while it happens.")
    ] = None,
) -> None:
    """Rehearse a scenario: a verdict, a trace and a report; in virtual time, or with
    ``--set clock.mode=real`` against a real broker."""
    wish = _Wish(scenario, seed, until, tuple(overrides or ()), out, broker, explain)
    if break_at is not None or watch is not None:
        from devicesim.debugging import debug

        raise typer.Exit(
            guarded(
                lambda: debug(scenario, seed, until, wish.overrides, break_at, watch, typer.echo)
            )
        )
    raise typer.Exit(guarded(lambda: _run(wish, as_json=as_json, expect_digest=expect_digest)))


class _Wish(NamedTuple):
    """What a run was asked for."""

    file: Path
    seed: int | None
    until: str | None
    overrides: tuple[str, ...]
    out: Path
    broker: str
    explain: bool = True


def _run(wish: _Wish, *, as_json: bool, expect_digest: str | None) -> int:
    from devicesdk.wire.timebase import parse_duration
    from devicesim.rehearse import open_scenario
    from devicesim.report.document import encode
    from devicesim.report.terminal import Progress, summary

    stop = parse_duration(wish.until) if wish.until is not None else None
    scenario = open_scenario(wish.file, wish.overrides)
    if scenario.clock.mode == "real" and expect_digest is not None:
        raise ValueError(
            "expected no --expect-digest with clock.mode: real: only virtual time repeats bit for bit"
        )
    end = min(stop or scenario.clock.duration_ns, scenario.clock.duration_ns)
    start = datetime.fromtimestamp(scenario.clock.start_unix_ns / 1e9, UTC).isoformat()
    with Progress(scenario.name, end, perf_counter_ns, clock_start=start) as progress:
        rehearsal, record = _rehearse(scenario, wish, stop, progress)
    report = str(rehearsal.report)
    if as_json:
        typer.echo(encode(record, report), nl=False)
    else:
        summary(record, report=report)
    if expect_digest is not None and record.trace_digest != expect_digest:
        typer.echo(f"expected trace digest {expect_digest}, found {record.trace_digest}", err=True)
        return EXIT_DIVERGED
    return EXIT_HELD if record.verdict == "passed" else EXIT_FAILED


def _rehearse(scenario: Any, wish: _Wish, stop: int | None, progress: Any) -> tuple[Any, Any]:
    if scenario.clock.mode == "real":
        import uvloop

        from devicesim.live.rehearse import rehearse_live

        return uvloop.run(
            rehearse_live(
                scenario, wish.file, seed=wish.seed, out=wish.out, overrides=wish.overrides,
                until=stop, broker=wish.broker,
                pulse=lambda rehearsal, now: progress.update(now, **_glance(rehearsal)),
            )
        )  # fmt: skip
    from devicesim.rehearse import Rehearsal

    rehearsal = Rehearsal(
        scenario,
        wish.file,
        seed=wish.seed,
        out=wish.out,
        overrides=wish.overrides,
        explain=wish.explain,
    )
    return rehearsal, rehearsal.run(stop, lambda now: progress.update(now, **_glance(rehearsal)))


def _glance(rehearsal: Any) -> dict[str, Any]:
    world, meter = rehearsal.world, rehearsal.drill.meter
    return {
        "online": meter.online_count,
        "devices": len(world.hosts),
        "events": world.kernel.events,
        "note": "again, to find the causes" if rehearsal.explaining else "",
    }


def story(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a run, such as runs/first-light-42.")
    ],
    device: Annotated[
        str | None,
        typer.Argument(
            help="Device id, such as kiosk-0007; gateway; broker. Without one, why the run failed.",
            show_default=False,
        ),
    ] = None,
    *,
    around: Annotated[
        str | None,
        typer.Option(
            help="Scenario time to look at, such as 8h30m; of a culprit, when its check broke first."
        ),
    ] = None,
    window: Annotated[str, typer.Option(help="How long before and after.")] = "1h",
    check: Annotated[
        str | None,
        typer.Option(
            help="Without a device: which failed check to explain; the first in the report by default."
        ),
    ] = None,
) -> None:
    """Tell what happened to one device, or what made the run fail."""

    def tell() -> int:
        from devicesdk.wire.timebase import parse_duration
        from devicesim.retell import story_of
        from devicesim.why import first_bad, why

        if device is None:
            for line in why(folder, check):
                typer.echo(line)
            return EXIT_HELD
        centre = parse_duration(around) if around is not None else first_bad(folder, device)
        for line in story_of(folder, device, centre, parse_duration(window)):
            typer.echo(line)
        return EXIT_HELD

    raise typer.Exit(guarded(tell))


@scenario_app.command("validate")
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="SCENARIO...", help="Scenario files.")],
    *,
    overrides: Overrides = None,
) -> None:
    """Check scenario files without running them."""
    worst = EXIT_HELD
    for file in files:
        code = guarded(partial(_validate, file, overrides or []))
        worst = max(worst, code)
    raise typer.Exit(worst)


def _validate(file: Path, overrides: list[str]) -> int:
    from devicesim.rehearse import open_scenario

    scenario = open_scenario(file, tuple(overrides))
    devices = sum(group.count for group in scenario.fleet)
    typer.echo(f"{file}: {scenario.name} is valid ({devices} devices before scale)")
    return EXIT_HELD


@scenario_app.command("schema")
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from devicesim.scenario import schema_text

    typer.echo(schema_text(), nl=False)
