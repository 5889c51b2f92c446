from __future__ import annotations

import pytest
from pydantic import ValidationError

from devicesdk.wire.timebase import DAY, MINUTE
from devicesim.scenario.fleet import KNOBS, WEATHERS, Clock, Group, Region, Telemetry


def test_defaults():
    assert Clock.model_validate({}).duration_ns == DAY
    assert Telemetry.model_validate({}).window_ns == 15 * MINUTE
    region = Region.model_validate({"share": "60%"})
    assert (region.share, region.weather.mean_c) == (0.6, 22.0)


@pytest.mark.parametrize("name", WEATHERS)
def test_weathers_by_name(name):
    region = Region.model_validate({"share": 1, "weather": name})
    mean_c, swing_c, sun_w = WEATHERS[name]
    assert (region.weather.mean_c, region.weather.swing_c, region.weather.sun_w) == (
        mean_c,
        swing_c,
        sun_w,
    )


def test_a_weather_of_our_own():
    region = Region.model_validate({"share": 1, "weather": {"mean_c": 12, "swing_c": 5}})
    assert region.weather.mean_c == 12


@pytest.mark.parametrize(
    "clock", [{"speed": 2.0}, {"mode": "real", "speed": 0}, {"duration": "0s"}, {"start": "noon"}]
)
def test_clocks_refused(clock):
    with pytest.raises(ValidationError):
        Clock.model_validate(clock)


def test_groups():
    group = Group.model_validate(
        {
            "group": "kiosk",
            "count": 2,
            "profile": "p",
            "link": {"mix": {"a": 0.5, "b": 0.5}},
            "labels": {"cohort": {"mix": {"x": 0.1, "y": 0.9}}, "site": "roof"},
            "vary": dict.fromkeys(KNOBS, "uniform(0, 1)"),
            "telemetry": {"window": "5m"},
        }
    )
    assert group.links == {"a": 0.5, "b": 0.5}
    assert group.labels["site"] == {"roof": 1.0}
    assert group.telemetry is not None
    assert group.telemetry.window_ns == 5 * MINUTE


@pytest.mark.parametrize(
    "change",
    [
        {"count": 0},
        {"count": 1.5},
        {"count": True},
        {"vary": {"colour": 1}},
        {"vary": {"soc0": "often"}},
        {"labels": {"a b": "x"}},
        {"link": None},
        {"extra": 1},
    ],
)
def test_groups_refused(change):
    with pytest.raises(ValidationError):
        Group.model_validate({"group": "g", "count": 1, "profile": "p", "link": "l", **change})


def test_a_loaded_model_is_frozen():
    clock = Clock.model_validate({})
    with pytest.raises(ValidationError):
        clock.mode = "real"
