"""The road pictures that lane models are trained and judged on; the twin of conditions.py.

Decides test sets (through the vehicles' streams that the simulator uses) and training sets (random
roads, weathers and exposures). Leaves out networks.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from conditions import Pictures

from devicesdk.inference import dials, roads
from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.entropy import Entropy
from devicesim.models import roadstream
from devicesim.models.datastream import Condition, Site, Sun

CONDITIONS: Final[dict[str, tuple[tuple[Condition, float], ...]]] = {
    "baseline": (),
    "rain 0.5": ((Condition.BLUR, 0.5),),
    "rain 1.0": ((Condition.BLUR, 1.0),),
    "night 0.5": ((Condition.DIM, 0.5),),
    "night 0.8": ((Condition.DIM, 0.8),),
    "night 0.7 + rain 0.7": ((Condition.DIM, 0.7), (Condition.BLUR, 0.7)),
    "haze 0.15": ((Condition.HAZE, 0.15),),
    "haze 0.4": ((Condition.HAZE, 0.4),),
    "prior shift 0.2": ((Condition.PRIOR_SHIFT, 0.2),),
}


def population(condition: str, *, seed: int, devices: int, bursts: int) -> Pictures:
    """Photograph a simulated day of vehicles under one of `CONDITIONS`, a frame each quarter."""
    entropy, sun = Entropy(seed), Sun(Site())
    fleet = [roadstream.RoadStream(entropy, f"road-{i:05}", sun) for i in range(devices)]
    for stream in fleet:
        for fault, amount in CONDITIONS[condition]:
            stream.apply(fault, amount, 0)
    specs = [
        stream.burst((index * 96 // bursts) * 15 * MINUTE, 1, SECOND)
        for stream in fleet
        for index in range(bursts)
    ]
    frames = roadstream.expand(specs, [1] * len(specs))
    images = [
        roadstream.render(part, np.empty((256, dials.PIXELS), dtype=np.float32))
        for part in (frames.window(at, at + 256) for at in range(0, len(specs), 256))
    ]
    return Pictures(np.concatenate(images), frames.values)


class School(NamedTuple):
    """How hard the training roads are."""

    light: tuple[float, float]
    haze_max: float
    wear_max: float
    rain_share: float
    night_share: float


class Roadworks:
    """Roads painted once; every epoch develops them anew under other exposures."""

    def __init__(self, school: School, *, seed: int, count: int) -> None:
        self.school = school
        self._rng = np.random.Generator(np.random.Philox(key=seed))
        self.values = self._some(0.0, 1.0, count)
        rain = self._some(0.0, 1.0, count) * (self._some(0.0, 1.0, count) < school.rain_share)
        night = self._some(0.0, 1.0, count) * (self._some(0.0, 1.0, count) < school.night_share)
        scenes = roads.Scenes(
            self.values, self._some(-0.007, 0.007, count), self._some(-0.024, 0.024, count),
            self._some(-1.6, 1.6, count), self._some(0.0, school.wear_max, count),
            self._some(0.0, 9.0, count), rain, night,
            self._rng.integers(0, roads.WORN_TEXTURES, count),
        )  # fmt: skip
        self._paper = np.empty((count, dials.PIXELS), dtype=np.float32)
        lens = self._rng.integers(0, 2, count)
        for at in range(0, count, 512):
            part = slice(at, at + 512)
            some = scenes.window(part)
            self._paper[part] = roads.spread(roads.paint(some), some.rain, lens[part])

    def _some(self, low: float, high: float, count: int) -> dials.Floats:
        return self._rng.uniform(low, high, count).astype(np.float32)

    def epoch(self) -> Pictures:
        """Develop every picture once, in the order of `values`."""
        count, school = len(self.values), self.school
        low, high = np.log(school.light)
        light, haze = np.exp(self._some(low, high, count)), self._some(0.0, school.haze_max, count)
        terms = [dials.exposure_terms(*pair) for pair in zip(light, haze, strict=True)]
        gain, offset, sigma = np.array(terms, dtype=np.float32).T
        glare = self._some(0.0, 170.0, count) * (self._some(0.0, 1.0, count) < 0.05)
        exposures = dials.Exposures(
            gain, offset, glare.astype(np.float32),
            self._rng.integers(0, dials.GLARE_MASKS, count), sigma,
            self._rng.integers(0, dials.NOISE_TEXTURES, count),
        )  # fmt: skip
        images = self._paper.copy()
        for at in range(0, count, 512):
            part = slice(at, at + 512)
            shot = dials.Exposures(*(column[part] for column in exposures))
            dials.develop(images[part], shot, np.empty((512, dials.PIXELS), dtype=np.float32))
        return Pictures(images, self.values)
