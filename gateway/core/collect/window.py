"""The window that is open: what its cohorts have said since it began.

Decides when it begins and ends and that every counted frame is somewhere. Leaves out who counts
(collect.py), what is durable (journal.py) and what it means (closing.py).

Rule of conservation: frames accepted = frames in open sums + waiting to be folded + in windows that
closed + of inconsistent messages.
"""

from __future__ import annotations

from devicesdk.sketches.laplace import offset_of
from devicesdk.wire.timebase import NEVER
from gateway.core.collect import totals
from gateway.core.collect.cohorts import Cohort, Cohorts
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.rows import Entry, OpenRow
from gateway.core.collect.totals import Totals


class Window:
    """The open window of all cohorts.

    Args:
        limits: length of a window and of a block.
        cohorts: the table of cohorts, whose rows it hands out.
    """

    __slots__ = (
        "_block", "_codes_max", "_cohorts", "_length_ns", "_pending", "accepted", "closes_ns",
        "frames_accepted", "frames_closed", "number", "opened_ns", "sums",
    )  # fmt: skip

    def __init__(self, limits: CollectLimits, cohorts: Cohorts) -> None:
        self._length_ns = limits.window_ns
        self._block = limits.block_messages
        self._codes_max = limits.error_codes_max
        self._cohorts = cohorts
        self._pending: list[tuple[int, bytes, int, int, int, int, int]] = []
        self.sums = Totals(limits.probe_permille_max, limits.block_messages)
        self.number = 0
        self.opened_ns = 0
        self.closes_ns = NEVER
        """NEVER while nobody has spoken."""
        self.accepted = self.frames_accepted = self.frames_closed = 0

    def count(self, cohort: Cohort, entry: Entry, device: int, now: int) -> None:
        """Count one message of the device with this number; it is folded into the sums with the block
        it belongs to."""
        if cohort.slot < 0:
            self.speak(cohort, now)
        self.accepted += 1
        self.frames_accepted += entry.frames
        pending = self._pending
        offset = 0
        if entry.privacy_permille:
            offset = offset_of(entry.privacy_permille)
            cohort.private = True
        pending.append(
            (
                cohort.slot,
                entry.histograms,
                entry.frames,
                entry.throttled,
                entry.probe_permille,
                device,
                offset,
            )
        )
        if len(pending) >= self._block:
            self.fold()
        if entry.errors is not None:
            cohort.add_errors(entry.errors, self._codes_max)

    def speak(self, cohort: Cohort, now: int) -> None:
        """Give a cohort its row in this window; the first one opens the window."""
        cohort.slot = self.sums.open_slot()
        cohort.spoke = self.number
        if self.closes_ns == NEVER:
            self.opened_ns = now
            self.closes_ns = (now // self._length_ns + 1) * self._length_ns

    def fold(self) -> None:
        """Add what waits to the sums."""
        self.sums.fold(self._pending)
        self._pending.clear()

    def settle(self) -> None:
        """Fold, and add up what single devices have said."""
        self.fold()
        self.sums.likeness.settle()

    def open_row(self, cohort: Cohort) -> OpenRow:
        """The durable form of one cohort's sums."""
        return OpenRow(
            self.sums.pack_row(cohort.slot),
            dict(cohort.errors),
            self.sums.likeness.pack_row(cohort.slot),
            cohort.private,
        )

    def load(self, cohort: Cohort, row: OpenRow, now: int) -> None:
        """Take over the durable form."""
        self.speak(cohort, now)
        self.sums.add_row(cohort.slot, row.sums)
        self.sums.likeness.add_row(cohort.slot, row.likeness)
        cohort.private = cohort.private or row.private
        self.accepted += self.sums.scalar(cohort.slot, totals.WINDOWS)
        self.frames_accepted += self.sums.scalar(cohort.slot, totals.FRAMES)
        cohort.errors.update(row.errors)

    def open_frames(self) -> int:
        """Frames in the open sums."""
        return sum(self.sums.scalar(cohort.slot, totals.FRAMES) for cohort in self._cohorts.spoke())

    def next(self) -> None:
        """The window is closed: forget its sums."""
        self.frames_closed += self.open_frames()
        for cohort in self._cohorts.spoke():
            cohort.next_window()
        self.sums.clear()
        self.number += 1
        self.closes_ns = NEVER

    def validate(self) -> None:
        """Check conservation.

        Raises:
            AssertionError: a frame is missing or was counted twice.
        """
        waiting = sum(frames for _, _, frames, *_ in self._pending)
        found = self.open_frames() + waiting + self.frames_closed + self.sums.inconsistent_frames
        assert found == self.frames_accepted, (
            f"{self.frames_accepted} frames were accepted, {found} are in windows"
        )
        slots = [cohort.slot for cohort in self._cohorts.spoke()]
        assert sorted(slots) == list(range(self.sums.used)), "rows of sums without a cohort"
