"""The commands ``fleetdrill device ...``: run a real device, and look at one.

Decides options. Leaves out their meaning (settings.py), the process (__main__.py) and the device (host.py).
Other parts add commands of their own to `device_app`.

`run` *becomes* ``python -m devicesdk.host``: the same process with the same id, in which nothing of the
command line's libraries is in memory (15 MB of resident memory that a device would carry for life).

Exit codes: 0 stopped politely, 2 an option or a file cannot be used, 3 the device itself failed (its
supervisor starts it anew).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from devicesdk.host import policies, show
from devicesdk.host.settings import Adapter, Options

device_app = typer.Typer(name="device", help="Run a real device.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(device_app)


@device_app.command()
def run(
    *,
    broker: Annotated[str, typer.Option(help="mqtt://host:port or mqtts://host:port")],
    device: Annotated[str, typer.Option("--id", help="This device's id, one topic level.")],
    state: Annotated[Path, typer.Option(help="Folder of its slots and state.")],
    trust: Annotated[Path, typer.Option(help="trust.json of: fleetdrill keys init")],
    username: Annotated[str | None, typer.Option(help="For the broker.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="Password: first line.")] = None,
    password_command: Annotated[
        str | None, typer.Option(help="Program that writes the password; run before each connect.")
    ] = None,
    renew_command: Annotated[
        str | None, typer.Option(help="Program that renews --cert and --key before they end.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="Certificates to trust (PEM).")] = None,
    cert: Annotated[Path | None, typer.Option(help="This device's certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    hardware_class: Annotated[str, typer.Option(help="Chooses the variant.")] = "default",
    memory_mib: Annotated[
        int | None, typer.Option(min=1, help="Memory for models; all of it by default.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of .npy, .pgm, .ppm.")] = None,
    camera: Annotated[
        str | None, typer.Option(help="Program that writes one picture to its output.")
    ] = None,
    bundles: Annotated[
        list[Path] | None, typer.Option(help="Bundle directories, for images without a kit.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Agent configuration (JSON).")] = None,
    interface: Annotated[str, typer.Option(help="Network interface to watch.")] = "",
    notice: Annotated[
        Path | None, typer.Option(help="File where programs read the flags in force.")
    ] = None,
    port_adapter: Annotated[Adapter, typer.Option(help="MQTT client.")] = Adapter.LEAN,
    speed: Annotated[float, typer.Option(hidden=True, min=0.001)] = 1.0,
    verbose: Annotated[bool, typer.Option(help="Log what other libraries say, too.")] = False,
) -> None:
    """Run this machine as a device until it is told to stop (SIGTERM, SIGINT)."""
    options = Options(
        broker=broker,
        device=device,
        state=str(state),
        trust=str(trust),
        username=username,
        password_file=_text(password_file),
        password_command=password_command,
        renew_command=renew_command,
        ca=_text(ca),
        cert=_text(cert),
        key=_text(key),
        hardware_class=hardware_class,
        memory_mib=memory_mib,
        images=_text(images),
        camera=camera,
        bundles=tuple(str(folder) for folder in bundles or ()),
        config=_text(config),
        interface=interface,
        port_adapter=port_adapter,
        speed=speed,
        verbose=verbose,
        notice=_text(notice),
    )
    spelt = msgspec.json.encode(options).decode()
    os.execv(  # noqa: S606 - ourselves, with an argument list
        sys.executable, [sys.executable, "-m", "devicesdk.host", spelt]
    )


@device_app.command("show")
def show_device(
    *,
    state: Annotated[Path, typer.Option(help="Folder of the device.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say what is installed on the device of a folder."""
    try:
        known = show.installed(state)
    except show.NoDeviceError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(json.dumps(known) if as_json else "\n".join(show.in_words(known)))


@device_app.command("policy")
def explain_policy(
    file: Annotated[Path, typer.Argument(help="A run-time policy (JSON).")],
    *,
    context: Annotated[
        list[str] | None,
        typer.Option(help="name=value, such as chip_c=75 or link=offline; repeat it."),
    ] = None,
    flag: Annotated[bool, typer.Option(help="Write the flag definition instead.")] = False,
) -> None:
    """Check a run-time policy, and say what it decides and why."""
    try:
        policy, found = policies.read(file), policies.context_of(context or [])
    except policies.PolicyError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    lines = policies.as_flag(policy) if flag else policies.in_words(policy, found)
    typer.echo("\n".join(lines))


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
