"""What a model is for, found from its graph, its samples and what its builder says.

Decides the `Task`: inputs with or without an axis for samples, the output that counts, the operations
after it, spans and units. Leaves out variants (variants.py), the kit (kits.py) and the files (builder.py).

Rules: what the builder says is taken as it is and checked against the samples; what is found is said, so
that it can be contradicted; what cannot be found is asked for and never guessed, above all how a picture
becomes numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import onnx

from devicesdk.inference import operations
from devicesdk.inference.engine import Floats
from devicesdk.inference.frames import Frame
from devicesdk.inference.onnx import ModelError, open_session
from devicesdk.inference.preprocess import Edges
from devicesdk.inference.summary import in_units, statistics
from devicesdk.inference.tasks import Sample, Span, Task, TaskKind, Tensor, TensorSpec, interpret
from devicesdk.inference.tensors import TensorEngine
from devicesdk.packing import bins, graph
from devicesdk.packing.errors import CannotPack
from devicesdk.packing.graph import Port
from devicesdk.packing.samples import Named

SUM_SLACK: Final = 0.01
_ROWS: Final = 2


class Said(NamedTuple):
    """What the builder says of the task; empty or None: find it out."""

    kind: TaskKind | None = None
    output: str = ""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] | None = None
    labels: tuple[str, ...] = ()
    span: tuple[float, float] | None = None


class Study(NamedTuple):
    """What was found."""

    task: Task
    samples: list[Sample]
    outputs: list[Floats]
    """Of the model as it was given, after the operations."""
    notes: list[str]
    """What was found out rather than said, for people."""


def study(model: onnx.ModelProto, named: Sequence[Named], said: Said) -> Study:
    """Find a task.

    Raises:
        CannotPack: model, samples and what was said do not fit each other.
    """
    notes: list[str] = []
    inputs, samples = fit_inputs(graph.inputs_of(model), named, said.before)
    output = _chosen_output(model, said.output, notes)
    rough = Task(
        kind="embed", inputs=inputs, output=output, output_batched=False, units=_units(samples)
    )
    raw = _run(model, rough, samples)
    batched = any(spec.batched for spec in inputs) and all(t.ndim and len(t) == 1 for t in raw)
    raw = [tensor[0] for tensor in raw] if batched else raw
    after = said.after if said.after is not None else ()
    finished = _finished(raw, after, samples)
    kind = said.kind or _kind(finished, notes)
    if said.after is None:
        after = _operations(kind, finished, inputs)
        if after:
            notes.append(f"operations after the model: {', '.join(after)}")
        finished = _finished(raw, after, samples)
    task = Task(
        kind=kind, inputs=inputs, output=output, output_batched=batched, postprocess=after,
        labels=said.labels, span=_span(kind, finished, said.span), units=rough.units,
    )  # fmt: skip
    _check_outputs(task, finished, named)
    return Study(task, samples, finished, notes)


def fit_inputs(
    ports: list[Port], named: Sequence[Named], before: tuple[str, ...]
) -> tuple[tuple[TensorSpec, ...], list[Sample]]:
    """Prepare samples and decide how the model's inputs are fed.

    Raises:
        CannotPack: a sample does not fit.
    """
    try:
        operations.check(before, ())
    except operations.OperationError as error:
        raise CannotPack(str(error)) from error
    prepared = [_prepared(sample, ports, before) for sample in named]
    specs = []
    for port in ports:
        spec, column = _fit(port, [sample[port.name] for sample in prepared], named)
        specs.append(spec)
        for sample, tensor in zip(prepared, column, strict=True):
            sample[port.name] = tensor
    return tuple(specs), prepared


def quantities(task: Task, samples: Sequence[Sample], outputs: Sequence[Floats]) -> Edges:
    """Pin the bin edges to what a population shows."""
    said = [interpret(task, output.astype(np.float64)) for output in outputs]
    return bins.pinned(
        np.array([one.confidence for one in said]),
        np.array([one.entropy for one in said]),
        np.array([in_units(statistics(sample), task.units) for sample in samples]),
    )


# -- inputs ------------------------------------------------------------------------------------------


def _prepared(sample: Named, ports: list[Port], before: tuple[str, ...]) -> Sample:
    frame: Frame = sample.frame
    names = [port.name for port in ports]
    if isinstance(frame, dict):
        tensors = {names[0]: frame[""]} if [*frame] == [""] and len(names) == 1 else dict(frame)
        if sorted(tensors) != sorted(names):
            raise CannotPack(
                f"expected tensors named {names} in sample {sample.name}, found {sorted(tensors)}"
            )
        return {name: tensors[name] for name in names}
    if len(ports) != 1:
        raise CannotPack(
            f"expected tensors named {names} in sample {sample.name}, found one array: this model has "
            f"{len(ports)} inputs, so give an .npz with all of them"
        )
    try:
        return {names[0]: operations.prepare(frame, before)}
    except operations.OperationError as error:
        raise CannotPack(f"sample {sample.name}: {error}") from error


def _fit(
    port: Port, tensors: list[Tensor], named: Sequence[Named]
) -> tuple[TensorSpec, list[Tensor]]:
    """One input over all samples: its description, and the tensors as they are fed."""
    axes, leads = len(port.shape), port.shape[:1] in ((0,), (1,))
    for tensor, sample in zip(tensors, named, strict=True):
        if tensor.dtype.name != port.dtype and not np.can_cast(
            tensor.dtype, port.dtype, "same_kind"
        ):
            raise CannotPack(_misfit(port, tensor, sample) + _advice(port, sample.frame))
    if leads and all(tensor.ndim == axes and len(tensor) == 1 for tensor in tensors):
        tensors = [tensor[0] for tensor in tensors]
    batched = leads and all(tensor.ndim == axes - 1 for tensor in tensors)
    shape = port.shape[1:] if batched else port.shape
    for tensor, sample in zip(tensors, named, strict=True):
        fits = tensor.ndim == len(shape) and all(
            wanted in (0, found) for wanted, found in zip(shape, tensor.shape, strict=True)
        )
        if not fits:
            raise CannotPack(_misfit(port, tensor, sample) + _advice(port, sample.frame))
    free = {axis for axis, size in enumerate(shape) if not size}
    seen = {axis: sorted({tensor.shape[axis] for tensor in tensors}) for axis in sorted(free)}
    # An open axis that all samples agree on stays open: the next frame may have another length.
    assert all(seen.values()), "an axis without a length"
    spec = TensorSpec(name=port.name, dtype=port.dtype, shape=shape, batched=batched)  # type: ignore[arg-type]
    cast = [np.ascontiguousarray(tensor.astype(port.dtype, copy=False)) for tensor in tensors]
    return spec, cast


def _misfit(port: Port, tensor: Tensor, sample: Named) -> str:
    shape = ", ".join(str(size) if size else "any" for size in port.shape)
    return (
        f"expected {port.dtype} ({shape}) for input {port.name!r}, found {tensor.dtype.name} "
        f"{tensor.shape} in sample {sample.name}"
    )


def _advice(port: Port, frame: Frame) -> str:
    """How a picture might become this input: a suggestion, because only the trainer knows."""
    if isinstance(frame, dict) or frame.dtype != np.uint8 or len(port.shape) != 4:
        return ""
    channels, height, width = port.shape[1:]
    if channels == 1:
        return f": say how it is prepared, such as --preprocess luma601 area:{height},{width} channel div:255"
    return f": say how it is prepared, such as --preprocess area:{height},{width} planar div:255"


# -- outputs -----------------------------------------------------------------------------------------


def _chosen_output(model: onnx.ModelProto, said: str, notes: list[str]) -> str:
    ports = graph.outputs_of(model)
    names = [port.name for port in ports]
    if said and said not in names:
        raise CannotPack(f"expected an output out of {names}, found {said!r}")
    if not said and len(names) > 1:
        notes.append(f"output: {names[0]}, the first of {names} (--output names another)")
    return said or names[0]


def _run(model: onnx.ModelProto, task: Task, samples: list[Sample]) -> list[Tensor]:
    try:
        engine = TensorEngine(open_session(model.SerializeToString()), task)
        return [engine.run_raw(sample) for sample in samples]
    except ModelError as error:
        raise CannotPack(f"expected a model that runs on its samples: {error}") from error


def _finished(raw: list[Tensor], after: tuple[str, ...], samples: list[Sample]) -> list[Floats]:
    try:
        operations.check((), after)
        return [
            operations.finish(tensor, after, sample).astype(np.float32)
            for tensor, sample in zip(raw, samples, strict=True)
        ]
    except operations.OperationError as error:
        raise CannotPack(str(error)) from error


def _kind(outputs: list[Floats], notes: list[str]) -> TaskKind:
    sizes = {output.size for output in outputs}
    shapes = {len([size for size in output.shape if size != 1]) for output in outputs}
    if sizes == {1}:
        raise CannotPack(
            "expected a task for a model with one number as its output, found none: say --task classify "
            "if it is a probability or a logit, --task regress if it is a value"
        )
    if len(sizes) == 1 and all(_sums_to_one(output) for output in outputs):
        kind: TaskKind = "classify"
        why = "its outputs are probabilities"
    elif shapes == {1} and len(sizes) == 1:
        kind, why = "embed", "its output is one row of always as many numbers"
    else:
        kind, why = "tensor", "its output has several axes, or a varying length"
    notes.append(f"task: {kind}, because {why} (--task says otherwise)")
    return kind


def _sums_to_one(output: Floats) -> bool:
    values = output.astype(np.float64)
    return bool((values >= -SUM_SLACK).all() and abs(float(values.sum()) - 1.0) <= SUM_SLACK)


def _operations(
    kind: TaskKind, outputs: list[Floats], inputs: tuple[TensorSpec, ...]
) -> tuple[str, ...]:
    """What the outputs need to be what a task wants."""
    if kind == "classify":
        unit = all(((o >= 0) & (o <= 1)).all() for o in outputs)
        if all(output.size == 1 for output in outputs):
            return ("binary",) if unit else ("sigmoid", "binary")
        if all(_sums_to_one(output) for output in outputs):
            return ()
        return ("share",) if unit else ("softmax",)
    several = any(o.ndim >= _ROWS and len(o) > 1 for o in outputs)
    if kind == "embed" and several:
        masks = [spec.name for spec in inputs if "mask" in spec.name]
        return (f"mean:{masks[0]}",) if masks else ("mean",)
    return ()


def _span(kind: TaskKind, outputs: list[Floats], said: tuple[float, float] | None) -> Span | None:
    if kind not in ("regress", "tensor"):
        return None
    if said is not None:
        return bins.span_of(*said)
    first = kind == "regress"
    values = np.concatenate([output.ravel()[:1] if first else output.ravel() for output in outputs])
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        raise CannotPack("expected outputs that are numbers, found none in any sample")
    return bins.span_of(float(finite.min()), float(finite.max()))


def _units(samples: list[Sample]) -> tuple[int, ...]:
    table = np.array([statistics(sample) for sample in samples])
    return tuple(bins.unit_for(column) for column in table.T)


def _check_outputs(task: Task, outputs: list[Floats], named: Sequence[Named]) -> None:
    for output, sample in zip(outputs, named, strict=True):
        if not output.size or not np.isfinite(output).all():
            raise CannotPack(
                f"expected numbers from the model as it was given, found none or not finite ones for "
                f"sample {sample.name}: a bundle is built from samples that the model can read"
            )
    sizes = sorted({output.size for output in outputs})
    if task.kind in ("classify", "embed", "regress") and len(sizes) > 1:
        raise CannotPack(
            f"expected outputs of one size for the task {task.kind}, found {sizes[:5]}: choose --task "
            "tensor, or operations after the model such as --postprocess mean"
        )
    if task.labels and len(task.labels) != sizes[-1]:
        raise CannotPack(
            f"expected as many labels as classes ({sizes[-1]}), found {len(task.labels)}"
        )
