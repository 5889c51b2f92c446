"""Asks on their way through a model: the threads, and the way back into the inbox.

Decides which thread does what: a blob is verified and a model opened by one, frames are run by a few, and
the loop reads sockets meanwhile. Leaves out who is served (the core) and models (the adapter).

Rules: every `Infer` is answered by one `Inferred`, with no outputs where it could not be run; what a life
asked for is not told to the next one; the core bounds how much is under way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol

from gateway.core.effects import Infer
from gateway.core.stimuli import Inferred
from gateway.ports import BlobError, Blobs
from gateway.runtime.logs import say

THREADS: Final = 2
MODEL_BYTES_MAX: Final = 256 * 1024 * 1024
"""Of a larger file so much is read, which is not a model."""


class Models(Protocol):
    """Opened models (`gateway.adapters.inference.OnnxModels`)."""

    def knows(self, image: bytes) -> bool:
        """Whether a model is open."""
        ...

    def open(self, image: bytes, model: bytes) -> None:
        """Open one; raises ValueError."""
        ...

    def run(self, image: bytes, frames: int, pixels: bytes) -> bytes:
        """Run frames; raises ValueError."""
        ...


class Inference:
    """Runs asks.

    Args:
        models: opens and runs models.
        blobs: where images are.
        threads: how many run frames.
    """

    def __init__(self, models: Models, blobs: Blobs, threads: int = THREADS) -> None:
        self._models, self._blobs = models, blobs
        self._opener = ThreadPoolExecutor(1, "fleetdrill-models")
        self._runners = ThreadPoolExecutor(threads, "fleetdrill-inference")

    def infer(self, effect: Infer, tell: Callable[[Inferred], None]) -> None:
        """Run an ask; `tell` is called on the loop."""
        loop = asyncio.get_running_loop()
        if self._models.knows(effect.image):
            self._run(effect, tell)
            return
        verified = loop.run_in_executor(self._opener, self._blobs.verify, effect.image)
        verified.add_done_callback(partial(self._verified, effect, tell))

    def _verified(
        self, effect: Infer, tell: Callable[[Inferred], None], done: asyncio.Future[None]
    ) -> None:
        """On the loop, because blobs are read there."""
        try:
            done.result()
            size = min(self._blobs.size_bytes(effect.image), MODEL_BYTES_MAX)
            model = self._blobs.read(effect.image, 0, size)
        except (BlobError, OSError) as error:
            self._failed(effect, tell, error)
            return
        loop = asyncio.get_running_loop()
        opened = loop.run_in_executor(self._opener, self._open, effect.image, model)
        opened.add_done_callback(partial(self._opened, effect, tell))

    def _open(self, image: bytes, model: bytes) -> None:
        if not self._models.knows(image):
            self._models.open(image, model)

    def _opened(
        self, effect: Infer, tell: Callable[[Inferred], None], done: asyncio.Future[None]
    ) -> None:
        error = done.exception()
        if error is None:
            self._run(effect, tell)
        else:
            self._failed(effect, tell, error)

    def _run(self, effect: Infer, tell: Callable[[Inferred], None]) -> None:
        loop = asyncio.get_running_loop()
        run = partial(self._models.run, effect.image, effect.frames, effect.pixels)
        ran = loop.run_in_executor(self._runners, run)
        ran.add_done_callback(partial(self._ran, effect, tell))

    def _ran(
        self, effect: Infer, tell: Callable[[Inferred], None], done: asyncio.Future[bytes]
    ) -> None:
        error = done.exception()
        if error is None:
            tell(Inferred(effect.job, done.result()))
        else:
            self._failed(effect, tell, error)

    def _failed(
        self, effect: Infer, tell: Callable[[Inferred], None], error: BaseException
    ) -> None:
        say(logging.WARNING, "inference refused", image=effect.image.hex()[:16], error=error)
        tell(Inferred(effect.job, b""))

    def close(self) -> None:
        """End the threads; what they do is not waited for longer than it takes."""
        self._opener.shutdown(wait=False, cancel_futures=True)
        self._runners.shutdown(wait=False, cancel_futures=True)
