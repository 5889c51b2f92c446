"""Flash memory as time and wear: how long a write takes and how many erasures are left.

Decides the duration of a write and the count of erased blocks. Leaves out contents, directories and
torn writes, which are the storage's own business in the world.
"""

from __future__ import annotations

import msgspec

from devicesdk.wire.timebase import SECOND


class FlashSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A flash device as its profile gives it (eMMC and SD cards write 5-40 MB/s)."""

    size_bytes: int
    write_bytes_per_s: float
    erase_block_bytes: int = 4 << 20
    endurance_cycles: int = 3000
    write_amplification: float = 2.0
    write_w: float = 0.3

    def __post_init__(self) -> None:
        for name in ("size_bytes", "write_bytes_per_s", "erase_block_bytes", "endurance_cycles"):
            if getattr(self, name) <= 0:
                raise ValueError(f"expected {name} above zero, found {getattr(self, name)}")
        if self.write_amplification < 1.0 or self.write_w < 0.0:
            raise ValueError("expected write_amplification >= 1 and write_w >= 0")


class FlashWear:
    """Erasures of one device's flash, levelled over all its blocks.

    Args:
        spec: the flash.
        worn: share of the endurance that is already spent (a worn device: 0.99).
    """

    __slots__ = ("_ns_per_byte", "_pending", "_pool", "erased_blocks", "slowdown", "spec")

    def __init__(self, spec: FlashSpec, worn: float = 0.0) -> None:
        self.spec = spec
        self._ns_per_byte = SECOND / spec.write_bytes_per_s
        self._pool = max(1, spec.size_bytes // spec.erase_block_bytes) * spec.endurance_cycles
        self.erased_blocks = round(worn * self._pool)
        self._pending = 0.0
        self.slowdown = 1.0

    def write(self, nbytes: int) -> int:
        """Account a write of `nbytes`; returns how long it takes, ns."""
        self._pending += nbytes * self.spec.write_amplification
        block = self.spec.erase_block_bytes
        if self._pending >= block:
            blocks = int(self._pending // block)
            self.erased_blocks += blocks
            self._pending -= blocks * block
        return round(nbytes * self._ns_per_byte * self.slowdown)

    @property
    def wear(self) -> float:
        """Share of the rated erasures that are spent; above 1 the device lives on borrowed time."""
        return self.erased_blocks / self._pool

    @property
    def worn_out(self) -> bool:
        """Whether the rated erasures are spent."""
        return self.erased_blocks >= self._pool
