"""One telemetry window: rows of small integers in, the bytes of a `Telemetry` out.

Decides what is counted and how it is spelt. Leaves out when a window ends (work.py) and how it gets
out (outbox.py). Histograms are exact and first; the KLL of readings, the HLL and the count-min of
feature rows come beside them, and the KLL only where it is exact too (n <= k). What each field costs:
docs/reference/telemetry-window.md.

Rules: never a raw input: below `SKETCH_READINGS_MIN` readings a sketch is hardly less than the
readings themselves, and stays at home. All frames are in `frames` and in the latency histogram; a
frame in error is counted under its error's name, and has no reading, confidence or entropy, while
its features (computed from pixels, not by the model) count. In privacy mode whatever inputs can be told
from passes through a `Veil`, or stays at home. This is the hot path of a fleet: the map
is built by hand, and a test holds it byte for byte against `codec.encode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from devicesdk.agent.privacy import Veil
from devicesdk.agent.stimuli import FramesRan
from devicesdk.sketches.cardinality import hll_bytes
from devicesdk.sketches.frequency import count_min_bytes
from devicesdk.sketches.histogram import (
    CONFIDENCE_BINS,
    ENTROPY_BINS,
    FEATURE_BINS,
    FEATURES,
    LATENCY_BINS,
    latency_bin,
    pack,
)
from devicesdk.sketches.membership import bloom_bytes
from devicesdk.sketches.quantile import K_DEVICE, kll_bytes
from devicesdk.wire.messages import Telemetry
from devicesdk.wire.timebase import MS

SKETCH_READINGS_MIN: Final = 8
_PACK: Final = msgspec.msgpack.Encoder().encode

Rows: TypeAlias = Sequence[Sequence[int]]

READING: Final = 0
CONFIDENCE: Final = 1
ENTROPY: Final = 2
FEATURE_FIRST: Final = 3
ERROR: Final = 11
"""Columns of a row of `devicesdk.agent.stimuli.Readings`."""

ERROR_LABELS: Final = ("ok", "not-finite", "timeout", "failed", "no-answer")
"""Names of the error codes on the wire; one that this version does not know is ``error-<code>``."""

_KEYS: Final = {f.name: f.encode_name for f in msgspec.structs.fields(Telemetry)}
_BOOT, _SEQ, _BUNDLE, _FLAGS = (_KEYS[n] for n in ("boot_id", "seq", "bundle", "flags_rev"))
_FRAMES, _SPAN, _THROTTLED = (_KEYS[n] for n in ("frames", "span_ms", "throttled"))
_CONFIDENCE, _ENTROPY, _LATENCY = (_KEYS[n] for n in ("confidence", "entropy", "latency"))
_FEATURES, _ERRORS, _CHIP = (_KEYS[n] for n in ("features", "errors", "chip_c"))
_RULES, _RECALIBRATION = _KEYS["rules"], _KEYS["recalibration"]
_BATTERY, _KLL, _HLL = (_KEYS[n] for n in ("battery_percent", "kll", "hll"))
_RESIDUAL, _FAILED, _WORST = (_KEYS[n] for n in ("probe_residual", "probe_failed", "probe_worst"))
_FLIPS, _LIKE, _TOP = (_KEYS[n] for n in ("probe_flips", "probe_resembles", "top"))
_MEMORY, _ACCELERATOR = (_KEYS[n] for n in ("memory_mib", "accelerator_permille"))
_COUNT_MIN, _PRIVACY = (_KEYS[n] for n in ("count_min", "privacy_permille"))
_DEBUG_GRANT, _DEBUG, _BLOOM = (_KEYS[n] for n in ("debug_grant", "debug", "bloom"))
_PROBE_CHIP, _PROBE_LATENCY = _KEYS["probe_chip_c"], _KEYS["probe_latency"]

TOP_READINGS: Final = 5
READING_CLASSES: Final = 32
"""A reading's class is the 32nd of full scale that it lies in."""


class Probed(NamedTuple):
    """What a golden probe found, for one window."""

    passed: bool
    residual_permille: int
    worst_permille: int
    argmax_mismatches: int
    resembles: str
    chip_c: int | None = None
    """Of the chip when the probe was asked for."""
    latency: int | None = None
    """Bin of the latency of the inferences just before."""


def _lone(bins: int) -> tuple[bytes, ...]:
    """The histograms of one count: in bin 0, in bin 1, ..."""
    return tuple(bytes(place == bin_ for place in range(bins)) for bin_ in range(bins))


_LONE_CONFIDENCE: Final = _lone(CONFIDENCE_BINS)
_LONE_ENTROPY: Final = _lone(ENTROPY_BINS)
_LONE_FEATURE: Final = _lone(FEATURE_BINS)


