"""What a device is given to read: pictures, and tensors for models that see none.

Decides what bytes stand for a frame. Leaves out pictures themselves (pictures.py), where the bytes come
from (devicesdk/host/camera.py) and what a model makes of them.

Formats: binary PGM and PPM; ``.npy`` with one array of any numbers; ``.npz`` with an array for each input
of the model, by its name.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from devicesdk.inference.npz import MAGIC, ArrayError, read_npy, read_npz
from devicesdk.inference.pictures import PICTURE_BYTES_MAX, PictureError, decode_picture
from devicesdk.inference.tasks import Sample, Tensor

Frame: TypeAlias = Tensor | Sample
"""One array, or named tensors."""

_ZIP: Final = b"PK\x03\x04"


def decode_frame(data: bytes) -> Frame:
    """Read one frame.

    Raises:
        PictureError: too large, of no known format, or damaged.
    """
    if len(data) > PICTURE_BYTES_MAX:
        raise PictureError(
            f"expected a frame of at most {PICTURE_BYTES_MAX} bytes, found {len(data)}"
        )
    try:
        if data.startswith(_ZIP):
            return read_npz(data, PICTURE_BYTES_MAX)
        if data.startswith(MAGIC):
            return read_npy(data)
    except ArrayError as error:
        raise PictureError(str(error)) from error
    return decode_picture(data)
