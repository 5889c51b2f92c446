"""The twins: what the registry says of each device, what is wanted of it, what it says of itself.

Decides which report is newer and what of it is worth keeping. Leaves out what a report means for a
rollout (rollouts.py).

Rules: a report is newer by ``(boot_id, seq)``, a presence by ``(boot_id, session)`` and, within one
session, offline is final (a will can overtake a birth); older ones are dropped, but for a device that
counts its boots anew (gateway/core/boots.py). A report that
changes nothing but progress is kept in memory and not made durable. Parts of a twin are immutable
rows, so that making one durable costs a reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from devicesdk.bundle.manifest import Manifest
from devicesdk.wire.messages import Have, Link
from gateway.core import notes, rows
from gateway.core.boots import Doubt, in_doubt
from gateway.core.control.outbox import Batch
from gateway.core.control.strata import Stratum
from gateway.core.effects import Note, Persist
from gateway.core.internal import DeviceLabelled
from gateway.core.limits import ControlLimits
from gateway.core.rows import DesiredRow, DeviceRow, PresenceRow, ReportedRow

SILENT: Final = ReportedRow(0, 0)
"""Of a device that never reported."""
UNSEEN: Final = PresenceRow(0, 0, online=False)
_STRANGER: Final = DeviceRow({}, enrolled=False)


class Twin:
    """One device. `heard_ns` is when it last said anything, for finding those that fell silent."""

    __slots__ = (
        "desired",
        "device",
        "doubt",
        "heard_ns",
        "name",
        "presence",
        "reported",
        "time_told",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.device = _STRANGER
        self.desired: DesiredRow | None = None
        self.reported = SILENT
        self.presence = UNSEEN
        self.heard_ns = 0
        self.doubt: Doubt | None = None
        self.time_told = 0
        """The last number of a device's that was answered with the time."""

    def previous_for(self, target: bytes) -> tuple[bytes, bool]:
        """The digest to go back to from `target`: what it says it runs for good, else what it was
        last known to run, else what it had before that; empty when nobody knows. And whether the
        device said so itself: what the factory is believed to have shipped is somebody else's word."""
        reported, desired = self.reported, self.desired
        if reported.running and not reported.trial and reported.running != target:
            return reported.running, True
        if desired is None:
            return b"", False
        if desired.outcome is rows.Outcome.COMMITTED and desired.manifest != target:
            return desired.manifest, desired.purpose is not rows.Purpose.FACTORY
        return (desired.previous, desired.said) if desired.previous != target else (b"", False)

    @property
    def next_generation(self) -> int:
        """A generation that is newer than all that the device or we have seen."""
        wanted = self.desired.generation if self.desired is not None else 0
        return max(wanted, self.reported.generation) + 1

    def wants_open(self) -> bool:
        """Whether a want was published that has not ended."""
        desired = self.desired
        return (
            desired is not None
            and desired.outcome is rows.Outcome.OPEN
            and desired.purpose is not rows.Purpose.FACTORY
        )


