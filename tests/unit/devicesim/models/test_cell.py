"""Unit-test twin of `devicesim/models/cell.py`."""

from __future__ import annotations

import math

import pytest

from devicesim.models.cell import LEAD_ACID_12V, LITHIUM, usable_capacity


def test_open_circuit_voltage_is_the_published_curve():
    assert LITHIUM.ocv(1.0) == pytest.approx(3.685 + 0.2156 - 0.1178 + 0.3201, abs=1e-9)
    assert LITHIUM.ocv(0.0) == pytest.approx(-1.031 + 3.685)
    assert LITHIUM.ocv(0.5) == pytest.approx(3.8034, abs=1e-4)


@pytest.mark.parametrize("cell", [LITHIUM, LEAD_ACID_12V])
def test_integral_of_the_voltage_is_that_of_a_fine_sum(cell):
    count = 20_000
    total = sum(cell.ocv((k + 0.5) / count) for k in range(count)) / count
    assert cell.ocv_integral(1.0) == pytest.approx(total, rel=1e-7)
    assert cell.ocv_integral(0.0) == 0.0


def test_circuit_has_the_published_values_and_never_a_negative_capacitor():
    r0, r1, c1 = LITHIUM.circuit(0.5)
    assert r0 == pytest.approx(0.1562 * math.exp(-24.37 * 0.5) + 0.07446)
    assert r1 == pytest.approx(0.3208 * math.exp(-29.14 * 0.5) + 0.04669)
    assert c1 == pytest.approx(-752.9 * math.exp(-13.51 * 0.5) + 703.6)
    assert LITHIUM.circuit(0.0)[2] > 0.0


@pytest.mark.parametrize(("temp", "factor"), [(45, 0.60), (25, 1.0), (0, 2.1), (-10, 2.9)])
def test_cold_raises_resistance_by_arrhenius(temp, factor):
    assert LITHIUM.resistance_factor(temp) == pytest.approx(factor, rel=0.03)


@pytest.mark.parametrize(
    ("temp", "share"),
    [(40, 1.0), (25, 1.0), (10, 0.95), (0, 0.85), (-5, 0.775), (-20, 0.5), (-90, 0.2)],
)
def test_cold_keeps_charge_to_itself(temp, share):
    assert usable_capacity(temp) == pytest.approx(share)


def test_lead_acid_cut_off_leaves_a_third():
    assert LEAD_ACID_12V.ocv(1.0) == pytest.approx(12.7)
    assert LEAD_ACID_12V.ocv(1 / 3) == pytest.approx(12.1)
