"""The shape of a fleet: what a rehearsal needs to know of it, as counts of devices and never as names.

Decides which devices are alike (hardware class, what they run, profile, link and region by the registry's labels,
whether a plan is for them), and what else is told of each such group: how many there are and how many are online,
how far their clocks are from UTC, how they are powered, and the values of the labels by which a plan's budgets go.
Leaves out everything that the gateway does not know: radio, battery, sensors (devicesim/rehearsing says what is assumed).

Rules: bounded whatever the fleet: at most `GROUPS_MAX` groups, and of each label `VALUES_MAX` values; what does not fit
is told together with what it is nearest to, and at last counted as left out. All devices are looked at, as a dry
run does; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from devicesdk.wire.timebase import SECOND
from gateway.core.control.catalog import Catalog
from gateway.core.control.planning import selects
from gateway.core.control.twins import Twin, Twins
from gateway.core.rows import Purpose
from gateway.core.stimuli import RolloutPlan
from gateway.core.zones import UTC, Zones

GROUPS_MAX: Final = 48
VALUES_MAX: Final = 64
TEXT_CHARS_MAX: Final = 64
"""Of a label's value: longer ones are cut, and may fall together."""
OTHERS: Final = "others"
"""Stands for all values that did not fit."""
POWER: Final = "power"
_FIELDS: Final = ("selected", "hardware", "running", "profile", "link", "region")
_COARSER: Final = (6, 5, 3)
"""How many of these tell groups apart, if that many groups fit."""

Key = tuple[bool, str, str, str, str, str]


class ShapeGroup(msgspec.Struct, frozen=True):
    """Devices that are alike; empty text: unknown, or different ones together."""

    selected: bool
    """Whether the plan is for them."""
    hardware: str
    """Hardware class, by their own word or the registry's."""
    running: str
    """Bundle, ``id@semver``, or the digest in hex where the gateway does not know it."""
    profile: str
    link: str
    region: str
    devices: int
    online: int
    offsets: dict[str, int] = {}
    """Devices by their clocks' distance from UTC, such as ``UTC+01:00``."""
    power: dict[str, int] = {}
    """Devices by the label ``power``."""
    labels: dict[str, dict[str, int]] = {}
    """Of each label that a budget of the plan goes by, devices by its value."""


class Shape(msgspec.Struct, frozen=True):
    """A fleet, as counts."""

    devices: int
    """Enrolled ones."""
    online: int
    at_ms: int
    """UTC."""
    groups: tuple[ShapeGroup, ...]
    """The largest first."""
    left_out: int = 0
    """Devices of groups that did not fit."""


class _Sums:
    """What is counted of one group."""

    __slots__ = ("devices", "labels", "offsets", "online", "power")

    def __init__(self) -> None:
        self.devices = self.online = 0
        self.offsets: dict[str, int] = {}
        self.power: dict[str, int] = {}
        self.labels: dict[str, dict[str, int]] = {}

    def add(self, other: _Sums) -> None:
        """Take another group in."""
        self.devices += other.devices
        self.online += other.online
        _pour(self.offsets, other.offsets)
        _pour(self.power, other.power)
        for label, values in other.labels.items():
            _pour(self.labels.setdefault(label, {}), values)


def shape_of(
    twins: Twins, catalog: Catalog, zones: Zones, plan: RolloutPlan | None, at: int
) -> Shape:
    """The shape of the enrolled fleet.

    Args:
        twins: the fleet.
        catalog: knows bundles.
        zones: know wall clocks.
        plan: for whom, and by which labels; None: the whole fleet.
        at: instant, UTC, ns.
    """
    pace = None if plan is None else plan.pace
    budgets = () if pace is None else tuple(dict.fromkeys(b.label for b in pace.budgets))
    offset_of = _offsets(zones, UTC if pace is None else pace.zone, at)
    found: dict[Key, _Sums] = {}
    for twin in twins.by_name.values():
        if twin.device.enrolled:
            sums = found.setdefault(_key(twins, catalog, plan, twin), _Sums())
            _count(sums, twin, offset_of(twins.zone(twin)), budgets)
    groups = _fitting(found)
    kept = sorted(groups, key=lambda key: (-groups[key].devices, key))[:GROUPS_MAX]
    devices = sum(sums.devices for sums in found.values())
    return Shape(
        devices=devices,
        online=sum(sums.online for sums in found.values()),
        at_ms=at * 1000 // SECOND,
        groups=tuple(_group(key, groups[key]) for key in kept),
        left_out=devices - sum(groups[key].devices for key in kept),
    )


