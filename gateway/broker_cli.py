"""Commands around the broker: `broker` runs one, `keys init` and `keys device` make who may speak.

Decides options, defaults and what is said. Leaves out all work (adapters/brokers, adapters/keys.py,
adapters/certificates.py).

Exit codes: 0 done; 2 an argument cannot be used, or a file is in the way; 3 the broker failed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from devicesdk.aio.clock import RealClock
from devicesdk.wire.errors import BadTopic
from gateway import http_keys_cli, roles_cli

if TYPE_CHECKING:
    from gateway.adapters.brokers.running import RunningBroker

EXIT_INVALID: Final = 2
EXIT_BROKEN: Final = 3
PORT: Final = 1883
PORT_TLS: Final = 8883
STATE: Final = Path("runs/broker")
DAYS: Final = 365
SERVER_NAMES: Final = ("localhost", "127.0.0.1")
LOOK_S: Final = 0.5
"""How often a broker in the foreground is looked after."""

Days = Annotated[int, typer.Option(min=1, help="How long certificates are valid.")]
Devices = Annotated[
    list[str] | None,
    typer.Option("--device", metavar="ID", help="Also a certificate for this device; repeatable."),
]
ServerNames = Annotated[
    list[str] | None,
    typer.Option(
        "--server-name",
        metavar="HOST",
        help="Host name or address by which clients reach the broker; repeatable. "
        "By default localhost and 127.0.0.1.",
    ),
]
KeyFolder = Annotated[Path, typer.Argument(metavar="DIR", show_default=False)]

RootKeys = Annotated[int, typer.Option(min=1, max=20, help="With --roles: how many root keys.")]
RootThreshold = Annotated[
    int, typer.Option(min=1, max=20, help="With --roles: how many of them must sign.")
]
TargetsKeys = Annotated[
    int, typer.Option(min=1, max=20, help="With --roles: how many targets keys.")
]
TargetsThreshold = Annotated[
    int, typer.Option(min=1, max=20, help="With --roles: how many of them must sign.")
]

keys_app = typer.Typer(no_args_is_help=True, help="Make signing keys and certificates.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(broker)
    roles_cli.register(keys_app)
    http_keys_cli.register(keys_app)
    app.add_typer(keys_app, name="keys")


def broker(
    *,
    state: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for configuration, log and sessions.")
    ] = STATE,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help=f"Port on loopback; {PORT}, or {PORT_TLS} with --tls; 0 for a free one.",
            show_default=False,
        ),
    ] = None,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls", help="TLS with client certificates and permissions by topic, as in a plant."
        ),
    ] = False,
    devices: Devices = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="The embedded broker, even if there is mosquitto.")
    ] = False,
) -> None:
    """Run a broker in the foreground until Ctrl-C."""
    if embedded and tls:
        raise _refusal("expected --tls or --embedded, found both: the embedded broker has no TLS")
    if devices and not tls:
        raise _refusal("expected --tls beside --device: without it nobody has a certificate")
    chosen = port if port is not None else (PORT_TLS if tls else PORT)
    with _explained():
        raise typer.Exit(asyncio.run(_broker(state, chosen, tls, _once(devices), embedded)))


async def _broker(
    state: Path,
    port: int,
    tls: bool,  # noqa: FBT001 - passed on by `broker` alone
    devices: tuple[str, ...],
    embedded: bool,  # noqa: FBT001 - same
) -> int:
    from gateway.adapters.brokers.find import open_broker

    if tls:
        running = await _tls_broker(state, port, devices)
    else:
        running = await open_broker("embedded" if embedded else "auto", state, port=port)
    async with running:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        typer.echo(running.url)
        typer.echo(f"{running.name}, process {running.pid}, log in {running.log}", err=True)
        for lack in running.lacks:
            typer.echo(f"  {lack}", err=True)
        typer.echo("Ctrl-C stops it.", err=True)
        while not stop.is_set() and running.alive:
            await _pause(stop)
        if stop.is_set():
            return 0
    typer.echo(f"the broker ended by itself; see {running.log}", err=True)
    return EXIT_BROKEN


async def _pause(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), LOOK_S)
    except TimeoutError:
        return


async def _tls_broker(state: Path, port: int, devices: tuple[str, ...]) -> RunningBroker:
    from gateway.adapters.brokers.mosquitto import start_mosquitto

    certificates, acl = _prepare_tls(state, devices)
    return await start_mosquitto(
        state, port=port, certificates=certificates, acl=acl, bind_names=True
    )


def _prepare_tls(state: Path, devices: tuple[str, ...]) -> tuple[Path, Path]:
    """Certificates in ``state/tls``, made if there are none yet, and the table of permissions."""
    from gateway.adapters.brokers.acl import acl_text
    from gateway.adapters.brokers.process import ready_folder
    from gateway.adapters.certificates import TLS_FOLDER

    certificates = ready_folder(state) / TLS_FOLDER
    if not (certificates / "ca.crt").exists():
        _make_tls(certificates, SERVER_NAMES, devices, DAYS)
    elif devices:
        _issue(certificates, devices, DAYS)
    acl = state / "acl"
    acl.write_text(acl_text())
    return certificates, acl


@keys_app.command("init")
def init(
    folder: KeyFolder,
    *,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls", help="Also an authority, a server certificate and the gateway's own."
        ),
    ] = False,
    devices: Devices = None,
    server_names: ServerNames = None,
    days: Days = DAYS,
    roles: Annotated[
        bool,
        typer.Option(
            "--roles", help="Also keys and first metadata of TUF roles, offline ones encrypted."
        ),
    ] = False,
    root_keys: RootKeys = 3,
    root_threshold: RootThreshold = 2,
    targets_keys: TargetsKeys = 2,
    targets_threshold: TargetsThreshold = 2,
    passphrase_file: roles_cli.PassphraseFile = None,
) -> None:
    """Make signing keys in DIR, and with --tls certificates for the broker and its clients."""
    from gateway.adapters.certificates import TLS_FOLDER, Issued
    from gateway.adapters.keys import OFFLINE_ROLES, init_keys, key_file, refuse_existing

    if devices and not tls:
        raise _refusal("expected --tls beside --device: a device's key is in its certificate")
    certificates = folder / TLS_FOLDER
    authority = Issued.at(certificates / "ca")
    shares = {"root": (root_keys, root_threshold), "targets": (targets_keys, targets_threshold)}
    secret = roles_cli.passphrase(passphrase_file, confirm=True) if roles else ""
    with _explained():
        if tls:
            _check_names(_once(devices))
            refuse_existing(authority.certificate, authority.key)
        written = init_keys(folder)
        if roles:
            written += _begin_roles(folder, shares, secret, days)
        if tls:
            names = tuple(server_names or SERVER_NAMES)
            _make_tls(certificates, names, _once(devices), days)
    for file in written:
        typer.echo(file)
    if tls:
        typer.echo(certificates)
    offline = [key_file(folder, role) for role in OFFLINE_ROLES] + ([authority.key] if tls else [])
    offline += [folder / "offline"] if roles else []
    typer.echo("Keep offline, on no machine that a gateway or a broker runs on:", err=True)
    for file in offline:
        typer.echo(f"  {file}", err=True)


def _begin_roles(
    folder: Path, shares: dict[str, tuple[int, int]], secret: str, days: int
) -> tuple[Path, ...]:
    from gateway.adapters.ceremony import Shares, begin

    wanted = {role: Shares(*said) for role, said in shares.items()}
    return begin(folder, wanted, secret, roles_cli.dates(days))


@keys_app.command("device")
def device(
    folder: KeyFolder,
    ident: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    *,
    days: Days = DAYS,
) -> None:
    """Make a certificate for one more device, by the authority in DIR; print what to copy to it."""
    from gateway.adapters.certificates import TLS_FOLDER, client_pair
    from gateway.adapters.keys import TRUST_FILE

    certificates = folder / TLS_FOLDER
    with _explained():
        _issue(certificates, (ident,), days)
    pair = client_pair(certificates, ident)
    for file in (folder / TRUST_FILE, certificates / "ca.crt", pair.certificate, pair.key):
        typer.echo(file)


def _make_tls(folder: Path, names: tuple[str, ...], devices: tuple[str, ...], days: int) -> None:
    from gateway.adapters.brokers.acl import ALARMS, GATEWAY_USERS, HEALTH, RECORDER
    from gateway.adapters.certificates import make_tls

    _check_names(devices)
    make_tls(folder, names, (*GATEWAY_USERS, HEALTH, RECORDER, ALARMS, *devices), _now(), days)


def _issue(folder: Path, devices: tuple[str, ...], days: int) -> None:
    from gateway.adapters.certificates import Authority

    _check_names(devices)
    authority = Authority.open(folder)
    for name in devices:
        authority.issue_client(name, _now(), days)


def _check_names(devices: tuple[str, ...]) -> None:
    """A device with a gateway's name would have a gateway's rights."""
    from devicesdk.wire.topics import check_device_id
    from gateway.adapters.brokers.acl import is_reserved

    for name in devices:
        if is_reserved(check_device_id(name)):
            raise _refusal(f"expected a device's id, found {name}, which is a gateway's name")


def _once(devices: list[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(devices or ()))


def _now() -> datetime:
    return datetime.fromtimestamp(RealClock().wall_ms() / 1000, UTC)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what may go wrong into one line and an exit code."""
    from gateway.adapters.brokers.process import BrokerError
    from gateway.adapters.keys import KeyFileError

    try:
        yield
    except (KeyFileError, BadTopic, ValueError) as error:
        raise _refusal(str(error)) from error
    except BrokerError as error:
        typer.echo(error, err=True)
        raise typer.Exit(EXIT_BROKEN) from error


def _refusal(reason: str) -> typer.Exit:
    typer.echo(reason, err=True)
    return typer.Exit(EXIT_INVALID)
