"""Roads as a small forward camera sees them: drawn, worn, rained upon, lit by day or by headlights.

Decides what 32 x 32 pictures of one's own lane look like, and what the offset in it is. Leaves out who
drives where and when (devicesim/models/roadstream.py, or a device with no camera) and what a network
makes of them (preprocess.py). Training scripts, world and devices without a camera use this one
renderer, as they use `dials` for gauges.

Theory of operation. The camera looks ahead over a flat road; below the horizon a row of pixels is a
distance ``z = g h / (row - horizon)`` and a column is a sideways position ``x = (column - centre) z / f``
(pinhole camera, any textbook; ``g`` and ``f`` differ because the crop is squeezed). Marks are bands in ``x`` about ``w / 2`` to the left (dashed) and to the
right (solid) of the lane's centre, which bends by ``curvature z^2 / 2`` and turns by ``yaw z``; they are
averaged over the pixel's own footprint, so that far marks fade as they do in pictures. Wear takes paint
away in patches, rain spreads light (defocus) and mirrors the sky, night leaves the headlights' pool. Lens,
exposure and noise are those of the dials (`dials.develop`).

Rules: pixels are whole numbers in float32, luminance minus 128; a row depends on its scene alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from devicesdk.inference import dials
from devicesdk.inference.dials import PIXELS, SIDE, Floats, Indices

OFFSET_M_MAX: Final = 0.9
"""Offsets are shown from -0.9 m (left of the lane's centre) to 0.9 m: a value of 0 .. 1."""
LANE_M: Final = 3.5
MARK_M: Final = 0.18
DASH_M: Final = 3.0
DASH_PERIOD_M: Final = 9.0
CAMERA_HEIGHT_M: Final = 1.35
FOCAL_PX: Final = 21.0
FOCAL_ROWS: Final = 100.0
"""Rows are finer than columns: the crop, 4 m to 35 m ahead, is much wider than high, and squeezed."""
HORIZON_ROW: Final = -3.5
"""Just above the picture."""
WORN_TEXTURES: Final = 64

_ASPHALT: Final = np.float32(0.30)
_PAINT: Final = np.float32(0.92)
_VERGE: Final = np.float32(0.19)
_COLUMN: Final[Floats] = np.tile(np.arange(SIDE, dtype=np.float32) - np.float32(15.5), SIDE)
_ROW: Final[Floats] = np.repeat(np.arange(SIDE, dtype=np.float32) + np.float32(0.5), SIDE)
_RAIN_BLUR_PX: Final = (0.0, 0.8, 1.5)


class Scenes(NamedTuple):
    """One row a picture; all arrays of length n."""

    values: Floats
    """Offset of the vehicle in its lane, 0 .. 1 for -0.9 m .. 0.9 m: the truth."""
    curvature: Floats
    """Of the lane, 1/m; positive bends right."""
    yaw: Floats
    """Heading against the lane, rad."""
    pitch: Floats
    """Rows by which the camera's tilt moves the horizon."""
    wear: Floats
    """Share of the paint that is gone, 0 .. 1."""
    phase: Floats
    """Where the dashes begin, m."""
    rain: Floats
    """0 dry .. 1 downpour."""
    night: Floats
    """0 daylight .. 1 headlights only."""
    texture: Indices
    """Which patch of worn road."""

    def window(self, part: slice) -> Scenes:
        """Some rows, as views."""
        return Scenes(
            self.values[part], self.curvature[part], self.yaw[part], self.pitch[part],
            self.wear[part], self.phase[part], self.rain[part], self.night[part],
            self.texture[part],
        )  # fmt: skip


@lru_cache(maxsize=1)
def worn_bank() -> Floats:
    """Patches of worn road, even in 0 .. 1 by pixel, smooth over two; shape (64, 1024), 256 KB."""
    generator = np.random.Generator(np.random.Philox(key=0x776F726E))
    rough = generator.standard_normal((WORN_TEXTURES, PIXELS), dtype=np.float32)
    smooth = dials.defocus(rough, 0.9)
    order = np.argsort(np.argsort(smooth, axis=1), axis=1)
    bank: Floats = (order / (PIXELS - 1)).astype(np.float32)
    bank.setflags(write=False)
    return bank


def _band(x: Floats, centre: Floats, footprint: Floats) -> Floats:
    """Share of a pixel, `footprint` m wide, that a mark about `centre` covers."""
    half = np.float32(MARK_M / 2)
    low = np.maximum(x - footprint / 2, centre - half)
    high = np.minimum(x + footprint / 2, centre + half)
    covered: Floats = np.clip((high - low) / footprint, 0.0, 1.0, dtype=np.float32)
    return covered


def paint(scenes: Scenes) -> Floats:
    """Draw reflectance times illumination, 0 .. 1, shape (n, 1024), before lens and exposure."""
    rows = np.maximum(_ROW[None, :] - np.float32(HORIZON_ROW) - scenes.pitch[:, None], 1.5)
    ahead: Floats = np.float32(FOCAL_ROWS * CAMERA_HEIGHT_M) / rows
    footprint: Floats = ahead / np.float32(FOCAL_PX)
    shift = (scenes.values - np.float32(0.5)) * np.float32(2 * OFFSET_M_MAX)
    middle = scenes.curvature[:, None] * ahead * ahead / 2 + scenes.yaw[:, None] * ahead
    x: Floats = _COLUMN[None, :] * footprint - middle + shift[:, None]
    dashes = np.mod(ahead + scenes.phase[:, None], np.float32(DASH_PERIOD_M)) < np.float32(DASH_M)
    half_lane = np.full_like(footprint, LANE_M / 2)
    marks = _band(x, -half_lane, footprint) * dashes + _band(x, half_lane, footprint)
    texture = worn_bank()[scenes.texture]
    left = np.clip((texture - scenes.wear[:, None]) * np.float32(6.0) + np.float32(0.5), 0.0, 1.0)
    road = _ASPHALT * (np.float32(0.9) + np.float32(0.2) * texture[:, ::-1])
    verge = np.clip((np.abs(x) - np.float32(LANE_M * 0.62)) / footprint, 0.0, 1.0)
    image: Floats = road + verge * (x > 0) * (_VERGE - road)
    image += marks * left * (_PAINT - image)
    # Wet asphalt mirrors the sky, most at a flat angle, and darkens where one looks down on it.
    mirror = np.clip(ahead / np.float32(30.0), 0.0, 1.0)
    image += scenes.rain[:, None] * (np.float32(0.45) * mirror - np.float32(0.12))
    # Headlights fall off with the square of the distance and to the sides.
    pool = 1.0 / (1.0 + (ahead / np.float32(14.0)) ** 2 + (x / np.float32(4.0)) ** 2)
    image *= 1.0 - scenes.night[:, None] * (1.0 - np.float32(1.6) * pool)
    return np.clip(image, 0.0, 1.0, out=image).astype(np.float32, copy=False)


def spread(image: Floats, rain: Floats, lens_blur: Indices) -> Floats:
    """Blur each picture as its rain and its lens do; `lens_blur` 0 .. 2, shape (n,)."""
    level = np.minimum(np.rint(rain * 1.4).astype(np.int64) + lens_blur, len(_RAIN_BLUR_PX) - 1)
    for index in range(1, len(_RAIN_BLUR_PX)):
        wet = np.flatnonzero(level == index)
        if wet.size:
            image[wet] = dials.defocus(image[wet], _RAIN_BLUR_PX[index])
    return image


def photograph(
    scenes: Scenes, lens_blur: Indices, exposures: dials.Exposures, scratch: Floats
) -> Floats:
    """Take pictures.

    Args:
        scenes: n rows.
        lens_blur: level 0 .. 2 of the lens, shape (n,).
        exposures: n rows.
        scratch: working space, shape (>= n, 1024).

    Returns:
        Pixels, whole numbers -128 .. 127, shape (n, 1024).
    """
    image = spread(paint(scenes), scenes.rain, lens_blur)
    dials.develop(image, exposures, scratch)
    return image
