"""The world's table of zones against the system's."""

from datetime import UTC, datetime

import pytest

from devicesim.scenario.zones import ZONES, WorldZones
from gateway.adapters.zones import SystemZones

QUARTER_S = 900
SUNDAYS = ("2026-03-08", "2026-03-29", "2026-04-05", "2026-09-27", "2026-10-04", "2026-10-25", "2026-11-01")  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
def test_a_zone_is_what_the_system_says(zone):
    mine, theirs = WorldZones(), SystemZones()
    for year in (2024, 2026, 2028):
        begins = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
        for at_s in range(begins, begins + 366 * 86400, 7 * 3600 + 900):
            assert mine.offset_s(zone, at_s) == theirs.offset_s(zone, at_s), at_s
    for day in SUNDAYS:
        midnight = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())
        for at_s in range(midnight - 86400, midnight + 86400, QUARTER_S):
            assert mine.offset_s(zone, at_s) == theirs.offset_s(zone, at_s), at_s


def test_others_are_not_in_the_table():
    assert WorldZones().offset_s("Mars/Olympus", 0) is None
    assert WorldZones().offset_s("UTC-3", 0) == -10800
