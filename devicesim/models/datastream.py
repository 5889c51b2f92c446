"""What each device's camera looks at: its own gauge, light, lens and luck.

Decides the true value of a device's gauge over time, the conditions under which its frames are taken,
and how data faults bend them. Leaves out pixels (devicesdk/inference/dials.py) and models (devicesdk/inference).

Theory of operation. The true value is a stationary Ornstein-Uhlenbeck process, drawn exactly at
knots half an hour apart (``x' = rho x + sqrt(1 - rho^2) N(0, 1)``, ``rho = exp(-dt / tau)``; Gillespie
1996, "Exact numerical simulation of the Ornstein-Uhlenbeck process") and interpolated between them;
cloud cover the same. A knot costs two draws of the device's own stream whoever asks and however
often, so a value at an instant depends on the seed, the device and the instant alone. Light is a lamp
plus a window times the sun's height (declination after Cooper 1969), so season and hour are physical.

A burst of frames is *described* by one small tuple and drawn as pixels only when something observes
a result (`expand`, `render`): a fleet's frames then cost numpy passes, not Python.

Rules: instants never go back by more than the current knot interval; a fault has a token and an undo;
what was submitted before a fault began is not touched by it.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from devicesdk.inference import dials
from devicesdk.inference.dials import Floats, Indices
from devicesdk.wire.timebase import DAY, HOUR, MINUTE, NEVER
from devicesim.entropy import Entropy

Luck: TypeAlias = NDArray[np.uint64]
Reals: TypeAlias = NDArray[np.float64]

KNOT_NS: Final = 30 * MINUTE
BURST_FRAMES_MAX: Final = 4096
FAULTS_PER_DEVICE_MAX: Final = 16

_VALUE_TAU_NS: Final = 3 * HOUR
_CLOUD_TAU_NS: Final = 2 * HOUR
_RHO_VALUE: Final = math.exp(-KNOT_NS / _VALUE_TAU_NS)
_RHO_CLOUD: Final = math.exp(-KNOT_NS / _CLOUD_TAU_NS)
_KICK_VALUE: Final = math.sqrt(1.0 - _RHO_VALUE**2)
_KICK_CLOUD: Final = math.sqrt(1.0 - _RHO_CLOUD**2)
_SUN_SLOTS: Final = 288
_SUN_SLOT_NS: Final = DAY // _SUN_SLOTS
_VIBRATION: Final = 0.004
_GLARE_PEAK: Final = 170.0
_GLARE_LEAST: Final = 0.05
_GLARE_SLOTS: Final = 13
"""Of five minutes: the sun strikes a glass for about two hours a day."""
_MASK_32: Final = 2**32 - 1


class Condition(enum.StrEnum):
    """What a data fault bends. Amounts: see `GaugeStream.apply`."""

    DIM = "dim"
    HAZE = "haze"
    BLUR = "blur"
    PRIOR_SHIFT = "prior_shift"
    STUCK = "stuck"


AMOUNTS: Final = {
    Condition.DIM: (0.0, 1.0),
    Condition.HAZE: (0.0, 1.0),
    Condition.BLUR: (0.0, 1.0),
    Condition.PRIOR_SHIFT: (-1.0, 1.0),
    Condition.STUCK: (0.0, 1.0),
}


class FrameSpec(NamedTuple):
    """A burst of frames, described. Numbers only: a list of these becomes one numpy array."""

    frames: int
    value_start: float
    value_end: float
    """Needle position at the first frame and one period after the last, 0 .. 1 of full scale."""
    scene: int
    """First row of this tilt and blur in `dials.dial_bank`."""
    gain: float
    offset: float
    sigma: float
    glare: float
    glare_mask: int
    luck: int
    """32 bits that decide each frame's noise texture and vibration."""
    luck_step: int
    """1, or 0 where the sensor is stuck and every frame is the same picture."""


_spell: Final = tuple.__new__
"""A named tuple from a tuple, without the call in Python that its class makes."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where a group of devices stands. The sun is the same for all of them, the window is not.

    Light is in units of a well lit dial: 1.0.
    """

    latitude_deg: float = 45.0
    day_of_year: int = 80
    """Of instant 0; 80 is the March equinox, when the season matters least."""
    clock_ns: int = 8 * HOUR
    """Local solar time of day at instant 0."""
    lamp: float = 0.6
    window: float = 0.8
    value_mean: float = 0.45
    value_sigma: float = 0.16


