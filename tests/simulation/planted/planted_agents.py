"""Bugs to plant into the device agent of a worker: each function is a plugin of a sweep."""

from devicesdk.agent.download import Download
from devicesdk.agent.flags import Flags
from devicesdk.agent.session import Session
from devicesdk.wire import codec
from devicesdk.wire.timebase import NEVER


def duplicate_chunk_overwrites():
    """A late duplicate is written where the next missing chunk belongs."""
    frame = Download.frame

    def careless(self, payload, now):
        head, chunk = codec.decode_frame(payload)
        source, here = self.source, self._here
        if source is not None and source.hashes is not None and head.digest8 == source.blob[:8]:
            one, is_open = self._rounds.find(head.seq)
            if one is not None and not is_open and head.chunk in here and not here.complete:
                self._store(source, here.first_missing * source.chunk_bytes, chunk)
        frame(self, payload, now)

    Download.frame = careless


def lost_timer():
    """From the fourth attempt on, nobody watches whether a connect is ever answered."""
    connect = Session._connect

    def careless(self, now):
        connect(self, now)
        if self._backoff.losses > 4:
            self.at = NEVER

    Session._connect = careless


def latch_removed():
    """A kill does not survive a boot: the device begins with an open mind."""
    made = Flags.__init__

    def forgetful(self, shared, state):
        made(self, shared, state)
        self.kill_version, self.killed = 0, ()
        self._evaluate()

    Flags.__init__ = forgetful
