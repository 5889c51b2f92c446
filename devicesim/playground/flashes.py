"""The flash of a playground's devices, over its end: a device is what it was when it comes back.

Decides what is kept (durable files, and how often a device has booted) and when it is written: a boot at once, because a
gateway believes the newest boot; all else once a second. Leaves out what agents store.

Rules: a file is written beside and renamed; what a killed playground had not written is what a device with a slow disk
would have lost, and the gateway sees an honest report of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from devicesim.world.watch import Watcher

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost

SUFFIX: Final = ".flash"


class Kept(msgspec.Struct):
    """One device."""

    boots: int
    small: dict[str, bytes]
    extents: dict[str, dict[int, bytes]]


class Flashes(Watcher):
    """Keeps the flash of each device in a folder.

    Args:
        folder: which exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed: dict[str, DeviceHost] = {}

    def restore(self, hosts: Sequence[DeviceHost]) -> int:
        """Give devices what they had; returns how many there were. They are off.

        Raises:
            ValueError: a file is not what was written.
        """
        found = 0
        for host in hosts:
            file = self._file(host)
            if not file.exists():
                continue
            try:
                kept = msgspec.msgpack.decode(file.read_bytes(), type=Kept)
            except msgspec.MsgspecError as error:
                raise ValueError(
                    f"expected the flash of {host.device} in {file}, found: {error}; begin anew in another folder"
                ) from error
            host.boot_id = kept.boots
            host.parts.flash.restore(kept.small, kept.extents)
            found += 1
        return found

    def booted(self, host: DeviceHost, now: int) -> None:
        """Keep the number of this boot."""
        del now
        self._write(host)

    def stored(self, host: DeviceHost, effect: object, now: int) -> None:
        """Something of it changes."""
        del effect, now
        self._changed[host.device] = host

    def save(self) -> None:
        """Write what has changed."""
        changed, self._changed = self._changed, {}
        for host in changed.values():
            self._write(host)

    def _write(self, host: DeviceHost) -> None:
        file = self._file(host)
        beside = file.with_suffix(".part")
        beside.write_bytes(msgspec.msgpack.encode(Kept(host.boot_id, *host.parts.flash.contents())))
        beside.replace(file)

    def _file(self, host: DeviceHost) -> Path:
        return self._folder / f"{host.device}{SUFFIX}"