class Sun:
    """The sine of the sun's elevation over one site, tabulated a day at a time."""

    __slots__ = ("_clock_ns", "_midnight", "_table", "site")

    def __init__(self, site: Site) -> None:
        self.site = site
        self._clock_ns = site.clock_ns
        self._midnight = NEVER
        """When the day of the table began; NEVER: there is none yet."""
        self._table: list[float] = []

    def height(self, now: int) -> tuple[float, int]:
        """Sine of the elevation (0 below the horizon) and the five-minute slot of the local day."""
        time_of_day = now - self._midnight
        if not 0 <= time_of_day < DAY:
            day, time_of_day = divmod(now + self._clock_ns, DAY)
            self._midnight, self._table = now - time_of_day, self._tabulate(day)
        slot = time_of_day // _SUN_SLOT_NS
        return self._table[slot], slot

    def _tabulate(self, day: int) -> list[float]:
        # Cooper (1969): declination = 23.45 deg sin(360 (284 + n) / 365).
        season = 2.0 * math.pi * (284 + self.site.day_of_year + day) / 365.0
        declination = math.radians(23.45) * math.sin(season)
        latitude = math.radians(self.site.latitude_deg)
        base = math.sin(latitude) * math.sin(declination)
        swing = math.cos(latitude) * math.cos(declination)
        step = 2.0 * math.pi / _SUN_SLOTS
        return [
            max(0.0, base - swing * math.cos(step * (slot + 0.5))) for slot in range(_SUN_SLOTS)
        ]


