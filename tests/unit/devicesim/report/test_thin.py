"""Thinning keeps every extreme."""

from __future__ import annotations

import math

from devicesim.entropy import Entropy
from devicesim.report.record import Series
from devicesim.report.thin import thin


def long_series(points: int, curves: int) -> Series:
    luck = Entropy(7).stream("thin")
    values = {f"c{n}": [luck.uniform() for _ in range(points)] for n in range(curves)}
    return Series("", [60.0 * i for i in range(points)], values)


def test_a_short_series_is_left_alone() -> None:
    series = long_series(1440, 3)
    assert thin(series) is series


def test_a_long_series_shrinks_and_keeps_its_ends_and_extremes() -> None:
    series = long_series(20_000, 3)
    series.values["c1"][12_345] = 99.0
    series.values["c2"][777] = -99.0
    shrunk = thin(series, 900)
    assert len(shrunk.t_s) <= 902
    assert (shrunk.t_s[0], shrunk.t_s[-1]) == (series.t_s[0], series.t_s[-1])
    for name, curve in series.values.items():
        assert max(shrunk.values[name]) == max(curve), f"the highest point of {name} was lost"
        assert min(shrunk.values[name]) == min(curve), f"the lowest point of {name} was lost"


def test_points_stay_at_their_instants() -> None:
    series = long_series(5_000, 2)
    shrunk = thin(series, 500)
    assert shrunk.t_s == sorted(shrunk.t_s)
    for index, t in enumerate(shrunk.t_s):
        assert shrunk.values["c0"][index] == series.values["c0"][round(t / 60)]


def test_gaps_do_not_stop_it() -> None:
    series = long_series(4_000, 1)
    for index in range(1_000, 3_000):
        series.values["c0"][index] = math.nan
    shrunk = thin(series, 400)
    assert any(math.isnan(value) for value in shrunk.values["c0"]), "the gap must stay a gap"
