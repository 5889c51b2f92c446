"""Commands that keep what a gateway knows: `gateway backup`, `gateway restore`, `gateway scrub`.

Decides options, progress and what people are told. Leaves out the work (gateway/adapters/backup.py, restore.py).
Exit codes as in asking.py; a backup or a scrub that found damaged blobs ends with 1.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.client.reach import STATE
from gateway.commands.asking import EXIT_DONE, EXIT_REFUSED, AsJson, State, guarded

if TYPE_CHECKING:
    from gateway.adapters.archive import Manifest, Progress
    from gateway.config import Config

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The gateway's TOML file; variables override it.")
]
_SHOWN: Final = 10


def register(gateway_app: typer.Typer) -> None:
    """Add the commands to `gateway`."""
    gateway_app.command("backup")(backup)
    gateway_app.command("restore")(restore)
    gateway_app.command("scrub")(scrub)


def backup(
    to: Annotated[Path, typer.Argument(metavar="DEST", help="Folder to make.")],
    *,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Take private keys along: guard the backup as them.")
    ] = False,
    link: Annotated[
        bool, typer.Option("--link", help="Hard-link blobs: quick, but the same disk blocks.")
    ] = False,
    state: State = STATE,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Back up a gateway, while it runs or not."""
    raise typer.Exit(
        guarded(lambda: _backup(to, state, config, with_keys=with_keys, link=link, as_json=as_json))
    )


