from __future__ import annotations

import math

import numpy as np
import pytest

from devicesdk.sketches import divergence as d


@pytest.mark.parametrize(
    ("statistic", "freedom", "p"),
    [
        # NIST/SEMATECH e-Handbook 1.3.6.7.4, upper critical values.
        (3.841459, 1, 0.05),
        (16.918978, 9, 0.05),
        (21.665994, 9, 0.01),
        (30.143527, 19, 0.05),
        (2.705543, 1, 0.10),
        # 2 degrees of freedom: exp(-x / 2) exactly.
        (10.0, 2, math.exp(-5)),
        (700.0, 2, math.exp(-350)),
        (0.01, 2, math.exp(-0.005)),
    ],
)
def test_tail_of_chi_square(statistic: float, freedom: int, p: float) -> None:
    assert d.chi_square_tail(statistic, freedom) == pytest.approx(p, rel=1e-6)


def test_tail_at_the_ends() -> None:
    assert d.gamma_tail(3.0, 0.0) == 1.0
    assert d.chi_square_tail(1e5, 9) == 0.0
    # DLMF 8.4.6: Q(1/2, x) = erfc(sqrt x), across the switch from series to fraction.
    for x in (0.2, 1.4, 1.6, 9.0):
        assert d.gamma_tail(0.5, x) == pytest.approx(math.erfc(math.sqrt(x)), rel=1e-12)


@pytest.mark.parametrize(
    ("ratio", "above", "below", "p"),
    [
        # NIST/SEMATECH e-Handbook 1.3.6.7.3, upper critical values of F.
        (4.964603, 1, 10, 0.05),
        (2.606, 4, 40, 0.05),
        (3.828, 4, 40, 0.01),
        (2.393, 9, 20, 0.05),
        # 2 and n degrees: (1 + 2 x / n) ** (-n / 2) exactly.
        (3.0, 2, 12, 1.5**-6),
    ],
)
def test_tail_of_f(ratio: float, above: float, below: float, p: float) -> None:
    assert d.f_tail(ratio, above, below) == pytest.approx(p, rel=2e-3)


def test_f_with_many_degrees_below_is_chi_square() -> None:
    assert d.f_tail(2.0, 9, 1e9) == pytest.approx(d.chi_square_tail(18.0, 9), rel=1e-6)
    assert d.f_tail(0.0, 9, 30) == 1.0
    assert d.f_tail(1e9, 9, 30) == pytest.approx(0.0, abs=1e-12)


def test_many_degrees_of_freedom() -> None:
    # Wilson and Hilferty 1931: the cube root is nearly normal.
    assert d.chi_square_tail(20_000, 20_000) == pytest.approx(0.4987, abs=1e-3)
    assert d.chi_square_tail(20_400, 20_000) == pytest.approx(0.0233, abs=1e-3)


@pytest.mark.parametrize("x", [1e12 - 1e6, 1e12 + 2, 1e12 + 1e6])
def test_beyond_reach_the_iterations_end(x: float) -> None:
    assert 0 <= d.gamma_tail(1e12, x) <= 1


def test_the_uncorrected_statistic_is_pearsons() -> None:
    found = d.compare([30, 20, 50], [0.25, 0.25, 0.5], 1e18)
    assert found.statistic == pytest.approx(25 / 25 + 25 / 25 + 0)
    assert found.freedom == 2


def test_a_small_reference_makes_the_test_milder() -> None:
    large = d.compare([300, 200, 500], [0.25, 0.25, 0.5], 1e9)
    small = d.compare([300, 200, 500], [0.25, 0.25, 0.5], 1000)
    assert small.statistic == pytest.approx(large.statistic / 2)
    assert small.psi < large.psi


def test_counts_are_a_baseline_too() -> None:
    assert d.compare([5, 9, 6], [25, 25, 50], 100) == d.compare([5, 9, 6], [0.25, 0.25, 0.5], 100)


