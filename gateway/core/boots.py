"""When a device that counts its boots anew is believed again.

Decides one thing: after how long a boot older than the newest that was heard is the newest. A device whose
storage was restored from a backup or replaced counts from an earlier number; and whoever held its
credentials for a moment may have named a number that it never reaches. Without this, nothing that the
device says would count again. Leaves out what is newer within a boot (control/twins.py,
collect/sources.py).

Rules: a broker delivers what one device says in its order, so an older boot that speaks *after* a newer
one is a repetition or a counter that went back; a repetition ends, so the older boot has to speak for
`BOOT_BACK_NS` while the newest says nothing. What a broker kept (retain) proves nothing.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.timebase import HOUR

BOOT_BACK_NS: Final = HOUR

Doubt = tuple[tuple[int, int, int], int]
"""What the newest boot had said when an older one first spoke, and when that was (ns)."""


def in_doubt(doubt: Doubt | None, newest: tuple[int, int, int], now: int) -> tuple[Doubt, bool]:
    """An older boot spoke.

    Args:
        doubt: what the last call returned.
        newest: what the newest boot has said; other numbers mean that it speaks.
        now: instant, ns.

    Returns:
        What to pass next time, and whether the older boot is the newest from now on.
    """
    if doubt is None or doubt[0] != newest:
        return (newest, now), False
    return doubt, now - doubt[1] >= BOOT_BACK_NS
