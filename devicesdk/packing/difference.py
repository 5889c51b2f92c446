"""What changed between two bundles.

Decides what is compared: the description's words, operations and thresholds; sizes; metrics; and the
weights of each variant that both have, tensor by tensor. Leaves out deltas between files.

Rules: a tensor is the same when its bytes are; what exists on one side alone is said as such; nothing is
rounded away.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import msgspec
import numpy as np

from devicesdk.inference.source import BundleSpec
from devicesdk.inference.tasks import Tensor
from devicesdk.packing import graph
from devicesdk.packing.files import Opened

_NOT_WORDS: Final = ("variants", "metrics", "kit", "sbom", "twins")
_ABSENT: Final = None
TENSORS_SHOWN_MAX: Final = 20


def compare(before: Opened, after: Opened) -> dict[str, Any]:
    """Everything that differs, as JSON has it; an empty one: nothing does.

    Raises:
        SourceError: a description is not one.
        CannotPack: a variant is not a model.
    """
    old, new = before.spec(), after.spec()
    found: dict[str, Any] = {}
    _put(found, "description", _changed(_plain(old), _plain(new)))
    _put(found, "kit", _changed(msgspec.to_builtins(old.kit), msgspec.to_builtins(new.kit)))
    _put(found, "metrics", _changed(_flat(old.metrics), _flat(new.metrics)))
    _put(found, "variants", _variants(before, after, old, new))
    return found


def lines_of(found: dict[str, Any]) -> list[str]:
    """The same in lines."""
    if not found:
        return ["no difference"]
    lines = []
    for part in ("description", "kit", "metrics"):
        lines += [
            f"{part}: {key}: {_short(was)} -> {_short(now)}"
            for key, (was, now) in found.get(part, {}).items()
        ]
    for name, said in found.get("variants", {}).items():
        if isinstance(said, str):
            lines.append(f"variant {name}: {said}")
            continue
        lines += [f"variant {name}: {key}: {_short(was)} -> {_short(now)}" for key, (was, now) in said["said"].items()]  # fmt: skip
        operators = said["operators"]
        lines += [f"variant {name}: operator {key}: {was or 0} -> {now or 0} nodes" for key, (was, now) in operators.items()]  # fmt: skip
        lines += _tensor_lines(name, said["tensors"])
    return lines


def _tensor_lines(name: str, tensors: dict[str, Any]) -> list[str]:
    changed = tensors["changed"]
    lines = [
        (
            f"variant {name}: tensors: {tensors['same']} the same, {len(changed)} changed, "
            f"{len(tensors['gone'])} gone, {len(tensors['new'])} new"
        )
    ]
    for key, said in list(changed.items())[:TENSORS_SHOWN_MAX]:
        lines.append(f"variant {name}:   {key} {said['shape']}: {said['said']}")
    if len(changed) > TENSORS_SHOWN_MAX:
        lines.append(f"variant {name}:   and {len(changed) - TENSORS_SHOWN_MAX} more (--json)")
    return lines


def _put(found: dict[str, Any], name: str, said: dict[str, Any]) -> None:
    if said:
        found[name] = said


def _plain(spec: BundleSpec) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(spec)
    return {key: value for key, value in told.items() if key not in _NOT_WORDS}


def _flat(metrics: dict[str, dict[str, int]]) -> dict[str, int]:
    return {f"{name}.{key}": value for name, part in metrics.items() for key, value in part.items()}


def _changed(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        key: (old.get(key, _ABSENT), new.get(key, _ABSENT))
        for key in sorted({**old, **new})
        if old.get(key, _ABSENT) != new.get(key, _ABSENT)
    }


def _variants(before: Opened, after: Opened, old: BundleSpec, new: BundleSpec) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in {**old.variants, **new.variants}:
        if name not in old.variants or name not in new.variants:
            found[name] = "new" if name in new.variants else "gone"
            continue
        was, now = old.variants[name], new.variants[name]
        if was.sha256 == now.sha256 and was == now:
            continue
        said = _changed(msgspec.to_builtins(was), msgspec.to_builtins(now))
        one = graph.load(before.content(was.file))
        two = graph.load(after.content(now.file))
        found[name] = {
            "said": said,
            "operators": _changed(graph.operators_of(one), graph.operators_of(two)),
            "tensors": _tensors(graph.weights_of(one), graph.weights_of(two)),
        }
    return found


def _tensors(old: dict[str, Tensor], new: dict[str, Tensor]) -> dict[str, Any]:
    both = [name for name in old if name in new]
    changed = {
        name: _tensor(old[name], new[name]) for name in both if not _same(old[name], new[name])
    }
    return {
        "same": len(both) - len(changed),
        "changed": changed,
        "gone": [name for name in old if name not in new],
        "new": [name for name in new if name not in old],
    }


def _same(old: Tensor, new: Tensor) -> bool:
    return old.dtype == new.dtype and old.shape == new.shape and old.tobytes() == new.tobytes()


def _tensor(old: Tensor, new: Tensor) -> dict[str, Any]:
    shape = f"{new.dtype} {list(new.shape)}"
    if old.shape != new.shape or old.dtype != new.dtype:
        return {"shape": shape, "said": f"was {old.dtype} {list(old.shape)}"}
    apart = np.abs(new.astype(np.float64) - old.astype(np.float64))
    count = int(np.count_nonzero(apart))
    return {
        "shape": shape,
        "said": f"{count} of {new.size} numbers differ, by {float(apart.max()):.4g} at most",
        "sha256": [sha256(tensor.tobytes()).hexdigest() for tensor in (old, new)],
    }


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"