class Twins:
    """All twins, by device id.

    Args:
        limits: bounds, and the labels that make the strata.
    """

    __slots__ = ("_limits", "_sorted", "by_name", "changes")

    def __init__(self, limits: ControlLimits) -> None:
        self._limits = limits
        self.by_name: dict[str, Twin] = {}
        self._sorted: list[str] = []
        self.changes = 0
        """How often a row of a twin was replaced here: whoever shows twins looks again when it grew."""

    def sorted_names(self) -> list[str]:
        """All ids in order; sorted when somebody asks, and again only for those that came since."""
        new = len(self.by_name) - len(self._sorted)
        if new:
            self._sorted.extend(islice(reversed(self.by_name), new))
            self._sorted.sort()
        return self._sorted

    def restore(self, table: str, key: str, row: Any) -> None:
        """Take back one durable part of a twin."""
        twin = self.by_name.get(key)
        if twin is None:
            twin = self.by_name[key] = Twin(key)
        self.changes += 1
        if table == rows.DEVICE:
            twin.device = row
        elif table == rows.DESIRED:
            twin.desired = row
        elif table == rows.REPORTED:
            twin.reported = row
        else:
            twin.presence = row

    def enroll(self, device: str, labels: dict[str, str], out: Batch) -> Twin | None:
        """Take in what the registry says; None when nothing is new or the limit is reached."""
        twin = self.seen(device, out)
        if twin is None or (twin.device.enrolled and twin.device.labels == labels):
            return None
        self.changes += 1
        twin.device = DeviceRow(labels, enrolled=True, quarantine=twin.device.quarantine)
        out.append(Persist(rows.DEVICE, device, twin.device))
        out.append(DeviceLabelled(device, labels))
        return twin

    def seen(self, device: str, out: Batch) -> Twin | None:
        """The twin of a device that spoke, made when it is new; None when there are too many."""
        twin = self.by_name.get(device)
        if twin is None:
            if len(self.by_name) >= self._limits.twins_max:
                out.append(Note(notes.FULL, device, self._limits.twins_max))
                return None
            self.changes += 1
            twin = self.by_name[device] = Twin(device)
        return twin

    def link(self, twin: Twin, link: Link, out: Batch) -> None:
        """Take in a presence, unless it is older than what is known."""
        old = twin.presence
        if link.boot_id < old.boot_id:
            return
        if link.boot_id == old.boot_id:
            if link.session < old.session:
                return
            if (
                link.session == old.session
                and (link.online or not old.online)
                and old is not UNSEEN
            ):
                return
        self.changes += 1
        twin.presence = PresenceRow(link.boot_id, link.session, link.online)
        out.append(Persist(rows.PRESENCE, twin.name, twin.presence))

    def have(self, twin: Twin, have: Have, out: Batch, at: int = 0, *, live: bool = False) -> bool:
        """Take in a report; False when it is not newer than what is known.

        Args:
            twin: whose.
            have: the report.
            out: takes what follows.
            at: instant, UTC, ns.
            live: it was said now, and not kept by a broker.
        """
        old = twin.reported
        if (have.boot_id, have.seq) <= (old.boot_id, old.seq) and old is not SILENT:
            if have.boot_id == old.boot_id or not live:
                return False
            newest = (old.boot_id, old.seq, 0)
            twin.doubt, back = in_doubt(twin.doubt, newest, at)
            if not back:
                return False
            self._counts_anew(twin, have.boot_id, out)
        self.changes += 1
        twin.reported = new = ReportedRow(
            have.boot_id,
            have.seq,
            have.generation,
            # Keep one object for the many devices that run the same.
            old.running if have.running == old.running else have.running,
            have.trial,
            have.state,
            have.reason,
            have.flags_rev,
            have.kill_version,
            have.hardware_class,
            have.variant,
            have.slot,
            have.bytes_done,
            old.capabilities if have.capabilities is None else have.capabilities,
        )
        if _worth_keeping(old, new):
            out.append(Persist(rows.REPORTED, twin.name, new))
        return True

    def _counts_anew(self, twin: Twin, boot_id: int, out: Batch) -> None:
        """A device's boots are counted from here on; its presence, too: it spoke just now."""
        twin.doubt = None
        out.append(Note(notes.BOOT_BACK, twin.name, boot_id, twin.reported.boot_id))
        if twin.presence.boot_id > boot_id:
            self.changes += 1
            twin.presence = PresenceRow(boot_id, 0, online=True)
            out.append(Persist(rows.PRESENCE, twin.name, twin.presence))

    def quarantine(self, twin: Twin, digest: bytes, out: Batch) -> None:
        """Never offer this digest to this device again."""
        old = twin.device
        if digest in old.quarantine:
            return
        kept = (*old.quarantine, digest)[-self._limits.quarantine_entries_max :]
        self.changes += 1
        twin.device = DeviceRow(old.labels, old.enrolled, kept)
        out.append(Persist(rows.DEVICE, twin.name, twin.device))
        out.append(Note(notes.QUARANTINED, twin.name, len(kept)))

    def stratum(self, twin: Twin) -> Stratum:
        """What the device has in common with others that may matter to an update."""
        limits, labels = self._limits, twin.device.labels
        region, power = _first(labels, limits.region_labels), _first(labels, limits.power_labels)
        return region, self.hardware(twin), power

    def zone(self, twin: Twin) -> str:
        """The time zone that the registry's labels name; empty when they name none."""
        return _first(twin.device.labels, self._limits.zone_labels)

    def hardware(self, twin: Twin) -> str:
        """The device's hardware class, by its own word or the registry's; empty when unknown."""
        labels = twin.device.labels
        return twin.reported.hardware_class or _first(labels, self._limits.hardware_labels)

    def fits(self, twin: Twin, manifest: Manifest) -> bool:
        """Whether a bundle has a variant for the device's hardware class and for what its runtime can
        do, as far as either is known."""
        known, can = self.hardware(twin), twin.reported.capabilities
        if not known and can is None:
            return True
        return any(
            (not known or "*" in v.hardware or known in v.hardware) and v.runs_on(can)
            for v in manifest.variants
        )

    def validate(self) -> None:
        """Check the twins' own consistency.

        Raises:
            AssertionError: a twin is filed under another name, or its parts contradict each other.
        """
        assert len(self.by_name) <= self._limits.twins_max, "more twins than the limit"
        for name, twin in self.by_name.items():
            assert twin.name == name, f"{name} is filed as {twin.name}"
            desired = twin.desired
            if desired is None:
                continue
            assert desired.generation > 0 or desired.purpose is rows.Purpose.FACTORY, (
                f"{name} has an update without a generation"
            )
            assert not (desired.outcome is rows.Outcome.COMMITTED and desired.hold), (
                f"{name} is held and committed at once"
            )


def _first(labels: Mapping[str, str], names: Iterable[str]) -> str:
    for name in names:
        if name in labels:
            return labels[name]
    return ""


def _worth_keeping(old: ReportedRow, new: ReportedRow) -> bool:
    return (
        new.state is not old.state
        or new.running is not old.running
        or new.generation != old.generation
        or new.trial is not old.trial
        or new.boot_id != old.boot_id
        or new.flags_rev != old.flags_rev
        or new.kill_version != old.kill_version
        or new.reason != old.reason
        or new.hardware_class != old.hardware_class
        or new.variant != old.variant
        or new.slot != old.slot
        or new.capabilities != old.capabilities
    )
