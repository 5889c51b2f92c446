"""ONNX Runtime for the asks of devices: a model file in, outputs out, and nothing known of either.

Decides the session options and how bytes become the model's input. Leaves out which model (the core says)
and what outputs mean (the device's). Thin on purpose: the gateway knows the wire's contract, not the
device's inference.

Rules: one thread a session, no memory arena: many small models beside a busy loop; sessions are bounded,
the one used longest ago is closed; a model with more than one input, or bytes that do not fill its shape,
is refused with what was expected; `run` may be called from any thread, `open` from one at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import numpy as np

SESSIONS_MAX: Final = 16
OFFSET: Final = 128
_LOG_ERRORS_ONLY: Final = 3


class InferenceRefused(ValueError):
    """The bytes are not a model that is served here, or not its input."""


class OnnxModels:
    """Opened models by the digest of their file.

    Args:
        sessions_max: how many stay open.
    """

    __slots__ = ("_sessions", "sessions_max")

    def __init__(self, sessions_max: int = SESSIONS_MAX) -> None:
        self._sessions: OrderedDict[bytes, Any] = OrderedDict()
        self.sessions_max = sessions_max

    def knows(self, image: bytes) -> bool:
        """Whether the model with this digest is open."""
        return image in self._sessions

    def open(self, image: bytes, model: bytes) -> None:
        """Open a model.

        Raises:
            InferenceRefused: ONNX Runtime does not take it.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        options.log_severity_level = _LOG_ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise InferenceRefused(
                f"expected an ONNX model of {len(model)} bytes, found: {error}"
            ) from error
        while len(self._sessions) >= self.sessions_max:
            self._sessions.popitem(last=False)
        self._sessions[image] = session

    def run(self, image: bytes, frames: int, pixels: bytes) -> bytes:
        """Run frames.

        Args:
            image: digest of an open model.
            frames: how many.
            pixels: their input plus 128, a byte a value.

        Returns:
            The first output, float32, little-endian.

        Raises:
            InferenceRefused: not open, or not its input.
        """
        session = self._sessions.get(image)
        if session is None:
            raise InferenceRefused(f"expected an open model, found none of {image.hex()}")
        inputs = session.get_inputs()
        shape = [size for size in inputs[0].shape[1:] if isinstance(size, int)]
        values = frames * int(np.prod(shape))
        if len(inputs) != 1 or len(shape) != len(inputs[0].shape) - 1 or len(pixels) != values:
            raise InferenceRefused(
                f"expected {frames} frames of {shape} and one input, found {len(pixels)} bytes and "
                f"{len(inputs)} inputs"
            )
        found = np.frombuffer(pixels, dtype=np.uint8).astype(np.float32) - np.float32(OFFSET)
        feed = {inputs[0].name: found.reshape(frames, *shape)}
        try:
            outputs = session.run(None, feed)[0]
        except Exception as error:
            raise InferenceRefused(f"expected the model to run, found: {error}") from error
        return np.ascontiguousarray(outputs, dtype="<f4").tobytes()
