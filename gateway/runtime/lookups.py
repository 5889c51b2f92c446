"""Answers to questions that need more than one call of the core: pages, filters, bundles, flags, drift.

Decides how much one question may look at, and the names that people see. Leaves out who may ask (office.py) and how
answers are written (gateway/api).

Rules: what is answered is durable; a page looks at its own devices, one with a filter at `SCAN_DEVICES_MAX` of them,
then says where it stopped: nothing reads the fleet whole, but for its overview, which is kept until something was
committed. Answers are values that msgspec writes as they are, because a thousand devices must not be copied into
dictionaries first; and what was written of a device is kept as long as its rows are the same, and a page of them
as long as no row of any device was replaced.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import islice, repeat
from operator import attrgetter
from typing import Any, Final

import msgspec

from gateway.core.control.catalog import Bundle
from gateway.core.control.twins import Twin
from gateway.core.control.views import Overview, twin_view
from gateway.core.gateway import Gateway
from gateway.core.rows import DesiredRow, DeviceRow, PresenceRow, ReportedRow
from gateway.ports import Counters as RuntimeCounters
from gateway.runtime.alarm_views import alarm_of, alarms_page
from gateway.runtime.askable import Askable
from gateway.runtime.drift_views import drift_page, histogram_of, scores_of
from gateway.runtime.rollout_views import rollout_shown, rollouts_page
from gateway.runtime.verbs import (
    ListAlarms,
    ListBundles,
    ListDevices,
    ListKills,
    ListScores,
    ListSegments,
    LookUp,
    PageRollouts,
    ShowAlarm,
    ShowBundle,
    ShowDrift,
    ShowHistogram,
    ShowRollout,
    ShowSegment,
    ShowTransfers,
    Verb,
    VerbError,
)
from gateway.runtime.written import Page, Text, page_of, write

SCAN_DEVICES_MAX: Final = 1_000
"""Devices that one filtered page looks at."""
WRITTEN_MAX: Final = 20_000
"""Twins of which the JSON is kept, some 600 bytes each. Full: the first that was written goes."""
PAGES_MAX: Final = 32
"""Pages of devices that are kept while no device changes, 8 KB and a thousand devices each at most."""
FLEET_S_MAX: Final = 1.0


class WrittenDevices(msgspec.Struct, frozen=True):
    """A page of devices as it is answered."""

    devices: list[msgspec.Raw]
    next: str | None


_NAME: Final[Callable[[Twin], str]] = attrgetter("name")


class _Written(Text, frozen=True, gc=False):
    """A twin as JSON, and the rows that it was written of."""

    device: DeviceRow | None
    desired: DesiredRow | None
    reported: ReportedRow | None
    presence: PresenceRow | None


_NEVER: Final = _Written(msgspec.Raw(), b"", None, None, None, None)


class VariantView(msgspec.Struct, frozen=True):
    """One model file of a bundle."""

    name: str
    hardware: tuple[str, ...]
    image: str
    image_bytes: int
    memory_mib: int
    also: tuple[str, ...]


class BundleView(msgspec.Struct, frozen=True):
    """One registered bundle; digests in hex."""

    name: str
    id: str
    version: str
    release: int
    digest: str
    envelope_bytes: int
    task: str
    variants: list[VariantView]


class BundlesPage(msgspec.Struct, frozen=True):
    """Bundles in the order of their names."""

    bundles: list[BundleView]
    next: str | None


class SegmentView(msgspec.Struct, frozen=True):
    """The flags of one segment: flagd definitions by name."""

    segment: str
    rev: int
    flags: dict[str, Any]


class SegmentBrief(msgspec.Struct, frozen=True):
    """A segment, and the names of its flags."""

    segment: str
    rev: int
    flags: list[str]


class FleetView(msgspec.Struct, frozen=True):
    """The fleet at a glance, and what the runtime counted."""

    fleet: Overview
    connected: bool
    counters: RuntimeCounters


class KillsView(msgspec.Struct, frozen=True):
    """The kill list."""

    version: int
    features: tuple[str, ...]


class TransfersView(msgspec.Struct, frozen=True):
    """Chunks on their way."""

    devices: int
    """That are being served now."""
    repeated_requests: int
    rounds: int
    rounds_dropped: int
    rounds_waiting: int
    published_bytes: int
    offloads: int
    """Asks that are being run now."""
    offload_frames: int


class Lookups:
    """Answers questions of one runtime.

    Args:
        runtime: what is asked.
    """

    def __init__(self, runtime: Askable) -> None:
        self._runtime = runtime
        self._written: OrderedDict[str, _Written] = OrderedDict()
        self._pages: OrderedDict[tuple[str, str, int], tuple[int, Page]] = OrderedDict()
        self._core: Gateway | None = None
        self._fleet: tuple[int, float, Overview] | None = None

    async def fleet(self) -> FleetView:
        """The fleet at a glance: as of the last commit, and no older than `FLEET_S_MAX`."""
        runtime, known = self._runtime, self._fleet
        now_s = asyncio.get_running_loop().time()
        commits = runtime.counters.commits
        if known is None or known[0] != commits or now_s - known[1] > FLEET_S_MAX:
            known = self._fleet = await runtime.read(
                lambda core: (runtime.counters.commits, now_s, core.overview())
            )
        return FleetView(known[2], runtime.connected, runtime.counters)

    async def devices(self, verb: ListDevices) -> Page:
        """A page of devices; with a filter, of those that pass it among the next `SCAN_DEVICES_MAX`."""
        return await self._runtime.read(lambda core: self._devices(core, verb))

    async def answer(self, verb: LookUp) -> Any:
        """Answer any other question.

        Raises:
            VerbError: there is no such thing.
        """
        runtime = self._runtime
        if isinstance(verb, ShowTransfers):
            return await runtime.read(lambda core: _transfers(core, runtime))
        work = _ANSWERS[type(verb)]
        return await runtime.read(lambda core: work(core, verb))

    def _devices(self, core: Gateway, verb: ListDevices) -> Page:
        control = core.control
        if verb.labels or verb.online is not None or verb.state or verb.version:
            return self._passing(core, verb)
        if core is not self._core:  # it began anew, and counts anew
            self._core = core
            self._pages.clear()
        place = (verb.after, verb.prefix, verb.limit)
        changes, known = self._pages.get(place, (-1, None))
        if known is None or changes != control.changes:
            names = _names(core, verb, verb.limit)
            parts = self._written_of(filter(None, map(control.twin, names)))
            known = page_of(parts, names[-1] if len(names) == verb.limit else None)
            self._pages[place] = control.changes, known
            if len(self._pages) > PAGES_MAX:
                self._pages.popitem(last=False)
        return known

    def _passing(self, core: Gateway, verb: ListDevices) -> Page:
        names = _names(core, verb, SCAN_DEVICES_MAX)
        twins = filter(None, map(core.control.twin, names))
        found = list(islice(filter(_filter(core, verb), twins), verb.limit))
        after = names[-1] if len(names) == SCAN_DEVICES_MAX else None
        if len(found) == verb.limit:
            after = found[-1].name
        return page_of(self._written_of(found), after)

    def _written_of(self, twins: Iterable[Twin]) -> list[_Written]:
        """Twins as JSON; one is written again only when one of its rows was replaced."""
        twins = list(twins)
        kept = map(self._written.get, map(_NAME, twins), repeat(_NEVER))
        return [
            known
            if known.device is twin.device
            and known.desired is twin.desired
            and known.reported is twin.reported
            and known.presence is twin.presence
            else self._write(twin)
            for twin, known in zip(twins, kept, strict=True)
        ]

    def _write(self, twin: Twin) -> _Written:
        text = write(twin_view(twin))
        made = self._written[twin.name] = _Written(
            text.raw, text.digest, twin.device, twin.desired, twin.reported, twin.presence
        )
        if len(self._written) > WRITTEN_MAX:
            self._written.popitem(last=False)
        return made


def _names(core: Gateway, verb: ListDevices, most: int) -> list[str]:
    """The next devices of a question, in order; those whose ids begin alike stand together."""
    control, prefix = core.control, verb.prefix
    names = control.devices_after(max(verb.after, prefix), most)
    if not prefix:
        return names
    if verb.after < prefix and control.twin(prefix) is not None:
        names = [prefix, *names][:most]
    return [name for name in names if name.startswith(prefix)]


def _filter(core: Gateway, verb: ListDevices) -> Callable[[Twin], bool]:
    wanted = verb.labels.items()
    bundle = core.control.bundles.get(verb.version)
    version = bundle.digest.hex() if bundle is not None else verb.version
    online, state = verb.online, verb.state

    def passes(twin: Twin) -> bool:
        return (
            wanted <= twin.device.labels.items()
            and (online is None or twin.presence.online is online)
            and (not state or twin.reported.state.name.lower() == state)
            and (not version or twin.reported.running.hex() == version)
        )

    return passes


def _bundles(core: Gateway, verb: ListBundles) -> BundlesPage:
    known = core.control.bundles
    names = sorted(name for name in known if name > verb.after)[: verb.limit]
    more = len(names) == verb.limit
    return BundlesPage([_bundle(known[name]) for name in names], names[-1] if more else None)


def bundle_of(core: Gateway, name: str) -> BundleView:
    """One bundle by name or digest.

    Raises:
        VerbError: ``unknown``.
    """
    known = core.control.bundles
    found = known.get(name) or next((b for b in known.values() if b.digest.hex() == name), None)
    if found is None:
        raise VerbError("unknown", f"expected id@version or the digest of a bundle, found {name!r}")
    return _bundle(found)


def _bundle(bundle: Bundle) -> BundleView:
    manifest = bundle.manifest
    return BundleView(
        name=manifest.name,
        id=manifest.id,
        version=manifest.version,
        release=manifest.release,
        digest=bundle.digest.hex(),
        envelope_bytes=bundle.envelope_bytes,
        task=manifest.task,
        variants=[
            VariantView(
                v.name, v.hardware, v.image.digest, v.image.size_bytes, v.memory_mib, v.also
            )
            for v in manifest.variants
        ],
    )


def segments_of(core: Gateway) -> list[SegmentBrief]:
    """All segments, by name."""
    known = sorted(core.control.segments.items())
    return [SegmentBrief(name, row.rev, [flag for flag, _ in row.flags]) for name, row in known]


def segment_of(core: Gateway, segment: str) -> SegmentView:
    """One segment.

    Raises:
        VerbError: ``unknown``.
    """
    row = core.control.segments.get(segment)
    if row is None:
        raise VerbError("unknown", f"expected a segment that has flags, found {segment!r}")
    return SegmentView(segment, row.rev, {n: msgspec.json.decode(text) for n, text in row.flags})


def flag_of(core: Gateway, segment: str, flag: str) -> Any:
    """One flag's definition; None where there is none."""
    row = core.control.segments.get(segment)
    text = None if row is None else dict(row.flags).get(flag)
    return None if text is None else msgspec.json.decode(text)