@lru_cache(maxsize=1024)
def _latency(place: int, frames: int) -> bytes:
    """All frames of a burst are counted at its mean latency: one bin has them all."""
    counts = [0] * LATENCY_BINS
    counts[place] = frames
    return pack(counts)


def _zeros(bins: int) -> list[int]:
    return [0] * bins


class Counts:
    """A window's rows, counted."""

    __slots__ = ("confidence", "entropy", "errors", "features", "hashes", "readings")

    def __init__(self, rows: Rows) -> None:
        # Where no count can pass 127, a bin is the byte that it is on the wire.
        zeros = bytearray if len(rows) < 128 else _zeros
        self.confidence = confidence = zeros(CONFIDENCE_BINS)
        self.entropy = entropy = zeros(ENTROPY_BINS)
        self.features = features = zeros(FEATURES * FEATURE_BINS)
        self.readings: list[int] = []
        self.hashes: list[int] = []
        self.errors: dict[str, int] = {}
        for reading, sure, undecided, f0, f1, f2, f3, f4, f5, f6, f7, error in rows:
            features[f0] += 1
            features[10 + f1] += 1
            features[20 + f2] += 1
            features[30 + f3] += 1
            features[40 + f4] += 1
            features[50 + f5] += 1
            features[60 + f6] += 1
            features[70 + f7] += 1
            if error:
                self._failed(error)
                continue
            confidence[sure] += 1
            entropy[undecided] += 1
            self.readings.append(reading)
            low, high = f0 + 10 * f1 + 100 * f2 + 1000 * f3, f4 + 10 * f5 + 100 * f6 + 1000 * f7
            self.hashes.append(low + 10_000 * high)

    def _failed(self, error: int) -> None:
        label = ERROR_LABELS[error] if error < len(ERROR_LABELS) else f"error-{error}"
        self.errors[label] = self.errors.get(label, 0) + 1


_NOTHING: Final = Counts(())


def _lone_row(body: dict[str, Any], row: Sequence[int], latency: bytes) -> None:
    """The histograms of one frame without an error: known beforehand, nothing is counted."""
    _, sure, undecided, f0, f1, f2, f3, f4, f5, f6, f7, _ = row
    one = _LONE_FEATURE
    body[_CONFIDENCE] = _LONE_CONFIDENCE[sure]
    body[_ENTROPY] = _LONE_ENTROPY[undecided]
    body[_LATENCY] = latency
    body[_FEATURES] = b"".join(
        (one[f0], one[f1], one[f2], one[f3], one[f4], one[f5], one[f6], one[f7])
    )


def encode_window(
    boot_id: int,
    seq: int,
    bundle8: bytes,
    flags_rev: int,
    span_ns: int,
    ran: FramesRan,
    rows: Rows,
    *,
    sketches: bool,
    count_min: bool = False,
    probed: Probed | None = None,
    veil: Veil | None = None,
    chosen: tuple[dict[str, int], int] | None = None,
    debug: tuple[int, bytes] | None = None,
    bloom: bool = False,
) -> tuple[bytes, int]:
    """Encode a window.

    Args:
        boot_id: the boot whose window this is.
        seq: number of the window in this boot.
        bundle8: first 8 bytes of the digest of the manifest that ran.
        flags_rev: revision of the flags in force.
        span_ns: how long the window lasted.
        ran: what the host says of the burst.
        rows: its frames; 12 columns each, named above.
        sketches: whether KLL and HLL go along.
        count_min: whether a count-min sketch goes along.
        probed: the golden probe that ran since the last window, if one did.
        veil: privacy mode; None: counts are exact.
        chosen: decisions by rule, and by how many bins the confidence bound was moved.
        debug: debug mode: number of the grant, and rows.
        bloom: whether a Bloom filter goes along, where it can hold the rows.

    Returns:
        The payload, and how many frames were in error.
    """
    body: dict[str, Any] = {_BOOT: boot_id, _SEQ: seq, _BUNDLE: bundle8}
    if flags_rev:
        body[_FLAGS] = flags_rev
    body[_FRAMES] = ran.frames
    if span_ns >= MS:
        body[_SPAN] = span_ns // MS
    counts = _tell_histograms(body, rows, ran, veil)
    _tell_health(body, counts, ran)
    many = veil is None and len(counts.readings) >= SKETCH_READINGS_MIN
    if probed is not None or many:
        _tell_more(body, counts, probed, many=many, sketches=sketches)
    if ran.memory_mib or ran.accelerator_permille:
        _tell_load(body, ran)
    if count_min and many:
        body[_COUNT_MIN] = count_min_bytes(counts.hashes)
    if veil is not None:
        body[_PRIVACY] = veil.epsilon_permille
    if chosen is not None:
        body |= _spell(*chosen)
    if debug is not None or probed is not None or bloom:
        _tell_rest(body, debug, probed, counts.hashes if bloom and many else [])
    return _PACK(body), 0 if counts is _NOTHING else len(rows) - len(counts.readings)


