"""The validation kit: twenty samples on which a broken installation shows.

Decides whether a model, as it runs on this device, still says what its builder saw. Leaves out when
the kit runs (before TRIAL and as a golden probe, devicesdk/agent) and where it is stored (source.py).

The samples are those of *lowest margin* out of thousands: half of them react to a saturating kernel
where of random samples one in ten does. A kit holds goldens per variant and per kernel class, so that
a failure can also say what it looks like. The rule is two-fold: no probability further from its golden
than the tolerance (processors round differently), and no more changed labels than allowed.
"""

from __future__ import annotations

import io
import math
import zipfile
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from devicesdk.inference import preprocess
from devicesdk.inference.engine import LABELS, Engine, Floats

Bytes: TypeAlias = NDArray[np.uint8]

KIT_SAMPLES_MAX: Final = 256
KIT_BYTES_MAX: Final = 4 * 1024 * 1024
KERNEL_DEFAULT: Final = "default"
KERNEL_SATURATING: Final = "saturating"
"""An int8 kernel whose 16-bit accumulators saturate: the hardware fault that a kit must find."""


class KitError(ValueError):
    """The bytes are not a kit, or not one for this variant."""


class KitRule(msgspec.Struct, frozen=True, kw_only=True):
    """What passes. Pinned in the bundle."""

    tolerance_permille: int
    """Largest allowed distance of one probability from its golden."""
    argmax_mismatches_max: int
    """How many samples may change their label; a tie rounds either way on another processor."""
    reference: str = ""
    """The variant whose goldens every other variant is held against as well, loosely: a variant that
    was built badly says the same rubbish everywhere. Empty: none."""
    reference_permille_max: int = 1000
    """Largest allowed mean distance of a variant's goldens from those of the reference."""


class KitOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a run of the kit found, in whole numbers: fit for decisions and digests."""

    passed: bool
    samples: int
    worst_permille: int
    """Largest distance of a probability from its golden, rounded up; 1000 where not finite."""
    argmax_mismatches: int
    not_finite: int
    """Samples with an output that is not a number."""
    residual_permille: int
    """Mean distance of the readings from the golden readings, permille of full scale, rounded up."""
    resembles: str = ""
    """The kernel class whose goldens were met exactly enough, empty where none was."""


class Kit(msgspec.Struct, frozen=True, kw_only=True):
    """Samples and goldens.

    `pixels` is uint8 luminance, shape (n, 1024). `goldens` maps ``variant/kernel-class`` to
    probabilities, float32, shape (n, 32); every variant has the class ``default``.
    """

    pixels: Bytes
    goldens: dict[str, Floats]

    def golden(self, variant: str, kernel: str = KERNEL_DEFAULT) -> Floats:
        """The expected probabilities.

        Raises:
            KitError: this kit holds none for that variant and class.
        """
        found = self.goldens.get(f"{variant}/{kernel}")
        if found is None:
            raise KitError(
                f"expected goldens for {variant}/{kernel}, found {sorted(self.goldens)}; "
                "rebuild the kit with this variant"
            )
        return found

    def images(self) -> Floats:
        """The samples as prepared pixels, shape (n, 1024)."""
        return self.pixels.astype(np.float32) - np.float32(128.0)


def run_kit(kit: Kit, rule: KitRule, variant: str, engine: Engine) -> KitOutcome:
    """Run every sample and judge the outputs against the goldens of the default kernel class.

    Raises:
        KitError: the kit has no goldens for this variant.
    """
    return judge(kit, rule, variant, engine.run(kit.images()))


def judge(kit: Kit, rule: KitRule, variant: str, outputs: Floats) -> KitOutcome:
    """Compare outputs, shape (n, 32), with the goldens of `variant`."""
    golden = kit.golden(variant)
    if outputs.shape != golden.shape:
        raise KitError(f"expected outputs of shape {golden.shape}, found {outputs.shape}")
    broken = int((~np.isfinite(outputs)).any(axis=1).sum())
    sane = np.nan_to_num(outputs, nan=-1.0, posinf=-1.0, neginf=-1.0)
    worst = _worst_permille(sane, golden)
    mismatches = int((sane.argmax(axis=1) != golden.argmax(axis=1)).sum())
    read, expected = preprocess.interpret(outputs)[0], preprocess.interpret(golden)[0]
    passed = (
        broken == 0
        and worst <= rule.tolerance_permille
        and mismatches <= rule.argmax_mismatches_max
    )
    return KitOutcome(
        passed=passed,
        samples=len(golden),
        worst_permille=worst,
        argmax_mismatches=mismatches,
        not_finite=broken,
        residual_permille=math.ceil(np.abs(read - expected).sum() / len(golden)),
        resembles=_resembles(kit, rule, variant, sane),
    )


def _worst_permille(outputs: Floats, golden: Floats) -> int:
    # A thousandth of a permille of slack: the last bit of a float must not become a whole permille.
    return min(1000, math.ceil(1000.0 * float(np.abs(outputs - golden).max()) - 1e-3))


def _resembles(kit: Kit, rule: KitRule, variant: str, outputs: Floats) -> str:
    prefix = f"{variant}/"
    for name in sorted(kit.goldens):
        if (
            name.startswith(prefix)
            and _worst_permille(outputs, kit.goldens[name]) <= rule.tolerance_permille
        ):
            return name.removeprefix(prefix)
    return ""


def pack_kit(kit: Kit) -> bytes:
    """Serialise as an ``.npz`` archive; the same kit gives the same bytes."""
    stream = io.BytesIO()
    arrays = {f"golden/{name}": kit.goldens[name] for name in sorted(kit.goldens)}
    np.savez_compressed(stream, allow_pickle=False, pixels=kit.pixels, **arrays)
    return stream.getvalue()


def unpack_kit(packed: bytes) -> Kit:
    """Read what `pack_kit` wrote.

    Raises:
        KitError: too large, damaged, or of other shapes.
    """
    if len(packed) > KIT_BYTES_MAX:
        raise KitError(f"expected a kit of at most {KIT_BYTES_MAX} bytes, found {len(packed)}")
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise KitError(f"expected an .npz archive, found something else: {error}") from error
    pixels = arrays.pop("pixels", None)
    if pixels is None or pixels.dtype != np.uint8 or pixels.shape[1:] != (preprocess.PIXELS,):
        raise KitError(f"expected uint8 pixels of shape (n, {preprocess.PIXELS}) in the kit")
    if not 0 < len(pixels) <= KIT_SAMPLES_MAX:
        raise KitError(f"expected 1 to {KIT_SAMPLES_MAX} samples, found {len(pixels)}")
    goldens = {name.removeprefix("golden/"): array for name, array in arrays.items()}
    for name, array in goldens.items():
        if array.dtype != np.float32 or array.shape != (len(pixels), LABELS):
            raise KitError(f"expected goldens {name} as float32 ({len(pixels)}, {LABELS})")
    return Kit(pixels=pixels, goldens=goldens)
