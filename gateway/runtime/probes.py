"""Looks at what the core cannot see: the disk, certificates, the roles' expiry, the audit log.

Decides what is looked at, and what is told of it as readings of alarms. Leaves out what is near or full
(gateway/core/alarms/rules.py).

Rules: a probe that fails is a reading or is logged, it never ends the gateway; files are read on another thread. A
timestamp or snapshot is renewed by the gateway itself in time, so it is only told of when that did not happen.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from devicesdk.bundle.roles import show
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.timebase import DAY, HOUR, MS, SECOND
from gateway.adapters.expiries import certificate_ends, certificates_in
from gateway.core.alarms.rules import AUDIT_BROKEN, DISK, EXPIRY
from gateway.core.control.trust import SNAPSHOT, TARGETS, TIMESTAMP
from gateway.core.gateway import Gateway
from gateway.core.stimuli import Observed, Reading
from gateway.ports import StorageError
from gateway.runtime.life import BusyError, NotRunningError
from gateway.runtime.logs import say
from gateway.runtime.patrol import Patrol
from gateway.runtime.runtime import Runtime

LATE_NS: Final = 12 * HOUR
"""A role that the gateway renews itself and that ends sooner was not renewed."""
_MIB: Final = 1024 * 1024
_GIB: Final = 1024 * _MIB


class Probes:
    """Looks.

    Args:
        runtime: is told.
        state: the state folder, on the disk that counts.
        files: PEM files.
        folder: of the broker's certificates, or none.
        patrol: reads the audit log.
        stories: what else was found wrong with that log.
        wall_ms: UTC now.
    """

    def __init__(
        self,
        runtime: Runtime,
        state: Path,
        files: tuple[Path, ...],
        folder: Path | None,
        patrol: Patrol,
        stories: Callable[[], tuple[str, ...]],
        wall_ms: Callable[[], int],
    ) -> None:
        self._runtime, self._state, self._files, self._folder = runtime, state, files, folder
        self._patrol, self._stories, self._wall_ms = patrol, stories, wall_ms

    async def run(self, every_s: float) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except (NotRunningError, BusyError):
                pass  # it stops or restarts, or has no time: look again
            except StorageError as error:
                say(logging.ERROR, "a probe failed", error=error)
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Look at everything once and tell the core.

        Raises:
            StorageError: the database does not answer.
            NotRunningError: the gateway does not run.
            BusyError: it has no time.
        """
        loop = asyncio.get_running_loop()
        at = self._wall_ms() * MS
        roles = await self._runtime.read(roles_of)
        ends = await loop.run_in_executor(None, self._certificates, at)
        disk = await loop.run_in_executor(None, disk_of, self._state)
        await self._patrol.look(int(loop.time() * SECOND))
        told = (
            Observed(DISK, tuple(disk)),
            Observed(EXPIRY, (*ends, *role_readings(roles, at))),
            Observed(AUDIT_BROKEN, tuple(broken((*self._stories(), *self._patrol.stories)))),
        )
        await self._runtime.submit(*told)

    def _certificates(self, at: int) -> list[Reading]:
        folder = [] if self._folder is None else certificates_in(self._folder)
        return [certificate_reading(file, at) for file in (*self._files, *folder)]


def disk_of(folder: Path) -> list[Reading]:
    """Free space where a folder lies, percent of what may be used."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        say(logging.ERROR, "cannot see how full the disk is", folder=folder, error=error)
        return []
    whole = max(usage.used + usage.free, 1)
    return [Reading(str(folder), 100 * usage.free // whole, _size(usage.free))]


def _size(free_bytes: int) -> str:
    if free_bytes < _GIB:
        return f"{free_bytes // _MIB} MiB"
    return f"{free_bytes / _GIB:.1f} GiB"


def certificate_reading(file: Path, at: int) -> Reading:
    """How long a certificate is good, whole days from `at` (UTC, ns)."""
    try:
        ends = certificate_ends(file)
    except (OSError, ValueError) as error:
        return Reading(f"Certificate {file}", 0, f"it cannot be read: {error}")
    return _ends(f"Certificate {file}", round(ends.timestamp()) * SECOND, at)


def roles_of(core: Gateway) -> dict[str, bytes]:
    """Metadata of the roles that count: the newest root, and the others."""
    rows = core.control.roles
    roots = sorted((key for key in rows if key.startswith("root/")), key=lambda key: int(key[5:]))
    names = [*roots[-1:], *(name for name in (TARGETS, SNAPSHOT, TIMESTAMP) if name in rows)]
    return {name: rows[name].data for name in names}


def role_readings(roles: Mapping[str, bytes], at: int) -> list[Reading]:
    """How long roles hold, whole days from `at` (UTC, ns)."""
    found = []
    for name, data in roles.items():
        try:
            ends = show(data).expires_ms * MS
        except ProtocolError as error:
            found.append(Reading(f"Role {name}", 0, f"it cannot be read: {error}"))
            continue
        if name not in (SNAPSHOT, TIMESTAMP) or ends - at < LATE_NS:
            found.append(_ends(f"Role {name}", ends, at))
    return found


def broken(stories: Iterable[str]) -> list[Reading]:
    """What is wrong with the audit log, if anything is."""
    words = "; ".join(dict.fromkeys(stories))
    return [Reading("audit log", 1, words)] if words else []


def _ends(subject: str, ends: int, at: int) -> Reading:
    when = datetime.fromtimestamp(ends // SECOND, UTC)
    return Reading(subject, max(ends - at, 0) // DAY, f"on {when:%Y-%m-%d %H:%M}Z")
