"""numpy's own file formats, read without trusting them.

Decides what is taken for an array: plain numbers in C or Fortran order, exactly as many bytes as its
header says. Leaves out what arrays mean. `numpy.load` allocates what a header asks for before it looks
whether so much is there; here a lying header costs nothing.

Formats: ``.npy`` versions 1 to 3 (numpy.org, ``numpy.lib.format``), ``.npz`` as a zip archive of them.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from typing import Final

import numpy as np

from devicesdk.inference.tasks import Tensor

MAGIC: Final = b"\x93NUMPY"
ENTRIES_MAX: Final = 65_536
_HEADER_CHARS_MAX: Final = 4096
_SUFFIX: Final = ".npy"
_KINDS: Final = "biuf"


class ArrayError(ValueError):
    """The bytes are not arrays of numbers, or more of them than allowed."""


def read_npy(data: bytes) -> Tensor:
    """Read one array.

    Raises:
        ArrayError: damaged, cut short, or not of numbers.
    """
    stream = io.BytesIO(data)
    try:
        major, _ = np.lib.format.read_magic(stream)
        reader = (
            np.lib.format.read_array_header_1_0
            if major == 1
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = reader(stream, max_header_size=_HEADER_CHARS_MAX)
    except (ValueError, EOFError, SyntaxError, TypeError, UnicodeDecodeError) as error:
        raise ArrayError(f"expected an .npy array, found a damaged one: {error}") from error
    if dtype.kind not in _KINDS or dtype.hasobject:
        raise ArrayError(f"expected an array of numbers, found {dtype}")
    count = math.prod(shape)
    found = len(data) - stream.tell()
    if any(size < 0 for size in shape) or count * dtype.itemsize != found:
        raise ArrayError(
            f"expected {count * dtype.itemsize} bytes for {dtype} {shape}, found {found}: the array "
            "was cut short or altered"
        )
    flat = np.frombuffer(data, dtype=dtype, count=count, offset=stream.tell())
    array = flat.reshape(shape, order="F" if fortran else "C")
    # Of the machine's own byte order, as whoever compares types expects.
    return array.astype(dtype.newbyteorder("="), copy=False)


def read_npz(packed: bytes, bytes_max: int) -> dict[str, Tensor]:
    """Read all arrays of an archive, by name.

    Args:
        packed: the archive.
        bytes_max: how large the arrays may be together, unpacked.

    Raises:
        ArrayError: not one, damaged, too large, or an entry is no array of numbers.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            members = archive.infolist()
            _check_sizes(members, bytes_max)
            return {
                member.filename.removesuffix(_SUFFIX): read_npy(_content(archive, member))
                for member in members
            }
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError,
            UnicodeDecodeError) as error:  # fmt: skip
        raise ArrayError(f"expected an .npz archive, found something else: {error}") from error


def _check_sizes(members: list[zipfile.ZipInfo], bytes_max: int) -> None:
    size = sum(member.file_size for member in members)
    names = {member.filename for member in members}
    if len(members) > ENTRIES_MAX or size > bytes_max or len(names) != len(members):
        raise ArrayError(
            f"expected at most {ENTRIES_MAX} arrays of different names and {bytes_max} bytes unpacked, "
            f"found {len(members)} arrays and {size} bytes"
        )


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as stream:
        data = stream.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise ArrayError(
            f"expected {member.file_size} bytes in {member.filename}, found {len(data)}"
        )
    return data