def restore(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A backup.")],
    *,
    state: Annotated[Path, typer.Option("--state", help="State folder to make.")],
    kill: Annotated[
        list[str] | None,
        typer.Option(metavar="FEATURE", help="Killed since the backup was made; repeatable."),
    ] = None,
    keep_tokens: Annotated[
        bool, typer.Option("--keep-tokens", help="Also those that were revoked since.")
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a state folder out of a backup, in the database that the configuration names."""
    raise typer.Exit(
        guarded(
            lambda: _restore(
                source, state, config, kill or [], keep_tokens=keep_tokens, as_json=as_json
            )
        )
    )


def scrub(*, state: State = STATE, as_json: AsJson = False) -> None:
    """Hash every blob, and name those that are damaged."""
    raise typer.Exit(guarded(lambda: _scrub(state, as_json=as_json)))


def _backup(
    to: Path,
    state: Path,
    file: Path | None,
    *,
    with_keys: bool,
    link: bool,
    as_json: bool,
) -> int:
    from gateway.adapters.backup import make_backup
    from gateway.adapters.storage import sqlite_url
    from gateway.service import BLOBS_FOLDER, KEYS_FOLDER

    os.umask(0o077)
    config = _config(file)
    keys = Path(config.gateway.keys) if config.gateway.keys else state / KEYS_FOLDER
    with _progress() as progress:
        made = make_backup(
            config.gateway.database or sqlite_url(state / "gateway.db"),
            state / BLOBS_FOLDER,
            keys,
            to,
            made_ms=_now_ms(),
            private=with_keys,
            link=link,
            progress=progress,
        )
    _tell({"backup": str(to), **_facts(made)}, _backed_up(to, made), as_json=as_json)
    return EXIT_REFUSED if made.damaged else EXIT_DONE


def _restore(
    source: Path,
    state: Path,
    file: Path | None,
    kills: list[str],
    *,
    keep_tokens: bool,
    as_json: bool,
) -> int:
    from gateway.adapters.restore import restore_backup

    os.umask(0o077)
    config = _config(file)
    with _progress() as progress:
        done = restore_backup(
            source,
            state,
            config.gateway.database,
            restored_ms=_now_ms(),
            kills=kills,
            keep_tokens=keep_tokens,
            progress=progress,
        )
    facts = {"state": str(state), **_facts(done.manifest), "killed": list(done.killed)}
    said = _restored(state, done.manifest, done.killed, keep_tokens=keep_tokens)
    _tell(facts, said, as_json=as_json)
    return EXIT_DONE


def _scrub(state: Path, *, as_json: bool) -> int:
    from hashlib import file_digest

    from gateway.adapters.backup import blob_files
    from gateway.service import BLOBS_FOLDER

    folder = state / BLOBS_FOLDER
    if not folder.is_dir():
        raise ValueError(f"expected a gateway's blobs in {folder}, found no such folder")
    files, damaged = list(blob_files(folder)), []
    total, done = sum(file.stat().st_size for file in files), 0
    with _progress() as progress:
        for path in files:
            with path.open("rb") as opened:
                found = file_digest(opened, "sha256").hexdigest()
            done += path.stat().st_size
            progress("blobs", done, total)
            if found != path.name:
                damaged.append(path.name)
    said = [f"{len(files)} blobs, {total} bytes: {len(damaged)} damaged", *_damage(damaged)]
    facts = {"blobs": len(files), "bytes": total, "damaged": damaged}
    _tell(facts, said, as_json=as_json)
    return EXIT_REFUSED if damaged else EXIT_DONE


# -- what is said ----------------------------------------------------------------------------------


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "made_ms": manifest.made_ms,
        "rows": sum(manifest.tables.values()),
        "blobs": len(manifest.blobs),
        "damaged": list(manifest.damaged),
        "private_keys": manifest.private,
        "audit_entries": manifest.audit_entries,
        "audit_head": manifest.audit_head,
    }


def _backed_up(to: Path, made: Manifest) -> list[str]:
    size = made.rows.bytes + sum(blob.bytes for blob in made.blobs)
    return [
        f"{to}: {sum(made.tables.values())} rows and {len(made.blobs)} blobs, {size} bytes",
        f"audit log: {made.audit_entries} entries {made.audit_head[:16]}".rstrip(),
        "private keys are in it: guard it as you guard them"
        if made.private
        else "private keys are not in it: keep them elsewhere, or no device trusts what is restored",
        *_damage(made.damaged),
    ]


def _restored(
    state: Path, manifest: Manifest, killed: tuple[str, ...], *, keep_tokens: bool
) -> list[str]:
    when = datetime.fromtimestamp(manifest.made_ms / 1000, UTC).isoformat(timespec="seconds")
    kept, gone = (
        "tokens are as they were, with those that were revoked since",
        "all tokens are revoked: the next start makes a first one",
    )
    lines = [
        f"{state}: the gateway as it was at {when}; nothing that happened since is known",
        f"killed: {', '.join(killed) or 'nothing'}",
        "what else was killed since runs again when this gateway starts: if anything was, remove the",
        "folder and restore again with --kill FEATURE",
        "running rollouts are paused and experiments frozen: look, then resume them",
        kept if keep_tokens else gone,
    ]
    if not manifest.private:
        lines.append(f"put the private keys into {state / 'keys'} before it starts")
    return [*lines, *_damage(manifest.damaged)]


def _damage(names: tuple[str, ...] | list[str]) -> list[str]:
    if not names:
        return []
    shown = [f"  {name}" for name in names[:_SHOWN]]
    more = [f"  and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ["damaged, remove them and publish their bundles again:", *shown, *more]


def _tell(facts: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    typer.echo(json.dumps(facts) if as_json else "\n".join(lines))


# -- surroundings ----------------------------------------------------------------------------------


def _config(file: Path | None) -> Config:
    from gateway.config import load_config

    return load_config(file.read_text() if file is not None else "", os.environ, str(file or ""))


def _now_ms() -> int:
    from devicesdk.aio.clock import RealClock

    return RealClock().wall_ms()


def _silence(what: str, done_bytes: int, total_bytes: int) -> None:
    """Nobody watches."""


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on standard error, on a terminal."""
    if not sys.stderr.isatty():
        yield _silence
        return
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description:>8}"),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(what: str, done_bytes: int, total_bytes: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total_bytes)
            bar.update(tasks[what], completed=done_bytes, total=total_bytes)

        yield tell
