"""Analog dials as a small camera sees them: painted, blurred, lit, hazed, glared upon, noisy.

Decides what 32 x 32 images of one round pressure dial look like. Leaves out who looks and when
(devicesim/models/datastream.py, or a device with no camera) and what a network makes of them
(preprocess.py). The training scripts, the world and a device without a camera use this one
renderer, so what a model was taught and what a fleet sees differ by conditions alone, never by code.

Theory of operation, in two steps:

1. *Paint* reflectance: signed distances to disc, rim, ticks and needle become coverage (one pixel of
   anti-aliasing), under a pose (roll, foreshortening, shift), then a Gaussian defocus.
2. *Develop* an exposure. Everything between the dial and the digitised pixel is affine in the
   reflectance ``r``, so that 256 frames cost a dozen in-place numpy passes::

       pixel = round(clip(gain r + offset + glare mask + sigma noise, -128, 127))

   with gain and offset from light, exposure and lens haze (`exposure_terms`).

Rules: pixels are whole numbers in float32, luminance minus 128, so sums of them and of their squares
over an image stay below 2^24 and are exact in any order and on any processor.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Indices: TypeAlias = NDArray[np.int64]

SIDE: Final = 32
PIXELS: Final = SIDE * SIDE
SWEEP_RAD: Final = float(np.deg2rad(270.0))
"""The needle's travel from zero (down left) to full scale (down right)."""

VALUES: Final = 256
BLUR_PX: Final = (0.0, 0.7, 1.3, 2.0)
NOISE_TEXTURES: Final = 512
GLARE_MASKS: Final = 16
WHITE_LEVEL: Final = 200.0
"""Luminance, of 255, to which auto-exposure brings a white dial face."""

EXPOSURE_MIN: Final = 0.125
EXPOSURE_MAX: Final = 3.0

_LIGHT_DIM: Final = 1.0 / EXPOSURE_MAX
_TICKS: Final = 9
_PAINT_ROWS: Final = 256
_BLACK: Final = 128.0
_AXIS: Final[Floats] = np.arange(SIDE, dtype=np.float32) - np.float32((SIDE - 1) / 2)
_AXIS_X: Final[Floats] = np.tile(_AXIS, SIDE)
_AXIS_Y: Final[Floats] = np.repeat(_AXIS, SIDE)
"""Pixel centres, right and down from the middle of the picture, row by row."""


class Pose(NamedTuple):
    """How the camera is mounted: roll in radians, scale of x and y, shift in pixels."""

    roll: float
    scale_x: float
    scale_y: float
    shift_x: float
    shift_y: float


TILTS: Final = (
    Pose(0.0, 1.0, 1.0, 0.0, 0.0),
    Pose(0.07, 0.90, 0.99, 0.8, -0.4),
    Pose(-0.08, 0.92, 1.0, -0.9, 0.5),
    Pose(0.03, 0.99, 0.88, 0.3, 0.9),
    Pose(-0.12, 0.95, 0.93, -0.4, -0.8),
)
"""The mountings of the bank; a device has one of them for life."""


def _coverage(distance: NDArray[np.floating]) -> Floats:
    """Pixel coverage of a shape, from the signed distance to its edge in pixels (inside < 0)."""
    covered: Floats = np.clip(0.5 - distance, 0.0, 1.0, dtype=np.float32)
    return covered


def _blend(image: Floats, coverage: Floats, ink: float) -> None:
    image += coverage * (np.float32(ink) - image)


def _dial_coordinates(poses: Floats) -> tuple[Floats, Floats]:
    """Pixel centres in the dial's own frame, right and up, in pixels; shapes (n, 1024)."""
    x = _AXIS_X[None, :] - poses[:, 3:4]
    y = -_AXIS_Y[None, :] - poses[:, 4:5]
    cos, sin = np.cos(poses[:, 0:1]), np.sin(poses[:, 0:1])
    right: Floats = (cos * x + sin * y) / poses[:, 1:2]
    up: Floats = (cos * y - sin * x) / poses[:, 2:3]
    return right, up


