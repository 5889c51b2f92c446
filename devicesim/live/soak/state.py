"""What a paused soak keeps, so that another process can go on with it.

Decides the file ``state.msgpack`` of a run's folder: elapsed time, books, windows, and for each device its
boot count and what its flash holds. Leaves out what keeps itself: the gateway's database and blobs and
the broker's persistence are folders beside it.

Rules: written to a temporary name and moved into place, so it is whole or not there. A pause is an
orderly shutdown: flash is synced, RAM is lost. What is not kept begins anew: temperatures and batteries,
the luck of links, and everything of the timeline that lasted at the pause.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from devicesim.live.soak.books import Shelved
from devicesim.live.soak.windows import ShelvedWindows
from devicesim.report.record import Band

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost

FILE: Final = "state.msgpack"
VERSION: Final = 1


class StateError(ValueError):
    """There is nothing to go on with, or it is of another version."""


class Device(msgspec.Struct, frozen=True):
    """One device: its boots so far and its flash; extents are numbers into `State.chunks`."""

    boot_id: int
    small: dict[str, bytes]
    extents: dict[str, dict[int, int]]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A paused soak."""

    version: int = VERSION
    elapsed_ns: int
    """Real nanoseconds that it has run, pauses left out."""
    scenario_ns: int
    """Scenario nanoseconds that have passed."""
    parts: int
    restarts: int
    began: str
    cpu_s: float
    books: Shelved
    windows: ShelvedWindows
    bands: list[Band]
    devices: dict[str, Device]
    chunks: list[bytes]


def devices_of(hosts: list[DeviceHost]) -> tuple[dict[str, Device], list[bytes]]:
    """What the devices keep, equal chunks once."""
    numbers: dict[bytes, int] = {}
    devices = {}
    for host in hosts:
        host.parts.flash.sync_all()
        small, extents = host.parts.flash.contents()
        kept = {
            file: {offset: numbers.setdefault(data, len(numbers)) for offset, data in view.items()}
            for file, view in extents.items()
        }
        devices[host.device] = Device(host.boot_id, small, kept)
    return devices, list(numbers)


def restore_devices(hosts: list[DeviceHost], state: State) -> None:
    """Give devices that have not booted yet what they had.

    Raises:
        StateError: another fleet.
    """
    found, expected = {host.device for host in hosts}, set(state.devices)
    if found != expected:
        raise StateError(
            f"expected the {len(expected)} devices of the paused soak, found {len(found)} of which "
            f"{len(found & expected)} are among them: was the scenario changed meanwhile?"
        )
    for host in hosts:
        kept = state.devices[host.device]
        host.boot_id = kept.boot_id
        host.parts.flash.restore(
            kept.small,
            {
                file: {offset: state.chunks[number] for offset, number in view.items()}
                for file, view in kept.extents.items()
            },
        )


def save(folder: Path, state: State) -> None:
    """Write the state, whole or not at all."""
    fresh = folder / f"{FILE}.new"
    fresh.write_bytes(msgspec.msgpack.encode(state))
    fresh.replace(folder / FILE)


def load(folder: Path) -> State:
    """Read the state.

    Raises:
        StateError: there is none, or it is of another version.
    """
    file = folder / FILE
    try:
        state = msgspec.msgpack.decode(file.read_bytes(), type=State, strict=False)
    except FileNotFoundError:
        raise StateError(
            f"expected {file}, found none: only a soak that was paused with Ctrl-C can go on"
        ) from None
    except msgspec.DecodeError as error:
        raise StateError(f"expected a paused soak in {file}, found: {error}") from error
    if state.version != VERSION:
        raise StateError(f"expected {file} of version {VERSION}, found {state.version}")
    return state
