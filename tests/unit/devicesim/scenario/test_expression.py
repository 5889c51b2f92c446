from __future__ import annotations

import pytest

from devicesdk.wire.timebase import SECOND
from devicesim.scenario.checks import KNOWN
from devicesim.scenario.expression import spell
from devicesim.scenario.expression_text import parse_expression
from devicesim.scenario.values import Kind

NOW = {
    "fleet.online_ratio": 0.95, "fleet.online": 95, "fleet.devices": 100, "stuck": 0,
    "region.us-west.online_ratio": 0.5, "reconnect_p99": 290 * SECOND, "broker.queued": 110,
    "before(broker.queued)": 100, "broker.accept_time": 20 * SECOND, "kill_p99": None,
    "fleet.downloading": 11,
}  # fmt: skip


def judge(text, **more):
    known = NOW | more
    return parse_expression(text, KNOWN).holds(lambda reading: known[str(reading)])


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("fleet.online_ratio >= .5", True),
        ("fleet.online_ratio > 95%", False),
        ("fleet.online_ratio >= 99% or stuck == 0", True),
        ("not (fleet.online_ratio >= 99% or stuck == 0)", False),
        ("not stuck > 0 and not fleet.online_ratio < 90%", True),
        (".4 <= region.us-west.online_ratio <= .6", True),
        (".4 < region.us-west.online_ratio < .5", False),
        ("reconnect_p99 < 300s", True),
        ("reconnect_p99 < broker.accept_time * 2 + 4m", False),
        ("fleet.online / fleet.devices == .95", True),
        ("fleet.downloading <= 10% * fleet.devices", False),
        ("broker.queued <= 120% * before(broker.queued)", True),
        ("broker.queued - before(broker.queued) > 10", False),
        ("1 + 2 * 3 == 7 and stuck == 0", True),
        ("(1 + 2) * 3 == 9 and stuck == 0", True),
        ("stuck == 0 or stuck == 1 and fleet.online > 1000", True),
    ],
)
def test_what_is_true(text, true):
    assert judge(text) is true, text


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("kill_p99 < 2s", None),
        ("not kill_p99 < 2s", None),
        ("kill_p99 < 2s and stuck > 0", False),
        ("kill_p99 < 2s and stuck == 0", None),
        ("kill_p99 < 2s or stuck == 0", True),
        ("fleet.online / stuck > 1", None),
    ],
)
def test_what_cannot_be_known_is_neither_true_nor_false(text, known):
    assert judge(text) is known


def test_what_is_read_is_named_once_and_what_fails_alone():
    made = parse_expression("stuck == 0 and fleet.online_ratio >= 99% and stuck < 5", KNOWN)
    assert [str(one) for one in made.readings()] == ["stuck", "fleet.online_ratio"]
    assert [str(one) for one in made.failing(lambda one: NOW[str(one)])] == ["fleet.online_ratio"]
    assert str(made) == made.text


def test_values_in_their_unit():
    assert spell(Kind.SHARE, 0.985) == "98.50 %"
    assert spell(Kind.DURATION, 1_500_000_000) == "1.5s"
    assert spell(Kind.COUNT, 3) == "3"
    assert spell(Kind.COUNT, None) == "unknown"
