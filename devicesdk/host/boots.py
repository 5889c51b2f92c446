"""The boot counter: a number that grows with every start of a device.

Decides how it survives: a small file, saved before the boot is heard of. Leaves out what it orders
(`have` and `link` are newer by it). Where the file was lost and the device has run before, the wall
clock in seconds takes over: larger than any count of boots, and growing.
"""

from __future__ import annotations

from typing import Final

from devicesdk.agent.shared import STATE_FILE
from devicesdk.host.storage import Storage, StorageRefused

BOOT_FILE: Final = "boot"
_MS_A_SECOND: Final = 1000


def last_boot(storage: Storage) -> int | None:
    """The number of the boot before this one; None: nobody knows."""
    try:
        data = storage.read(BOOT_FILE)
        if data is None:
            return 0 if storage.read(STATE_FILE) is None else None
        number = int(data)
    except (StorageRefused, ValueError):
        return None
    return number if number >= 0 else None


def next_boot(storage: Storage, wall_ms: int) -> int:
    """Count this boot durably.

    Raises:
        StorageRefused: it could not be saved, and a device whose boots look alike must not speak.
    """
    last = last_boot(storage)
    number = max(1, wall_ms // _MS_A_SECOND) if last is None else last + 1
    storage.save(BOOT_FILE, b"%d" % number)
    return number
