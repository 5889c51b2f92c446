"""A budget of bytes per second with a burst, in integers.

The generic cell rate algorithm (ITU-T I.371, virtual scheduling): a token bucket kept as a single
instant, the time at which the bucket would be full again. Decides how much fits now and when more
will. Leaves out who is served first: the caller passes the share of the burst that must stay.

Rule: `promise` books the future without spending it, so that devices that are told to come back are
told different instants and do not return as a herd.
"""

from __future__ import annotations

from devicesdk.wire.timebase import SECOND


class Budget:
    """Bytes per second, and how many at once after a pause.

    Args:
        bytes_per_s: rate, positive.
        burst_bytes: size of the bucket, positive.
    """

    __slots__ = ("_burst_ns", "_full_ns", "_promised_ns", "_rate")

    def __init__(self, bytes_per_s: int, burst_bytes: int) -> None:
        if bytes_per_s <= 0 or burst_bytes <= 0:
            raise ValueError(
                f"expected a positive rate and burst, found {bytes_per_s} bytes/s and {burst_bytes} "
                f"bytes; pause the deployment to send nothing"
            )
        self._rate = bytes_per_s
        self._burst_ns = burst_bytes * SECOND // bytes_per_s
        self._full_ns = 0
        self._promised_ns = 0

    def fits_bytes(self, now: int, reserve_permille: int) -> int:
        """How many bytes may go now if this part of the burst has to stay."""
        room = self._burst_ns - self._burst_ns * reserve_permille // 1000
        if self._full_ns > now:
            room -= self._full_ns - now
        return room * self._rate // SECOND if room > 0 else 0

    def take(self, size_bytes: int, now: int) -> None:
        """Spend; the budget may go below zero if the caller did not ask whether it fits."""
        start = max(self._full_ns, now)
        self._full_ns = start - (-size_bytes * SECOND // self._rate)

    def promise(self, size_bytes: int, reserve_permille: int, now: int) -> int:
        """The instant at which `size_bytes` more than all earlier promises will fit."""
        cost = -(-size_bytes * SECOND // self._rate)
        usable = self._burst_ns - self._burst_ns * reserve_permille // 1000
        earliest = max(now, self._full_ns - usable)
        self._promised_ns = max(self._promised_ns, earliest) + cost
        return self._promised_ns

    def idle_since_ns(self) -> int:
        """The instant since which the bucket is full."""
        return self._full_ns
