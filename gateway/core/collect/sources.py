"""Counting each telemetry window of each device exactly once.

Decides whether ``(device, boot_id, seq)`` is new, and how many numbers are missing. Leaves out what
is in the window.

Rules: a device numbers its windows without holes within a boot, and keeps unsent windows of earlier
boots; so the newest boot and the one before it are followed, each by its highest number and which of
the 64 up to it were seen. What is older than that cannot be told from a repetition and is dropped, until the
device shows that it counts its boots anew (gateway/core/boots.py). A number that comes late fills its gap.
"""

from __future__ import annotations

from typing import Final

from gateway.core.boots import Doubt, in_doubt
from gateway.core.collect.cohorts import Cohort
from gateway.core.collect.rows import Cursor, CursorPage

REACH: Final = 64
_MASK: Final = 2**REACH - 1
_NO_BOOT: Final = -1
_GAPS_MAX: Final = 2**53


class Source:
    """One device: where it belongs and what was counted of it.

    Args:
        device: its id.
        page: number of the durable row that its cursor lives in.
        number: its place among the sources of this process.
    """

    __slots__ = (
        "boot_id", "cohort", "device", "dirty", "doubt", "first", "gaps", "hardware", "high", "mask",
        "number", "old_boot_id", "old_first", "old_high", "old_mask", "page", "region", "witnessed_ns",
    )  # fmt: skip

    def __init__(self, device: str, page: int, number: int = 0) -> None:
        self.number = number
        self.device = device
        self.page = page
        self.hardware = self.region = "unknown"
        self.cohort: Cohort | None = None
        self.doubt: Doubt | None = None
        self.dirty = False
        self.gaps = 0
        self.witnessed_ns = 0
        """Up to when it has said all that experiments hear of it."""
        self.boot_id = self.old_boot_id = _NO_BOOT
        self.first = self.high = self.mask = 0
        self.old_first = self.old_high = self.old_mask = 0

    def accept(self, boot_id: int, seq: int) -> bool:
        """Count a window; False when it was counted before or is too old to tell."""
        if boot_id == self.boot_id:
            ahead = seq - self.high
            if ahead == 1:
                self.mask = (self.mask << 1 | 1) & _MASK
            elif ahead > 1:
                self.gaps += ahead - 1
                self.mask = (self.mask << ahead | 1) & _MASK if ahead < REACH else 1
            else:
                return self._accept_late(seq)
            self.high = seq
            return True
        if boot_id > self.boot_id:
            self._begin(boot_id, seq)
            return True
        if self.old_boot_id not in (boot_id, _NO_BOOT):
            return False
        return self._accept_of_old_boot(boot_id, seq)

    def counts_anew(self, boot_id: int, seq: int, now: int) -> bool:
        """Ask of a window that was not accepted: True, and counted, when the device counts its boots
        anew (gateway/core/boots.py)."""
        if boot_id in (self.boot_id, self.old_boot_id):
            return False
        newest = (self.boot_id, self.high, self.mask)
        self.doubt, back = in_doubt(self.doubt, newest, now)
        if back:
            self.doubt = None
            self._begin(boot_id, seq)
        return back

    def witnesses(self, now: int, each_ns: int, burst_max: int) -> bool:
        """Whether experiments hear of one more window: one each `each_ns`, and `burst_max` that waited
        (the generic cell rate algorithm, ITU-T I.371)."""
        from_ns = max(self.witnessed_ns, now)
        if from_ns - now >= each_ns * burst_max:
            return False
        self.witnessed_ns = from_ns + each_ns
        return True

    def _begin(self, boot_id: int, seq: int) -> None:
        self.old_boot_id, self.old_first = self.boot_id, self.first
        self.old_high, self.old_mask = self.high, self.mask
        self.boot_id, self.first, self.high, self.mask = boot_id, seq, seq, 1

    def _accept_late(self, seq: int) -> bool:
        bit = self.high - seq
        if bit >= REACH or self.mask >> bit & 1:
            return False
        self.mask |= 1 << bit
        if seq < self.first:
            self.gaps += self.first - seq - 1
            self.first = seq
        else:
            self.gaps -= 1
        return True

    def _accept_of_old_boot(self, boot_id: int, seq: int) -> bool:
        """Count as if the earlier boot were the newest, by exchanging the two for the moment."""
        if self.old_boot_id == _NO_BOOT:
            self.old_boot_id, self.old_first, self.old_high, self.old_mask = boot_id, seq, seq, 1
            return True
        self._exchange()
        accepted = self.accept(boot_id, seq)
        self._exchange()
        return accepted

    def _exchange(self) -> None:
        newest = (self.boot_id, self.first, self.high, self.mask)
        self.boot_id, self.first = self.old_boot_id, self.old_first
        self.high, self.mask = self.old_high, self.old_mask
        self.old_boot_id, self.old_first, self.old_high, self.old_mask = newest

    def cursor(self) -> Cursor:
        """The durable form."""
        return Cursor(
            self.device, min(self.gaps, _GAPS_MAX),
            self.boot_id, self.first, self.high, self.mask,
            self.old_boot_id, self.old_first, self.old_high, self.old_mask,
        )  # fmt: skip

    def load(self, row: Cursor) -> None:
        """Take over the durable form."""
        self.gaps = row.gaps
        self.boot_id, self.first, self.high, self.mask = (
            row.boot_id, row.first, row.high, row.mask,
        )  # fmt: skip
        self.old_boot_id, self.old_first, self.old_high, self.old_mask = (
            row.old_boot_id, row.old_first, row.old_high, row.old_mask,
        )  # fmt: skip


