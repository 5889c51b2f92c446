"""The flash of devices, over the end of a playground."""

import pytest

from devicesdk.wire.timebase import HOUR
from devicesim.playground.flashes import Flashes
from tests_kit.worlds import make_drill, scenario_text


def world():
    return make_drill(scenario_text(count=2, duration="2h")).world


def test_a_device_comes_back_with_its_files_and_the_next_boot(tmp_path):
    first, flashes = world(), Flashes(tmp_path)
    first.watch.add(flashes)
    first.run(HOUR)
    for host in first.hosts:
        host.parts.flash.save("note", host.device.encode())
        host.parts.flash.write("slot", 0, b"image")
        host.parts.flash.sync("slot")
        flashes.stored(host, None, HOUR)
    flashes.save()

    second = world()
    assert Flashes(tmp_path).restore(second.hosts) == 2
    for old, new in zip(first.hosts, second.hosts, strict=True):
        assert new.parts.flash.contents() == old.parts.flash.contents()
        assert new.boot_id == old.boot_id == 1
        new.power_on(0)
        assert new.boot_id == 2, "a gateway would take its reports for old ones"


def test_a_boot_is_written_at_once(tmp_path):
    made, flashes = world(), Flashes(tmp_path)
    made.watch.add(flashes)
    made.hosts[0].power_on(0)
    again = world()
    assert Flashes(tmp_path).restore(again.hosts) == 1
    assert again.hosts[0].boot_id == 1


def test_a_file_that_was_damaged_is_named(tmp_path):
    made = world()
    (tmp_path / f"{made.hosts[0].device}.flash").write_bytes(b"rubbish")
    with pytest.raises(ValueError, match="begin anew"):
        Flashes(tmp_path).restore(made.hosts)
