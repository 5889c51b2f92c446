"""`keys http`: a certificate for the HTTP API, and the next one in its place.

Decides options and what is said. Leaves out all work (adapters/certificates.py), and taking the new one
(adapters/http_tls.py).

Exit codes: 0 done; 2 an argument cannot be used, or a file is in the way.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from devicesdk.aio.clock import RealClock

EXIT_INVALID: Final = 2
DAYS: Final = 365
NAMES: Final = ("localhost", "127.0.0.1")


def register(keys_app: typer.Typer) -> None:
    """Add the command."""
    keys_app.command("http")(http)


def http(
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False)],
    *,
    server_names: Annotated[
        list[str] | None,
        typer.Option(
            "--server-name",
            metavar="HOST",
            help="Host name or address by which browsers and programs reach the gateway; repeatable. "
            "By default localhost and 127.0.0.1.",
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="How long it is valid.")] = DAYS,
    renew: Annotated[
        bool, typer.Option("--renew", help="In the place of the one that is there.")
    ] = False,
) -> None:
    """Make a certificate for the gateway's HTTP API, by the authority in DIR; print its files."""
    from gateway.adapters.certificates import HTTP, TLS_FOLDER, Authority
    from gateway.adapters.keys import KeyFileError

    now = datetime.fromtimestamp(RealClock().wall_ms() / 1000, UTC)
    names = tuple(dict.fromkeys(server_names or NAMES))
    try:
        authority = Authority.open(folder / TLS_FOLDER)
        make = authority.renew_server if renew else authority.issue_server
        pair = make(names, now, days, HTTP)
    except (KeyFileError, ValueError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(EXIT_INVALID) from error
    typer.echo(pair.certificate)
    typer.echo(pair.key)
