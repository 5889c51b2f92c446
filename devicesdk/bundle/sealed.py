"""An image that carries what it needs to run: the model, its bundle's description, its validation kit.

Decides where those travel: in the ``metadata_props`` of the ONNX file itself, so that one blob, one hash
list and one signature cover them, every ONNX reader still opens the file, and a device that fetched an
image over the air has its kit beside it. Leaves out what the description and the kit mean
(devicesdk/inference/beside.py).

Theory of operation. A serialised protobuf message followed by another one *is* their merger, with
repeated fields concatenated (protobuf encoding, "Last One Wins"): appending a message that has
``metadata_props`` alone (field 14 of ``ModelProto``, onnx.proto3) seals a model without reading it.

Rules: the same contents give the same bytes; description and kit are the very bytes of the bundle's
files, so the manifest's digest of the kit holds for what a device finds; a protobuf string must be text,
so the kit is in base64.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

VARIANT_KEY: Final = "fleetdrill.variant"
DESCRIPTION_KEY: Final = "fleetdrill.bundle"
KIT_KEY: Final = "fleetdrill.kit"
ALSO_PREFIX: Final = "fleetdrill.also."

_METADATA_PROPS: Final = 14
_KEY: Final = 1
_VALUE: Final = 2
_LENGTH_DELIMITED: Final = 2


def seal(
    model: bytes,
    variant: str,
    description: bytes,
    kit: bytes,
    also: Mapping[str, bytes] = MappingProxyType({}),
) -> bytes:
    """Append to a serialised ONNX model what a device needs to run it.

    Args:
        model: the file of one variant.
        variant: its name in the bundle.
        description: the bundle's ``bundle.json``.
        kit: the bundle's kit file.
        also: lighter variants of the same bundle, best first, that the device may switch to; a name
            with no bytes says that the variant needs none (the rule).
    """
    return b"".join(
        (
            model,
            prop(VARIANT_KEY, variant.encode()),
            prop(DESCRIPTION_KEY, description),
            prop(KIT_KEY, base64.b64encode(kit)),
            *(prop(ALSO_PREFIX + name, base64.b64encode(file)) for name, file in also.items()),
        )
    )


def prop(key: str, value: bytes) -> bytes:
    """One entry of a model's ``metadata_props``, serialised; `value` is UTF-8."""
    return _field(_METADATA_PROPS, _field(_KEY, key.encode()) + _field(_VALUE, value))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
