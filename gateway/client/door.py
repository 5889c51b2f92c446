"""The way to a gateway through the door of its state folder.

Decides how lists become pages and where blobs are put: into the folder's own store, because whoever opens the
door may write there. Leaves out the door (gateway/runtime/door.py).

Rules: nothing is asked twice, because the door keeps no keys: after a lost answer one looks.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.adapters.blobs import FileBlobs
from gateway.client.way import NoEventsError, Page, Told
from gateway.core.access.roles import GRANTS, Role
from gateway.ports import BlobError
from gateway.runtime import verbs
from gateway.runtime.knock import knock
from gateway.runtime.verbs import AnyVerb

BLOBS_FOLDER: Final = "blobs"


class DoorWay:
    """A way through the door.

    Args:
        state: the state folder.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._blobs: FileBlobs | None = None

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._state)

    def ask(self, verb: AnyVerb) -> Any:
        """What a verb answers."""
        return knock(self._state, verb)

    def page(self, verb: AnyVerb, after: str = "") -> Page:
        """One page of a list; the door's own say `next` as a key, not as a cursor."""
        if after:
            place: Any = int(after) if isinstance(verb, _BY_NUMBER) else after
            verb = msgspec.structs.replace(verb, after=place)
        found = self.ask(verb)
        if isinstance(verb, verbs.ReadLog):
            full = len(found) == verb.limit
            return Page({"entries": found}, str(found[-1]["number"]) if full else "")
        then = found["next"]
        return Page(found, "" if then is None else str(then))

    def holds(self, digest: bytes) -> bool:
        """Whether the folder has a blob, whole."""
        try:
            self._store().verify(digest)
        except BlobError:
            return False
        return True

    def store(self, blob: bytes, told: Told) -> bytes:
        """Put a blob into the folder."""
        digest = self._store().put(blob)
        told(len(blob))
        return digest

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        """A part of a blob."""
        return self._store().read(digest, offset, size)

    def whoami(self) -> dict[str, Any]:
        """The owner of the folder; asks, to know that somebody is there."""
        self.ask(verbs.Overview())
        may = sorted(permission.value for permission in GRANTS[Role.ADMIN])
        name = f"local:{getpass.getuser()}"
        return {"name": name, "role": Role.ADMIN.value, "labels": {}, "permissions": may}

    def events(self, last: str) -> Iterator[tuple[str, str, Any]]:
        """None by this way.

        Raises:
            NoEventsError: always.
        """
        raise NoEventsError(f"expected events after {last!r}, found a door that is only asked")

    def close(self) -> None:
        """Close the blobs."""
        if self._blobs is not None:
            self._blobs.close()
            self._blobs = None

    def _store(self) -> FileBlobs:
        if self._blobs is None:
            self.ask(verbs.Overview())  # before anything is written: is there a gateway?
            self._blobs = FileBlobs(self._state / BLOBS_FOLDER)
        return self._blobs


_BY_NUMBER: Final = (verbs.PageRollouts, verbs.ReadLog, verbs.ListAlarms)
