"""The fleet's inferences: described when submitted, run in batches when somebody looks.

Decides when frames are drawn and run, in which batches, and how long results live. Leaves out which
device runs what (its agent), how long that takes *on the device* (models/processor.py), and what frames
show (senses.py).

Theory of operation. `submit` takes a burst's description, fixed at that instant, and returns a handle.
Nothing runs until any handle is first observed; then everything pending is drawn and run, 256 frames at
a time for each model. Whether a result is computed early or late cannot be seen: a row depends on its
frame alone, since engines guarantee that a row has the same bits in every batch. The host must not
*read* a handle before the burst's virtual completion; that is the agent's business.

Rules: all models run through ONNX Runtime, none is imitated; pending frames are bounded (when full they
are run, nothing is dropped); a handle is read once and its rows are freed with it; counts are of what
devices executed, so a frame cut from a burst does not count although it may have been computed.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from devicesdk.bundle.manifest import RULE
from devicesdk.inference import engine
from devicesdk.inference.carried import answered_rows
from devicesdk.inference.engine import Floats, InferenceError, Rows
from devicesdk.inference.kit import KERNEL_DEFAULT, KitOutcome
from devicesdk.inference.reduce import usable_side
from devicesdk.inference.source import BundleSource
from devicesim.world.senses import (
    BATCH_FRAMES,
    SENSES,
    AnySource,
    AnySpec,
    Work,
    check_specs,
    kind_of,
)

__all__ = ["BATCH_FRAMES", "InferencePool", "PoolStats", "Readings", "VariantStats"]

PENDING_FRAMES_MAX: Final = 65_536
VARIANTS_MAX: Final = 256
_LAYOUT_FRAMES: Final = 2_048


class VariantStats(msgspec.Struct, kw_only=True):
    """What one model (on one kernel class) did to the whole fleet, in whole numbers."""

    frames_run: int = 0
    """Frames computed on the host, cut ones included."""
    failed: int = 0
    error_permille_sum: int = 0
    """Sum over frames of the distance between reading and true value, permille of full scale."""


class PoolStats(msgspec.Struct, kw_only=True):
    """Counters of the pool."""

    submitted: int = 0
    """Frames submitted."""
    cut: int = 0
    """Frames cut from submitted bursts: no device executed them."""
    batches: int = 0
    flushes: int = 0
    kit_runs: int = 0

    @property
    def inferences(self) -> int:
        """Frames that devices executed or still execute."""
        return self.submitted - self.cut


class _Variant:
    """A registered model on one kernel class; its session opens at first use."""

    __slots__ = ("_model", "_work", "edges", "kernel", "name", "pending", "source", "stats")

    def __init__(self, source: AnySource, name: str, kernel: str, model: bytes) -> None:
        self.source, self.name, self.kernel = source, name, kernel
        self.edges = source.spec.edges
        self.pending: list[Readings] = []
        self.stats = VariantStats()
        self._model = model
        self._work: Work | None = None

    def work(self) -> Work:
        if self._work is None:
            source = self.source
            self._work = SENSES[kind_of(source.spec.id)].work(source, self.name, self._model)
        return self._work

    def reduced(self, side: int) -> _Variant:
        """The same on fewer pixels, with books of its own."""
        twin = _Variant(self.source, self.name, f"{self.kernel}@{side}", self._model)
        twin._work = self.work().reduced(side)  # one session for both
        return twin


class _Sheet:
    """Results of many bursts that ran together, and once somebody wants it, as lists."""

    __slots__ = ("_lists", "rows")

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._lists: list[list[int]] | None = None

    def lists(self) -> list[list[int]]:
        """All at once: a call to numpy for each burst costs five times as much."""
        if self._lists is None:
            self._lists = engine.agent_rows(self.rows)
        return self._lists


class Readings:
    """The results of one burst, now or later."""

    __slots__ = ("_first", "_pool", "_sheet", "_spec", "_variant", "frames")

    def __init__(self, pool: InferencePool, variant: _Variant, spec: AnySpec) -> None:
        self._pool: InferencePool | None = pool
        self._variant = variant
        self._spec = spec
        self._sheet: _Sheet | None = None
        self._first = 0
        self.frames: int = spec[0]
        """How many frames this burst has, after any cut."""

    def rows(self, first_n: int | None = None) -> Rows:
        """Read the results of the first `first_n` frames (all by default) and free the handle.

        Frames after them were not executed and are counted as cut.

        Returns:
            int16, shape (n, 13), columns as in `devicesdk.inference.engine`; read-only.

        Raises:
            RuntimeError: the handle was read or cancelled before.
        """
        if first_n is not None and first_n < self.frames:
            self.cut(first_n)
        sheet = self._take()
        return sheet.rows[self._first : self._first + self.frames]

    def lists(self) -> list[list[int]]:
        """As `rows`, but as an agent has them (`engine.agent_rows`): one list a frame.

        Raises:
            RuntimeError: the handle was read or cancelled before.
        """
        sheet = self._take()
        return sheet.lists()[self._first : self._first + self.frames]

    def _take(self) -> _Sheet:
        sheet = self._sheet
        if sheet is None or self._pool is None:
            self._open().flush()
            sheet = self._sheet
        assert sheet is not None
        self._pool = self._sheet = None
        return sheet

    def cut(self, frames: int) -> None:
        """Keep only the first `frames`: the burst was interrupted there.

        Raises:
            RuntimeError: the handle was read or cancelled before.
            ValueError: `frames` is negative.
        """
        pool = self._open()
        if frames < 0:
            raise ValueError(f"expected to keep 0 frames or more, found {frames}")
        gone = self.frames - frames
        if gone <= 0:
            return
        pool.stats.cut += gone
        self.frames = frames

    def cancel(self) -> None:
        """Cut every frame and free the handle; cancelling twice, or after reading, does nothing."""
        if self._pool is not None:
            self.cut(0)
            self._pool = self._sheet = None

    def _open(self) -> InferencePool:
        if self._pool is None:
            raise RuntimeError(
                "expected a handle that is neither read nor cancelled: results are freed when read, "
                "keep what you need of them"
            )
        return self._pool


class InferencePool:
    """Every model of a run, each loaded once, shared by all devices."""

    __slots__ = ("_kits", "_variants", "pending_frames", "stats")

    def __init__(self) -> None:
        self._variants: dict[tuple[bytes, str], _Variant] = {}
        self._kits: dict[tuple[bytes, str], KitOutcome] = {}
        self.pending_frames = 0
        """Frames submitted since the last flush, cut ones included: bounds the handles as well."""
        self.stats = PoolStats()

    def register(self, source: AnySource) -> dict[str, bytes]:
        """Make a bundle's variants runnable; the same file may come in several bundles.

        Returns:
            Variant to the digest (SHA-256 of its file, 32 bytes) that `submit` takes.

        Raises:
            ValueError: too many variants, or the same file with other bin edges.
        """
        digests = {}
        for name, model in source.models.items():
            digest = digests[name] = source.digest(name)
            known = self._variants.get((digest, KERNEL_DEFAULT))
            if known is not None:
                if known.edges != source.spec.edges:
                    raise ValueError(
                        f"expected the file of {source.spec.id} {source.spec.version} {name} to have "
                        f"the bin edges of {known.source.spec.version}, found others; "
                        "one file is one model: build the bundle again"
                    )
                continue
            self._add(digest, _Variant(source, name, KERNEL_DEFAULT, model))
            prefix = f"{name}/"
            twins = source.twins if isinstance(source, BundleSource) else {}
            for twin, content in twins.items():
                if twin.startswith(prefix):
                    kernel = twin.removeprefix(prefix)
                    self._add(digest, _Variant(source, name, kernel, content))
        return digests

    def register_rule(self, source: AnySource, digest: bytes) -> None:
        """Make a bundle's rule, which is no model, runnable under a digest of its own."""
        if (digest, KERNEL_DEFAULT) not in self._variants:
            self._add(digest, _Variant(source, RULE, KERNEL_DEFAULT, b""))

    def answered(self, variant_digest: bytes, pixels: Floats, outputs: bytes) -> list[list[int]]:
        """Rows of frames that somebody else ran, by the bins that a model's bundle pins.

        Raises:
            KeyError: the digest was never registered.
        """
        edges = self._find(variant_digest, KERNEL_DEFAULT).edges
        return engine.agent_rows(answered_rows(pixels, outputs, edges))

    def outputs(self, variant_digest: bytes, pixels: Floats) -> bytes:
        """What a model says of prepared frames, shape (n, 1024): float32, one frame after the other.

        Raises:
            KeyError: the digest was never registered.
        """
        said = self._find(variant_digest, KERNEL_DEFAULT).work().outputs(pixels)
        return said.astype("<f4").tobytes()

    def submit(
        self,
        variant_digest: bytes,
        specs: AnySpec,
        kernel: str = KERNEL_DEFAULT,
        side: int = 0,
    ) -> Readings:
        """Take a burst; what its frames show is fixed now.

        Args:
            variant_digest: as `register` returned it.
            specs: from the `burst` of a device's `senses.DataStream`.
            kernel: class of the device's kernels; a model without a twin for it is not affected.
            side: frames are reduced to this many pixels a side; 0: not reduced.

        Raises:
            KeyError: the digest was never registered.
        """
        variant = self._variants.get((variant_digest, kernel)) or self._find(variant_digest, kernel)
        if side and usable_side(side):
            variant = self._reduced(variant_digest, variant, usable_side(side))
        if self.pending_frames >= PENDING_FRAMES_MAX:
            self.flush()
        handle = Readings(self, variant, specs)
        variant.pending.append(handle)
        self.stats.submitted += handle.frames
        self.pending_frames += handle.frames
        return handle

    def flush(self) -> None:
        """Run everything pending."""
        self.stats.flushes += 1
        for variant in self._variants.values():
            if variant.pending:
                waiting, variant.pending = variant.pending, []
                self._run_pending(variant, waiting)
        self.pending_frames = 0

    def run_kit(self, variant_digest: bytes, kernel: str = KERNEL_DEFAULT) -> KitOutcome:
        """Run the validation kit of a model as a kernel class computes it; remembered.

        Raises:
            KeyError: the digest was never registered.
        """
        variant = self._find(variant_digest, kernel)
        key = (variant_digest, variant.kernel)
        outcome = self._kits.get(key)
        if outcome is None:
            outcome = self._kits[key] = variant.work().judge()
            self.stats.kit_runs += 1
        return outcome

    def variant_stats(self) -> dict[str, VariantStats]:
        """Counters per model, keyed ``id@version/variant`` with ``+kernel`` unless default."""
        out = {}
        for variant in self._variants.values():
            if variant.stats.frames_run:
                spec = variant.source.spec
                tail = "" if variant.kernel == KERNEL_DEFAULT else f"+{variant.kernel}"
                out[f"{spec.id}@{spec.version}/{variant.name}{tail}"] = variant.stats
        return out

    def _add(self, digest: bytes, variant: _Variant) -> None:
        if len(self._variants) >= VARIANTS_MAX:
            raise ValueError(
                f"expected at most {VARIANTS_MAX} models and kernel twins in one run; "
                "register fewer bundles"
            )
        self._variants[digest, variant.kernel] = variant

    def _find(self, digest: bytes, kernel: str) -> _Variant:
        found = self._variants.get((digest, kernel)) or self._variants.get((digest, KERNEL_DEFAULT))
        if found is None:
            known = sorted(f"{v.source.spec.version}/{v.name}" for v in self._variants.values())
            raise KeyError(
                f"expected the digest of a registered variant ({', '.join(known) or 'none yet'}), "
                f"found {digest.hex()}; register its bundle first"
            )
        return found

    def _reduced(self, digest: bytes, variant: _Variant, side: int) -> _Variant:
        key = (digest, f"{variant.kernel}@{side}")
        if key not in self._variants:
            self._add(digest, variant.reduced(side))
        return self._variants[key]

    def _run_pending(self, variant: _Variant, waiting: list[Readings]) -> None:
        group: list[Readings] = []
        frames = 0
        for handle in waiting:
            if handle.frames:
                group.append(handle)
                frames += handle.frames
                if frames >= _LAYOUT_FRAMES:
                    self._run_group(variant, group)
                    group, frames = [], 0
            elif handle._pool is not None:  # noqa: SLF001 - cut to nothing, and may still be read
                handle._sheet = _Sheet(np.empty((0, engine.COLUMNS), dtype=np.int16))  # noqa: SLF001
        if group:
            self._run_group(variant, group)

    def _run_group(self, variant: _Variant, group: list[Readings]) -> None:
        counts = [handle.frames for handle in group]
        specs = [handle._spec for handle in group]  # noqa: SLF001
        check_specs(variant.source, specs)
        done = variant.work().run(specs, counts)
        self.stats.batches += done.batches
        rows = done.rows
        rows.setflags(write=False)
        sheet, start = _Sheet(rows), 0
        for handle, count in zip(group, counts, strict=True):
            handle._sheet, handle._first = sheet, start  # noqa: SLF001
            start += count
        _account(variant.stats, rows, done.truth)


def _account(stats: VariantStats, rows: Rows, truth: Floats) -> None:
    good = rows[:, engine.COLUMN_ERROR] == InferenceError.OK
    true_permille = np.rint(truth * np.float32(1000.0)).astype(np.int64)
    away = np.abs(rows[:, engine.COLUMN_READING].astype(np.int64) - true_permille)
    stats.frames_run += len(rows)
    stats.failed += int(len(rows) - good.sum())
    stats.error_permille_sum += int(away[good].sum())
