"""Where the weights lie in a serialised ONNX model: offset, size and element width of each tensor.

Decides which bytes of two model files correspond, so that a delta compares weight with weight when a
changed graph has moved them. Leaves out everything else of a model: no tensor is decoded, nothing is
believed, and a file that is no ONNX model simply has no tensors.

Theory of operation. A protobuf message is a list of (field number, wire type, content); contents of
messages are read the same way (protobuf encoding). Field numbers are those of onnx.proto3: ModelProto
graph 7; GraphProto node 1, initializer 5; NodeProto attribute 5; AttributeProto name 1, t 5; TensorProto
data_type 2, float_data 4, name 8, raw_data 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

TENSORS_MAX: Final = 100_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED: Final = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BYTES_MAX: Final = 10
_WIDTHS: Final = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 9: 1, 10: 2, 11: 4, 12: 4, 13: 4, 16: 2}
"""TensorProto.DataType to the width at which differences are taken; 1 for all others."""


class Tensor(msgspec.Struct, frozen=True, gc=False):
    """The contents of one tensor within a file."""

    name: bytes
    offset: int
    size_bytes: int
    width: int
    """Bytes of a word: 4, 2 or 1."""


class _NotProtobuf(Exception):
    """These bytes cannot be read as a protobuf message."""


def tensors(model: bytes) -> list[Tensor]:
    """The tensors of a model in the order of the file; none where `model` is something else."""
    found: list[Tensor] = []
    try:
        for number, start, end in _fields(model, 0, len(model)):
            if number == 7:
                _graph(model, start, end, found)
    except _NotProtobuf:
        return []
    return sorted(found, key=lambda tensor: tensor.offset)


def _graph(model: bytes, start: int, end: int, found: list[Tensor]) -> None:
    for place, (number, low, high) in enumerate(_fields(model, start, end)):
        if number == 5:
            _tensor(model, low, high, b"", found)
        elif number == 1:
            for inner, at, until in _fields(model, low, high):
                if inner == 5:
                    _attribute(model, at, until, b"node %d " % place, found)


def _attribute(model: bytes, start: int, end: int, owner: bytes, found: list[Tensor]) -> None:
    for number, low, high in _fields(model, start, end):
        if number == 5:
            _tensor(model, low, high, owner, found)


def _tensor(model: bytes, start: int, end: int, name: bytes, found: list[Tensor]) -> None:
    width, data = 1, (0, 0)
    for number, low, high in _fields(model, start, end):
        if number == 2:
            width = _WIDTHS.get(_varint(model, low, high)[0], 1)
        elif number == 8:
            name += model[low:high]
        elif number in (4, 9) and high > low:
            data = (low, high)
    if data[1] and len(found) < TENSORS_MAX:
        found.append(Tensor(name, data[0], data[1] - data[0], width))


def _fields(model: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, first byte, byte after) of each field's content."""
    while at < end:
        key, at = _varint(model, at, end)
        kind = key & 7
        if kind == _VARINT:
            after = _varint(model, at, end)[1]
        elif kind == _BYTES:
            size, at = _varint(model, at, end)
            after = at + size
        elif kind in _FIXED:
            after = at + _FIXED[kind]
        else:
            raise _NotProtobuf
        if after > end or not key >> 3:
            raise _NotProtobuf
        yield key >> 3, at, after
        at = after


def _varint(model: bytes, at: int, end: int) -> tuple[int, int]:
    value = 0
    for place in range(_VARINT_BYTES_MAX):
        if at + place >= end:
            break
        byte = model[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise _NotProtobuf
