"""Classes of link quality, as data: what `scenarios/profiles/links.yaml` decodes to.

Decides the shape of a link's description and turns its percentiles into tables of equally likely
values. Leaves out time (`link.py`).

A class gives RTT by its 50th and 95th percentile (log-normal), rates by their 5th, 50th and 95th
(a log-normal of its own on either side of the median), effective packet loss and the mean length of
its bursts. One draw of 64 bits picks a row of each table, so an epoch costs three look-ups.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

import msgspec

from devicesdk.wire.timebase import MS
from devicesim.models.availability import AvailabilitySpec

TABLE_ROWS: Final = 256
KBIT: Final = 1000.0
_Z95: Final = NormalDist().inv_cdf(0.95)
_QUANTILES: Final = tuple(NormalDist().inv_cdf((k + 0.5) / TABLE_ROWS) for k in range(TABLE_ROWS))
RATE_BPS_MIN: Final = 100.0


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Percentiles of the rate that a link carries in one direction, kbit/s."""

    p50: float
    p5: float = 0.0
    p95: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < (self.p5 or self.p50) <= self.p50 <= (self.p95 or self.p50):
            raise ValueError(
                f"expected 0 < p5 <= p50 <= p95 kbit/s, found {self.p5}, {self.p50}, {self.p95}"
            )

    def table_bps(self) -> tuple[float, ...]:
        """Equally likely rates, slowest first, bit/s."""
        low = math.log(self.p50 / (self.p5 or self.p50)) / _Z95
        high = math.log((self.p95 or self.p50) / self.p50) / _Z95
        return tuple(
            max(RATE_BPS_MIN, self.p50 * KBIT * math.exp(q * (low if q < 0.0 else high)))
            for q in _QUANTILES
        )


class QualityClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One class: RTT percentiles (ms), rates down and up, loss (share), burst of loss (packets)."""

    rtt_ms_p50: float
    down_kbit_s: Rates
    up_kbit_s: Rates
    rtt_ms_p95: float = 0.0
    loss: float = 0.0
    burst_packets: float = 1.0
    source: str = ""

    def __post_init__(self) -> None:
        if self.rtt_ms_p50 <= 0.0 or (self.rtt_ms_p95 and self.rtt_ms_p95 < self.rtt_ms_p50):
            raise ValueError(
                f"expected 0 < rtt_ms_p50 <= rtt_ms_p95, found {self.rtt_ms_p50}, {self.rtt_ms_p95}"
            )
        if not 0.0 <= self.loss < 1.0 or self.burst_packets < 1.0:
            raise ValueError(
                "expected a loss from 0 to below 1 and bursts of 1 packet or more, "
                f"found {self.loss} and {self.burst_packets}"
            )

    def rtt_table_ns(self) -> tuple[int, ...]:
        """Equally likely round-trip times, shortest first, ns."""
        sigma = math.log((self.rtt_ms_p95 or self.rtt_ms_p50) / self.rtt_ms_p50) / _Z95
        return tuple(round(self.rtt_ms_p50 * math.exp(q * sigma) * MS) for q in _QUANTILES)


class LinkSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named link: classes by weight, how long one is held, and when the link is there at all.

    `mix` maps class names to weights; each device draws how long it holds a class, between
    `epoch_s` (30 to 300 s). Without `availability` the link never goes by itself. `radio` names the
    radio that it keeps awake.
    """

    mix: dict[str, float]
    epoch_s: tuple[float, float] = (30.0, 300.0)
    availability: AvailabilitySpec | None = None
    radio: str = "ethernet"
    source: str = ""

    def __post_init__(self) -> None:
        if not 0 < len(self.mix) <= TABLE_ROWS or min(self.mix.values()) <= 0.0:
            raise ValueError(
                f"expected a mix of 1 to {TABLE_ROWS} classes with weights above zero, "
                f"found {self.mix}"
            )
        low, high = self.epoch_s
        if not 0.0 < low <= high:
            raise ValueError(f"expected epoch_s as [shortest, longest], found {self.epoch_s}")


class LinkBook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All classes and links by name: the whole of a links file.

    Raises:
        ValueError: a link mixes a class that the book does not have.
    """

    classes: dict[str, QualityClass]
    links: dict[str, LinkSpec]

    def __post_init__(self) -> None:
        for name, link in self.links.items():
            for wanted in link.mix:
                if wanted not in self.classes:
                    known = ", ".join(self.classes)
                    raise ValueError(
                        f"link {name}: expected classes of this file ({known}), found {wanted!r}"
                    )


class QualityTables:
    """The tables of a mix of classes, built once and shared by all links of that name."""

    __slots__ = ("choice", "rows")

    def __init__(self, spec: LinkSpec, classes: dict[str, QualityClass]) -> None:
        self.rows = tuple(
            (
                quality.rtt_table_ns(),
                quality.down_kbit_s.table_bps(),
                quality.up_kbit_s.table_bps(),
                quality.loss,
                quality.burst_packets,
            )
            for quality in (classes[name] for name in spec.mix)
        )
        self.choice = _choice(tuple(spec.mix.values()))


def _choice(weights: tuple[float, ...]) -> tuple[int, ...]:
    """Spread class numbers over `TABLE_ROWS` slots by weight; no class of the mix gets none."""
    total, passed, slots = sum(weights), 0.0, list[int]()
    for number, weight in enumerate(weights):
        passed += weight
        upto = max(len(slots) + 1, round(TABLE_ROWS * passed / total))
        upto = min(upto, TABLE_ROWS - (len(weights) - number - 1))
        slots += [number] * (upto - len(slots))
    return tuple(slots)
