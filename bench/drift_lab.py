"""Fleets with a known truth, for measuring how well drift is told: real models, real frames, real collect.

Two kinds. `Trial` renders gauges, runs the shipped model on them (or its saturating twin, which is what a
broken int8 kernel computes), encodes windows as a device does and hands them to the collect machine, one
window a day. `drawn` draws histograms from a normal law instead, where a shift of so many sigma is exact and
thousands of cohorts are cheap. Used by ``bench/drift.py`` and by tests/simulation/test_drift.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from devicesdk.agent.stimuli import Conditions, FramesRan
from devicesdk.agent.telemetry import Probed, encode_window
from devicesdk.bundle.build import build_bundle
from devicesdk.inference.kit import KERNEL_DEFAULT, KERNEL_SATURATING
from devicesdk.inference.source import load_source
from devicesdk.sketches.histogram import pack
from devicesdk.wire import codec
from devicesdk.wire.messages import Telemetry
from devicesdk.wire.timebase import DAY, HOUR, SECOND
from devicesim.entropy import Entropy
from devicesim.models.datastream import Condition, GaugeStream, Site, Sun
from devicesim.world.inference import InferencePool
from gateway.core.collect.collect import Collect
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.rows import CohortWindow
from gateway.core.internal import BundleKnown, DeviceLabelled
from gateway.core.stimuli import Arrived, DeadlineReached

BUNDLE: Final = Path(__file__).parents[1] / "models" / "gauge" / "1.0.0"
VARIANT: Final = "int8-rr"
NAME: Final = b"bundle-1"
KINDS: Final = ("none", "hardware", "data", "both")
BINS: Final = 10
HABIT_DAYS: Final = 4
REFERENCE: Final = 24_000

AMOUNTS: Final = {
    Condition.DIM: {0.1: 0.1, 0.25: 0.165, 0.5: 0.25, 0.75: 0.3, 1.0: 0.33},
    Condition.HAZE: {0.1: 0.0053, 0.25: 0.0132, 0.5: 0.0265, 0.75: 0.04, 1.0: 0.053},
}
"""Sigma to the share of light that is lost, or scattered, so that the feature that it bends (luminance,
contrast) moves by so many standard deviations of the healthy population; measured on 200 gauges over a day."""


class Truth(NamedTuple):
    """What is the matter with one cohort."""

    hardware: str
    region: str
    kind: str
    """One of `KINDS`."""

    @property
    def faulty(self) -> bool:
        """Whether its hardware is at fault."""
        return self.kind in ("hardware", "both")

    @property
    def shifted(self) -> bool:
        """Whether its inputs are."""
        return self.kind in ("data", "both")


SQUARE: Final = (
    Truth("sound", "eu", "none"), Truth("sound", "us", "none"),
    Truth("faulty", "eu", "hardware"), Truth("faulty", "us", "hardware"),
    Truth("sound", "asia", "data"), Truth("sound", "africa", "data"),
    Truth("faulty", "asia", "both"), Truth("faulty", "africa", "both"),
)  # fmt: skip
"""Two hardware classes by four regions; of 240 devices, 30 are in each."""


class _Rows(NamedTuple):
    made: list[list[int]]

    def rows(self) -> list[list[int]]:
        return self.made


class Trial:
    """The shipped reader and its baseline, loaded once."""

    def __init__(self, bundle: Path = BUNDLE) -> None:
        source = load_source(bundle)
        self.pool = InferencePool()
        self._digest = self.pool.register(source)[VARIANT]
        self._baseline = build_bundle(source.spec, source.models, 16_384).manifest.baseline

    def run(
        self,
        seed: int,
        truths: tuple[Truth, ...],
        *,
        devices: int = 30,
        condition: Condition = Condition.DIM,
        amount: float = 0.0,
        faults: float = 1.0,
        before: int = 0,
        days: int = 2,
        bursts: int = 16,
        frames: int = 2,
        probed: bool = True,
    ) -> list[list[CohortWindow]]:
        """Live some days, each a window, and return what the collect machine said of each, cohorts in order of name.

        Args:
            seed: of all luck.
            truths: the cohorts.
            devices: in each cohort.
            condition: what bends the inputs of the shifted ones.
            amount: how much.
            faults: how often a faulty kernel computes wrongly, bursts and probes alike.
            before: healthy days before it happens, from which devices' habits are learnt.
            days: windows after that.
            bursts: a day.
            frames: in a burst.
            probed: whether each device runs a golden probe a day.
        """
        collect = Collect(CollectLimits(window_ns=DAY, sensor_windows_min=HABIT_DAYS))
        collect.handle(BundleKnown(NAME, self._baseline), 0)
        sun, entropy = Sun(Site()), Entropy(seed)
        fleet = []
        for truth in truths:
            for number in range(devices):
                device = f"{truth.hardware}-{truth.region}-{number}"
                labels = {"hardware_class": truth.hardware, "region": truth.region}
                collect.handle(DeviceLabelled(device, labels), 0)
                gauge = GaugeStream(entropy, device, sun)
                luck = entropy.stream("trial.kernel", device)
                fleet.append((device, truth, gauge, luck))
        for day in range(before + days):
            if day == before:
                for _, truth, gauge, _ in fleet:
                    if truth.shifted and amount:
                        gauge.apply(condition, amount, day * DAY)
            wrong = faults if day >= before else 0.0
            self._day(collect, day, fleet, wrong, bursts, frames, probed=probed)
        return [list(window.cohorts) for window in collect.overview().windows]

    def _day(self, collect, day, fleet, faults, bursts, frames, *, probed) -> None:  # noqa: ANN001
        waiting = []
        for device, truth, gauge, luck in fleet:

            def kernel(truth=truth, luck=luck) -> str:  # noqa: ANN001
                wrong = truth.faulty and luck.chance(faults)
                return KERNEL_SATURATING if wrong else KERNEL_DEFAULT

            handles = [
                self.pool.submit(
                    self._digest,
                    gauge.burst(day * DAY + n * DAY // bursts, frames, SECOND),
                    kernel(),
                )
                for n in range(bursts)
            ]
            probe = self.pool.run_kit(self._digest, kernel()) if probed else None
            waiting.append((device, handles, probe))
        for device, handles, probe in waiting:
            rows = [row for handle in handles for row in handle.lists()]
            ran = FramesRan(1, len(rows), _Rows(rows), 2_000, 0, Conditions())
            payload, _ = encode_window(
                1, day + 1, NAME, 0, DAY, ran, rows, sketches=False,
                probed=None if probe is None else Probed(
                    probe.passed, probe.residual_permille, probe.worst_permille,
                    probe.argmax_mismatches, probe.resembles,
                ),
            )  # fmt: skip
            collect.handle(Arrived("tel", device, payload), day * DAY + 23 * HOUR)
        collect.handle(DeadlineReached(), (day + 1) * DAY)

    def lens(self, seed: int, days: int) -> tuple[list[CohortWindow], list[CohortWindow]]:
        """A healthy cohort in which the lens of device 7 hazes after `days`: its windows before and after."""
        collect = Collect(
            CollectLimits(window_ns=DAY, sensor_windows_min=HABIT_DAYS, sensor_windows=2)
        )
        collect.handle(BundleKnown(NAME, self._baseline), 0)
        sun, entropy, truth = Sun(Site()), Entropy(seed), SQUARE[0]
        fleet = []
        for number in range(30):
            device = f"{truth.hardware}-{truth.region}-{number}"
            labels = {"hardware_class": truth.hardware, "region": truth.region}
            collect.handle(DeviceLabelled(device, labels), 0)
            luck = entropy.stream("trial.kernel", device)
            fleet.append((device, truth, GaugeStream(entropy, device, sun), luck))
        for day in range(2 * days):
            if day == days:
                fleet[7][2].apply(Condition.HAZE, 0.4, day * DAY)
            self._day(collect, day, fleet, 0.0, 24, 2, probed=True)
        told = [window.cohorts[0] for window in collect.overview().windows]
        return told[:days], told[days:]

    def confusion(self, seeds: range, **how: object) -> dict[str, dict[str, int]]:
        """240 devices a seed: truth, told, devices. A device is told what its cohort is told."""
        table = {kind: dict.fromkeys((*KINDS, "sensor"), 0) for kind in KINDS}
        by_place = {(truth.hardware, truth.region): truth.kind for truth in SQUARE}
        for seed in seeds:
            for cohort in self.run(seed, SQUARE, **how)[-1]:  # type: ignore[arg-type]
                _, hardware, region = cohort.cohort.split("/")
                table[by_place[hardware, region]][cohort.drift] += cohort.devices
        return table

    def called(self, seed: int, devices: int = 40) -> bool:
        """Whether one healthy window of one healthy cohort shows a shift of any histogram."""
        [[cohort]] = self.run(seed, SQUARE[:1], devices=devices, days=1)
        return shows(cohort)


def shows(cohort: CohortWindow, rate: float = 0.05) -> bool:
    """Whether discovery control calls any of a window's tests, however small the effect."""
    ordered = sorted(score.p for score in cohort.scores)
    return any(p <= rate * rank / len(ordered) for rank, p in enumerate(ordered, 1))


