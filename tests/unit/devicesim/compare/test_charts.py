"""Pictures: places are right, gaps are where the curves part, nothing divides by zero."""

import numpy as np

from devicesim.compare.charts import FRAME, overlay, spread, whisker
from devicesim.compare.stats import Interval

NAN = float("nan")


def drawn(a, b):
    return overlay([0.0, 60.0, 120.0, 180.0], a, b, 180.0, str)


def test_curves_that_agree_leave_no_gap():
    found = drawn([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])
    assert found.a == found.b
    assert (found.above, found.below) == ("", "")


def test_the_gap_knows_which_side_is_above():
    found = drawn([1.0, 1.0, 1.0, 1.0], [1.0, 3.0, 3.0, 1.0])
    assert found.above.startswith("M0.0")
    assert found.below == ""


def test_a_value_that_is_not_known_breaks_the_curve():
    found = drawn([1.0, 1.0, NAN, 1.0], [1.0, 1.0, 1.0, 1.0])
    assert found.a.count("M") == 1, "one point after the gap is no line"
    assert "nan" not in found.a + found.above + found.below


def test_nothing_known_is_nothing_drawn():
    assert drawn([NAN] * 4, [NAN] * 4) is None


def test_no_bar_holds_both_what_is_better_and_what_is_worse():
    differences = np.array([-3.0, -2.0, -1.0, 0.0, 0.0, 1.0, 5.0])
    found = spread(differences, 0.0, Interval(-1.0, 1.0, "devices", 7), str)
    edge = FRAME[0] * found.zero / 100
    for bar in found.bars:
        inside = bar.x + bar.width <= edge + 1e-6 if bar.side == "less" else bar.x >= edge - 1e-6
        assert inside, f"{bar} straddles zero at {edge}"


def test_exact_zeros_are_told_and_not_drawn():
    assert spread(np.zeros(5), 0.0, None, str) is None


def test_one_value_alone_can_be_drawn():
    found = spread(np.array([-2.0]), -2.0, None, str)
    assert len(found.bars) == 1
    assert found.zero > 90


def test_a_whisker_stands_beside_zero():
    found = whisker(2.0, Interval(1.0, 3.0, "seeds", 5))
    assert found.zero == 50.0
    assert found.zero < found.left < found.mean < found.left + found.width <= 100.0
    assert whisker(0.0, Interval(0.0, 0.0, "seeds", 5)).left == 50.0
