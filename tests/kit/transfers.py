"""One transfer, driven by hand: what it asks for, what it writes, and when it wants to be woken."""

from __future__ import annotations

from hashlib import sha256

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.download import (
    Download,
    Source,
)
from devicesdk.agent.effects import Publish, Write
from devicesdk.bundle.chunks import HashList
from devicesdk.wire import codec
from devicesdk.wire.messages import Control, Get
from devicesdk.wire.timebase import MS
from tests_kit.agent_bundles import Bundle, Gateway, pattern, shared_of

CHUNK = 4096
BUNDLE = Bundle(1, size=20 * CHUNK + 100, chunk_bytes=CHUNK)
IMAGE = BUNDLE.image


class Transfer:
    """A download, and a gateway that answers when told to."""

    def __init__(self, config=None, saved_map=None, online=True, blob=IMAGE, hashed=True):
        self.shared = shared_of(config or AgentConfig(checkpoint_bytes=4 * CHUNK), online=online)
        self.download = Download(self.shared, saved_map)
        self.gateway = Gateway(BUNDLE)
        self.gateway.blobs[sha256(blob).digest()] = (blob, CHUNK)
        hashes = HashList(BUNDLE.hashes, len(IMAGE), CHUNK) if hashed else None
        name = "slot-b" if hashed else "meta"
        self.source = Source(sha256(blob).digest(), len(blob), CHUNK, name, hashes)
        self.now = 0

    def begin(self, stored=None):
        self.download.begin(self.source, stored, self.now)
        self.download.validate()
        return self

    def asked(self):
        """The requests since last looked; other effects are kept for `wrote`."""
        out = self.shared.out
        gets = [e for e in out if isinstance(e, Publish) and e.kind == "get"]
        self.shared.out = [e for e in out if e not in gets]
        return [codec.decode(Get, publish.payload) for publish in gets]

    def wrote(self, *kinds):
        found = [e for e in self.shared.out if isinstance(e, kinds or (Write,))]
        self.shared.out = [e for e in self.shared.out if isinstance(e, Publish)]
        return found

    def frames(self, get):
        return self.gateway.answer(codec.encode(get))

    def take(self, frame):
        self.download.frame(frame, self.now)
        self.download.validate()

    def answer(self, gets):
        for get in gets:
            for frame in self.frames(get):
                self.now += MS
                self.take(frame)

    def finish(self, rounds_max=50):
        for _ in range(rounds_max):
            if self.download.ended is not None:
                return
            gets = self.asked()
            if gets:
                self.answer(gets)
            else:
                self.due()
        raise AssertionError("the transfer does not end")

    def due(self):
        self.now = self.download.at
        self.download.due(self.now)
        self.download.validate()

    def say(self, verb, get, **fields):
        control = Control(verb=verb, transfer=get.transfer, seq=get.seq, **fields)
        self.download.control(control, self.now)
        self.download.validate()


def indices(get):
    bits = int.from_bytes(get.bitmap, "little") if get.bitmap else (1 << get.count) - 1
    return [get.base + i for i in range(get.count) if bits >> i & 1]


SMALL = pattern(5, 3 * CHUNK - 7)
LARGE = pattern(7, 9 * CHUNK + 1)