def _paint_face(right: Floats, up: Floats) -> Floats:
    radius: Floats = np.hypot(right, up)
    image: Floats = np.full(radius.shape, 0.34, dtype=np.float32)
    _blend(image, _coverage(radius - 14.2), 0.14)
    _blend(image, _coverage(radius - 12.9), 0.92)
    angle: Floats = np.arctan2(right, up)  # 0 at the top, clockwise, as the needle turns
    step = np.float32(SWEEP_RAD / (_TICKS - 1))
    nearest = np.clip(np.rint(angle / step), -(_TICKS // 2), _TICKS // 2) * step
    across: Floats = radius * np.abs(np.sin(angle - nearest))
    ahead = np.cos(angle - nearest) > 0
    tick = _coverage(across - 0.45) * _coverage(10.2 - radius) * _coverage(radius - 12.2) * ahead
    _blend(image, tick, 0.22)
    plate = _coverage(np.abs(right) - 2.6) * _coverage(np.abs(up + 7.2) - 0.7)
    _blend(image, plate, 0.45)
    return image


def _paint_needle(image: Floats, right: Floats, up: Floats, values: Floats) -> None:
    turn = (values[:, None] - np.float32(0.5)) * np.float32(SWEEP_RAD)
    along = right * np.sin(turn) + up * np.cos(turn)
    across = np.abs(right * np.cos(turn) - up * np.sin(turn))
    half_width: Floats = np.float32(1.05) - np.float32(0.055) * along
    needle = _coverage(across - half_width) * _coverage(along - 10.4) * _coverage(-3.0 - along)
    _blend(image, needle, 0.08)
    _blend(image, _coverage(np.hypot(right, up) - 1.8), 0.2)


def paint(values: Floats, poses: Floats) -> Floats:
    """Paint sharp dials.

    Args:
        values: needle positions, 0 .. 1 of full scale, shape (n,).
        poses: one `Pose` a row, shape (n, 5).

    Returns:
        Reflectance 0 .. 1, shape (n, 1024).
    """
    out = np.empty((len(values), PIXELS), dtype=np.float32)
    for start in range(0, len(values), _PAINT_ROWS):
        rows = slice(start, start + _PAINT_ROWS)
        right, up = _dial_coordinates(poses[rows])
        image = _paint_face(right, up)
        _paint_needle(image, right, up, values[rows])
        out[rows] = image
    return out


def defocus(reflectance: Floats, sigma_px: float) -> Floats:
    """Blur rows of reflectance with one Gaussian (edges repeat); `sigma_px` 0 copies."""
    if sigma_px <= 0.0:
        return reflectance.copy()
    reach = np.arange(SIDE, dtype=np.float64)
    weights = np.exp(-0.5 * ((reach[:, None] - reach[None, :]) / sigma_px) ** 2)
    kernel = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    square = reflectance.reshape(-1, SIDE, SIDE)
    return np.ascontiguousarray(kernel @ square @ kernel.T).reshape(-1, PIXELS)


def exposure_terms(light: float, haze: float) -> tuple[float, float, float]:
    """Gain, offset and noise sigma of a frame, in luminance steps of 255.

    Auto-exposure brings a white face to `WHITE_LEVEL` within a range of 1/8 to 3 times, so a dim
    scene is first noisy, then dark. Haze spreads a share of the light evenly over the picture (a
    veil, as dirt on the lens does): contrast falls, mean luminance hardly.

    Args:
        light: scene illumination, 1 is a well lit dial.
        haze: share of the light that the lens scatters, 0 .. 1.
    """
    exposure = 1.0 / light if light > _LIGHT_DIM else EXPOSURE_MAX
    exposure = exposure if exposure > EXPOSURE_MIN else EXPOSURE_MIN
    white = WHITE_LEVEL * light * exposure
    gain = white * (1.0 - haze)
    return gain, 0.55 * white * haze, 1.5 + 2.2 * exposure


@lru_cache(maxsize=1)
def dial_bank() -> Floats:
    """Paint every (tilt, blur, value) once: reflectance, shape (5 x 4 x 256, 1024), 21 MB, 0.2 s.

    Row of a frame: `bank_rows`. Values step by 1/255 of full scale.
    """
    values = np.arange(VALUES, dtype=np.float32) / np.float32(VALUES - 1)
    bank = np.empty((len(TILTS), len(BLUR_PX), VALUES, PIXELS), dtype=np.float32)
    for tilt, pose in enumerate(TILTS):
        sharp = paint(values, np.tile(np.array(pose, dtype=np.float32), (VALUES, 1)))
        for level, sigma_px in enumerate(BLUR_PX):
            bank[tilt, level] = defocus(sharp, sigma_px)
    bank.setflags(write=False)
    return bank.reshape(-1, PIXELS)


def bank_rows(scenes: Indices, values: Floats) -> Indices:
    """Rows of `dial_bank` for values 0 .. 1; a scene is ``(tilt * 4 + blur) * 256``."""
    steps = np.rint(values * np.float32(VALUES - 1)).astype(np.int64)
    rows: Indices = scenes + steps.clip(0, VALUES - 1)
    return rows


@lru_cache(maxsize=1)
def noise_bank() -> Floats:
    """Sensor noise textures of unit sigma, shape (512, 1024), 2 MB; a frame picks one."""
    generator = np.random.Generator(np.random.Philox(key=0x6E6F697365))
    noise = generator.standard_normal((NOISE_TEXTURES, PIXELS), dtype=np.float32)
    noise.setflags(write=False)
    return noise


@lru_cache(maxsize=1)
def glare_bank() -> Floats:
    """Reflections of lamps and windows on the glass, peak 1, shape (16, 1024)."""
    masks = np.empty((GLARE_MASKS, PIXELS), dtype=np.float32)
    for index in range(GLARE_MASKS):
        turn = 2.399963 * index  # the golden angle spreads the spots evenly
        reach = 4.0 + 7.0 * index / (GLARE_MASKS - 1)
        along = _AXIS_X * np.cos(turn) + _AXIS_Y * np.sin(turn) - reach
        across = _AXIS_Y * np.cos(turn) - _AXIS_X * np.sin(turn)
        spread = 2.5 + 0.25 * index
        masks[index] = np.exp(-0.5 * ((along / 2.2) ** 2 + (across / spread) ** 2))
    masks.setflags(write=False)
    return masks


class Exposures(NamedTuple):
    """One row a frame; all arrays of length n. Units: luminance steps of 255."""

    gain: Floats
    offset: Floats
    glare: Floats
    glare_mask: Indices
    sigma: Floats
    noise: Indices


def develop(images: Floats, exposures: Exposures, scratch: Floats) -> None:
    """Turn reflectance into pixels in place.

    Args:
        images: reflectance, shape (n, 1024); on return pixels, whole numbers -128 .. 127.
        exposures: n rows.
        scratch: working space, shape (>= n, 1024).
    """
    noise = scratch[: len(images)]
    np.multiply(images, exposures.gain[:, None], out=images)
    lit = exposures.glare.nonzero()[0]
    if lit.size:
        images[lit] += glare_bank()[exposures.glare_mask[lit]] * exposures.glare[lit, None]
    noise_bank().take(exposures.noise, axis=0, out=noise, mode="wrap")
    np.multiply(noise, exposures.sigma[:, None], out=noise)
    np.add(images, noise, out=images)
    np.add(images, (exposures.offset - np.float32(_BLACK))[:, None], out=images)
    images.clip(-_BLACK, 127.0, out=images)
    np.rint(images, out=images)
