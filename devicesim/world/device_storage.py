"""What an agent asks of its storage, performed on this world's flash.

Decides how long reading takes, when the medium works and heats, and what becomes of a refused write. Leaves
out what survives a power cut (flash.py). A part of the virtual device (device_host.py), kept apart for size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.wire.timebase import SECOND
from devicesim.world.flash import FlashRefused, FlashWornError

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost

READ_BYTES_PER_S: Final = 80_000_000


def write(host: DeviceHost, effect: ask.Write, now: int) -> None:
    """Into the cache; durable after `Sync`."""
    for seen in host.shop.watch.stored:
        seen(host, effect, now)
    try:
        host.parts.flash.write(effect.file, effect.offset, effect.data)
    except FlashRefused as error:
        _refuse(host, effect, error, now)


def save(host: DeviceHost, effect: ask.Save, now: int) -> None:
    """A small file, at once and durably."""
    for seen in host.shop.watch.stored:
        seen(host, effect, now)
    try:
        host.parts.flash.save(effect.file, effect.data)
    except FlashRefused as error:
        _refuse(host, effect, error, now)
    else:
        host.parts.body.flash_write(now, len(effect.data))


def _refuse(host: DeviceHost, effect: ask.Write | ask.Save, error: FlashRefused, now: int) -> None:
    why = "flash worn" if isinstance(error, FlashWornError) else "flash full"
    host.shop.trace.row(now, host.index, why, len(effect.data))
    host.refused = hear.StorageFailed(effect.file, str(error))


def refusal(
    host: DeviceHost, effects: list[ask.AnyEffect], effect: ask.AnyEffect
) -> hear.StorageFailed:
    """What the agent hears of the write that was refused at `effect` of a batch; takes it off the host."""
    refused, host.refused = host.refused, None
    assert refused is not None, "no write was refused"
    done = next(place for place, other in enumerate(effects, 1) if other is effect)
    return replace(refused, lost=tuple(effects[done:]))


def sync(host: DeviceHost, effect: ask.Sync, now: int) -> None:
    """What was in the cache goes to the medium."""
    # Until here the writes were in the cache: it is now that the medium works.
    written_bytes = host.parts.flash.sync(effect.file)
    if written_bytes:
        host.parts.body.flash_write(now, written_bytes)


def delete(host: DeviceHost, effect: ask.Delete, now: int) -> None:
    """Durably."""
    for seen in host.shop.watch.stored:
        seen(host, effect, now)
    host.parts.flash.delete(effect.file)


def read_file(host: DeviceHost, effect: ask.ReadFile, now: int) -> None:
    """A small file."""
    host.stimulate(hear.FileRead(effect.file, host.parts.flash.read(effect.file)), now)


def hash_file(host: DeviceHost, effect: ask.HashFile, now: int) -> None:
    """Read back, as long as the medium takes."""
    reading = effect.size_bytes * SECOND // READ_BYTES_PER_S
    host.shop.kernel.at(now + reading, _hashed, (host, host.boot_id, effect))


def _hashed(now: int, argument: tuple[DeviceHost, int, ask.HashFile]) -> None:
    host, boot_id, effect = argument
    if boot_id == host.boot_id and host.on:
        digest = host.parts.flash.digest(effect.file, effect.size_bytes)
        host.stimulate(hear.FileHashed(effect.file, digest), now)


STORAGE: Final[dict[type[Any], Callable[[DeviceHost, Any, int], None]]] = {
    ask.Write: write,
    ask.Sync: sync,
    ask.Save: save,
    ask.Delete: delete,
    ask.ReadFile: read_file,
    ask.HashFile: hash_file,
}
