"""The check of retries: few enough for each device, and not all at once for the fleet.

Decides the bounds. Leaves out which back-off is the right one.

For one device: the bound is what the configured back-off would do if every one of its draws came out
at the 28 % point of its range, plus a margin of 20. A simulation of 200,000 devices that never get
through found at most 87 attempts in ten minutes with decorrelated jitter from 1 s to 120 s, where the
bound is 153; hammering once a second makes 600. Boots and stable sessions start the count anew, as
they do the back-off.

For the fleet: a device in its fourth retry or a later one has drawn at least three waits; no more than
a quarter of all devices (and never fewer than eight) may do so in the same second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from devicesdk.agent.backoff import bounds
from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.world.checks.check import Check

if TYPE_CHECKING:
    from devicesdk.agent.config import BackoffConfig
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World

WINDOW_NS: Final = 10 * MINUTE
UNLUCKY_SHARE: Final = 0.28
MARGIN_ATTEMPTS: Final = 20
LATE_RETRY: Final = 4
TOGETHER_SHARE_MAX: Final = 0.25
TOGETHER_MIN: Final = 8


def attempts_max(backoff: BackoffConfig) -> int:
    """How many connects in `WINDOW_NS` this back-off can explain."""
    spent, last, attempts, row = 0, backoff.base_ns, 0, 0
    while spent < WINDOW_NS:
        if backoff.attempts_max and row >= backoff.attempts_max:
            wait, row = backoff.rest_ns or WINDOW_NS, 0
        else:
            wait = last = _unlucky_wait(backoff, last, row)
            row += 1
        spent += max(wait, SECOND // 10)
        attempts += 1
    return attempts + MARGIN_ATTEMPTS


def _unlucky_wait(backoff: BackoffConfig, last: int, losses: int) -> int:
    if backoff.jitter == "decorrelated":
        low, high = backoff.base_ns, max(backoff.base_ns, min(backoff.cap_ns, 3 * last))
    elif backoff.first_ns >= 0 and not losses:
        low = high = backoff.first_ns
    else:
        low, high = bounds(backoff, losses - (backoff.first_ns >= 0))
    wait = low + int(UNLUCKY_SHARE * (high - low))
    return min(wait, backoff.cap_ns) if backoff.cap_after else wait


class BoundedRetry(Check):
    """Retries are bounded in number for each device, and never synchronised over the fleet."""

    name: ClassVar[str] = "bounded_retry"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        count = len(world.hosts)
        self._since = [0] * count
        self._attempts = [0] * count
        self._losses = [0] * count
        self._connected_at = [-1] * count
        self._counted_in = [-1] * count
        self._bounds: dict[BackoffConfig, int] = {}
        self._together_max = max(TOGETHER_MIN, int(TOGETHER_SHARE_MAX * count))
        self._second = self._in_second = 0

    def booted(self, host: DeviceHost, now: int) -> None:
        """A boot forgets everything, the back-off too."""
        self._start_over(host.index, now)

    def connected(self, host: DeviceHost, now: int) -> None:
        """Got through; whether for long will be seen."""
        self._connected_at[host.index] = now

    def disconnected(self, host: DeviceHost, now: int, reason: str) -> None:
        """After a stable session the back-off starts over."""
        del reason
        since = self._connected_at[host.index]
        self._connected_at[host.index] = -1
        if since >= 0 and now - since >= host.parts.config.backoff.stable_ns:
            self._start_over(host.index, now)

    def _start_over(self, index: int, now: int) -> None:
        self._since[index] = now
        self._attempts[index] = self._losses[index] = 0

    def attempted(self, host: DeviceHost, now: int) -> None:
        """Count."""
        self.judged += 1
        index = host.index
        if now - self._since[index] >= WINDOW_NS:
            self._since[index], self._attempts[index] = now, 0
        self._attempts[index] += 1
        self._losses[index] += 1
        self._alone(host, index, now)
        if self._losses[index] > LATE_RETRY:
            self._together(index, now)

    def _alone(self, host: DeviceHost, index: int, now: int) -> None:
        backoff = host.parts.config.backoff
        bound = self._bounds.get(backoff)
        if bound is None:
            bound = self._bounds[backoff] = attempts_max(backoff)
        if self._attempts[index] == bound + 1:
            self.fail(now, f"expected at most {bound} connects in ten minutes, found more", host)

    def _together(self, index: int, now: int) -> None:
        second = now // SECOND
        if second != self._second:
            self._second, self._in_second = second, 0
        if self._counted_in[index] == second:
            return
        self._counted_in[index] = second
        self._in_second += 1
        if self._in_second == self._together_max + 1:
            self.fail(
                now,
                f"expected retries to be spread, at most {self._together_max} devices in one second "
                f"after their fourth, found {self._in_second} and counting: their back-offs run in step",
            )
