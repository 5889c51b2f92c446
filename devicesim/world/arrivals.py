"""Which chunks of the blob that is being fetched have reached each device.

Decides what a repetition is. One blob a device is remembered, the one that came last: devices fetch
one at a time, and a frame of the one before is rare and only makes its repetitions uncounted.
"""

from __future__ import annotations


class Arrivals:
    """Chunks that arrived, as one bit mask a device.

    Args:
        devices: how many there are.
    """

    __slots__ = ("_bits", "_blobs")

    def __init__(self, devices: int) -> None:
        self._blobs: list[bytes] = [b""] * devices
        self._bits = [0] * devices

    def take(self, device: int, digest8: bytes, chunk: int) -> bool:
        """Note a chunk; True when it had arrived before."""
        if self._blobs[device] != digest8:
            self._blobs[device], self._bits[device] = digest8, 0
        bit = 1 << chunk
        before = bool(self._bits[device] & bit)
        self._bits[device] |= bit
        return before

    def count(self, device: int, digest8: bytes) -> int:
        """How many different chunks of this blob have arrived."""
        return self._bits[device].bit_count() if self._blobs[device] == digest8 else 0
