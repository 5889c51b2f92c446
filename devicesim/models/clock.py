"""A device's clocks: a wall clock that may be wrong, and a monotonic one that is not.

Decides what time a device believes it is. Leaves out how it learns better (the agent). A crystal is
off by some parts per million; a device without a battery-backed clock wakes up in 1970 after a power
cut, and stays there until someone tells it the time.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.timebase import MS

PPM_MAX: Final = 1000.0


class DeviceClock:
    """The clocks of one device.

    Args:
        skew_ppm: how much faster the wall clock runs than time does, parts per million.
        wall_ms: Unix time that is right at `now`, ms.
        now: instant, ns.
        rtc: whether a battery-backed clock keeps the time through a power cut.
    """

    __slots__ = ("_base_ns", "_booted_at", "_ratio_ppb", "_rtc", "_set_at")

    def __init__(self, skew_ppm: float, wall_ms: int, now: int, *, rtc: bool = True) -> None:
        if abs(skew_ppm) > PPM_MAX:
            raise ValueError(f"expected a skew within {PPM_MAX:g} ppm, found {skew_ppm:g}")
        self._ratio_ppb = round(skew_ppm * 1000.0)
        self._base_ns = wall_ms * MS
        self._set_at = self._booted_at = now
        self._rtc = rtc

    def wall_ms(self, now: int) -> int:
        """Unix time that the device believes in at `now`, ms."""
        passed = now - self._set_at
        return (self._base_ns + passed + passed * self._ratio_ppb // 1_000_000_000) // MS

    def monotonic_ns(self, now: int) -> int:
        """Time since boot; right whatever happens to the wall clock, never back within a boot."""
        return now - self._booted_at

    def set_wall(self, now: int, wall_ms: int) -> None:
        """Be told the time (by the gateway or NTP)."""
        self._base_ns = wall_ms * MS
        self._set_at = now

    def skew(self, now: int, skew_ppm: float) -> None:
        """Change the rate from `now` on, without a jump."""
        if abs(skew_ppm) > PPM_MAX:
            raise ValueError(f"expected a skew within {PPM_MAX:g} ppm, found {skew_ppm:g}")
        self._base_ns = self.wall_ms(now) * MS
        self._set_at = now
        self._ratio_ppb = round(skew_ppm * 1000.0)

    def boot(self, now: int, *, lost_rtc: bool = False) -> None:
        """Power came back: monotonic time starts over; without a clock battery it is 1970."""
        self._booted_at = now
        if lost_rtc or not self._rtc:
            self._base_ns = 0
            self._set_at = now
