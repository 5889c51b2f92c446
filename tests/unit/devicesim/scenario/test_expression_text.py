from __future__ import annotations

import pytest

from devicesim.scenario.checks import KNOWN
from devicesim.scenario.errors import Refusal
from devicesim.scenario.expression_text import parse_expression


@pytest.mark.parametrize(
    ("text", "offset", "nearest"),
    [
        ("", 0, ""),
        ("fleet.onlin_ratio > .5", 0, "fleet.online_ratio, online_ratio, fleet.online"),
        ("stuck == 0 and stuk == 0", 15, "stuck"),
        ("reigon.us-west.online_ratio > .5", 0, "region.us-west.online_ratio"),
        ("fleet.online-3 > 1", 0, "fleet.online"),
        ("fleet.online >= 99%", 13, "fleet.online_ratio"),
        ("reconnect_p99 < 300", 14, "300s (seconds), 300m (minutes) or 300h (hours)"),
        ("fleet.online_ratio > 50", 21, "50%"),
        ("stuck + reconnect_p99 > 1s", 6, ""),
        ("reconnect_p99 * kill_p99 > 1s", 14, ""),
        ("stuck == 0 == (stuck == 1)", 14, ""),
        ("fleet.online", 0, ""),
        ("stuck == 0 and fleet.online", 15, ""),
        ("1 < 2", 0, ""),
        ("after(stuck) > 1", 0, "before"),
        ("before(3) > 1", 7, ""),
        ("stuck == 0 or", 13, ""),
        ("(stuck == 0", 11, ""),
        ("stuck == 0 stuck == 1", 11, ""),
        ("stuck = 0", 6, ""),
        ("stuck > 5 bananas", 10, ""),
        ("reconnect_p99 > 5x", 16, ""),
    ],
)
def test_what_is_no_expression(text, offset, nearest):
    with pytest.raises(Refusal) as caught:
        parse_expression(text, KNOWN)
    found = caught.value
    assert found.offset == offset, str(found)
    assert found.nearest.startswith(nearest), f"{found}; nearest {found.nearest!r}"
    assert found.found or not text


def test_nesting_is_bounded():
    with pytest.raises(Refusal):
        parse_expression("(" * 40 + "stuck == 0" + ")" * 40, KNOWN)
    with pytest.raises(Refusal):
        parse_expression("not " * 40 + "stuck == 0", KNOWN)


HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    "text",
    [
        f"fleet.online_ratio >= {HUGE}",
        f"stuck + {HUGE} >= 0",
        f"reconnect_p99 < {HUGE}h",
        f"reconnect_p99 < {HUGE}s",
        f"fleet.online_ratio >= {HUGE}%",
    ],
)
def test_a_number_too_large_for_arithmetic_is_refused(text):
    with pytest.raises(Refusal):
        parse_expression(text, KNOWN)


def test_a_large_number_does_not_overflow_in_a_sum():
    node = parse_expression(f"stuck * {'9' * 300} * {'9' * 300} >= 0", KNOWN)
    assert node.holds(lambda _: 2.0) is True
