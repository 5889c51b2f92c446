"""Command `gateway prune`: blobs that nothing names, told and removed.

Decides options and what people are told. Leaves out what names a blob (gateway/adapters/unnamed.py). Exit codes as in asking.py.

Rules: it needs a gateway that does not run, and removes nothing unless told to: nothing here happens by itself; nor does it
remove anything from a folder that does not say which database it was used with.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.client.reach import STATE
from gateway.commands.asking import EXIT_DONE, AsJson, State, guarded
from gateway.commands.backup import ConfigFile, _config, _now_ms, _tell

if TYPE_CHECKING:
    from gateway.adapters.storage import SqlStorage

AGE: Final = "7d"
SHOWN_MAX: Final = 10


def register(gateway_app: typer.Typer) -> None:
    """Add the command to `gateway`."""
    gateway_app.command("prune")(prune)


def prune(
    *,
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Younger blobs stay: their bundle may be on its way.")
    ] = AGE,
    remove: Annotated[bool, typer.Option("--remove", help="Remove them, not only tell.")] = False,
    state: State = STATE,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell which blobs no bundle, delta, rollout or role names, and remove them; the gateway must not run."""
    raise typer.Exit(
        guarded(lambda: _prune(state, config, older_than, remove=remove, as_json=as_json))
    )


def _prune(state: Path, file: Path | None, age: str, *, remove: bool, as_json: bool) -> int:
    from devicesdk.wire.timebase import SECOND, parse_duration
    from gateway.adapters import unnamed
    from gateway.adapters.storage import SqlStorage, sqlite_url
    from gateway.adapters.tenure import alone
    from gateway.service import BLOBS_FOLDER

    before_s = _now_ms() / 1000 - parse_duration(age) / SECOND
    folder, database = state / BLOBS_FOLDER, state / "gateway.db"
    url = _config(file).gateway.database
    if not folder.is_dir():
        raise ValueError(f"expected a gateway's blobs in {folder}, found no such folder")
    if not url and not database.is_file():
        raise ValueError(f"expected the gateway's database in {database}, found no such file")
    storage = SqlStorage(url or sqlite_url(database))
    with closing(storage), alone(folder):
        found = unnamed.unnamed(storage, folder)
        old = [path for path in found if path.stat().st_mtime < before_s]
        size = sum(path.stat().st_size for path in old)
        if remove:
            _refuse_unknown(storage, folder)
            unnamed.remove(old, before_s)
    facts = {
        "unnamed": len(found), "old": [path.name for path in old], "bytes": size, "removed": remove,
    }  # fmt: skip
    done = "removed" if remove else "would be removed by --remove"
    said = [
        f"{len(found)} blobs that nothing names; {len(old)} older than {age}, {size} bytes, {done}"
    ]
    said += [f"  {path.name}" for path in old[:SHOWN_MAX]]
    said += [f"  and {len(old) - SHOWN_MAX} more"] if len(old) > SHOWN_MAX else []
    _tell(facts, said, as_json=as_json)
    return EXIT_DONE


def _refuse_unknown(storage: SqlStorage, folder: Path) -> None:
    from gateway.adapters.tenure import Tenure, tenure

    if tenure(storage, folder) is not Tenure.LAST:
        raise ValueError(
            f"expected {folder} to say which database it was used with, found that it does not: an older "
            "fleetdrill used it, or a restore made it; start its gateway once, then ask again. Nothing was removed"
        )
