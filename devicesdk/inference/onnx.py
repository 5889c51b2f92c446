"""ONNX Runtime behind the `Engine` protocol.

Decides the session options and whether a model may be batched. Leaves out what images and
probabilities mean (preprocess.py).

Options, each for a reason measured on small networks:

* one intra-op and one inter-op thread, sequential, no spinning: the defaults start a thread pool per
  session (303 threads for 300 sessions) and a threaded reduction may add in another order;
* no memory arena and no memory pattern: many small models would each keep their largest batch.

Rule: a model is *probed* when it is loaded. Dynamically quantised networks scale by the batch's own
extremes, so a row's result depends on its neighbours; whatever differs by one bit between running
alone and in a shuffled batch is run row by row ever after.

numpy's BLAS is not used here, but whoever runs thousands of devices in one process should start it
with ``OPENBLAS_NUM_THREADS=1``: its idle pool otherwise competes with the sessions.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnxruntime as ort

from devicesdk.inference.engine import LABELS, Floats

MODEL_BYTES_MAX: Final = 64 * 1024 * 1024
PROBE_ROWS: Final = 48
_LOG_ERRORS_ONLY: Final = 3


class ModelError(ValueError):
    """The bytes are not a model that this engine can run."""


def session_options(*, exact_int8: bool = False) -> ort.SessionOptions:
    """The options of every session here.

    Args:
        exact_int8: ask x86 processors without VNNI for products that do not saturate (slower).
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = _LOG_ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if exact_int8:
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def open_session(model: bytes, *, exact_int8: bool = False) -> ort.InferenceSession:
    """Load a serialised ONNX model.

    Raises:
        ModelError: too large, or not loadable.
    """
    if len(model) > MODEL_BYTES_MAX:
        raise ModelError(f"expected a model of at most {MODEL_BYTES_MAX} bytes, found {len(model)}")
    try:
        return ort.InferenceSession(
            model, session_options(exact_int8=exact_int8), providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ModelError(
            f"expected an ONNX model of {len(model)} bytes, found something that "
            f"ONNX Runtime {ort.__version__} refuses: {error}"
        ) from error


def metadata_of(session: ort.InferenceSession) -> dict[str, str]:
    """A model's `metadata_props`: whatever its builder wrote beside the graph."""
    return dict(session.get_modelmeta().custom_metadata_map)


class OnnxEngine:
    """One session, shared by everybody who runs the same bytes; `run` may be called from any thread.

    Args:
        model: an ONNX model with one input ``(n, 1, side, side)`` and one output ``(n, 32)``, serialised
            or opened.
        exact_int8: see `session_options`.

    Raises:
        ModelError: too large, not loadable, or not of these shapes.
    """

    __slots__ = ("_input", "_session", "_shape", "batchable")

    def __init__(self, model: bytes | ort.InferenceSession, *, exact_int8: bool = False) -> None:
        opened = open_session(model, exact_int8=exact_int8) if isinstance(model, bytes) else model
        self._session = opened
        self._input, self._shape = self._signature()
        self.batchable = self._probe()
        """Whether batched rows are bit-identical to rows run alone on this processor."""

    def metadata(self) -> dict[str, str]:
        """The model's `metadata_props`: whatever its builder wrote beside the graph."""
        return metadata_of(self._session)

    def run(self, images: Floats) -> Floats:
        """Run a batch, shape (n, pixels); see `Engine.run`."""
        if self.batchable or len(images) == 1:
            return self._run(images)
        return np.concatenate([self._run(images[row : row + 1]) for row in range(len(images))])

    def _run(self, images: Floats) -> Floats:
        feed = {self._input: images.reshape(-1, *self._shape)}
        out: Floats = self._session.run(None, feed)[0]
        return out

    def _signature(self) -> tuple[str, tuple[int, int, int]]:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        found = [item.shape for item in (*inputs, *outputs)]
        if len(inputs) != 1 or len(outputs) != 1 or len(found[0]) != 4:
            raise ModelError(f"expected one image in and one row out, found shapes {found}")
        channels, height, width = found[0][1:]
        if not all(isinstance(size, int) for size in found[0][1:]) or found[1][-1] != LABELS:
            raise ModelError(
                f"expected (n, channels, height, width) -> (n, {LABELS}), found {found}; "
                "only the first dimension may be free"
            )
        return inputs[0].name, (channels, height, width)

    def _probe(self) -> bool:
        pixels = int(np.prod(self._shape))
        generator = np.random.Generator(np.random.Philox(key=0x70726F6265))
        contrast = generator.uniform(4.0, 120.0, size=(PROBE_ROWS, 1))
        noise = generator.standard_normal((PROBE_ROWS, pixels))
        images = np.rint(np.clip(contrast * noise, -128, 127)).astype(np.float32)
        alone = [self._run(images[row : row + 1]).tobytes() for row in range(PROBE_ROWS)]
        order = generator.permutation(PROBE_ROWS)
        together = self._run(images[order])
        return all(together[at].tobytes() == alone[row] for at, row in enumerate(order))
