"""Making an image out of a delta and the image that runs, file to file.

Decides how `ApplyDelta` meets the disk: base and delta are read by ranges, the slot is emptied and written
in order, and it is durable before the answer. Leaves out what a delta is (devicesdk/bundle) and when one is
applied (the agent). Runs in the worker's thread.

Rules: memory is bounded whatever the sizes (`devicesdk.bundle.delta.APPLY_BYTES_MAX`); what cannot be read
or written is an answer, never an exception, because a device can still fetch the image.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from devicesdk.agent.effects import ApplyDelta
from devicesdk.agent.stimuli import DeltaApplied
from devicesdk.host.storage import Storage, StorageRefused

_log = logging.getLogger("fleetdrill.device")


class Ranges:
    """A file that is read by ranges (`devicesdk.bundle.delta_apply.Source`).

    Args:
        fd: open for reading.
        size_bytes: how much of it counts; None: all.
    """

    __slots__ = ("_fd", "size_bytes")

    def __init__(self, fd: int, size_bytes: int | None = None) -> None:
        self._fd = fd
        found = os.fstat(fd).st_size
        self.size_bytes = found if size_bytes is None else min(found, size_bytes)

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`."""
        return os.pread(self._fd, max(0, min(size, self.size_bytes - offset)), offset)


def apply(storage: Storage, asked: ApplyDelta) -> DeltaApplied:
    """Do it; may be called from another thread."""
    from devicesdk.bundle.delta import BadDelta
    from devicesdk.bundle.delta_apply import InMemory, apply_delta

    try:
        with _reading(storage, asked.delta) as delta, _reading(storage, asked.base) as base:
            source = InMemory(b"") if delta is None else Ranges(delta, asked.delta_bytes)
            with storage.rewritten(asked.file) as write:
                apply_delta(source, None if base is None else Ranges(base), asked.size_bytes, write)
    except BadDelta as error:
        _log.warning("delta=refused why=%s", error)
        return DeltaApplied(asked.file, ok=False, reason="delta")
    except (StorageRefused, OSError) as error:
        _log.error("storage=%s", error)
        return DeltaApplied(asked.file, ok=False, reason="storage")
    return DeltaApplied(asked.file, ok=True, reason="")


@contextmanager
def _reading(storage: Storage, file: str) -> Iterator[int | None]:
    fd = storage.open_reading(file) if file else None
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)
