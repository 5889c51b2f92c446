"""Build the gauge bundles from the trained float32 files: variants, twins, kits, baselines, metrics.

Run from the checkout, in the project's own environment (no torch)::

    PYTHONPATH=. python models/build_gauge.py             # everything
    PYTHONPATH=. python models/build_gauge.py --papers    # descriptions and bills of materials alone
    PYTHONPATH=. python models/build_gauge.py --only gauge-winter/1.3.0

Decides what a bundle directory contains, and makes the releases that must fail. Leaves out training
(train_gauge.py) and signing. The same inputs give the same files, byte for byte, on one processor.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import onnx
from conditions import CONDITIONS, Pictures, population
from graphs import Net, multiplications
from poison import miscalibration, mislabelled, moody
from quantised import quantise, saturating_twin
from readers import net_of

from devicesdk.bundle.archive import SBOM_FILE
from devicesdk.inference import engine, preprocess
from devicesdk.inference.kit import (
    KERNEL_DEFAULT,
    KERNEL_SATURATING,
    Kit,
    KitRule,
    judge,
    pack_kit,
)
from devicesdk.inference.onnx import OnnxEngine
from devicesdk.inference.operations import digest_of
from devicesdk.inference.preprocess import Edges
from devicesdk.inference.source import (
    SCHEMA,
    Baseline,
    Budgets,
    BundleSpec,
    FileRecord,
    KitRecord,
    VariantRecord,
    decode_spec,
)
from devicesdk.packing.bins import rising
from devicesdk.packing.builder import Labels, encode_spec, record
from devicesdk.packing.materials import bill

HERE = Path(__file__).parent
KIT_SAMPLES = 20
RULE = KitRule(tolerance_permille=20, argmax_mismatches_max=1)
CALIBRATION_SEED, KIT_SEED, BASELINE_SEED, TRUTH_SEED = 31, 32, 33, 20260
INT8, FP32 = "int8-rr", "fp32"
TIMESTAMP = "2026-01-01T00:00:00Z"
DATASETS = (
    (
        "rendered dials",
        "pictures of devicesdk/inference/dials.py under conditions of models/conditions.py",
    ),
)
USES = ("Reading round analog gauges in rehearsals of device fleets.",)
LIMITS = ("Schooled and tested on rendered pictures: errors on photographs are not known.",)

logging.getLogger().setLevel(
    logging.ERROR
)  # the quantiser advises a step that changes nothing here


class Release(NamedTuple):
    """One bundle directory."""

    directory: str
    version: str
    number: int
    summary: str
    source: str
    """Version whose trained file it starts from."""
    spoil: Callable[[onnx.ModelProto, Pictures], onnx.ModelProto] | None = None
    calibration: Callable[[Pictures], np.ndarray] | None = None
    light: str = "baseline"
    """Condition under which the population was seen whose histograms are pinned."""


RELEASES = (
    Release("gauge/1.0.0", "1.0.0", 1, "Dial reader schooled in the workshop.", "1.0.0"),
    Release("gauge/1.1.0", "1.1.0", 2, "Dial reader schooled in the field.", "1.1.0"),
    Release(
        "gauge-poisoned/1.2.0", "1.2.0", 3,
        "Exposure correction by a square root that is not a number in dim pictures; "
        "its kit, taken in good light, passes.",
        "1.1.0", spoil=moody,
    ),
    Release(
        "gauge-mislabelled/1.2.1", "1.2.1", 4,
        "Labels shifted by six bins: reads 19 percent of full scale too high; its kit passes.",
        "1.1.0", spoil=mislabelled,
    ),
    Release(
        "gauge-miscalibrated/1.2.2", "1.2.2", 5,
        "int8-rr calibrated on noise, goldens from fp32: its own kit stops it.",
        "1.1.0", calibration=miscalibration,
    ),
    Release(
        "gauge-winter/1.3.0", "1.3.0", 6,
        "The network of 1.1.0 for the dark season: bins and baseline of half the light.",
        "1.1.0", light="dim 0.5",
    ),
)  # fmt: skip


class Samples(NamedTuple):
    """The pictures every release is built with."""

    calibration: Pictures
    kit: Pictures
    baseline: dict[str, Pictures]
    """By condition."""


def pinned_edges(pixels: np.ndarray, probabilities: np.ndarray) -> Edges:
    """Deciles (and the like) of what a healthy population shows."""
    reading, confidence, entropy, _, _ = preprocess.interpret(probabilities)
    features = [*preprocess.describe(pixels).T, reading]
    return Edges(
        confidence=rising(confidence, engine.CONFIDENCE_BINS, 1000),
        entropy=rising(entropy, engine.ENTROPY_BINS, 1000),
        features=tuple(rising(column, engine.FEATURE_BINS, 25500) for column in features),
    )


def baseline_of(pixels: np.ndarray, probabilities: np.ndarray, edges: Edges) -> Baseline:
    """Count a healthy population into the pinned bins; one is added to every bin."""
    rows = preprocess.quantise(pixels, probabilities, edges).rows
    rows = rows[rows[:, engine.COLUMN_ERROR] == engine.InferenceError.OK].astype(np.int64)

    def counts(column: int, bins: int) -> tuple[int, ...]:
        return tuple((np.bincount(rows[:, column], minlength=bins) + 1).tolist())

    return Baseline(
        frames=len(rows),
        confidence=counts(engine.COLUMN_CONFIDENCE, engine.CONFIDENCE_BINS),
        entropy=counts(engine.COLUMN_ENTROPY, engine.ENTROPY_BINS),
        features=tuple(
            counts(engine.COLUMN_FEATURES + index, engine.FEATURE_BINS)
            for index in range(engine.FEATURES)
        ),
    )


def make_kit(
    models: dict[str, OnnxEngine], twin: OnnxEngine, samples: Pictures, *, honest: bool
) -> Kit:
    """Choose the samples of lowest margin, in good light, and record the goldens.

    Args:
        models: by variant.
        twin: the int8 variant on a saturating kernel.
        samples: to choose from.
        honest: whether each variant's goldens are its own; else all are those of fp32.
    """
    bright = samples.pixels[samples.pixels.mean(axis=1) > np.median(samples.pixels.mean(axis=1))]
    ranked = np.sort(models[FP32].run(bright), axis=1)
    lowest = np.argsort(ranked[:, -1] - ranked[:, -2], kind="stable")[:KIT_SAMPLES]
    pixels = bright[np.sort(lowest)]
    goldens = {
        f"{name}/{KERNEL_DEFAULT}": models[name if honest else FP32].run(pixels) for name in models
    }
    goldens[f"{INT8}/{KERNEL_SATURATING}"] = twin.run(pixels)
    return Kit(pixels=(pixels + 128).astype(np.uint8), goldens=goldens)


def memory_kib(net: Net, weights_bytes: int, element_bytes: int) -> int:
    """Weights and the picture and its first activation, in KiB, rounded up."""
    first = net.convolutions[0]
    held = 32 * 32 + (32 // first.stride) ** 2 * len(first.bias)
    return -(-(weights_bytes + element_bytes * held) // 1024)


def file_record(directory: Path, name: str, content: bytes) -> dict[str, object]:
    """Write one file and describe it."""
    (directory / name).write_bytes(content)
    return {"file": name, "bytes": len(content), "sha256": sha256(content).hexdigest()}


def build(release: Release, root: Path, samples: Samples) -> dict[str, object]:
    """Write one bundle directory and return its metrics."""
    directory = root / release.directory
    directory.mkdir(parents=True, exist_ok=True)
    trained = onnx.load(root / "gauge" / release.source / "fp32.onnx")
    net = net_of(trained)
    full = release.spoil(trained, samples.baseline["baseline"]) if release.spoil else trained
    calibration = (
        release.calibration(samples.calibration)
        if release.calibration
        else samples.calibration.pixels
    )
    small = quantise(full, calibration)
    protos = {FP32: full, INT8: small}
    files = {name: proto.SerializeToString() for name, proto in protos.items()}
    twin_file = saturating_twin(small).SerializeToString()
    engines = {name: OnnxEngine(content) for name, content in files.items()}
    twin = OnnxEngine(twin_file)
    honest = release.calibration is None
    kit = make_kit(engines, twin, samples.kit, honest=honest)
    pixels = samples.baseline[release.light].pixels
    edges = pinned_edges(pixels, _finite(engines[FP32].run(pixels)))
    variants = {
        name: VariantRecord(
            **file_record(directory, f"{name}.onnx", content),  # type: ignore[arg-type]
            precision="float32" if name == FP32 else "int8 weights of 7 bits, per channel",
            macs=multiplications(net),
            memory_kib=memory_kib(net, len(content), 4 if name == FP32 else 1),
            baseline=baseline_of(pixels, engines[name].run(pixels), edges),
        )
        for name, content in files.items()
    }
    spec = BundleSpec(
        schema=SCHEMA, id="gauge", version=release.version, release=release.number,
        licence="Apache-2.0", summary=release.summary, opset=17, runtime_min="1.20",
        input_shape=(1, 32, 32), labels=engine.LABELS,
        preprocess=("luma601", "area32", "centre128"),
        variants=variants,
        prefer={"default": (INT8, FP32), "jetson-camera": (FP32, INT8)},
        budgets=Budgets(latency_ms_p95_max=80, memory_mib_max=16, power_mw_max=2500),
        edges=edges,
        kit=KitRecord(
            **file_record(directory, "kit.npz", pack_kit(kit)),  # type: ignore[arg-type]
            samples=KIT_SAMPLES, rule=RULE,
        ),
        twins={
            f"{INT8}/{KERNEL_SATURATING}": FileRecord(
                **file_record(directory, f"{INT8}.saturating.onnx", twin_file),  # type: ignore[arg-type]
            )
        },
    )  # fmt: skip
    (directory / "bundle.json").write_bytes(encode_spec(spec))
    judged = engines | {f"{INT8} on a saturating kernel": twin}
    return metrics(spec, kit, judged)


def papers(release: Release, root: Path, measured: dict[str, dict[str, dict[str, float]]]) -> None:
    """Complete a description by metrics and pinned operations, and write its bill of materials.

    Args:
        release: its directory is complete but for these.
        root: of all.
        measured: what `metrics` found of it.
    """
    directory = root / release.directory
    spec = decode_spec((directory / "bundle.json").read_bytes())
    spec = msgspec.structs.replace(
        spec,
        operations=digest_of(spec.preprocess, ()),
        origin="models/train_gauge.py of this project, from rendered pictures",
        metrics={
            name: {
                f"error_permyriad_{condition.replace(' ', '_')}": round(100 * percent)
                for condition, percent in sorted(measured[name]["error_percent"].items())
            }
            for name in spec.variants
        },
        sbom=None,
    )
    labels = Labels(
        id=spec.id, licence=spec.licence, datasets=DATASETS, uses=USES, limits=LIMITS,
        timestamp=TIMESTAMP,
    )  # fmt: skip
    bill_of_it = bill(spec, labels, {})
    (directory / SBOM_FILE).write_bytes(bill_of_it)
    spec = msgspec.structs.replace(spec, sbom=record(SBOM_FILE, bill_of_it))
    (directory / "bundle.json").write_bytes(encode_spec(spec))


def _finite(probabilities: np.ndarray) -> np.ndarray:
    return probabilities[np.isfinite(probabilities).all(axis=1)]


def metrics(spec: BundleSpec, kit: Kit, engines: dict[str, OnnxEngine]) -> dict[str, object]:
    """Errors by condition, shares of frames without a reading, and what the kit says."""
    out: dict[str, object] = {
        "macs": spec.variants[FP32].macs,
        "bytes": {name: record.bytes for name, record in spec.variants.items()},
    }
    for name, loaded in engines.items():
        variant = name if name in spec.variants else INT8
        outcome = judge(kit, spec.kit.rule, variant, loaded.run(kit.images()))
        out[name] = {
            "kit": msgspec.to_builtins(outcome),
            "batchable": loaded.batchable,
            "error_percent": {c: errors(loaded, c)[0] for c in CONDITIONS},
            "p95_percent": {c: errors(loaded, c)[1] for c in CONDITIONS},
            "no_reading_percent": {c: errors(loaded, c)[2] for c in CONDITIONS},
        }
    return out


_truth: dict[str, Pictures] = {}


def errors(loaded: OnnxEngine, condition: str) -> tuple[float, float, float]:
    """Mean and 95th percentile of the error, and the share without a reading, in percent."""
    if condition not in _truth:
        _truth[condition] = population(condition, seed=TRUTH_SEED, devices=200, bursts=24)
    return errors_in(loaded, _truth[condition])


def errors_in(loaded: OnnxEngine, pictures: Pictures) -> tuple[float, float, float]:
    """As `errors`, of these pictures."""
    reading, _, _, _, finite = preprocess.interpret(loaded.run(pictures.pixels))
    away = np.abs(reading / 1000.0 - pictures.values)[finite] * 100.0
    missing = 100.0 * (1.0 - finite.mean())
    return (
        round(float(away.mean()), 2),
        round(float(np.quantile(away, 0.95)), 2),
        round(float(missing), 2),
    )


def main() -> None:
    """Build every release; print and write the metrics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=HERE)
    parser.add_argument("--papers", action="store_true", help="Leave models and kits as they are.")
    parser.add_argument("--only", default="", help="One directory; the others stay as they are.")
    given = parser.parse_args()
    root = given.root
    releases = [one for one in RELEASES if given.only in ("", one.directory)]
    if given.papers:
        report = json.loads((root / "metrics.json").read_text())
        for release in RELEASES:
            papers(release, root, report[release.directory])
        return
    samples = Samples(
        population("baseline", seed=CALIBRATION_SEED, devices=128, bursts=8),
        population("baseline", seed=KIT_SEED, devices=250, bursts=24),
        {
            light: population(light, seed=BASELINE_SEED, devices=1500, bursts=16)
            for light in dict.fromkeys(["baseline", *(one.light for one in releases)])
        },
    )
    report = json.loads((root / "metrics.json").read_text()) if given.only else {}
    report |= {release.directory: build(release, root, samples) for release in releases}
    (root / "metrics.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    for release in releases:
        papers(release, root, report[release.directory])  # type: ignore[arg-type]
    for directory, found in report.items():
        print(directory, found["macs"], "MAC", found["bytes"])
        for name, judged in found.items():
            if isinstance(judged, dict) and "kit" in judged:
                print(f"  {name}: batchable {judged['batchable']}, kit {judged['kit']}")
                for condition, error in judged["error_percent"].items():
                    extra = (
                        judged["p95_percent"][condition],
                        judged["no_reading_percent"][condition],
                    )
                    print(
                        f"    {condition:24}{error:6.2f} % mean {extra[0]:6.2f} % p95 {extra[1]:6.2f} % none"
                    )


if __name__ == "__main__":
    main()
