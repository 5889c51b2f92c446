"""Wall clocks of the IANA database."""

import pytest

from gateway.adapters.zones import SystemZones

WINTER, SUMMER = 1_767_225_600, 1_782_864_000  # 2026-01-01, 2026-07-01


def test_summer_time_is_known():
    zones = SystemZones()
    assert zones.offset_s("Europe/Berlin", WINTER) == 3600
    assert zones.offset_s("Europe/Berlin", SUMMER) == 7200
    assert zones.offset_s("Asia/Kathmandu", SUMMER) == 20700
    assert zones.offset_s("UTC+9", SUMMER) == 32400


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "Europe", "/etc/passwd"])
def test_no_such_zone_is_none(zone):
    zones = SystemZones()
    assert zones.offset_s(zone, WINTER) is None
    assert zones.offset_s(zone, WINTER) is None