def test_bins_that_expect_too_little_are_merged() -> None:
    assert d.merged_bins([0.04, 0.04, 0.9, 0.02], 100) == [0, 2]
    assert d.merged_bins([0.5, 0.5], 1) == []
    assert d.compare([1, 2, 3, 94], [0.04, 0.04, 0.9, 0.02], 1e9).freedom == 1
    assert d.compare([4, 4], [0.5, 0.5], 100) == d.NOTHING_TO_TEST
    assert d.compare([0] * 4, [0.25] * 4, 100) == d.NOTHING_TO_TEST


def test_bins_without_baseline_mass_still_show_a_shift() -> None:
    assert d.compare([0, 0, 90, 10], [0.5, 0.5, 0.0, 0.0], 1000).p < 1e-6


@pytest.mark.parametrize(
    ("counts", "baseline", "samples"),
    [([1], [0.5, 0.5], 10), ([1, 2], [0.0, 0.0], 10), ([1, 2], [0.5, 0.5], 0)],
)
def test_nonsense_is_refused(counts: list[int], baseline: list[float], samples: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        d.compare(counts, baseline, samples)


def test_false_discovery_control_is_benjamini_and_hochbergs() -> None:
    # The example of their paper (1995, section 4): 15 tests, q = .05, four are called.
    p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
    ]  # fmt: skip
    assert d.discoveries(p, 0.05) == [True] * 4 + [False] * 11
    assert d.discoveries(p[::-1], 0.05) == [False] * 11 + [True] * 4
    assert d.discoveries([], 0.05) == []


def products(windows: list[list[int]]) -> d.Products:
    rows = np.array(windows, np.int64)
    sizes = rows.sum(axis=1)
    return d.Products(len(rows), int((sizes * sizes).sum()), sizes @ rows, rows.T @ rows)


def told(windows: list[list[int]], baseline: list[float] | None = None, alike: float = 1.0):
    counts = [sum(column) for column in zip(*windows, strict=True)]
    even = [1 / len(counts)] * len(counts)
    return d.compare(counts, baseline or even, 1e12, products(windows), alike)


def test_frames_that_are_all_alike_count_as_one() -> None:
    assert told([[4, 0], [0, 4]] * 500).design == pytest.approx(4.0, rel=0.01)
    split = told([[4, 0]] * 60 + [[0, 4]] * 40)
    alone = d.compare([60, 40], [0.5, 0.5], 1e12)
    assert split.statistic == pytest.approx(alone.statistic, rel=0.05)


def test_devices_that_are_all_alike_never_make_a_test_stricter() -> None:
    assert told([[2, 2]] * 50).design == 1.0
    assert told([[4, 0]] * 50).design == 1.0
    assert told([[2, 0, 2]] * 50).design == 1.0


def test_likeness_in_one_direction_only_costs_degrees_of_freedom() -> None:
    """Half of the bins go together, and within each half draws are independent: of three eigenvalues one
    is large."""
    spread = [[3, 1, 0, 0], [1, 3, 0, 0], [0, 0, 3, 1], [0, 0, 1, 3], [2, 2, 0, 0], [0, 0, 2, 2]]
    uneven, even = (
        told(spread * 40),
        told([[4, 0, 0, 0], [0, 4, 0, 0], [0, 0, 4, 0], [0, 0, 0, 4]] * 60),
    )
    assert uneven.uneven > 0.5
    assert even.uneven < 0.05
    assert even.design > uneven.design > 1


def test_a_baselines_own_likeness_makes_the_test_milder() -> None:
    windows = [[4, 0]] * 60 + [[0, 4]] * 40
    counts = [240, 160]
    alike = d.compare(counts, [0.5, 0.5], 1000, products(windows), 16)
    not_alike = d.compare(counts, [0.5, 0.5], 1000, products(windows), 1)
    assert alike.p > not_alike.p
    assert alike.psi < not_alike.psi


def test_counts_below_zero_are_borne() -> None:
    found = d.compare([-3, 60, 43], [0.3, 0.3, 0.4], 1000)
    assert found.p < 0.01
    assert math.isfinite(found.psi)
