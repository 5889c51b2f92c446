"""A state folder as a gateway leaves it, for tests of backups: rows of many kinds, an audit log, blobs, keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.adapters.blobs import FileBlobs
from gateway.adapters.keys import init_keys, read_signer
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.core import rows
from gateway.core.access.tokens import TOKEN, TokenRow
from gateway.core.aside import ASIDE
from gateway.core.audit.chain import ROLE_AUDIT
from gateway.core.audit.journal import Entry, Journal
from gateway.core.audit.rows import AnswerRow
from gateway.core.gateway import TABLES

MADE_MS, NOW_MS = 1_750_000_000_000, 1_750_000_900_000


def silent(what: str, done_bytes: int, total_bytes: int) -> None:
    """Progress that nobody watches."""
    assert done_bytes >= 0, what
    assert done_bytes <= total_bytes or not total_bytes, what


class State:
    """A folder with `devices` devices in it.

    Args:
        folder: where.
        url: of its database; empty: SQLite in it.
    """

    def __init__(self, folder: Path, url: str = "", devices: int = 30) -> None:
        self.folder, self.blobs, self.keys = folder, folder / "blobs", folder / "keys"
        folder.mkdir(parents=True, exist_ok=True)
        self.url = url or sqlite_url(folder / "gateway.db")
        init_keys(self.keys)
        store = FileBlobs(self.blobs)
        self.digests = [store.put(bytes([n]) * (n * 40_000 + 1)) for n in range(3)]
        self.storage = SqlStorage(self.url)
        self.journal = Journal(read_signer(self.keys, ROLE_AUDIT))
        for number in range(devices):
            device = f"kiosk-{number:04}"
            self.storage.put(rows.DEVICE, device, rows.DeviceRow({"region": "eu"}, enrolled=True))
            want = rows.DesiredRow(3, self.digests[0], "r1", rows.Purpose.UPDATE)
            self.storage.put(rows.DESIRED, device, want)
        self.storage.put(rows.KILL, "list", rows.KillRow(2, ("gauge",)))
        token = TokenRow("ana", "admin", b"x" * 32, MADE_MS, MADE_MS + 1, "first")
        self.storage.put(TOKEN, "ana", token)
        for persist in self.journal.remember("ana", "key", AnswerRow(MADE_MS, b"f", 200, b"{}")):
            self.storage.put(persist.table, persist.key, persist.row)
        self.log("kill", "rollout.create")
        self.storage.commit()

    def log(self, *verbs: str) -> None:
        """Add entries to the audit log, in the open batch."""
        for verb in verbs:
            entry = Entry(
                actor="ana", role="admin", verb=verb, subject="x", arguments=b"{}", outcome="done",
                said=(),
            )  # fmt: skip
            for persist in self.journal.write(entry, MADE_MS):
                self.storage.put(persist.table, persist.key, persist.row)


def everything(storage: SqlStorage) -> dict[tuple[str, str], Any]:
    """All durable rows, those aside too."""
    found = {}
    for table in {**TABLES, **ASIDE}:
        after = ""
        while page := storage.page(table, after, 500):
            found.update({(table, key): row for key, row in page})
            after = page[-1][0]
    return found
