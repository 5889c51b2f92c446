"""Zones that say their distance from UTC in their name."""

import pytest

from gateway.core.zones import FixedZones, fixed_offset_s


@pytest.mark.parametrize(
    ("zone", "offset_s"),
    [("UTC", 0), ("UTC+9", 32400), ("UTC-03:30", -12600), ("UTC+05:45", 20700), ("UTC+14", 50400)],
)
def test_the_name_says_the_distance(zone, offset_s):
    assert fixed_offset_s(zone) == offset_s
    assert FixedZones().offset_s(zone, 1_700_000_000) == offset_s


@pytest.mark.parametrize(
    "zone", ["", "utc", "UTC+", "UTC+15", "UTC+3:99", "Europe/Berlin", "UTC+09:00 "]
)
def test_others_are_not_known(zone):
    assert FixedZones().offset_s(zone, 0) is None
