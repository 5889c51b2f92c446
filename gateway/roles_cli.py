"""Commands of key ceremonies: `keys rotate`, `keys status`, `keys sign`, `keys release`, `keys publish`.

Decides options and what is said; `keys init --roles` is in broker_cli.py. Leaves out all work
(adapters/ceremony.py).

Exit codes: 0 done; 1 `status` found something that has expired or lacks signatures; 2 an argument cannot be
used, or a file is in the way. `keys publish`: as all that ask a gateway (gateway/commands/asking.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from devicesdk.aio.clock import RealClock

if TYPE_CHECKING:
    from devicesdk.bundle.roles import Shown
    from gateway.adapters.ceremony import Dates

EXIT_STALE: Final = 1
EXIT_INVALID: Final = 2
DAYS: Final = 365
WARN_DAYS: Final = 30
_DAY_MS: Final = 86_400_000

Folder = Annotated[Path, typer.Argument(metavar="DIR", show_default=False)]
Days = Annotated[int, typer.Option("--days", min=1, max=3650, help="How long it may be acted on.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="First line: the passphrase of offline keys; asked for without it.",
    ),
]


def register(keys: typer.Typer) -> None:
    """Add the commands to the group `keys`."""
    keys.command("rotate")(rotate)
    keys.command("status")(status)
    keys.command("sign")(sign)
    keys.command("release")(release)
    from gateway.commands.trust import publish

    keys.command("publish")(publish)


def rotate(
    folder: Folder,
    roles: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ROLE]...", help="root targets snapshot timestamp director flags"),
    ] = None,
    *,
    days: Days = DAYS,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make new keys for ROLEs and draft the root that says so; `keys sign` puts it into force."""
    from gateway.adapters import ceremony

    strange = [role for role in roles or () if role not in ceremony.ROTATABLE]
    if strange:
        raise _refusal(
            f"expected roles out of {', '.join(ceremony.ROTATABLE)}, found {', '.join(strange)}"
        )
    new_offline = any(role in ceremony.OFFLINE for role in roles or ())
    secret = passphrase(passphrase_file, confirm=True) if new_offline else ""
    with explained():
        draft, *files = ceremony.rotate(folder, dict.fromkeys(roles or ()), secret, dates(days))
    for file in (draft, *files):
        typer.echo(file)
    typer.echo(f"Now sign {draft} with old and new root keys: fleetdrill keys sign", err=True)


def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    *,
    keys: Annotated[list[Path], typer.Option("--key", metavar="FILE", help="Repeatable.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Add signatures of offline keys to a root or to targets."""
    from gateway.adapters import ceremony

    folder = file.resolve().parent.parent
    with explained():
        shown = ceremony.sign(file, keys, passphrase(passphrase_file), folder)
        lacks = ceremony.missing(shown, folder)
    said = f"needs {lacks} more" if lacks else "is complete"
    typer.echo(f"{shown.role} {shown.version} has {len(shown.signers)} signatures and {said}")


def release(
    folder: Folder,
    *,
    bundles: Annotated[
        list[Path] | None,
        typer.Option("--bundle", metavar="DIR", help="Folder with bundle.json; repeatable."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="ID/VERSION", help="List it no more; repeatable."),
    ] = None,
    floors: Annotated[
        list[str] | None,
        typer.Option("--floor", metavar="ID=N", help="No release below N of ID; repeatable."),
    ] = None,
    days: Days = DAYS,
) -> None:
    """Draft the next targets: what may be installed from now on. `keys sign` puts them into force."""
    from gateway.adapters import ceremony

    with explained():
        lowest = dict(_floor(word) for word in floors or ())
        entries = [_listed(folder, bundle) for bundle in bundles or ()]
        file = ceremony.release(folder, entries, drop or (), lowest, dates(days))
    typer.echo(file)


def status(folder: Folder) -> None:
    """Show roots and targets: version, days left, who has signed, what is listed."""
    from devicesdk.bundle.roles import show
    from gateway.adapters import ceremony

    with explained():
        roles = folder / ceremony.ROLES_FOLDER
        newest = show(ceremony.read(roles / ceremony.ROOT_FILE))
        targets = show(ceremony.read(roles / ceremony.TARGETS_FILE))
        drafts = [
            show(ceremony.read(file))
            for file in sorted(roles.glob("*.root.json"))
            if int(file.name.split(".")[0]) > newest.version
        ]
        now_ms, stale = RealClock().wall_ms(), False
        for shown in (newest, *drafts, targets):
            lacks = ceremony.missing(shown, folder)
            stale |= _tell(shown, lacks, now_ms)
    for name, quorum in newest.quorums.items():
        keys = ", ".join(str(key.keyid)[:8] for key in quorum.keys)
        typer.echo(f"  {name:<9} {quorum.threshold} of {len(quorum.keys)}: {keys}")
    for one in sorted(targets.listed):
        typer.echo(f"  {one.path}  release {one.release}  for {', '.join(one.hardware)}")
    if stale:
        raise typer.Exit(EXIT_STALE)


def dates(days: int) -> Dates:
    """From now on, for so many days."""
    from gateway.adapters.ceremony import Dates

    now_ms = RealClock().wall_ms()
    return Dates(now_ms, now_ms + days * _DAY_MS)


def passphrase(file: Path | None, *, confirm: bool = False) -> str:
    """The passphrase of offline keys: from a file that only its owner reads, or asked for."""
    from gateway.adapters.keys import refuse_open

    if file is None:
        said: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm)
        return said
    with explained():
        refuse_open(file)
        return file.read_text().partition("\n")[0]


@contextmanager
def explained(*more: type[Exception]) -> Iterator[None]:
    """Turn what may go wrong into one line and an exit code."""
    from gateway.adapters.keys import KeyFileError

    expected: tuple[type[Exception], ...] = (KeyFileError, ValueError, OSError, *more)
    try:
        yield
    except expected as error:
        raise _refusal(str(error)) from error


def _tell(shown: Shown, lacks: int, now_ms: int) -> bool:
    """Print one line; whether somebody has to do something."""
    left = (shown.expires_ms - now_ms) // _DAY_MS
    expired = shown.expires_ms <= now_ms
    age = "EXPIRED" if expired else f"{left} days left" + (" !" if left < WARN_DAYS else "")
    by = ", ".join(key[:8] for key in shown.signers) or "nobody"
    need = f", {lacks} more needed" if lacks else ""
    typer.echo(f"{shown.role} {shown.version}: {age}; signed by {by}{need}")
    return expired or bool(lacks)


def _floor(word: str) -> tuple[str, int]:
    name, _, number = word.partition("=")
    if not name or not number.isdecimal():
        raise ValueError(f"expected --floor ID=N such as gauge=3, found {word!r}")
    return name, int(number)


def _listed(folder: Path, bundle: Path) -> Any:
    """What targets say of a bundle: its envelope is the same whenever targets.key seals it."""
    from devicesdk.bundle.build import build_bundle
    from devicesdk.bundle.roles import listed
    from devicesdk.bundle.source import read_release
    from devicesdk.bundle.trust import ROLE_TARGETS
    from gateway.adapters.keys import read_signer
    from gateway.commands.sealing import reader

    built = build_bundle(*read_release(reader(bundle)))
    digest, blobs = built.sealed(read_signer(folder, ROLE_TARGETS))
    return listed(built.manifest, blobs[digest])


def _refusal(reason: str) -> typer.Exit:
    typer.echo(reason, err=True)
    return typer.Exit(EXIT_INVALID)
