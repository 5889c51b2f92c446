"""The command `fleetdrill`: one door, whose rooms are what is installed.

Decides how commands are found: each installed part (the simulator, later the gateway) registers its
own through the entry point group ``fleetdrill.commands``, so a bare device install stays small and
nothing here imports upwards. Leaves out every command.
"""

from __future__ import annotations

from importlib.metadata import entry_points, version
from typing import Annotated, Final

import typer

_EXTRAS: Final = {
    "broker": "gateway", "bundle": "bundle", "device-conform": "gateway", "gateway": "gateway",
    "simulator": "sim",
}  # fmt: skip
"""The extra that brings a part; a part that is not here comes with ``all``."""

app = typer.Typer(
    name="fleetdrill",
    help="Rehearse the outage before it happens, then run the very code you rehearsed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        typer.echo(f"fleetdrill {version('fleetdrill')}")
        raise typer.Exit


@app.callback()
def root(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Rehearse the outage before it happens, then run the very code you rehearsed."""


def main() -> None:
    """Collect the commands of every installed part and run the one that was asked for."""
    for part in sorted(entry_points(group="fleetdrill.commands"), key=lambda point: point.name):
        try:
            register = part.load()
        except ModuleNotFoundError as error:
            _explain(part.name, error.name or "?")
        else:
            register(app)
    app()


def _explain(part: str, missing: str) -> None:
    """Offer a command that says which extra would bring this part."""
    extra = _EXTRAS.get(part, "all")

    @app.command(part, help=f"Not installed: pip install 'fleetdrill[{extra}]'")
    def absent() -> None:
        typer.echo(
            f"expected the packages of the {part}, found no {missing}: "
            f"pip install 'fleetdrill[{extra}]'",
            err=True,
        )
        raise typer.Exit(2)
