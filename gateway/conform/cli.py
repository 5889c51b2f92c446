"""`fleetdrill device conform`: play the gateway against a device that others wrote.

Decides options, what is printed and the exit code. Leaves out the play (play.py).
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from devicesdk.aio.clock import RealClock
from devicesdk.aio.port import Endpoint
from devicesdk.wire.topics import ROOT_DEFAULT, check_device_id
from gateway.adapters.keys import TRUST_FILE, KeyFileError
from gateway.conform.play import PATIENCE_S, WITHIN_S, Options, play
from gateway.conform.report import COULD_NOT_PLAY, FAILED, PASSED, json_of, lines_of
from gateway.conform.repository import Repository
from gateway.conform.stage import CannotPlayError, Stage, keys_of

GROUP = "device"
_PORTS = {"mqtt": 1883, "mqtts": 8883}


def register(app: typer.Typer) -> None:
    """Add the command to the group `device`, which is made if no other part has."""
    for group in app.registered_groups:
        made = group.typer_instance
        if made is not None and GROUP in (group.name, made.info.name):
            made.command("conform")(conform)
            return
    fresh = typer.Typer(name=GROUP, help="The device's side.", no_args_is_help=True)
    fresh.callback()(_group)
    fresh.command("conform")(conform)
    app.add_typer(fresh, name=GROUP)


def _group() -> None:
    """The device's side."""


def conform(
    client_id: Annotated[str, typer.Option("--client-id", help="The device under test.")],
    broker: Annotated[
        str, typer.Option(help="mqtt://[user:password@]host[:port] or mqtts://...")
    ] = "mqtt://127.0.0.1:1883",
    keys: Annotated[
        Path, typer.Option(help="Folder of signing keys; made when there are none.")
    ] = Path("conform-keys"),
    listen: Annotated[
        str,
        typer.Option(
            help="HOST:PORT where the device connects instead of the broker, so that its packets can "
            "be read and its connection be cut."
        ),
    ] = "",
    image: Annotated[
        Path | None,
        typer.Option(
            help="An ONNX file that the device accepts; without it a meaningless pattern."
        ),
    ] = None,
    kit: Annotated[str, typer.Option(help="SHA-256 (hex) of the image's validation kit.")] = "",
    variant: Annotated[str, typer.Option(help="Name of the image's variant.")] = "conform",
    feature: Annotated[str, typer.Option(help="The feature to kill: the inference.")] = "gauge",
    root: Annotated[str, typer.Option(help="Topic root.")] = ROOT_DEFAULT,
    segment: Annotated[str, typer.Option(help="The device's segment, for flags.")] = "all",
    wait: Annotated[float, typer.Option(help="Seconds until the device must be online.")] = 60.0,
    patience: Annotated[float, typer.Option(help="Seconds for each thing.")] = PATIENCE_S,
    within: Annotated[float, typer.Option(help="Seconds for the whole.")] = WITHIN_S,
    *,
    roles: Annotated[
        bool, typer.Option("--roles", help="The device goes by roles: it is enrolled with a root.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Play the gateway against a device, and say which rules of the protocol it kept.

    Use a broker and a device that nobody needs: kill lists, flags and wants are published for real.
    Exits with 0 when no `must` was broken, 1 when one was, 2 when the play could not be played.
    """
    try:
        options = Options(
            feature=feature,
            wait_s=wait,
            patience_s=patience,
            within_s=within,
            image=None if image is None else image.read_bytes(),
            kit=kit,
            variant=variant,
        )
        check_device_id(client_id)
        result = asyncio.run(
            _run(client_id, broker, keys, listen, root, segment, options, roles=roles)
        )
    except (CannotPlayError, KeyFileError, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(COULD_NOT_PLAY) from None
    findings, passed = result
    if as_json:
        typer.echo(json.dumps(json_of(client_id, findings, passed=passed), indent=1))
    else:
        typer.echo("\n".join(lines_of(findings)))
    raise typer.Exit(PASSED if passed else FAILED)


async def _run(
    device: str,
    broker: str,
    folder: Path,
    listen: str,
    root: str,
    segment: str,
    options: Options,
    *,
    roles: bool = False,
) -> tuple[list[Any], bool]:
    keys, fresh = keys_of(folder)
    told = "new keys" if fresh else "the keys of an earlier run"
    clock = RealClock()
    repository = Repository(folder, clock.wall_ms()) if roles else None
    trust = folder / TRUST_FILE if repository is None else repository.anchor
    _tell(f"{told}: the device must trust {trust}")
    stage = Stage(
        endpoint_of(broker), device, keys, clock, root=root, segment=segment, repository=repository
    )
    if listen:
        host, _, port = listen.rpartition(":")
        _tell(f"{device} connects to {host}:{await stage.listen(host, int(port))}")
    await play(stage, options, _tell)
    return stage.ledger.findings(), stage.ledger.passed


def endpoint_of(url: str) -> Endpoint:
    """The broker that a URL names.

    Raises:
        ValueError: not such a URL.
    """
    parts = urlsplit(url if "://" in url else f"mqtt://{url}")
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"expected mqtt://host:port or mqtts://host:port, found {url}")
    tls = None
    if parts.scheme == "mqtts":
        import ssl

        tls = ssl.create_default_context()
    return Endpoint(
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        tls=tls,
        username=parts.username,
        password=parts.password,
    )


def _tell(text: str) -> None:
    typer.echo(text, err=True)
