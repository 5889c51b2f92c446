"""Samples that a builder gives: the population a bundle is calibrated, judged and watched by.

Decides which files are samples and in which order they come. Leaves out what becomes of them.

A folder holds one sample a file, in the order of their names: ``.npy`` (one tensor), ``.npz`` (a tensor for
each input, by its name), ``.pgm``, ``.ppm``, ``.png``. A single ``.npy`` or ``.npz`` holds many: the first axis
counts them.

Rules: bounded in files and bytes; a file that cannot be read is an error and not left out, or the bundle
would be built from other samples than its builder believes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np

from devicesdk.inference.frames import Frame, decode_frame
from devicesdk.inference.npz import ArrayError, read_npy, read_npz
from devicesdk.inference.pictures import PICTURE_BYTES_MAX, PictureError
from devicesdk.packing.errors import CannotPack
from devicesdk.packing.png import SIGNATURE, decode_png

T = TypeVar("T")
SAMPLES_MAX: Final = 20_000
SAMPLES_BYTES_MAX: Final = 1024**3
SUFFIXES: Final = (".npy", ".npz", ".pgm", ".png", ".ppm")
PICTURES: Final = (".pgm", ".png", ".ppm")


class Named(NamedTuple):
    """One sample and where it is from."""

    name: str
    frame: Frame


def read_samples(path: Path, samples_max: int = SAMPLES_MAX) -> list[Named]:
    """Read all samples of a folder or of one file, at most `samples_max` spread over all.

    Raises:
        CannotPack: there are none, one cannot be read, or they are too large together.
    """
    if path.is_file():
        return _thinned(list(_of_file(path)), samples_max)
    files = sorted(file for file in _listed(path) if file.suffix.lower() in SUFFIXES)
    if not files:
        raise CannotPack(
            f"expected samples ({', '.join(SUFFIXES)}) in {path}, found none: give the folder with what "
            "the model is to see"
        )
    found, total = [], 0
    for file in _thinned(files, samples_max):
        total += file.stat().st_size
        if total > SAMPLES_BYTES_MAX:
            raise CannotPack(
                f"expected at most {SAMPLES_BYTES_MAX} bytes of samples in {path}, found more"
            )
        found.append(Named(file.name, _read(file)))
    return found


def _thinned(items: list[T], items_max: int) -> list[T]:
    """At most so many, evenly spread."""
    if len(items) <= items_max:
        return items
    return [items[at * len(items) // items_max] for at in range(items_max)]


def _listed(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if entry.is_file()]
    except OSError as error:
        raise CannotPack(
            f"expected a folder of samples, found {folder}: {error.strerror}"
        ) from error


def _read(file: Path) -> Frame:
    try:
        with file.open("rb") as stream:
            data = stream.read(PICTURE_BYTES_MAX + 1)
        return decode_png(data) if data.startswith(SIGNATURE) else decode_frame(data)
    except (OSError, PictureError) as error:
        raise CannotPack(f"expected a sample in {file}, found: {error}") from error


def _of_file(path: Path) -> Iterator[Named]:
    try:
        if path.stat().st_size > SAMPLES_BYTES_MAX:
            raise CannotPack(f"expected at most {SAMPLES_BYTES_MAX} bytes of samples in {path}")
        data = path.read_bytes()
        arrays = (
            {"": read_npy(data)} if path.suffix == ".npy" else read_npz(data, SAMPLES_BYTES_MAX)
        )
    except (OSError, ArrayError) as error:
        raise CannotPack(f"expected .npy or .npz samples in {path}, found: {error}") from error
    lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    count = min(lengths.values(), default=0)
    if not count or max(lengths.values()) != count:
        raise CannotPack(
            f"expected arrays whose first axis counts the samples in {path}, found lengths {lengths}"
        )
    for index in range(count):
        row = {name: np.ascontiguousarray(array[index]) for name, array in arrays.items()}
        yield Named(f"{path.name}[{index}]", row[""] if [*row] == [""] else row)