def _tell_histograms(body: dict[str, Any], rows: Rows, ran: FramesRan, veil: Veil | None) -> Counts:
    """Returns what was counted; nothing where it is one frame without an error."""
    if veil is None:
        latency = _latency(latency_bin(ran.latency_us), ran.frames)
        if len(rows) == 1 and not rows[0][ERROR]:
            _lone_row(body, rows[0], latency)
            return _NOTHING
        counts = Counts(rows)
        body[_CONFIDENCE] = pack(counts.confidence)
        body[_ENTROPY] = pack(counts.entropy)
        body[_LATENCY] = latency
        body[_FEATURES] = pack(counts.features)
        return counts
    counts = Counts(rows)
    _veiled(body, counts, ran, veil)
    return counts


def _tell_health(body: dict[str, Any], counts: Counts, ran: FramesRan) -> None:
    conditions = ran.conditions
    if counts.errors:
        body[_ERRORS] = counts.errors
    if ran.throttled_frames:
        body[_THROTTLED] = ran.throttled_frames
    if conditions.chip_c:
        body[_CHIP] = conditions.chip_c
    if conditions.battery_percent != 100:
        body[_BATTERY] = conditions.battery_percent


def _tell_more(
    body: dict[str, Any], counts: Counts, probed: Probed | None, *, many: bool, sketches: bool
) -> None:
    """What a short window of a healthy device has not: a probe's result, sketches, top readings."""
    if probed is not None:
        body[_RESIDUAL] = probed.residual_permille
    if sketches and many:
        if len(counts.readings) <= K_DEVICE:
            body[_KLL] = kll_bytes(counts.readings)
        body[_HLL] = hll_bytes(counts.hashes)
    if probed is not None and not probed.passed:
        _tell_failure(body, probed)
    if many:
        body[_TOP] = top_readings(counts.readings)


def _tell_rest(
    body: dict[str, Any],
    debug: tuple[int, bytes] | None,
    probed: Probed | None,
    hashes: list[int],
) -> None:
    """What came to the format last: debug mode, how a probe found the chip, which rows were seen."""
    if debug is not None:
        body[_DEBUG_GRANT], body[_DEBUG] = debug
    if probed is not None and probed.chip_c is not None:
        body[_PROBE_CHIP], body[_PROBE_LATENCY] = probed.chip_c, probed.latency
    seen = bloom_bytes(hashes)
    if seen:
        body[_BLOOM] = seen


def _tell_load(body: dict[str, Any], ran: FramesRan) -> None:
    if ran.memory_mib:
        body[_MEMORY] = ran.memory_mib
    if ran.accelerator_permille:
        body[_ACCELERATOR] = ran.accelerator_permille


def _veiled(body: dict[str, Any], counts: Counts, ran: FramesRan, veil: Veil) -> None:
    """The histograms of a private window; latency tells of the device, not of its inputs."""
    enough = ran.frames >= veil.frames_min
    if enough:
        body[_CONFIDENCE] = veil.pack(counts.confidence)
        body[_ENTROPY] = veil.pack(counts.entropy)
    body[_LATENCY] = _latency(latency_bin(ran.latency_us), ran.frames)
    if enough:
        body[_FEATURES] = veil.pack(counts.features)
    counts.errors = veil.errors(counts.errors, ERROR_LABELS[1:]) if enough else {}


def _tell_failure(body: dict[str, Any], probed: Probed) -> None:
    body[_FAILED] = True
    if probed.worst_permille:
        body[_WORST] = probed.worst_permille
    if probed.argmax_mismatches:
        body[_FLIPS] = probed.argmax_mismatches
    if probed.resembles:
        body[_LIKE] = probed.resembles


def top_readings(readings: Sequence[int]) -> bytes:
    """The most frequent classes of reading, most frequent first: pairs of class and count, varints.

    Args:
        readings: permille of full scale, 0 .. 1000.
    """
    counted = [0] * READING_CLASSES
    for reading in readings:
        counted[min(max(reading, 0), 999) * READING_CLASSES // 1000] += 1
    order = sorted(range(READING_CLASSES), key=lambda one: (-counted[one], one))
    pairs = [(one, counted[one]) for one in order[:TOP_READINGS] if counted[one]]
    return pack([number for pair in pairs for number in pair])


def _spell(rules: dict[str, int], recalibration: int) -> dict[str, Any]:
    """What a run-time policy adds; nothing where nothing was decided."""
    said = {_RULES: rules, _RECALIBRATION: recalibration}
    return {key: value for key, value in said.items() if value}
