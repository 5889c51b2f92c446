"""A pause keeps each device's flash, equal chunks once, and refuses what it cannot go on with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from devicesim.entropy import Entropy
from devicesim.live.soak.books import Books
from devicesim.live.soak.state import State, StateError, devices_of, load, restore_devices, save
from devicesim.live.soak.windows import Windows
from devicesim.world.flash import ChunkPool, Flash

CHUNK = b"x" * 4096


def host(name: str, boot_id: int = 0) -> Any:
    flash = Flash(ChunkPool(), Entropy(1).stream("flash", name), 1 << 20)
    return SimpleNamespace(device=name, boot_id=boot_id, parts=SimpleNamespace(flash=flash))


def state(hosts: list[Any]) -> State:
    devices, chunks = devices_of(cast("Any", hosts))
    return State(
        elapsed_ns=5, scenario_ns=5, parts=1, restarts=2, began="2024-01-01T00:00:00Z", cpu_s=1.0,
        books=Books([]).dump(), windows=Windows(1).dump(), bands=[], devices=devices, chunks=chunks,
    )  # fmt: skip


def test_flash_comes_back_byte_for_byte_and_equal_chunks_are_kept_once(tmp_path: Path) -> None:
    hosts = [host("a", 3), host("b", 7)]
    for one in hosts:
        one.parts.flash.save("state", b"s" + one.device.encode())
        one.parts.flash.write("slot-a", 0, CHUNK)
        one.parts.flash.write("slot-a", 4096, one.device.encode())
    save(tmp_path, state(hosts))
    found = load(tmp_path)
    assert sorted(found.chunks) == [b"a", b"b", CHUNK], "a pause syncs what was written"

    fresh = [host("a"), host("b")]
    restore_devices(cast("Any", fresh), found)
    for before, after in zip(hosts, fresh, strict=True):
        assert after.boot_id == before.boot_id
        assert after.parts.flash.contents() == before.parts.flash.contents()
        size = 4097
        assert after.parts.flash.digest("slot-a", size) == before.parts.flash.digest("slot-a", size)


def test_another_fleet_is_refused(tmp_path: Path) -> None:
    save(tmp_path, state([host("a")]))
    with pytest.raises(StateError, match="was the scenario changed"):
        restore_devices(cast("Any", [host("a"), host("c")]), load(tmp_path))


def test_what_was_not_paused_or_is_garbage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="only a soak that was paused"):
        load(tmp_path)
    (tmp_path / "state.msgpack").write_bytes(b"garbage")
    with pytest.raises(StateError, match="expected a paused soak"):
        load(tmp_path)