def kills_of(core: Gateway) -> KillsView:
    """The kill list."""
    return KillsView(core.control.kills.version, core.control.kills.features)


def _transfers(core: Gateway, runtime: Askable) -> TransfersView:
    counters = runtime.counters
    return TransfersView(
        devices=core.transfers.active,
        repeated_requests=core.transfers.duplicates,
        rounds=counters.rounds,
        rounds_dropped=counters.rounds_dropped,
        rounds_waiting=counters.rounds_waiting_now,
        published_bytes=counters.bytes_out,
        offloads=core.offload.in_flight,
        offload_frames=core.offload.served_frames,
    )


_ANSWERS: Final[dict[type[Verb], Callable[[Gateway, Any], Any]]] = {
    ListBundles: _bundles,
    ShowBundle: lambda core, verb: bundle_of(core, verb.bundle),
    ListSegments: lambda core, _: segments_of(core),
    ShowSegment: lambda core, verb: segment_of(core, verb.segment),
    ListKills: lambda core, _: kills_of(core),
    PageRollouts: rollouts_page,
    ShowRollout: lambda core, verb: rollout_shown(core, verb.rollout),
    ListAlarms: alarms_page,
    ShowAlarm: lambda core, verb: alarm_of(core, verb.alarm),
    ShowDrift: drift_page,
    ListScores: lambda core, verb: scores_of(core, verb.cohort, verb.feature),
    ShowHistogram: lambda core, verb: histogram_of(core, verb.cohort, verb.feature),
}
