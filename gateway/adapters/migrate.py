"""Brings a database to the schema that this program knows.

Decides that an older schema is migrated, and a newer one refused. Leaves out the steps themselves
(migrations/versions, run by Alembic) and the bytes of rows, which need no migration: fields are only
ever added to them.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from gateway.ports import StorageError

FOLDER: Final = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> None:
    """Run what is missing, in the caller's transaction.

    Raises:
        StorageError: the schema is newer than this program, or of another one.
    """
    config = _config()
    config.attributes["connection"] = connection
    known = ScriptDirectory.from_config(config)
    head = known.get_current_head()
    found = MigrationContext.configure(connection).get_current_revision()
    if found == head:
        return
    names = {script.revision for script in known.walk_revisions()}
    if found is not None and found not in names:
        raise StorageError(
            f"expected a database schema up to {head}, found {found}: a newer fleetdrill wrote it; "
            "start that version, or restore a backup that is older than the upgrade"
        )
    with contextlib.redirect_stdout(io.StringIO()):
        command.upgrade(config, "head")


def newest() -> str:
    """The revision that this program writes."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "a program without a schema"
    return head


def knows(revision: str) -> bool:
    """Whether this program knows a schema, its own or an older one."""
    walked = ScriptDirectory.from_config(_config()).walk_revisions()
    return any(script.revision == revision for script in walked)


def _config() -> Config:
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config
