"""`fleetdrill console RUN`: the gateway's console on a rehearsal.

Decides options and what is printed. Leaves out everything behind the address (devicesim/console).

Exit codes: 0 it was closed; 2 there is no such run, or it does not repeat; 3 it failed itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from devicesim.guarded import EXIT_HELD, guarded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(console)


def console(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="Folder of a run in virtual time, such as runs/first-light-42; it may go on still.",
        ),
    ],
    *,
    at: Annotated[
        str | None,
        typer.Option(help="Scenario time to show first, such as 6h; the end by default."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Where to listen on 127.0.0.1; 0: any.")
    ] = 0,
    browse: Annotated[
        bool, typer.Option("--open/--no-open", help="Open it in the browser.")
    ] = False,
) -> None:
    """Look at a rehearsal in the gateway's own console, at any instant of it."""
    raise typer.Exit(guarded(lambda: _console(folder, at, port, browse=browse)))


def _console(folder: Path, at: str | None, port: int, *, browse: bool) -> int:
    import asyncio
    import os

    from devicesdk.wire.timebase import parse_duration
    from devicesim.console.runs import open_run
    from devicesim.console.serve import Opened, serve

    at_ns = None if at is None else parse_duration(at)
    run = open_run(folder)

    def told(found: Opened) -> None:
        typer.echo(f"{found.url}/")
        typer.echo(f"  {run.scenario.name}, seed {run.seed}; Ctrl-C closes it", err=True)
        if browse:
            typer.launch(f"{found.url}/")

    try:
        asyncio.run(serve(run, os.urandom, told, port=port, at_ns=at_ns))  # noqa: TID251 - a token
    except OSError as error:
        raise ValueError(str(error)) from error
    return EXIT_HELD
