from __future__ import annotations

import pytest

from devicesdk.wire.timebase import HOUR
from devicesim.scenario.errors import Refusal
from devicesim.scenario.trigger import METRICS, find_metric, parse_trigger

NOW = {
    "rollout.r1.progress": 0.4,
    "rollout.r1.halted": 0,
    "fleet.online_ratio": 0.95,
    "clock.elapsed": 2 * HOUR,
    "action.a-1.count": 2,
}


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("rollout.r1.progress >= 0.1", True),
        ("rollout.r1.progress >= 50%", False),
        ("rollout.r1.progress>=.4", True),
        ("rollout.r1.halted == 0 and fleet.online_ratio < .9", False),
        ("rollout.r1.halted == 1 or fleet.online_ratio > .9", True),
        ("not rollout.r1.halted == 1", True),
        ("not (rollout.r1.halted == 0 and clock.elapsed >= 1h30m)", False),
        (
            "clock.elapsed >= 3h or action.a-1.count != 1 and (fleet.online_ratio <= .95)",
            True,
        ),
    ],
)
def test_conditions(text, true):
    trigger = parse_trigger(text)
    assert trigger.holds(lambda metric: NOW[metric.text]) is true, text
    assert str(trigger) == text


def test_metrics_carry_pattern_and_subject():
    (first, second) = parse_trigger("rollout.r1.wave > 1 and fleet.online < 10").metrics()
    assert (first.pattern, first.subject) == ("rollout.{rollout}.wave", ("rollout", "r1"))
    assert (second.pattern, second.subject, second.offset) == ("fleet.online", None, 24)


@pytest.mark.parametrize(
    ("text", "offset", "nearest"),
    [
        ("", 0, ""),
        ("rolout.r1.progress > 0", 0, "rollout.r1.progress"),
        ("rollout.r1.progres > 0", 0, "rollout.r1.progress"),
        ("fleet.onlin_ratio > 0", 0, "fleet.online_ratio"),
        ("rollout.r1.progress", 19, ""),
        ("rollout.r1.progress >", 21, ""),
        ("rollout.r1.progress > x", 22, ""),
        ("rollout.r1.progress > 5", 22, "5%"),
        ("clock.elapsed > 5", 16, "5s (seconds), 5m (minutes) or 5h (hours)"),
        ("fleet.online > 5 fleet.online > 6", 17, ""),
        ("(fleet.online > 5", 17, ""),
        ("> 5", 0, ""),
        ("fleet.online = 5", 13, ""),
    ],
)
def test_what_is_no_trigger(text, offset, nearest):
    with pytest.raises(Refusal) as caught:
        parse_trigger(text)
    assert (caught.value.offset, caught.value.nearest) == (offset, nearest), str(caught.value)


def test_every_metric_can_be_looked_up():
    for pattern in METRICS:
        name = ".".join("x" if part.startswith("{") else part for part in pattern.split("."))
        assert find_metric(name).pattern == pattern