def _key(twins: Twins, catalog: Catalog, plan: RolloutPlan | None, twin: Twin) -> Key:
    labels = twin.device.labels
    return (
        plan is None or selects(plan, twin),
        _cut(twins.hardware(twin)),
        _running(catalog, twin),
        *(_cut(labels.get(name, "")) for name in ("profile", "link", "region")),
    )  # type: ignore[return-value] # three of them


def _running(catalog: Catalog, twin: Twin) -> str:
    """What a device runs for good, by its own word; else what the factory is believed to have shipped."""
    reported, desired = twin.reported, twin.desired
    digest = b"" if reported.trial else reported.running
    if not digest and desired is not None:
        factory = desired.purpose is Purpose.FACTORY
        digest = desired.manifest if factory else desired.previous
    known = catalog.by_digest.get(digest)
    return known.manifest.name if known is not None else digest.hex()


def _count(sums: _Sums, twin: Twin, offset: str, budgets: Iterable[str]) -> None:
    labels = twin.device.labels
    sums.devices += 1
    sums.online += twin.presence.online
    _drop(sums.offsets, offset)
    if POWER in labels:
        _drop(sums.power, _cut(labels[POWER]))
    for label in budgets:
        if label in labels:
            _drop(sums.labels.setdefault(label, {}), _cut(labels[label]))


def _fitting(found: dict[Key, _Sums]) -> dict[Key, _Sums]:
    """Groups that are told apart by as much as fits."""
    groups = found
    for fields in _COARSER:
        groups = {}
        for key, sums in found.items():
            blurred: Key = (*key[:fields], *("",) * (len(_FIELDS) - fields))  # type: ignore[assignment]
            groups.setdefault(blurred, _Sums()).add(sums)
        if len(groups) <= GROUPS_MAX:
            break
    return groups


def _group(key: Key, sums: _Sums) -> ShapeGroup:
    return ShapeGroup(
        *key,
        devices=sums.devices,
        online=sums.online,
        offsets=sums.offsets,
        power=sums.power,
        labels=sums.labels,
    )


def _offsets(zones: Zones, usual: str, at: int) -> Callable[[str], str]:
    """Spells a zone as its distance from UTC at an instant; of devices that name none, `usual`."""
    known: dict[str, str] = {}

    def offset_of(zone: str) -> str:
        name = zone or usual
        if name not in known:
            offset_s = zones.offset_s(name, at // SECOND)
            known[name] = UTC if offset_s is None else utc_text(offset_s)
        return known[name]

    return offset_of


def utc_text(offset_s: int) -> str:
    """A distance from UTC as a zone of its own: ``UTC-03:30``."""
    hours, minutes = divmod(abs(offset_s) // 60, 60)
    return f"UTC{'-' if offset_s < 0 else '+'}{hours:02}:{minutes:02}"


def _drop(counts: dict[str, int], value: str, devices: int = 1) -> None:
    if value not in counts and len(counts) >= VALUES_MAX:
        value = OTHERS
    counts[value] = counts.get(value, 0) + devices


def _pour(counts: dict[str, int], others: Mapping[str, int]) -> None:
    for value, devices in others.items():
        _drop(counts, value, devices)


def _cut(text: str) -> str:
    return text[:TEXT_CHARS_MAX]
