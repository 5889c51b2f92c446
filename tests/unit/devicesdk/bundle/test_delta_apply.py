"""Applying: in pieces, within bounds, and nothing but the right bytes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from devicesdk.bundle import delta_apply
from devicesdk.bundle.delta import (
    APPLY_BYTES_MAX,
    HEADER_BYTES,
    BadDelta,
    Encoder,
    Header,
    encode_header,
)
from devicesdk.bundle.delta_apply import InMemory, apply_delta, apply_in_memory
from devicesdk.bundle.delta_build import (
    BYTES,
    COPY,
    DIFF,
    RECORD_HEAD,
    SEGMENT_HEAD,
    encode_full,
    encode_prefix,
    encode_words,
)
from devicesdk.bundle.zstd import pack
from tests_kit.agent_bundles import edited, pattern

BASE = pattern(1, 300_000)
TARGET = edited(BASE, 100_000, 60_000)[:290_000]
DELTAS = [encode_full(TARGET), encode_prefix(BASE, TARGET), encode_words(BASE, TARGET)]


@pytest.mark.parametrize("delta", DELTAS, ids=lambda delta: delta.header.encoder.name)
class TestAnyEncoder:
    def test_the_target_comes_in_order(self, delta):
        parts = []
        header = apply_delta(InMemory(delta.data), InMemory(BASE), len(TARGET), parts.append)
        assert b"".join(parts) == TARGET
        assert header == delta.header

    def test_a_base_that_is_longer_is_cut(self, delta):
        assert apply_in_memory(delta.data, BASE + b"old rest", len(TARGET)) == TARGET

    def test_a_delta_to_another_size_is_refused_before_a_byte_is_written(self, delta):
        for size in (len(TARGET) - 1, len(TARGET) + 1):
            with pytest.raises(BadDelta, match="expected a delta to"):
                apply_delta(InMemory(delta.data), InMemory(BASE), size, pytest.fail)

    @pytest.mark.parametrize("keep", [0, 50, HEADER_BYTES, HEADER_BYTES + 5, -1])
    def test_one_that_is_cut_off_is_refused(self, delta, keep):
        with pytest.raises(BadDelta):
            apply_in_memory(delta.data[:keep], BASE, len(TARGET))

    def test_one_that_goes_on_is_refused(self, delta):
        with pytest.raises(BadDelta):
            apply_in_memory(delta.data + b"more", BASE, len(TARGET))


@pytest.mark.parametrize("base", [None, InMemory(BASE[:-1]), InMemory(BASE[:-1] + b"\0")])
@pytest.mark.parametrize("delta", DELTAS[1:])
def test_another_base_is_refused_before_a_byte_is_written(delta, base):
    with pytest.raises(BadDelta, match="base"):
        apply_delta(InMemory(delta.data), base, len(TARGET), pytest.fail)


# -- made by somebody who wishes us ill --------------------------------------------------------------


def _evil(encoder, body, target_bytes=1000, base=BASE):
    origin = DELTAS[1].header.base if base else b""
    header = Header(encoder, len(base), target_bytes, origin, bytes(32))
    return encode_header(header) + body


def _words(*records):
    return _evil(Encoder.WORDS, pack(b"".join(records), 3))


def _record(kind, size, base=0, width=0, form=0, data=b""):
    return RECORD_HEAD.pack(kind, width, form, size, base) + data


def _segment(size, frame, low=0, prefix_bytes=100, frame_bytes=None):
    head = SEGMENT_HEAD.pack(
        low, prefix_bytes, size, len(frame) if frame_bytes is None else frame_bytes
    )
    return _evil(Encoder.PREFIX, head + frame)


EVIL = {
    "a bomb": _evil(Encoder.FULL, pack(bytes(10_000_000), 3), base=b""),
    "a bomb in a segment": _segment(1000, pack(bytes(10_000_000), 3, BASE[:100])),
    "a bomb of copies": _words(_record(COPY, 600), _record(COPY, 600)),
    "a bomb of bytes": _words(_record(BYTES, 2**31, data=bytes(5000))),
    "a huge copy": _words(_record(COPY, 2**32 - 1)),
    "nothing, for ever": _words(*[_record(COPY, 0)] * 1000),
    "a segment of nothing": _segment(0, b""),
    "a segment past the image": _segment(1001, pack(bytes(1001), 3)),
    "a prefix past the base": _segment(1000, pack(bytes(1000), 3), low=len(BASE) - 50),
    "a prefix that is too large": _segment(1000, pack(bytes(1000), 3), prefix_bytes=2**31),
    "a frame that is too large": _segment(1000, pack(bytes(1000), 3), frame_bytes=2**31),
    "a frame past the end": _segment(1000, pack(bytes(1000), 3), frame_bytes=5000),
    "a short frame": _segment(1000, pack(bytes(900), 3, BASE[:100])),
    "half a head": _evil(Encoder.PREFIX, b"\0" * 5),
    "an unknown record": _words(_record(9, 1000)),
    "an unknown width": _words(_record(DIFF, 1000, width=3, data=bytes(1000))),
    "an unknown form": _words(_record(DIFF, 1000, width=4, form=9, data=bytes(1000))),
    "half a word": _words(_record(DIFF, 998, width=4, data=bytes(998))),
    "words past the base": _words(_record(DIFF, 1000, len(BASE) - 4, 4, data=bytes(1000))),
    "missing words": _words(_record(DIFF, 1000, width=4, data=bytes(10))),
    "too few records": _words(_record(COPY, 999)),
    "too many records": _words(_record(COPY, 1000), _record(COPY, 1)),
    "too few segments": _evil(Encoder.PREFIX, b""),
}


@pytest.mark.parametrize("name", EVIL)
def test_an_evil_delta_is_refused_and_never_writes_past_the_signed_size(name):
    written = []
    with pytest.raises(BadDelta):
        apply_delta(
            InMemory(EVIL[name]), InMemory(BASE), 1000, lambda data: written.append(len(data))
        )
    assert sum(written) <= 1000


def test_a_piece_that_is_too_large_is_refused():
    size = 2**21
    base = bytes(size)
    data = _record(DIFF, size, width=4, data=bytes(size))
    honest = encode_words(base, base[:-1] + b"\1").header
    header = Header(Encoder.WORDS, size, size, honest.base, bytes(32))
    with pytest.raises(BadDelta, match="at most"):
        apply_in_memory(encode_header(header) + pack(data, 3), base, size)


# -- memory ------------------------------------------------------------------------------------------


class _Held:
    """A source that counts what it hands out at once."""

    def __init__(self, data):
        self._data, self.size_bytes, self.largest = data, len(data), 0

    def read(self, offset, size):
        self.largest = max(self.largest, size)
        return bytes(self._data[offset : offset + size])


@pytest.mark.parametrize("encode", [encode_prefix, encode_words], ids=["prefix", "words"])
def test_memory_is_bounded_however_large_the_images_are(encode):
    rng = np.random.Generator(np.random.Philox(2))
    base = rng.integers(0, 256, 20_000_000, dtype=np.uint8)
    target = base.copy()
    target[5_000_000:9_000_000] += 1
    old, new = base.tobytes(), target.tobytes()
    delta = encode(old, new).data
    sources = _Held(delta), _Held(old)
    hasher = delta_apply.sha256()
    tracemalloc.start()
    try:
        apply_delta(*sources, len(new), hasher.update)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert hasher.digest() == delta_apply.sha256(new).digest()
    assert peak <= APPLY_BYTES_MAX, f"{peak} bytes at once"
    assert max(source.largest for source in sources) <= APPLY_BYTES_MAX // 3
