"""Any model with a task: from named tensors to an output, a row, a judgement.

Decides how a model that is not the dial reader is fed (one sample at a time, with an axis for samples in
front where the model has one) and how a frame becomes its inputs. Leaves out what outputs mean (tasks.py),
the operations themselves (operations.py) and the kit (tensor_kit.py).

Rules: a session is shared and `run` may be called from any thread; a row's result depends on that row
alone; a frame is prepared by the pinned operations when it is one array, and taken as it is when it comes
as named tensors: whoever made those has prepared them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnxruntime as ort

from devicesdk.inference import operations
from devicesdk.inference.engine import Floats
from devicesdk.inference.kit import KitError
from devicesdk.inference.onnx import ModelError, open_session
from devicesdk.inference.tasks import Doubles, Sample, Task, Tensor
from devicesdk.inference.tensor_kit import check_sample

_ORT_TYPES: Final = {
    "tensor(float16)": "float16", "tensor(float)": "float32", "tensor(double)": "float64",
    "tensor(int8)": "int8", "tensor(int16)": "int16", "tensor(int32)": "int32", "tensor(int64)": "int64",
    "tensor(uint8)": "uint8", "tensor(uint16)": "uint16", "tensor(bool)": "bool",
}  # fmt: skip


class TensorEngine:
    """One session of a model with a task.

    Args:
        model: serialised, or opened.
        task: of its bundle.
        exact_int8: see `onnx.session_options`.

    Raises:
        ModelError: too large, not loadable, or without the inputs and the output of the task.
    """

    __slots__ = ("_session", "task")

    def __init__(
        self, model: bytes | ort.InferenceSession, task: Task, *, exact_int8: bool = False
    ) -> None:
        opened = open_session(model, exact_int8=exact_int8) if isinstance(model, bytes) else model
        self._session, self.task = opened, task
        self._check()

    def run(self, sample: Sample) -> Floats:
        """Run one sample.

        Args:
            sample: named tensors as `Task.inputs` says.

        Returns:
            The output that counts, after the pinned operations, float32.

        Raises:
            ModelError: the model refuses the sample (an index out of range, a length that it cannot take).
            ValueError: an operation does not fit the output.
        """
        return self.finish(self.run_raw(sample), sample)

    def run_raw(self, sample: Sample) -> Tensor:
        """Run one sample without the operations after the model; its batch axis is dropped.

        Raises:
            ModelError: the model refuses the sample.
        """
        task = self.task
        feed = {
            spec.name: sample[spec.name][np.newaxis] if spec.batched else sample[spec.name]
            for spec in task.inputs
        }
        try:
            output: Tensor = self._session.run([task.output], feed)[0]
        except Exception as error:
            raise ModelError(f"expected a sample that the model takes, found: {error}") from error
        if task.output_batched and output.ndim and len(output) == 1:
            return output[0]  # type: ignore[no-any-return]
        return output

    def finish(self, output: Tensor, sample: Sample) -> Floats:
        """Perform the operations after the model."""
        finished: Doubles = operations.finish(output, self.task.postprocess, sample)
        return finished.astype(np.float32)

    def _check(self) -> None:
        inputs = {item.name: _ORT_TYPES.get(item.type) for item in self._session.get_inputs()}
        wanted = {spec.name: spec.dtype for spec in self.task.inputs}
        outputs = [item.name for item in self._session.get_outputs()]
        if inputs != wanted or self.task.output not in outputs:
            raise ModelError(
                f"expected a model with inputs {wanted} and output {self.task.output!r}, found inputs "
                f"{inputs} and outputs {outputs}"
            )


def as_sample(frame: Tensor | Sample, task: Task, before: tuple[str, ...]) -> Sample:
    """Make a model's input of a frame.

    Args:
        frame: one array (a picture, a row of sound), or named tensors; an unnamed one is the only input.
        task: of the bundle.
        before: the pinned operations.

    Raises:
        ValueError: the frame does not fit, or an operation does not.
    """
    if isinstance(frame, dict):
        sample = frame
        if [*frame] == [""] and len(task.inputs) == 1:
            sample = {task.inputs[0].name: frame[""]}
    elif len(task.inputs) != 1:
        names = [spec.name for spec in task.inputs]
        raise ValueError(
            f"expected tensors named {names}, found one array: give an .npz with all of them"
        )
    else:
        only = task.inputs[0]
        # The operations' own numbers are float32; the model's type is the last word.
        made = operations.prepare(frame, before).astype(only.dtype, copy=False)
        sample = {only.name: np.ascontiguousarray(made)}
    try:
        check_sample(sample, task)
    except KitError as error:
        raise ValueError(str(error)) from error
    return sample
