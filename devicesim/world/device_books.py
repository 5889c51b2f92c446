"""What became of each device, put together when a run is over.

Decides which number of which meter is which column of `devicesim.report.devices`. Counts itself only what
nobody else does and what is rare: times without power and the longest outage. Leaves out the file.

Rules: an outage lasts from one session to the next, or to the end; the time before the first session is
none unless there never was one. Nothing here is called for a message.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final

from devicesdk.wire.timebase import to_seconds
from devicesim.report.devices import DeviceRow
from devicesim.world.watch import Watcher

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.measures import Meter
    from devicesim.world.recorder import Recorder
    from devicesim.world.world import World


_J_DIGITS: Final = 3
_SOC_DIGITS: Final = 6
"""Sums of floats differ in their last bits with the order of what was added: nobody's policy did that."""


class DeviceBooks(Watcher):
    """Keeps the books of devices.

    Args:
        world: whose devices. The caller adds the books to its `watch`, after meter and recorder.
    """

    def __init__(self, world: World, meter: Meter, recorder: Recorder) -> None:
        self._world, self._meter, self._recorder = world, meter, recorder
        count = len(world.hosts)
        self._away_since = array("q", [-1]) * count
        self._dark_since = array("q", bytes(8 * count))
        self.longest_ns = array("q", bytes(8 * count))
        self.off_ns = array("q", bytes(8 * count))

    def booted(self, host: DeviceHost, now: int) -> None:
        """Power."""
        self.off_ns[host.index] += now - self._dark_since[host.index]
        self._dark_since[host.index] = -1

    def connected(self, host: DeviceHost, now: int) -> None:
        """An outage is over."""
        index = host.index
        since, self._away_since[index] = self._away_since[index], -1
        if since >= 0 and now - since > self.longest_ns[index]:
            self.longest_ns[index] = now - since

    def disconnected(self, host: DeviceHost, now: int, reason: str) -> None:
        """One begins."""
        del reason
        self._leaves(host.index, now)

    def went_off(self, host: DeviceHost, now: int) -> None:
        """One begins, in the dark."""
        self._dark_since[host.index] = now
        self._leaves(host.index, now)

    def _leaves(self, index: int, now: int) -> None:
        if self._away_since[index] < 0:
            self._away_since[index] = now

    def rows(self, now: int) -> list[DeviceRow]:
        """All devices at the end of the run, `now`; to be asked once, when nothing happens any more."""
        return [
            DeviceRow(self._words(host), self._numbers(host, now)) for host in self._world.hosts
        ]

    def _words(self, host: DeviceHost) -> tuple[str, ...]:
        labels, bundle = host.parts.labels, self._world.bundles.get(host.manifest)
        return (
            host.device, host.parts.group, labels["profile"], labels["link"], labels["region"],
            bundle.name if bundle is not None and host.slot else "",
        )  # fmt: skip

    def _numbers(self, host: DeviceHost, now: int) -> tuple[float, ...]:
        index, body = host.index, host.parts.body
        sessions, updates, recorder = self._meter.sessions, self._meter.updates, self._recorder
        body.settle_accounts(now)
        dark_since, waiting = self._dark_since[index], sessions.waiting_ns(host, now)
        return (
            to_seconds(recorder.offline_ns[index]),
            to_seconds(self.off_ns[index] + (now - dark_since if dark_since >= 0 else 0)),
            to_seconds(self._longest(host, now)),
            to_seconds(sessions.waits[index] + waiting),
            to_seconds(sessions.wait_longest[index]),
            float(recorder.attempts[index]),
            float(sessions.returns[index]),
            float(host.bytes_up),
            float(host.bytes_down),
            float(updates.refetched_of[index]),
            float(host.path.copies_lost),
            float(updates.updated_at[index] >= 0),
            _seconds(updates.update_ns[index]),
            _seconds(updates.updated_at[index]),
            float(updates.rollbacks[index]),
            float(max(0, host.boot_id - 1)),
            float(host.frames_run),
            float(host.frames_lost),
            to_seconds(body.throttled_ns),
            round(body.drawn_j, _J_DIGITS),
            math.nan if body.battery is None else round(body.lowest_soc, _SOC_DIGITS),
            _seconds(sessions.kill_ns[index]),
            _seconds(self._meter.inference_ns(host)),
        )

    def _longest(self, host: DeviceHost, now: int) -> int:
        index, since = host.index, self._away_since[host.index]
        if since < 0:
            ever = host.online or self._meter.sessions.connected_at[index] > 0
            return self.longest_ns[index] if ever else now
        return max(self.longest_ns[index], now - since)


def _seconds(value_ns: int) -> float:
    return math.nan if value_ns < 0 else to_seconds(value_ns)
