"""Deltas in the world: really made, and really applied, once for all devices that do the same.

Decides how long applying takes, what becomes of it, and that ten thousand devices with the same base and
the same delta cost one application. Leaves out what a delta is (devicesdk/bundle) and when one is applied
(the agent).

Theory of operation. The base is read as fast as it is hashed here, the image is written as fast as the flash
is; in between the processor spends `OPS_PER_BYTE` operations a byte. The result is a function of the bytes
of both files alone, so it is remembered under their digests; the digest of what is in a flash is remembered
by its chunks.

Rules: what is written is volatile until all of it is (a power cut tears it); what is remembered is bounded
in bytes; a factory image is not in the flash, so its bytes come from whoever made the bundle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.bundle.delta import BadDelta
from devicesdk.bundle.delta_apply import InMemory, apply_delta
from devicesdk.bundle.delta_plan import Step, pairs, steps
from devicesdk.wire.limits import CHUNK_BYTES_DEFAULT
from devicesdk.wire.timebase import SECOND
from devicesim.world.flash import Flash, FlashRefused
from gateway.core.stimuli import RegisterDelta

if TYPE_CHECKING:
    from devicesim.world.bundles import InstalledBundle
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.places import BlobPlace

OPS_PER_BYTE: Final = 8
"""Decompressing and adding: some tens of MB/s on a core that does some hundred million a second."""
READ_BYTES_PER_S: Final = 80_000_000
REMEMBERED_BYTES_MAX: Final = 256 * 1024**2


class Made(msgspec.Struct, frozen=True):
    """What came of a delta."""

    reason: str
    """Empty where it worked."""
    pieces: tuple[bytes, ...]
    """The image in chunks, in order."""


class DeltaBench:
    """Applies deltas, each pair of base and delta once.

    Args:
        bytes_max: how much is remembered; further results are made each time.
    """

    __slots__ = ("_factory", "_made", "_room_bytes", "applied")

    def __init__(self, bytes_max: int = REMEMBERED_BYTES_MAX) -> None:
        self._made: dict[tuple[bytes, bytes, int], Made] = {}
        self._factory: dict[tuple[bytes, str], tuple[bytes, bytes]] = {}
        self._room_bytes = bytes_max
        self.applied = 0
        """How often one was really applied."""

    def shipped(self, bundle: InstalledBundle) -> None:
        """Factories put this into slot a."""
        for name, image in bundle.source.models.items():
            self._factory[bundle.digest, name] = (sha256(image).digest(), image)

    def factory_image(self, manifest: bytes, variant: str) -> tuple[bytes, bytes]:
        """Digest and bytes of what the factory put there; both empty when nobody knows."""
        return self._factory.get((manifest, variant), (b"", b""))

    def make(
        self, flash: Flash, asked: ask.ApplyDelta, factory: tuple[bytes, bytes]
    ) -> tuple[Made, int]:
        """The image that comes of what is in a flash, and how many bytes its base has.

        Args:
            flash: the device's.
            asked: files and sizes.
            factory: digest and bytes of the base where nothing was ever written to its file.
        """
        base_bytes = flash.size_of(asked.base)
        digest = flash.digest(asked.base, base_bytes) if base_bytes else factory[0]
        delta = flash.read(asked.delta)
        whole = asked.delta_bytes
        name = flash.digest(asked.delta, whole) if delta is None else sha256(delta).digest()
        key = (name, digest, asked.size_bytes)
        made = self._made.get(key)
        if made is None:
            base = flash.contents_of(asked.base) if base_bytes else factory[1]
            data = flash.contents_of(asked.delta) if delta is None else delta
            made = self._really(data[:whole], base, asked.size_bytes)
            self._remember(key, made)
        return made, base_bytes or len(factory[1])

    def _really(self, delta: bytes, base: bytes, size_bytes: int) -> Made:
        self.applied += 1
        out = bytearray()
        try:
            apply_delta(InMemory(delta), InMemory(base), size_bytes, out.extend)
        except BadDelta:
            return Made("delta", ())
        step = CHUNK_BYTES_DEFAULT
        return Made("", tuple(bytes(out[at : at + step]) for at in range(0, len(out), step)))

    def _remember(self, key: tuple[bytes, bytes, int], made: Made) -> None:
        cost = sum(map(len, made.pieces))
        if cost <= self._room_bytes:
            self._room_bytes -= cost
            self._made[key] = made


def apply(host: DeviceHost, asked: ask.ApplyDelta, now: int) -> None:
    """Begin `ApplyDelta` on a device; it is answered when the time that it takes is over."""
    parts, shop = host.parts, host.shop
    flash, identity = parts.flash, parts.identity
    factory = shop.deltas.factory_image(identity.factory_manifest, identity.factory_variant)
    ships = asked.base == "slot-a" and bool(identity.factory_manifest)
    made, base_bytes = shop.deltas.make(flash, asked, factory if ships else (b"", b""))
    for seen in shop.watch.stored:
        seen(host, ask.Delete(asked.file), now)
    reason, took = made.reason, base_bytes * SECOND // READ_BYTES_PER_S
    try:
        took += _write(host, asked.file, made.pieces, now)
    except FlashRefused:
        shop.trace.row(now, host.index, "flash full", asked.size_bytes)
        reason = "storage"
    answer = hear.DeltaApplied(asked.file, not reason, reason)
    shop.kernel.at(now + took, _applied, (host, host.boot_id, answer))


def _write(host: DeviceHost, file: str, pieces: tuple[bytes, ...], now: int) -> int:
    """Put an image into a slot, not durably yet; how long all of it takes, ns."""
    flash, body = host.parts.flash, host.parts.body
    flash.delete(file)
    offset = 0
    for piece in pieces:
        flash.write(file, offset, piece)
        offset += len(piece)
    if not offset:
        return 0
    return body.processor.latency_ns(offset * OPS_PER_BYTE) + body.flash_write(now, offset)


def _applied(now: int, argument: tuple[DeviceHost, int, hear.DeltaApplied]) -> None:
    host, boot_id, answer = argument
    if host.boot_id == boot_id and host.on:
        host.parts.flash.sync(answer.file)
        host.stimulate(answer, now)


# -- making them -----------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _steps(target: bytes, bases: tuple[bytes, ...], chunk_bytes: int) -> tuple[Step, ...]:
    """A world is built many times from the same few bundles."""
    return tuple(steps(target, bases, chunk_bytes))


def publish(bundles: Mapping[str, InstalledBundle], blobs: BlobPlace) -> Iterable[RegisterDelta]:
    """Make, store and name the deltas between the versions of each bundle, in the order of releases."""
    installed = sorted(bundles.values(), key=lambda b: (b.manifest.id, b.manifest.release))
    for place, bundle in enumerate(installed):
        if not bundle.deltas:
            continue
        older = [b.source.models for b in installed[:place] if b.manifest.id == bundle.manifest.id]
        for pair in pairs(bundle.manifest, bundle.source.models, older):
            for step in _steps(*pair):
                for blob in step.blobs:
                    blobs.add(blob)
                yield RegisterDelta(step.ref)
