"""The update that the benches ship: the gauge model, made as large as an update is.

Decides how a bundle of 64 chunks is made of one of four: an initializer of random bytes that nothing in
the graph uses. Kit and inference work as they do with the original; onnxruntime drops the ballast when
it opens the session.
"""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import onnx

from devicesdk.inference.source import BUNDLE_FILE, load_source
from devicesdk.wire.limits import CHUNK_BYTES_DEFAULT

CHUNKS = 64
IMAGE_BYTES = CHUNKS * CHUNK_BYTES_DEFAULT
VARIANT = "fp32"
BASE = Path(__file__).parents[2] / "models" / "gauge" / "1.0.0"
VERSION = "1.0.1"
LARGE = f"gauge@{VERSION}"


def write_large(folder: Path) -> None:
    """Write the bundle `LARGE` into a folder: one variant, `IMAGE_BYTES` long."""
    base = load_source(BASE)
    image = padded(base.models[VARIANT], IMAGE_BYTES)
    record = msgspec.structs.replace(
        base.spec.variants[VARIANT], bytes=len(image), sha256=sha256(image).hexdigest()
    )
    spec = msgspec.structs.replace(
        base.spec,
        version=VERSION,
        release=base.spec.release + 1,
        variants={VARIANT: record},
        prefer={"default": (VARIANT,)},
        twins={},
        sbom=None,
    )
    folder.mkdir(parents=True)
    (folder / record.file).write_bytes(image)
    shutil.copy(BASE / spec.kit.file, folder)
    (folder / BUNDLE_FILE).write_bytes(msgspec.json.encode(spec))


def padded(image: bytes, size_bytes: int) -> bytes:
    """The same model with ballast, so that its file has exactly this size."""
    model = onnx.load_from_string(image)
    ballast = model.graph.initializer.add(name="ballast", data_type=onnx.TensorProto.UINT8)
    ballast.dims.append(0)
    noise = np.random.default_rng(0)
    while (short := size_bytes - model.ByteSize()) > 0:
        ballast.raw_data += noise.bytes(max(1, short - 32))  # lengths take some bytes themselves
        ballast.dims[0] = len(ballast.raw_data)
    made = model.SerializeToString()
    assert len(made) == size_bytes, f"expected {size_bytes} bytes, found {len(made)}"
    return made
