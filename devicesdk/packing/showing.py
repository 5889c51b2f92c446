"""What a bundle is, for people and for programs.

Decides what ``bundle inspect`` tells. Leaves out checks (checking.py) and comparing two (difference.py).
"""

from __future__ import annotations

from typing import Any

import msgspec

from devicesdk.bundle.archive import MANIFEST_FILE, SBOM_FILE, SIGNATURE_FILE
from devicesdk.bundle.source import BUNDLE_FILE
from devicesdk.inference.preprocess import FEATURE_NAMES
from devicesdk.inference.source import BundleSpec
from devicesdk.inference.summary import STATISTICS
from devicesdk.packing.files import Opened

_TOP = (BUNDLE_FILE, MANIFEST_FILE, SBOM_FILE, SIGNATURE_FILE)


def facts(opened: Opened) -> dict[str, Any]:
    """Everything about a bundle, as JSON has it.

    Raises:
        SourceError: its description is not one.
    """
    spec = opened.spec()
    told: dict[str, Any] = msgspec.to_builtins(spec)
    names = FEATURE_NAMES if spec.task is None else STATISTICS
    told["features"] = [
        {"name": name, "edges": list(row)}
        for name, row in zip(names, spec.edges.features, strict=True)
    ]
    for one in told["variants"].values():
        one["baseline"] = {"frames": one["baseline"]["frames"]}
    told["bytes"] = opened.size_bytes
    told["archive"] = opened.archived
    told["signed"] = SIGNATURE_FILE in opened.members
    told["files"] = {name: len(content) for name, content in opened.members.items()}
    return told


def words(opened: Opened) -> list[str]:
    """The same in lines, without the bins."""
    spec = opened.spec()
    task = spec.task
    lines = [
        f"{spec.id} {spec.version}, release {spec.release}: {spec.summary or 'no summary'}",
        f"licence {spec.licence or 'unknown'}{f', from {spec.origin}' if spec.origin else ''}",
        (
            f"opset {spec.opset}, ONNX Runtime {spec.runtime_min or 'any'} to {spec.runtime_max or 'any'}, "
            f"machines {', '.join(spec.hardware) or 'any'}"
        ),
        f"task {'gauge (dial bins)' if task is None else task.kind}, {_shapes(spec)}",
        (
            f"operations {', '.join(spec.preprocess) or 'none'} before, "
            f"{', '.join(task.postprocess) if task and task.postprocess else 'none'} after"
        ),
        (
            f"{'archive' if opened.archived else 'directory'} of {opened.size_bytes} bytes, "
            f"{'signed' if SIGNATURE_FILE in opened.members else 'unsigned'}"
        ),
        "",
        f"{'variant':<10} {'bytes':>11} {'kMAC':>9} {'KiB':>8}  {'sha256':<12}  precision",
    ]
    lines += [
        f"{name:<10} {one.bytes:>11} {one.macs // 1000:>9} {one.memory_kib:>8}  {one.sha256[:12]:<12}  "
        f"{one.precision}"
        for name, one in spec.variants.items()
    ]
    lines.append("")
    lines += [f"{hardware} prefers {', '.join(names)}" for hardware, names in spec.prefer.items()]
    budgets, rule = spec.budgets, spec.kit.rule
    lines += [
        (
            f"budgets: {budgets.latency_ms_p95_max} ms (p95), {budgets.memory_mib_max} MiB, "
            f"{budgets.power_mw_max} mW"
        ),
        (
            f"kit: {spec.kit.samples} samples, {spec.kit.bytes} bytes, at most {rule.tolerance_permille} "
            f"permille off and {rule.argmax_mismatches_max} labels changed"
        ),
    ]
    for name, measured in spec.metrics.items():
        lines.append(
            f"{name}: " + ", ".join(f"{key} {value}" for key, value in sorted(measured.items()))
        )
    return lines


def _shapes(spec: BundleSpec) -> str:
    if spec.task is None:
        return f"float32 {list(spec.input_shape)} to {spec.labels}"
    inputs = ", ".join(
        f"{one.name} {one.dtype} [{', '.join(str(n) if n else 'any' for n in one.shape)}]"
        for one in spec.task.inputs
    )
    return f"{inputs} to {spec.task.output} [{spec.labels or 'any'}]"
