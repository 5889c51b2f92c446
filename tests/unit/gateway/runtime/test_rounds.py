"""A round's chunks leave in the order that was asked for, however they are read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from types import SimpleNamespace

import pytest

from devicesdk.wire.codec import decode_frame
from devicesdk.wire.topics import Topics
from gateway.adapters.blobs import FileBlobs
from gateway.config import RuntimeLimits
from gateway.core.effects import SendRound
from gateway.ports import Counters
from gateway.runtime.rounds import Rounds

BLOB = bytes(range(256)) * 9 + b"the end"
CHUNK = 512
NAME = sha256(BLOB).digest()


class Port:
    """Takes everything and writes it down."""

    unsent_bytes = 0

    def __init__(self):
        self.frames = []

    def publish(self, topic, payload):
        self.frames.append((topic, *decode_frame(payload)))


@pytest.fixture
async def stage(tmp_path):
    blobs = FileBlobs(tmp_path / "blobs")
    blobs.put(BLOB)
    port = Port()
    plane = SimpleNamespace(up=True, port=port)
    with ThreadPoolExecutor(1) as hasher:
        yield Rounds(plane, blobs, Topics(), Counters(), RuntimeLimits(), hasher), port
    blobs.close()


@pytest.mark.parametrize("indices", [(0, 1, 2, 3, 4), (1,), (3, 4), (0, 2, 4), (4,), (0, 1, 3)])
async def test_each_chunk_is_what_was_asked_for(stage, indices):
    rounds, port = stage
    rounds.send(SendRound("dev", 7, 3, NAME, CHUNK, indices))
    assert [frame.chunk for _, frame, _ in port.frames] == list(indices)
    for topic, frame, chunk in port.frames:
        assert topic == "fd/main/d/dev/dat"
        assert bytes(chunk) == BLOB[frame.chunk * CHUNK : (frame.chunk + 1) * CHUNK]
    assert [frame.round_count for _, frame, _ in port.frames][-1] == len(indices)
