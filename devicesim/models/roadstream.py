"""What each vehicle's forward camera looks at: its own place in the lane, the road, weather and luck.

Decides the true offset of a vehicle over time, the roads it meets, and how data faults bend what its
camera sees. Leaves out pixels (devicesdk/inference/roads.py) and models.

Theory of operation. A vehicle is a `GaugeStream` whose needle is its offset in the lane: the same
Ornstein-Uhlenbeck walk, the same sun, the same lens, the same tokens of faults. What a road adds is
drawn from a stream of its own (``roadstream``), so that giving a device another bundle changes nothing
of its other luck: tilt of the camera and paint of its usual roads for life, curvature, heading, dashes
and texture for each frame from that frame's luck.

Roads are lit day and night, as a gauge is: telemetry's reference is a whole day, and a cohort that
differed from it at every sunset would say nothing. Conditions mean on a road: ``dim`` a dark road (only
the headlights' pool is left), ``blur`` rain, ``haze`` a dirty
windscreen, ``prior_shift`` driving beside the middle, ``stuck`` a frozen camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

import numpy as np

from devicesdk.inference import dials, roads
from devicesdk.inference.dials import Floats, Indices
from devicesim.entropy import Entropy
from devicesim.models import datastream
from devicesim.models.datastream import Condition, FrameSpec, GaugeStream, Sun
from devicesim.models.faultbook import FaultBook

_CURVATURE_MAX: Final = 0.006
_YAW_MAX: Final = 0.02
_PITCH_JITTER: Final = 0.25


class RoadSpec(NamedTuple):
    """A burst of frames, described: a `FrameSpec`'s numbers and those of the road."""

    frames: int
    value_start: float
    value_end: float
    gain: float
    offset: float
    sigma: float
    glare: float
    glare_mask: int
    luck: int
    luck_step: int
    pitch: float
    wear: float
    rain: float
    night: float


class RoadStream:
    """One vehicle's road and camera; used as `GaugeStream` is.

    Args:
        entropy: the run's master seed.
        device: name of the device.
        sun: of the device's site.
    """

    __slots__ = ("_book", "_gauge", "_night", "_pitch", "_rain", "_still", "_wear")

    def __init__(self, entropy: Entropy, device: str, sun: Sun) -> None:
        stream = entropy.stream("roadstream", device)
        self._gauge = GaugeStream(entropy, device, sun)
        self._pitch = stream.uniform(-1.2, 1.2)
        self._wear = stream.uniform(0.0, 0.45)
        self._book = FaultBook()
        self._rain = self._night = 0.0
        self._still: RoadSpec | None = None

    def value(self, now: int) -> float:
        """The true offset, 0 .. 1 for -0.9 m .. 0.9 m.

        Raises:
            ValueError: `now` lies before the current knot interval.
        """
        return self._gauge.value(now)

    def burst(self, now: int, frames: int, period_ns: int) -> RoadSpec:
        """Describe `frames` pictures, one every `period_ns`, the first at `now`.

        Raises:
            ValueError: too many frames, or `now` went back.
        """
        shot: FrameSpec = self._gauge.burst(now, frames, period_ns)
        if self._still is not None:
            return self._still._replace(frames=frames)
        return RoadSpec(
            frames, shot.value_start, shot.value_end, shot.gain, shot.offset, shot.sigma,
            shot.glare, shot.glare_mask, shot.luck, shot.luck_step,
            self._pitch, self._wear, self._rain, self._night,
        )  # fmt: skip

    def apply(self, condition: Condition, amount: float, now: int) -> int:
        """Begin a data fault; the module's head says what each means on a road.

        Raises:
            ValueError: the amount is out of range, or too many faults are active.
        """
        if condition is Condition.STUCK and self._still is None:
            still = self.burst(now, 1, 0)
            self._still = still._replace(value_end=still.value_start, luck_step=0)
        token = self._book.apply(condition, amount)
        # The two books number alike: rain is no defocus of the gauge's lens.
        self._gauge.apply(condition, 0.0 if condition is Condition.BLUR else amount, now)
        self._bend()
        return token

    def undo(self, token: int) -> None:
        """End the fault of this token.

        Raises:
            KeyError: no such fault is active.
        """
        self._book.undo(token)
        self._gauge.undo(token)
        self._bend()

    def _bend(self) -> None:
        self._rain = self._book.left_of(Condition.BLUR)
        self._night = self._book.left_of(Condition.DIM)
        if not self._book.has(Condition.STUCK):
            self._still = None


class Roads(NamedTuple):
    """Frames ready to be drawn, one a row."""

    scenes: roads.Scenes
    exposures: dials.Exposures
    lens: Indices

    @property
    def values(self) -> Floats:
        """The truth that a reading is judged by, 0 .. 1."""
        return self.scenes.values

    def window(self, start: int, stop: int) -> Roads:
        """The rows from `start` to before `stop`, as views."""
        part = slice(start, stop)
        shot = datastream.exposures_in(self.exposures, part)
        return Roads(self.scenes.window(part), shot, self.lens[part])


def expand(specs: Sequence[RoadSpec], counts: Sequence[int]) -> Roads:
    """Lay out frames of these bursts, in order, in one go; as `datastream.expand`."""
    width = len(RoadSpec._fields)
    numbers = np.fromiter(chain.from_iterable(specs), dtype=np.float64, count=width * len(specs))
    taken = np.array(counts, dtype=np.int64)
    first = np.cumsum(taken) - taken
    rows = np.repeat(numbers.reshape(-1, width), taken, axis=0)
    (whole, start, end, gain, offset, sigma, glare, mask, seed, stride,
     pitch, wear, rain, night) = rows.T  # fmt: skip
    step = (np.arange(len(rows), dtype=np.int64) - np.repeat(first, taken)) * stride.astype(
        np.int64
    )
    luck = datastream.scramble(seed.astype(np.uint64), step)
    again = datastream.scramble(luck, np.ones(len(rows), dtype=np.int64))
    values = np.clip(start + (end - start) * (step / whole), 0.0, 1.0).astype(np.float32)
    scenes = roads.Scenes(
        values,
        (_even(luck, 0) * _CURVATURE_MAX).astype(np.float32),
        (_even(luck, 16) * _YAW_MAX).astype(np.float32),
        (pitch + _even(again, 0) * _PITCH_JITTER).astype(np.float32),
        wear.astype(np.float32),
        ((_even(again, 16) + 1.0) * (roads.DASH_PERIOD_M / 2)).astype(np.float32),
        rain.astype(np.float32),
        night.astype(np.float32),
        (luck % np.uint64(roads.WORN_TEXTURES)).astype(np.int64),
    )
    exposures = dials.Exposures(
        gain.astype(np.float32), offset.astype(np.float32), glare.astype(np.float32),
        mask.astype(np.int64), sigma.astype(np.float32),
        (luck & np.uint64(dials.NOISE_TEXTURES - 1)).astype(np.int64),
    )  # fmt: skip
    return Roads(scenes, exposures, np.zeros(len(rows), dtype=np.int64))


def _even(luck: datastream.Luck, shift: int) -> datastream.Reals:
    """Sixteen bits of luck as a number in -1 .. 1."""
    bits = (luck >> np.uint64(shift)) & np.uint64(0xFFFF)
    return bits.astype(np.float64) * (2.0 / 0xFFFF) - 1.0


def render(frames: Roads, scratch: Floats) -> Floats:
    """Draw frames: pixels, shape (n, 1024); `scratch` is at least as long."""
    return roads.photograph(frames.scenes, frames.lens, frames.exposures, scratch)
