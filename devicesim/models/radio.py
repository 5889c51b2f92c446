"""Energy of a radio: promotion, transfer, tail, in closed form and without events.

Decides how many joules a message costs and until when the radio then stays up. Leaves out how long
the message travels (`link.py`). The figures are those of Huang et al., "A close examination of
performance and power characteristics of 4G LTE networks", MobiSys 2012: a radio is promoted (fixed
time and power), transfers (base power plus watts per Mbit/s), then keeps listening for a tail that
often costs more than all the rest. A message within the tail of another pays no promotion.

Rules: J, W, s; instants in ns. What a message adds is the *extension* of the tail, so that the sum
over messages is the energy of the radio whatever their order.
"""

from __future__ import annotations

from typing import Final

import msgspec

from devicesdk.wire.timebase import SECOND

MBIT: Final = 1e6
PING_BYTES: Final = 2 + 2 + 2 * 40
"""PINGREQ, PINGRESP and the TCP/IP headers of both."""


class RadioSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of radio. `up_w_mbit` and `down_w_mbit` are W per Mbit/s: J per Mbit.

    `tail` lists the stages of the tail, each ``(seconds, watts)``; `up_mbit_s` and `down_mbit_s` are
    the rates assumed when the caller knows none.
    """

    promotion_s: float
    promotion_w: float
    base_w: float
    up_w_mbit: float
    down_w_mbit: float
    tail: tuple[tuple[float, float], ...]
    up_mbit_s: float
    down_mbit_s: float

    def __post_init__(self) -> None:
        if self.up_mbit_s <= 0.0 or self.down_mbit_s <= 0.0:
            raise ValueError("expected up_mbit_s and down_mbit_s above zero")
        if min(*self._figures(), *(x for stage in self.tail for x in stage), 0.0) < 0.0:
            raise ValueError("expected seconds and watts of a radio of zero or more")

    def _figures(self) -> tuple[float, ...]:
        return self.promotion_s, self.promotion_w, self.base_w, self.up_w_mbit, self.down_w_mbit

    @property
    def tail_s(self) -> float:
        """Length of the whole tail, s."""
        return sum(seconds for seconds, _ in self.tail)

    def tail_j(self, seconds: float) -> float:
        """Energy of the first `seconds` of the tail, J."""
        total = 0.0
        for stage_s, watts in self.tail:
            spent = min(seconds, stage_s)
            total += spent * watts
            seconds -= spent
            if seconds <= 0.0:
                break
        return total

    def lonely_j(self, nbytes: int, *, uplink: bool) -> float:
        """Energy of one message with silence before and after: promotion, transfer, whole tail."""
        transfer_s = 8.0 * nbytes / ((self.up_mbit_s if uplink else self.down_mbit_s) * MBIT)
        bits_j = (self.up_w_mbit if uplink else self.down_w_mbit) * 8.0 * nbytes / MBIT
        start = self.promotion_s * self.promotion_w
        return start + transfer_s * self.base_w + bits_j + self.tail_j(self.tail_s)


RADIOS: Final = {
    "lte": RadioSpec(
        0.2601, 1.210, 1.28804, 0.43839, 0.05197, ((11.576, 1.060),), up_mbit_s=5.64, down_mbit_s=12.74
    ),
    "3g": RadioSpec(
        0.5821, 0.6594, 0.81788, 0.86898, 0.12201,
        ((8.0881, 0.80375), (0.8242, 0.60131)), up_mbit_s=0.72, down_mbit_s=1.0,
    ),
    "wifi": RadioSpec(
        0.07912, 0.12437, 0.13286, 0.28317, 0.13701, ((0.2382, 0.11931),), up_mbit_s=5.0, down_mbit_s=9.0
    ),
    # A phone a decade younger: connected-mode DRX leaves some 3-5 times less in the tail.
    "lte-modern": RadioSpec(
        0.2601, 1.210, 1.28804, 0.11, 0.013, ((11.576, 0.265),), up_mbit_s=20.0, down_mbit_s=50.0
    ),
    # Espressif ESP32-S2 at 3.3 V (datasheet): TX 145 mA (802.11g), RX 63 mA, modem sleep 14-22 mA.
    "wifi-mcu": RadioSpec(0.01, 0.208, 0.208, 0.045, 0.0, ((0.2, 0.06),), up_mbit_s=6.0, down_mbit_s=6.0),
    # A wired port draws the same whether it talks or not: it is part of the idle power.
    "ethernet": RadioSpec(0.0, 0.0, 0.0, 0.0, 0.0, (), up_mbit_s=94.0, down_mbit_s=94.0),
}  # fmt: skip


class Radio:
    """When one radio sleeps again: `up_until`, ns. A `silent` one (a wire) costs nothing beyond idle."""

    __slots__ = (
        "_base_w", "_down_j", "_down_s", "_lonely_j", "_tail_ns", "_up_j", "_up_s", "silent", "spec", "up_until",
    )  # fmt: skip

    def __init__(self, spec: RadioSpec) -> None:
        self.spec = spec
        self.up_until = 0
        self._tail_ns = round(spec.tail_s * SECOND)
        self._up_s = 8.0 / (spec.up_mbit_s * MBIT)
        self._down_s = 8.0 / (spec.down_mbit_s * MBIT)
        self._up_j = 8.0 * spec.up_w_mbit / MBIT
        self._down_j = 8.0 * spec.down_w_mbit / MBIT
        self._base_w = spec.base_w
        self._lonely_j = spec.promotion_s * spec.promotion_w + spec.tail_j(spec.tail_s)
        self.silent = not (spec.tail or spec.base_w or self._up_j or spec.promotion_w)

    def message(self, now: int, nbytes: int, *, uplink: bool, bytes_per_s: float = 0.0) -> float:
        """Account one message from `now`; returns its energy (J) and moves `up_until`.

        Args:
            now: instant, ns.
            nbytes: bytes on the air.
            uplink: from the device.
            bytes_per_s: rate of the link; the radio's nominal rate if 0.
        """
        joules = nbytes * (self._up_j if uplink else self._down_j)
        if bytes_per_s > 0.0:
            seconds = nbytes / bytes_per_s
        else:
            seconds = nbytes * (self._up_s if uplink else self._down_s)
        joules += seconds * self._base_w
        spec, until = self.spec, self.up_until
        left = until - now
        if left <= 0:
            seconds += spec.promotion_s
            joules += self._lonely_j
            self.up_until = now + round(seconds * SECOND) + self._tail_ns
            return joules
        # Within the tail: what was left of it is not spent twice, a new one follows the transfer.
        longer = now + round(seconds * SECOND) + self._tail_ns
        if longer > until:
            self.up_until = longer
        if len(spec.tail) == 1:
            more = self._tail_ns - left
            return joules + (more if more > 0 else 0) / SECOND * spec.tail[0][1]
        return joules + spec.tail_j(max(0.0, spec.tail_s - left / SECOND))

    def keep_alive_w(self, period_s: float) -> float:
        """Mean power of a ping every `period_s` s on an otherwise silent connection, W.

        No event is spent on it: either the radio falls asleep in between and each ping pays the
        whole price, or it never leaves the tail.
        """
        spec = self.spec
        if period_s >= spec.promotion_s + spec.tail_s:
            return spec.lonely_j(PING_BYTES, uplink=True) / period_s
        return spec.tail_j(period_s) / period_s

    def cut(self) -> None:
        """Power off: the tail is not spent."""
        self.up_until = 0
