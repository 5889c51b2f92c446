"""The command that rehearses a rollout of a live registry: what a gateway starts, and what repeats it by hand.

Decides where a job comes from and in which form the verdict is told: lines of JSON for a gateway, words for people.
Leaves out rehearsing (devicesim/rehearsing) and asking a gateway for it (`fleetdrill rollout rehearse`).

Exit codes: 0 it held; 1 it failed; 2 it could not be rehearsed, or an argument is invalid; 3 the simulator itself failed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter_ns
from typing import Annotated, Any, Final

import typer

from devicesim.guarded import EXIT_FAILED, EXIT_HELD, EXIT_INVALID, guarded

JOB_BYTES_MAX: Final = 16 * 1024 * 1024
TOLD_NS: Final = 200_000_000
"""How far it is is told this often."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rehearse)


def rehearse(
    job: Annotated[
        Path | None,
        typer.Argument(
            metavar="JOB", help="File of the job, such as job.json.", show_default=False
        ),
    ] = None,
    *,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the job from standard input, tell JSON lines.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for its files; by default what the job says.")
    ] = None,
) -> None:
    """Rehearse a rollout that a gateway has handed over: the fleet's shape, the plan, the bundle's own bytes."""
    if stdin is (job is not None):
        typer.echo("fleetdrill: expected either JOB or --stdin", err=True)
        raise typer.Exit(EXIT_INVALID)
    raise typer.Exit(guarded(lambda: _rehearse(job, out)))


def _rehearse(file: Path | None, out: Path | None) -> int:
    from msgspec.structs import replace

    from devicesim.rehearsing.work import rehearse_job
    from gateway.core.rehearsals.job import read_job

    text = file.read_bytes() if file else sys.stdin.buffer.read(JOB_BYTES_MAX)
    job = read_job(text)
    if out is not None:
        job = replace(job, folder=str(out))
    if file is None:
        verdict = rehearse_job(job, _Lines().tell)
        _Lines.write(verdict=verdict)
    else:
        verdict = _shown(job, rehearse_job)
        for line in told(verdict, job.folder):
            typer.echo(line)
    return {"held": EXIT_HELD, "failed": EXIT_FAILED}.get(verdict.outcome, EXIT_INVALID)


def _shown(job: Any, work: Any) -> Any:
    """Rehearse behind a bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"rehearsal {job.number}", total=1.0)
        return work(
            job, lambda step: bar.update(task, completed=step.share, description=step.doing)
        )


class _Lines:
    """Tells how far it is, now and then."""

    def __init__(self) -> None:
        self._last = 0

    def tell(self, step: Any) -> None:
        now = perf_counter_ns()
        if now - self._last >= TOLD_NS:
            self._last = now
            self.write(share=step.share, doing=step.doing)

    @staticmethod
    def write(**words: Any) -> None:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.encode(words) + b"\n")
        sys.stdout.buffer.flush()


def told(verdict: Any, folder: str) -> list[str]:
    """A verdict in words."""
    lines = [f"{verdict.outcome}: {verdict.why}"]
    lines += [f"  {line}" for line in verdict.story]
    lines += [f"  assumed: {line}" for line in verdict.assumptions]
    lines += [
        f"  seed {run.seed}: {'held' if run.held else 'failed'}, {run.state}, trace {run.digest[:16]}, "
        f"{Path(folder) / run.report}"
        for run in verdict.runs
    ]
    return lines