class Sources:
    """All devices, and which of their cursors have changed since they were last made durable.

    Args:
        sources_max: bound; telemetry of further devices is not counted.
        page_size: cursors in one durable row.
    """

    __slots__ = ("_by_device", "_dirty", "_max", "_names", "_page_size", "_pages")

    def __init__(self, sources_max: int, page_size: int) -> None:
        self._by_device: dict[str, Source] = {}
        self._dirty: list[Source] = []
        self._names: list[str] = []
        self._pages: list[list[Source]] = []
        self._max = sources_max
        self._page_size = page_size

    def __len__(self) -> int:
        return len(self._by_device)

    def all(self) -> list[Source]:
        """Every device, in the order in which they became known."""
        return list(self._by_device.values())

    def get(self, device: str) -> Source | None:
        """The device, made if need be; None when there is no room."""
        source = self._by_device.get(device)
        if source is None and len(self._by_device) < self._max:
            if not self._pages or len(self._pages[-1]) >= self._page_size:
                self._pages.append([])
            source = Source(device, len(self._pages) - 1, len(self._by_device))
            self._pages[-1].append(source)
            self._by_device[device] = source
            self._names.append(device)
        return source

    def named(self, number: int) -> str:
        """The device with this number."""
        return self._names[number]

    def changed(self, source: Source) -> None:
        """Remember that the device's cursor moved."""
        source.dirty = True
        self._dirty.append(source)

    def dirty_pages(self) -> list[tuple[int, CursorPage]]:
        """The pages to make durable; nothing is dirty afterwards."""
        numbers = sorted({source.page for source in self._dirty})
        for source in self._dirty:
            source.dirty = False
        self._dirty.clear()
        return [
            (number, CursorPage(tuple(source.cursor() for source in self._pages[number])))
            for number in numbers
        ]

    def load(self, pages: list[tuple[int, CursorPage]]) -> None:
        """Take over durable pages into an empty table, each device on the page it came from.

        Devices that are known stay known, also when the bound has become smaller since.
        """
        for number, page in sorted(pages, key=lambda item: item[0]):
            while len(self._pages) <= number:
                self._pages.append([])
            for row in page.cursors:
                source = Source(row.device, number, len(self._by_device))
                self._by_device[row.device] = source
                self._names.append(row.device)
                source.load(row)
                self._pages[number].append(source)
        self._max = max(self._max, len(self._by_device))
