"""A fleet's shape: counts of devices that are alike, bounded whatever the fleet."""

from __future__ import annotations

from devicesdk.wire.messages import Link
from devicesdk.wire.timebase import SECOND
from gateway.core.control import shape as module
from gateway.core.control.shape import GROUPS_MAX, OTHERS, VALUES_MAX, utc_text
from gateway.core.pace import Budget, Pace
from tests_kit.gateway_charts import Chart, arrived, digest_of, plan

AT = 1_700_000_000 * SECOND


def seen(chart, asked=None):
    return chart.machine.control.shape(asked, AT)


def fleet(count=12, **more):
    chart = Chart.with_fleet(0)
    for number in range(count):
        labels = {"region": "eu", "hardware": "pi", "site": f"s{number}", **more}
        if number % 3 == 0:
            labels["tz"] = "UTC+9"
        chart.enroll(f"d{number:03}", labels)
        chart >> arrived(f"d{number:03}", Link(boot_id=1, session=1, online=number % 4 != 0))
    return chart


def test_it_counts_devices_that_are_alike_and_names_none():
    chart = fleet()
    chart.have("stranger", running=b"")
    found = seen(chart)
    (group,) = found.groups
    assert (found.devices, found.online, found.left_out) == (12, 9, 0), "strangers are not enrolled"
    assert (group.hardware, group.region, group.devices, group.online) == ("pi", "eu", 12, 9)
    assert group.offsets == {"UTC+09:00": 4, "UTC+00:00": 8}
    assert group.selected, "without a plan everybody is meant"
    assert group.labels == {}
    assert "d00" not in repr(found)


def test_a_plan_tells_apart_for_whom_it_is_and_counts_what_its_budgets_go_by():
    chart = fleet()
    chart.enroll("far", {"region": "us", "hardware": "pi", "site": "s0"})
    pace = Pace(budgets=(Budget("site", count=1),), zone="UTC-3")
    found = seen(chart, plan(selector=(("region", "eu"),), pace=pace))
    mine, others = found.groups
    assert (mine.selected, mine.devices, others.selected, others.devices) == (True, 12, False, 1)
    assert len(mine.labels["site"]) == 12
    assert set(mine.offsets) == {"UTC+09:00", "UTC-03:00"}, "the plan's zone is that of the others"


def test_what_runs_is_what_devices_say_then_what_the_factory_is_believed_to_have_shipped():
    chart = fleet(3)
    chart.have("d000", running=b"\xab" * 32)
    running = {group.running: group.devices for group in seen(chart).groups}
    assert running == {"gauge@1.0.0": 2, "ab" * 32: 1}
    chart.have("d001", seq=9, running=digest_of("gauge@1.0.0"))
    assert {group.running for group in seen(chart).groups} == {"gauge@1.0.0", "ab" * 32}


def test_more_regions_than_fit_fall_together_and_more_hardware_is_counted_as_left_out(monkeypatch):
    chart = Chart.with_fleet(0)
    for number in range(GROUPS_MAX + 5):
        chart.enroll(f"d{number}", {"region": f"r{number}", "hardware": "pi"})
    (group,) = seen(chart).groups
    assert (group.region, group.devices) == ("", GROUPS_MAX + 5)
    monkeypatch.setattr(module, "GROUPS_MAX", 2)
    for number in range(3):
        chart.enroll(f"x{number}", {"hardware": f"h{number}"})
    found = seen(chart)
    assert (len(found.groups), found.left_out) == (2, 2)
    assert sum(one.devices for one in found.groups) + found.left_out == found.devices


def test_more_values_of_a_label_than_fit_are_others():
    chart = fleet(VALUES_MAX + 6)
    found = seen(chart, plan(pace=Pace(budgets=(Budget("site", count=1),))))
    (group,) = found.groups
    sites = group.labels["site"]
    assert (len(sites), sites[OTHERS]) == (VALUES_MAX + 1, 6)
    assert sum(sites.values()) == group.devices


def test_distances_from_utc_are_spelled_as_zones():
    assert [utc_text(s) for s in (0, 3600, -12_600)] == ["UTC+00:00", "UTC+01:00", "UTC-03:30"]
