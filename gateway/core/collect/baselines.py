"""What a bundle's telemetry should look like: the histograms of its training reference.

Decides how the names and numbers of a manifest's ``baseline`` are read. Leaves out the comparison.

Rules: ``confidence``, ``entropy`` and ``latency`` name those histograms; all other names are
features, in the order in which they stand. A list that sums to more than 1.5 is *counts*, and its sum
the size of the reference; else it is probabilities of a reference of unknown size, and the default
counts. ``name@hardware`` replaces ``name`` for one hardware class (another variant, another
confidence). What does not fit the bins is left out: better no score than a wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.core.collect.bins import HISTOGRAMS

_COUNTS_ABOVE: Final = 1.5
_NAMED: Final = {"confidence": 0, "entropy": 1, "latency": 2}
_FEATURES_FROM: Final = 3


class Reference(NamedTuple):
    """The baseline of one histogram."""

    name: str
    first: int
    stop: int
    shares: list[float]
    samples: float
    """How many samples the shares were estimated from."""


class Baselines:
    """References by bundle and hardware class.

    Args:
        count_default: size of a reference that pins probabilities only.
    """

    __slots__ = ("_bundles", "_count_default", "_ready")

    def __init__(self, count_default: int) -> None:
        self._bundles: dict[bytes, Mapping[str, list[float]]] = {}
        self._count_default = count_default
        self._ready: dict[tuple[bytes, str], tuple[Reference, ...]] = {}

    def learn(self, bundle: bytes, baseline: Mapping[str, list[float]]) -> None:
        """Take over a bundle's baseline; it may come twice."""
        if self._bundles.get(bundle) != baseline:
            self._bundles[bundle] = baseline
            self._ready = {key: value for key, value in self._ready.items() if key[0] != bundle}

    def of(self, bundle: bytes, hardware: str) -> tuple[Reference, ...]:
        """The references of a cohort; none when the bundle pins nothing or is not known."""
        ready = self._ready.get((bundle, hardware))
        if ready is None:
            ready = self._ready[bundle, hardware] = tuple(self._read(bundle, hardware))
        return ready

    def _read(self, bundle: bytes, hardware: str) -> list[Reference]:
        pinned = self._bundles.get(bundle, {})
        references = []
        feature = _FEATURES_FROM
        for name, values in pinned.items():
            if "@" in name:
                continue
            index = _NAMED.get(name, feature)
            feature += index == feature
            reference = self._reference(name, index, pinned.get(f"{name}@{hardware}", values))
            if reference is not None:
                references.append(reference)
        return references

    def _reference(self, name: str, index: int, values: list[float]) -> Reference | None:
        if index >= len(HISTOGRAMS):
            return None
        first, stop = HISTOGRAMS[index]
        mass = math.fsum(values)
        if len(values) != stop - first or min(values) < 0 or not 0 < mass < math.inf:
            return None
        count = mass if mass > _COUNTS_ABOVE else float(self._count_default)
        return Reference(name, first, stop, [value / mass for value in values], count)