class GaugeStream:
    """One device's gauge and camera.

    Args:
        entropy: the run's master seed; the stream ``("datastream", device)`` is drawn from it.
        device: name of the device.
        sun: of the device's site; share one among the devices of a site.
    """

    __slots__ = (
        "_cloud",
        "_cloud_slope",
        "_fault_seq",
        "_faults",
        "_glare_slot",
        "_haze",
        "_knot_at",
        "_lamp",
        "_light",
        "_luck",
        "_mean",
        "_scene",
        "_shift",
        "_sigma",
        "_stream",
        "_stuck",
        "_sun",
        "_tilt",
        "_value",
        "_value_slope",
        "_window",
        "_worn_blur",
        "_worn_haze",
    )  # fmt: skip

    def __init__(self, entropy: Entropy, device: str, sun: Sun) -> None:
        stream = entropy.stream("datastream", device)
        site = sun.site
        self._stream, self._sun = stream, sun
        self._luck = stream.integer(2**32)
        self._tilt = stream.integer(len(dials.TILTS))
        self._worn_blur = int(stream.chance(0.15))
        self._worn_haze = stream.uniform(0.0, 0.12)
        self._lamp = site.lamp * stream.lognormal(1.0, 0.35)
        self._window = site.window * stream.uniform(0.2, 1.0)
        self._glare_slot = stream.integer(_SUN_SLOTS)
        self._mean = site.value_mean + stream.normal(0.0, 0.08)
        self._sigma = site.value_sigma
        self._knot_at = 0
        value, cloud = stream.normal(), stream.normal()
        self._value, self._cloud = value, cloud
        self._value_slope = _RHO_VALUE * value + _KICK_VALUE * stream.normal() - value
        self._cloud_slope = _RHO_CLOUD * cloud + _KICK_CLOUD * stream.normal() - cloud
        self._faults: dict[int, tuple[Condition, float]] = {}
        self._fault_seq = 0
        self._stuck: FrameSpec | None = None
        self._bend()

    def value(self, now: int) -> float:
        """The true value of the gauge, 0 .. 1 of full scale; what a perfect reader would say.

        Raises:
            ValueError: `now` lies before the current knot interval.
        """
        part = self._part(now)
        reached = self._value + self._value_slope * part
        return min(max(self._mean + self._shift + self._sigma * reached, 0.0), 1.0)

    def burst(self, now: int, frames: int, period_ns: int) -> FrameSpec:
        """Describe `frames` pictures, one every `period_ns`, the first at `now`.

        Raises:
            ValueError: `frames` is not within 1 .. `BURST_FRAMES_MAX`, or `now` went back.
        """
        if not 0 < frames <= BURST_FRAMES_MAX:
            raise ValueError(
                f"expected a burst of 1 to {BURST_FRAMES_MAX} frames, found {frames}; split it"
            )
        since = now - self._knot_at
        part = since / KNOT_NS if 0 <= since < KNOT_NS else self._part(now)
        if self._stuck is not None:
            return self._stuck._replace(frames=frames)
        level = self._mean + self._shift
        start = level + self._sigma * (self._value + self._value_slope * part)
        drift = self._sigma * self._value_slope * (frames * period_ns / KNOT_NS)
        height, slot = self._sun.height(now)
        clear = 1.0 / (1.0 + math.exp(-1.5 * (self._cloud + self._cloud_slope * part)))
        daylight = self._window * height * (0.25 + 0.75 * clear)
        gain, offset, sigma = dials.exposure_terms(
            self._light * (self._lamp + daylight), self._haze
        )
        direct = daylight * clear
        glare = self._glare(slot, direct) if direct >= _GLARE_LEAST else 0.0
        return _spell(FrameSpec, (
            frames, start, start + drift, self._scene, gain, offset, sigma, glare,
            slot % dials.GLARE_MASKS, (self._luck + now // 1_000_000) & _MASK_32, 1,
        ))  # fmt: skip

    def apply(self, condition: Condition, amount: float, now: int) -> int:
        """Begin a data fault; several may overlap.

        Args:
            condition: ``DIM``: share of the light lost. ``HAZE``: share of light the lens scatters,
                added. ``BLUR``: share of the worst defocus (`dials.BLUR_PX`), added. ``PRIOR_SHIFT``:
                the gauge's mean moves by this share of full scale. ``STUCK``: the sensor repeats the
                picture of `now` (amount ignored).
            amount: 0 .. 1, or -1 .. 1 for a prior shift.
            now: when it begins.

        Returns:
            A token for `undo`.

        Raises:
            ValueError: the amount is out of range, or too many faults are active.
        """
        low, high = AMOUNTS[condition]
        if not low <= amount <= high:
            raise ValueError(
                f"expected {condition} between {low:g} and {high:g}, found {amount!r}; "
                "amounts are shares, not percent"
            )
        if len(self._faults) >= FAULTS_PER_DEVICE_MAX:
            raise ValueError(
                f"expected at most {FAULTS_PER_DEVICE_MAX} data faults at a time on one device; "
                "undo one first"
            )
        if condition is Condition.STUCK and self._stuck is None:
            still = self.burst(now, 1, 0)
            self._stuck = still._replace(value_end=still.value_start, luck_step=0)
        self._fault_seq += 1
        self._faults[self._fault_seq] = (condition, amount)
        self._bend()
        return self._fault_seq

    def undo(self, token: int) -> None:
        """End the fault of this token.

        Raises:
            KeyError: no such fault is active.
        """
        del self._faults[token]
        self._bend()

    def _part(self, now: int) -> float:
        since = now - self._knot_at
        if since >= KNOT_NS:
            since = self._walk(now)
        elif since < 0:
            raise ValueError(
                f"expected an instant from {self._knot_at} ns on, found {now}: a data stream "
                "walks forward only; ask in the order of time"
            )
        return since / KNOT_NS

    def _walk(self, now: int) -> int:
        normal = self._stream.normal
        knots = (now - self._knot_at) // KNOT_NS
        for _ in range(knots):
            self._value += self._value_slope
            self._cloud += self._cloud_slope
            self._value_slope = (_RHO_VALUE - 1.0) * self._value + _KICK_VALUE * normal()
            self._cloud_slope = (_RHO_CLOUD - 1.0) * self._cloud + _KICK_CLOUD * normal()
        self._knot_at += knots * KNOT_NS
        return now - self._knot_at

    def _glare(self, slot: int, direct: float) -> float:
        away = abs(slot - self._glare_slot)
        if away >= _GLARE_SLOTS:
            return 0.0
        return _GLARE_PEAK * min(direct, 1.0) * (1.0 - away / _GLARE_SLOTS)

    def _bend(self) -> None:
        self._light, self._shift, self._haze = 1.0, 0.0, self._worn_haze
        blur, stuck = 0.0, False
        for condition, amount in self._faults.values():
            if condition is Condition.DIM:
                self._light *= 1.0 - amount
            elif condition is Condition.HAZE:
                self._haze += amount
            elif condition is Condition.BLUR:
                blur += amount
            elif condition is Condition.PRIOR_SHIFT:
                self._shift += amount
            else:
                stuck = True
        self._haze = min(self._haze, 1.0)
        worst = len(dials.BLUR_PX) - 1
        level = min(self._worn_blur + round(blur * worst), worst)
        self._scene = (self._tilt * len(dials.BLUR_PX) + level) * dials.VALUES
        if not stuck:
            self._stuck = None


class Frames(NamedTuple):
    """Frames ready to be drawn, one a row."""

    bank: Indices
    exposures: dials.Exposures
    values: Floats
    """What the needle shows, 0 .. 1: the truth that a reading is judged by."""

    def window(self, start: int, stop: int) -> Frames:
        """The rows from `start` to before `stop`, as views."""
        part = slice(start, stop)
        return Frames(self.bank[part], exposures_in(self.exposures, part), self.values[part])


def exposures_in(shot: dials.Exposures, part: slice) -> dials.Exposures:
    """Some rows of exposures, as views."""
    return dials.Exposures(
        shot.gain[part], shot.offset[part], shot.glare[part],
        shot.glare_mask[part], shot.sigma[part], shot.noise[part],
    )  # fmt: skip


def expand(specs: Sequence[FrameSpec], counts: Sequence[int]) -> Frames:
    """Lay out frames of these bursts, in order, in one go.

    Args:
        specs: the bursts.
        counts: how many frames of each to lay out, from its first; a burst that was cut short shows
            the same pictures as the head of the whole one.
    """
    width = len(FrameSpec._fields)
    numbers = np.fromiter(chain.from_iterable(specs), dtype=np.float64, count=width * len(specs))
    taken = np.array(counts, dtype=np.int64)
    first = taken.cumsum() - taken  # methods: the functions of the same name look for them first
    rows = numbers.reshape(-1, width).repeat(taken, axis=0)
    whole, start, end, scene, gain, offset, sigma, glare, mask, seed, stride = rows.T
    step = (np.arange(len(rows), dtype=np.int64) - first.repeat(taken)) * stride.astype(np.int64)
    luck = scramble(seed.astype(np.uint64), step)
    shiver = _VIBRATION * (luck.astype(np.float64) * 2.0**-31 - 1.0)
    values = np.clip(start + (end - start) * (step / whole) + shiver, 0.0, 1.0).astype(np.float32)
    exposures = dials.Exposures(
        gain.astype(np.float32), offset.astype(np.float32), glare.astype(np.float32),
        mask.astype(np.int64), sigma.astype(np.float32),
        (luck & np.uint64(dials.NOISE_TEXTURES - 1)).astype(np.int64),
    )  # fmt: skip
    return Frames(dials.bank_rows(scene.astype(np.int64), values), exposures, values)


def render(frames: Frames, images: Floats, scratch: Floats) -> Floats:
    """Draw frames into the head of `images` (shape (>= n, 1024)) and return that head."""
    head = images[: len(frames.bank)]
    dials.dial_bank().take(frames.bank, axis=0, out=head, mode="clip")
    dials.develop(head, frames.exposures, scratch)
    return head


def scramble(luck: Luck, step: Indices) -> Luck:
    """Mix to 32 even bits (the finaliser of MurmurHash3, public domain)."""
    mixed = (luck + step.astype(np.uint64) * np.uint64(0x9E3779B1)) & np.uint64(_MASK_32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed ^= mixed >> np.uint64(shift)
        mixed = (mixed * np.uint64(factor)) & np.uint64(_MASK_32)
    return mixed ^ (mixed >> np.uint64(16))