def right(table: dict[str, dict[str, int]]) -> float:
    """Share of devices that were told the truth."""
    told = sum(sum(row.values()) for row in table.values())
    return sum(table[kind][kind] for kind in KINDS) / told


def drawn(
    seed: int, frames: int, sigma: float, *, devices: int = 50, windows: int = 2
) -> list[CohortWindow]:
    """Windows of a cohort whose frames are independent draws: eight normal features, of which the first
    is shifted by `sigma`, in ten bins that were pinned from a reference of 24,000 other draws."""
    luck = np.random.Generator(np.random.PCG64([seed, frames, round(1000 * sigma)]))
    edges = [-1.2816, -0.8416, -0.5244, -0.2533, 0.0, 0.2533, 0.5244, 0.8416, 1.2816]
    moved = np.array([_below(edge - sigma) for edge in edges])
    even = np.full(BINS, 1 / BINS)
    shares = [np.diff(moved, prepend=0.0, append=1.0)] + [even] * 7
    baseline = {f"feature{i}": luck.multinomial(REFERENCE, even).tolist() for i in range(8)}
    limits = CollectLimits(window_ns=DAY, baseline_frames_alike=1)
    collect = Collect(limits)
    collect.handle(BundleKnown(NAME, baseline), 0)
    each = frames // devices
    for window in range(windows):
        features = np.concatenate(
            [luck.multinomial(each, share, size=devices) for share in shares], axis=1
        )
        for device in range(devices):
            told = Telemetry(
                boot_id=1, seq=window + 1, bundle=NAME, frames=each,
                features=pack(features[device].tolist()),
            )  # fmt: skip
            collect.handle(Arrived("tel", f"d{device}", codec.encode(told)), window * DAY)
        collect.handle(DeadlineReached(), (window + 1) * DAY)
    return [window.cohorts[0] for window in collect.overview().windows]


def found(seed: int, frames: int, sigma: float) -> bool:
    """Whether the shifted feature of a drawn cohort is in alarm after two windows."""
    return any(s.alarm and s.feature == "feature0" for s in drawn(seed, frames, sigma)[-1].scores)


def _below(z: float) -> float:
    from math import erf, sqrt

    return 0.5 * (1.0 + erf(z / sqrt(2.0)))
