"""The row of a device says what happened to it."""

import pytest

from devicesim.report.devices import BY_NAME
from tests_kit import worlds

CUT = "timeline: [{at: 30m, for: 20m, do: partition, how: detach, target: id=kiosk-0001}]\n"
DARK = "timeline: [{at: 30m, for: 20m, do: power.cut, target: id=kiosk-0001}]\n"


def rows(rest="", **more):
    drill = worlds.make_drill(worlds.scenario_text(rest, count=3, **more))
    drill.world.run()
    found = {}
    for row in drill.books.rows(drill.world.now):
        found[row.device] = dict(zip(BY_NAME, row.numbers, strict=True)) | {"words": row.words}
    return found, drill


def test_a_quiet_day_is_boot_and_nothing_else():
    found, _ = rows(duration="1h")
    for name, one in found.items():
        assert one["words"][:3] == (name, "kiosk", "rpi4-kiosk")
        assert one["words"][5] == "gauge@1.0.0"
        assert one["longest_outage_s"] == 0.0
        assert one["off_s"] <= one["offline_s"] < 900 + 60, "boots within the first window"
        assert (one["attempts"], one["reboots"], one["updated"]) == (1, 0, 0)
        assert one["update_s"] != one["update_s"], "never updated: there is no such time"
        assert one["frames"] > 0
        assert one["bytes_up"] > 0
        assert one["energy_j"] > 3600, "a Raspberry Pi draws watts"


def test_an_outage_is_as_long_as_the_device_was_away():
    found, drill = rows(CUT)
    cut, other = found["kiosk-0001"], found["kiosk-0000"]
    assert 1200 <= cut["longest_outage_s"] < 1200 + 240
    assert cut["longest_outage_s"] == pytest.approx(1200 + cut["slowest_return_s"], abs=61)
    assert cut["waited_s"] == cut["slowest_return_s"] > 0
    assert cut["offline_s"] - other["offline_s"] > 1200 - 900
    assert cut["returns"] == 1
    assert sum(drill.recorder.attempts) == sum(one["attempts"] for one in found.values())


def test_time_without_power_is_time_offline_and_a_boot():
    found, _ = rows(DARK)
    dark = found["kiosk-0001"]
    assert dark["off_s"] >= 1200
    assert dark["offline_s"] >= dark["off_s"]
    assert dark["reboots"] == 1
    assert dark["longest_outage_s"] >= 1200


def test_an_update_is_timed_from_its_offer():
    found, drill = rows(worlds.ROLLOUT)
    for one in found.values():
        assert one["updated"] == 1
        assert 1800 < one["updated_at_s"] < 7200
        assert 0 < one["update_s"] <= one["updated_at_s"] - 1800
        assert one["words"][5] == "gauge@1.1.0"
    down = sum(one["bytes_down"] for one in found.values())
    assert down > 3 * 20_000, "the release itself went down three times"
    assert sum(one["refetched_bytes"] for one in found.values()) == drill.meter.refetched_bytes


def test_the_books_of_single_devices_add_up_to_those_of_the_fleet():
    found, drill = rows(CUT + worlds.ROLLOUT)
    messages = drill.world.ledger.drops("up"), drill.world.ledger.drops("down")
    lost = sum(n for drops in messages for cause, n in drops.items() if cause != "gateway_down")
    assert sum(one["copies_lost"] for one in found.values()) <= lost
    assert sum(one["frames"] for one in found.values()) == sum(
        host.frames_run for host in drill.world.hosts
    )
