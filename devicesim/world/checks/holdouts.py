"""Who keeps a measure from what it should be: the hold-outs, and since when.

Decides, for each measure of the scenario language, which devices (or the gateway, or the broker) are behind
its present value. Looked at only when a comparison has failed, so that it costs a run nothing. Leaves out the
measures themselves (`devicesim.world.measures`) and what led to it (`devicesim.explain`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from devicesim.scenario.checks import Measured
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.measures import Meter
    from devicesim.world.world import World

GATEWAY: Final = "gateway"
BROKER: Final = "broker"
_AT_MOST: Final = ("<", "<=")
_GATEWAYS: Final = frozenset(
    {
        "halted", "open_rollouts", "halt_delay", "offer_p99", "experiments_stopped", "experiments_promoted",
        "drift_data", "drift_hardware", "drift_both", "drift_raised", "drift_delay",
    }
)  # fmt: skip
_BROKERS: Final = frozenset({"loss", "dropped", "queue_peak"})


class Holdout(msgspec.Struct, frozen=True):
    """One of them: its name, and since when; None: not known, or from the beginning."""

    who: str
    since_ns: int | None = None


def find(world: World, meter: Meter, must: Measured) -> list[Holdout]:
    """Find the hold-outs of a comparison that has failed, those of longest standing first.

    An empty list: nobody in particular, such as for a percentile.
    """
    measure = must.measure
    if measure in _GATEWAYS:
        return [Holdout(GATEWAY, _first_halt(meter) if measure == "halted" else None)]
    if measure in _BROKERS:
        return [Holdout(BROKER)]
    finder = _FINDERS.get(measure)
    if finder is None:
        return []
    many = must.must.sign in _AT_MOST
    found = finder(world, meter, many)
    found.sort(key=lambda one: (one[1] is None, one[1] or 0, one[0].index))
    return [Holdout(host.device, since) for host, since in found]


def since(must: Measured, found: list[Holdout], devices: int) -> int | None:
    """Since when a comparison has not held any more, as far as its hold-outs tell; None: not known.

    Of a share that must be at least so high, it is the instant at which one more was missing than
    may be; of a count that must be nought, the first.
    """
    known = [one.since_ns for one in found if one.since_ns is not None]
    sign, value = must.must.sign, must.must.value
    allowed = 0
    if must.measure.endswith("_ratio"):
        if sign in _AT_MOST:
            return None
        allowed = int((1 - value) * devices + 1e-9)
        allowed -= len(found) - len(known)  # those of whom it is not known were missing before
    elif sign in _AT_MOST:
        allowed = int(value)
    return known[max(0, allowed)] if len(known) > max(0, allowed) else None


_Found = list[tuple["DeviceHost", int | None]]


def _first_halt(meter: Meter) -> int | None:
    return min(meter.updates.halted.values(), default=None)


def _offline(world: World, meter: Meter, many: bool) -> _Found:  # noqa: FBT001 - all finders are called alike
    if many:
        return [(host, None) for host in world.hosts if host.online]
    return [(world.hosts[index], at) for index, at in meter.sessions.offline()]


def _not_updated(world: World, meter: Meter, many: bool) -> _Found:  # noqa: FBT001
    return _of_releases(world, meter, "committed", many)


def _not_exposed(world: World, meter: Meter, many: bool) -> _Found:  # noqa: FBT001
    return _of_releases(world, meter, "exposed", many)


def _of_releases(world: World, meter: Meter, what: str, who: bool) -> _Found:  # noqa: FBT001
    chosen: dict[int, None] = {}
    for release in meter.updates.releases:
        chosen.update(dict.fromkeys(release.those(what, who=who)))
    return [(world.hosts[index], None) for index in chosen]


def _throttled(world: World, meter: Meter, many: bool) -> _Found:  # noqa: FBT001
    del meter, many
    slow = [host for host in world.hosts if host.on and host.parts.body.processor.p_state > 0]
    return [(host, None) for host in slow]


def _slowest(world: World, meter: Meter, many: bool) -> _Found:  # noqa: FBT001
    del world, many
    return [(host, None) for host in meter.slowest()]


def _stuck(world: World, meter: Meter, many: bool) -> _Found:  # noqa: FBT001
    del many
    return [(host, meter.stuck.since(host)) for host in meter.stuck.find(world.now)]


def _bricked(world: World, meter: Meter, many: bool) -> _Found:  # noqa: FBT001
    del world, many
    return [(host, None) for host in meter.bricked()]


def _rolled_back(world: World, meter: Meter, many: bool) -> _Found:  # noqa: FBT001
    del many
    return [(world.hosts[index], None) for index in meter.updates.who_rolled_back()]


def _odd_versions(world: World, meter: Meter, many: bool) -> _Found:  # noqa: FBT001
    """Those that do not run what most run."""
    del meter, many
    running = Counter(host.manifest for host in world.hosts if host.on and host.manifest)
    usual = max(running, key=lambda manifest: running[manifest], default=b"")
    return [(h, None) for h in world.hosts if h.on and h.manifest and h.manifest != usual]


_FINDERS: Final[dict[str, Callable[[World, Meter, bool], _Found]]] = {
    "online_ratio": _offline,
    "updated_ratio": _not_updated,
    "exposed_ratio": _not_exposed,
    "throttled_ratio": _throttled,
    "inference_p95": _slowest,
    "stuck": _stuck,
    "bricked": _bricked,
    "rolled_back": _rolled_back,
    "versions": _odd_versions,
}
