from __future__ import annotations

import pytest

from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.scenario.checks import KNOWN
from devicesim.scenario.expression_text import parse_expression
from devicesim.scenario.values import Kind
from devicesim.world.readings import Readings, is_costly
from tests_kit import worlds

TIMELINE = "timeline: [{id: dark, at: 40m, for: 5m, do: partition, target: all}]\n"


@pytest.fixture
def drill():
    text = "broker: {accept_rate: 2/s}\n" + worlds.ROLLOUT + TIMELINE
    return worlds.make_drill(worlds.scenario_text(text, count=4, duration="60m"))


def reading(name, kind=Kind.COUNT):
    zero = "0s" if kind is Kind.DURATION else "0"
    (found,) = parse_expression(f"{name} > {zero}", KNOWN).readings()
    return found


def readings(drill, *texts):
    made = Readings(drill.world, drill.meter, [parse_expression(text, KNOWN) for text in texts])
    drill.world.watch.add(made)
    return made


def test_every_metric_and_measure_can_be_read(drill):
    region = next(iter(drill.meter.sessions.regions))
    names = {"{group}": "kiosk", "{region}": region, "{rollout}": "r1", "{action}": "dark"}
    made = readings(drill)
    for pattern, (kind, _) in KNOWN.items():
        text = pattern
        for hole, name in names.items():
            text = text.replace(hole, name)
        value = made.read(reading(text, kind))
        assert value is None or value >= 0, text
    assert made.read(reading("fleet.devices")) == made.read(reading("fleet.offline")) == 4
    assert made.read(reading("group.kiosk.devices")) == 4
    assert made.read(reading("broker.accept_time", Kind.DURATION)) == 2 * SECOND


def test_before_is_the_mean_up_to_the_first_fault_and_unknown_without_a_look(drill):
    text = "before(fleet.online) > 0 and before(stuck) > 0 and fleet.online > 0"
    made = readings(drill, text)
    before = parse_expression(text, KNOWN).readings()[0]
    assert made.read(before) is None
    seen = {}

    def look(now, _):
        seen[now // MINUTE] = (
            made.read(before), made.read(reading("fleet.online")),
            made.read(reading("faults.active")),
        )  # fmt: skip

    for minute in (39, 42, 44, 46, 59):
        drill.world.kernel.at(minute * MINUTE, look)
    drill.world.run()
    assert seen[44][1:] == (0, 1), "the fleet is dark, and knows it by now"
    assert seen[59][1:] == (4, 0)
    assert seen[44][0] == seen[59][0] > 3, "the half hour before the fault, some of it booting"


def test_connects_are_counted_minute_by_minute(drill):
    text = "fleet.connects_per_minute > 0"
    made = readings(drill, text)
    per_minute = []
    for minute in range(1, 60):
        drill.world.kernel.at(
            minute * MINUTE + SECOND, lambda now, _: per_minute.append(made.read(reading("fleet.connects_per_minute")))
        )  # fmt: skip
    drill.world.run()
    assert sum(per_minute[:35]) == 4, "each device connects once"
    assert sum(per_minute[40:]) > 4, "and more often while it is dark"


def test_what_is_not_read_is_not_counted(drill):
    before = len(drill.world.watch.attempted)
    readings(drill, "fleet.online > 0")
    assert len(drill.world.watch.attempted) == before


def test_some_readings_cost_a_look_at_the_fleet():
    assert is_costly(parse_expression("stuck == 0 and fleet.online > 0", KNOWN))
    assert is_costly(parse_expression("fleet.throttled_ratio < 1%", KNOWN))
    assert not is_costly(parse_expression("fleet.online > 0", KNOWN))
