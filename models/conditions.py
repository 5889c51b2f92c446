"""The pictures that models are trained and judged on: one population, bent by one condition at a time.

Decides test sets (through the same device streams that the simulator uses) and training sets (random
poses and exposures). Leaves out networks.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from devicesdk.inference import dials
from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.entropy import Entropy
from devicesim.models import datastream
from devicesim.models.datastream import Condition

Floats = NDArray[np.float32]

CONDITIONS: Final[dict[str, tuple[tuple[Condition, float], ...]]] = {
    "baseline": (),
    "haze 0.15": ((Condition.HAZE, 0.15),),
    "haze 0.4": ((Condition.HAZE, 0.4),),
    "blur 0.33": ((Condition.BLUR, 0.33),),
    "blur 0.67": ((Condition.BLUR, 0.67),),
    "blur 1.0": ((Condition.BLUR, 1.0),),
    "dim 0.5": ((Condition.DIM, 0.5),),
    "dim 0.8": ((Condition.DIM, 0.8),),
    "prior shift 0.2": ((Condition.PRIOR_SHIFT, 0.2),),
    "haze 0.15 + blur 0.33": ((Condition.HAZE, 0.15), (Condition.BLUR, 0.33)),
}


class Pictures(NamedTuple):
    """Pixels (n, 1024) as a model wants them, and what the needles show, 0 .. 1."""

    pixels: Floats
    values: Floats


def population(condition: str, *, seed: int, devices: int, bursts: int) -> Pictures:
    """Photograph a simulated day of a population under one of `CONDITIONS`, a frame each quarter."""
    entropy, sun = Entropy(seed), datastream.Sun(datastream.Site())
    fleet = [datastream.GaugeStream(entropy, f"gauge-{i:05}", sun) for i in range(devices)]
    for stream in fleet:
        for fault, amount in CONDITIONS[condition]:
            stream.apply(fault, amount, 0)
    specs = [
        stream.burst((index * 96 // bursts) * 15 * MINUTE, 1, SECOND)
        for stream in fleet
        for index in range(bursts)
    ]
    frames = datastream.expand(specs, [1] * len(specs))
    images = np.empty((len(specs), dials.PIXELS), dtype=np.float32)
    return Pictures(datastream.render(frames, images, np.empty_like(images)), frames.values)


class Teaching(NamedTuple):
    """How hard the training pictures are."""

    light: tuple[float, float]
    """Range of illumination, drawn evenly in its logarithm."""
    haze_max: float
    blur_px_max: float
    glare_share: float
    glare_max: float


class Darkroom:
    """Reflectances painted once; every epoch develops them anew under other exposures."""

    def __init__(self, teaching: Teaching, *, seed: int, count: int) -> None:
        self.teaching = teaching
        self._rng = np.random.Generator(np.random.Philox(key=seed))
        uniform = self._rng.uniform
        self.values = uniform(0.0, 1.0, count).astype(np.float32)
        poses = np.column_stack(
            (
                uniform(-0.16, 0.16, count),
                uniform(0.86, 1.02, count),
                uniform(0.86, 1.02, count),
                uniform(-1.2, 1.2, count),
                uniform(-1.2, 1.2, count),
            )
        ).astype(np.float32)
        self._paper = dials.paint(self.values, poses)
        blurs = np.sort(uniform(0.0, teaching.blur_px_max, count))
        for rows in np.array_split(np.arange(count), 64):
            self._paper[rows] = dials.defocus(self._paper[rows], float(blurs[rows].mean()))

    def epoch(self) -> Pictures:
        """Develop every picture once, in the order of `values`."""
        count, teaching, uniform = len(self.values), self.teaching, self._rng.uniform
        low, high = np.log(teaching.light)
        light, haze = np.exp(uniform(low, high, count)), uniform(0.0, teaching.haze_max, count)
        terms = [dials.exposure_terms(*pair) for pair in zip(light, haze, strict=True)]
        gain, offset, sigma = np.array(terms, dtype=np.float32).T
        glare = uniform(0.0, teaching.glare_max, count) * (
            uniform(0.0, 1.0, count) < teaching.glare_share
        )
        exposures = dials.Exposures(
            gain,
            offset,
            glare.astype(np.float32),
            self._rng.integers(0, dials.GLARE_MASKS, count),
            sigma,
            self._rng.integers(0, dials.NOISE_TEXTURES, count),
        )
        images = self._paper.copy()
        dials.develop(images, exposures, np.empty_like(images))
        return Pictures(images, self.values)
