"""Where a device's frames come from: a folder, a command, or a drawn dial.

Decides how one frame is taken. Leaves out formats (devicesdk/inference/frames.py) and what is made of
a frame. All three run in the host's worker thread, so they may take their time, within bounds.

Rules: a frame that cannot be taken is a `NoFrameError` and nothing else: it did not run, and nobody
invents pixels for it; a command is an argument list and never a shell's, has a time limit and a size
limit, and is killed with its whole process group.
"""

from __future__ import annotations

import math
import os
import shlex
import signal
import subprocess
import threading
from pathlib import Path
from typing import IO, Final, Protocol

import numpy as np

from devicesdk.inference import dials
from devicesdk.inference.frames import Frame, decode_frame
from devicesdk.inference.pictures import PICTURE_BYTES_MAX, PictureError
from devicesdk.inference.preprocess import Bytes
from devicesdk.wire.timebase import MINUTE

PICTURES_MAX: Final = 100_000
COMMAND_TIMEOUT_S: Final = 5.0
SUFFIXES: Final = (".npy", ".npz", ".pgm", ".ppm")
SWING_NS: Final = 10 * MINUTE
"""The drawn needle goes up and down once in this time."""


class NoFrameError(RuntimeError):
    """No frame could be taken; says why."""


class Camera(Protocol):
    """Takes frames."""

    def frame(self, now: int) -> Frame:
        """Take one: uint8, shape (h, w) or (h, w, 3); or tensors for a model that sees no pictures.

        Raises:
            NoFrameError: not this time.
        """
        ...


class FolderCamera:
    """Plays the pictures of a folder in the order of their names, again and again.

    Raises:
        NoFrameError: there is none that a device reads.
    """

    def __init__(self, folder: Path) -> None:
        found = (path for path in folder.iterdir()) if folder.is_dir() else iter(())
        self._pictures = sorted(path for path in found if path.suffix in SUFFIXES)[:PICTURES_MAX]
        self._next = 0
        if not self._pictures:
            raise NoFrameError(
                f"expected pictures ({', '.join(SUFFIXES)}) in {folder}, found none: PNG and JPEG need "
                "a converter, such as: ffmpeg -i in.png out.pgm"
            )

    def frame(self, now: int) -> Frame:  # noqa: ARG002 - a folder knows no time
        """Take the next picture."""
        path = self._pictures[self._next % len(self._pictures)]
        self._next += 1
        try:
            with path.open("rb") as stream:
                return decode_frame(stream.read(PICTURE_BYTES_MAX + 1))
        except (OSError, PictureError) as error:
            raise NoFrameError(f"{path}: {error}") from error


class CommandCamera:
    """Runs a program that writes one PGM, PPM or .npy picture to its standard output.

    Args:
        command: split as a shell would, run without one.
        timeout_s: after this the program and its children are killed.
        bytes_max: after this many bytes as well.

    Raises:
        ValueError: there is no program in it.
    """

    def __init__(
        self,
        command: str,
        timeout_s: float = COMMAND_TIMEOUT_S,
        bytes_max: int = PICTURE_BYTES_MAX,
    ) -> None:
        self._arguments = shlex.split(command)
        self._timeout_s, self._bytes_max = timeout_s, bytes_max
        if not self._arguments:
            raise ValueError("expected a command that writes a picture, found an empty one")

    def frame(self, now: int) -> Frame:  # noqa: ARG002 - the program has its own clock
        """Run it once."""
        name = self._arguments[0]
        try:
            process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise NoFrameError(f"{name}: {error.strerror or error}") from error
        assert process.stdout is not None
        data, late = self._read(process, process.stdout)
        if late:
            raise NoFrameError(f"{name}: expected a picture within {self._timeout_s:g} s")
        if len(data) > self._bytes_max:
            raise NoFrameError(f"{name}: expected at most {self._bytes_max} bytes")
        if process.returncode:
            raise NoFrameError(f"{name}: expected exit status 0, found {process.returncode}")
        try:
            return decode_frame(data)
        except PictureError as error:
            raise NoFrameError(f"{name}: {error}") from error

    def _read(self, process: subprocess.Popen[bytes], pipe: IO[bytes]) -> tuple[bytes, bool]:
        late = threading.Event()

        def give_up() -> None:
            late.set()
            _kill(process)

        alarm = threading.Timer(self._timeout_s, give_up)
        alarm.start()
        try:
            with pipe:
                data = pipe.read(self._bytes_max + 1)
            if len(data) > self._bytes_max:
                _kill(process)
            process.wait()
        finally:
            alarm.cancel()
            alarm.join()
        return data, late.is_set()


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()


class DrawnCamera:
    """A pressure gauge that is drawn, for devices without a camera: its needle swings slowly.

    Args:
        seed: whose dial it is: mounting, phase and noise.
    """

    def __init__(self, seed: int) -> None:
        self._poses = np.array([dials.TILTS[seed % len(dials.TILTS)]], dtype=np.float32)
        self._phase = (seed >> 8) % 1024 / 1024
        self._grain = np.random.Generator(np.random.Philox(key=seed))

    def frame(self, now: int) -> Bytes:
        """Draw the dial as it stands at `now`."""
        turn = 2 * math.pi * (now / SWING_NS + self._phase)
        value = np.array([0.5 - 0.35 * math.cos(turn)], dtype=np.float32)
        image = dials.defocus(dials.paint(value, self._poses), dials.BLUR_PX[1])
        gain, offset, sigma = dials.exposure_terms(1.0, 0.0)
        # As `dials.develop`, without its megabytes of textures.
        noise = self._grain.standard_normal(image.shape, dtype=np.float32)
        lit = gain * image + offset + sigma * noise
        pixels: Bytes = np.rint(np.clip(lit, 0.0, 255.0)).astype(np.uint8)
        return pixels.reshape(dials.SIDE, dials.SIDE)
