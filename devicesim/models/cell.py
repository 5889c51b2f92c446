"""What a battery cell is: curves over the state of charge, and how cold and age bend them.

Decides open-circuit voltage, resistances and capacitance at a state of charge `z` in [0, 1]. Leaves
out what happens over time (`battery.py`). Two chemistries ship; a third is a row of figures.

The lithium curves are those of Chen and Rincon-Mora, "Accurate electrical battery model capable of
predicting runtime and I-V performance", IEEE Trans. Energy Conversion 21(2), 2006, measured on an
850 mAh cell. A pack of Q Ah has R x 0.85/Q and C x Q/0.85.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

GAS_J_MOL_K: Final = 8.314
WARM_K: Final = 298.15
ZERO_C_K: Final = 273.15

_COLD_CAPACITY: Final = (
    (25.0, 1.0, 0.0),
    (10.0, 0.95, 0.05 / 15.0),
    (0.0, 0.85, 0.01),
    (-10.0, 0.7, 0.015),
    (-20.0, 0.5, 0.02),
)
"""From which temperature (C) on which share of the charge can be had, and how it grows per K."""


class Cell(msgspec.Struct, frozen=True):
    """Coefficients of one chemistry.

    ``OCV = -ocv_dip e^(-ocv_knee z) + ocv_0 + ocv_1 z + ocv_2 z^2 + ocv_3 z^3`` in V; each of R0, R1
    (ohm) and C1 (F) is ``rise e^(-knee z) + level`` at `reference_ah`.
    """

    reference_ah: float
    ocv_dip: float
    ocv_knee: float
    ocv_poly: tuple[float, float, float, float]
    r0: tuple[float, float, float]
    r1: tuple[float, float, float]
    c1: tuple[float, float, float]
    activation_j_mol: float = 20_000.0

    def ocv(self, z: float) -> float:
        """Open-circuit voltage, V."""
        a, b, c, d = self.ocv_poly
        return a + z * (b + z * (c + z * d)) - self.ocv_dip * math.exp(-self.ocv_knee * z)

    def ocv_integral(self, z: float) -> float:
        """Integral of the open-circuit voltage from 0 to `z`, V: the chemical energy per charge."""
        a, b, c, d = self.ocv_poly
        poly = z * (a + z * (b / 2 + z * (c / 3 + z * d / 4)))
        if not self.ocv_dip:
            return poly
        return poly - self.ocv_dip * -math.expm1(-self.ocv_knee * z) / self.ocv_knee

    def circuit(self, z: float) -> tuple[float, float, float]:
        """R0 and R1 (ohm) and C1 (F) at `reference_ah` and 25 C."""
        rise, knee, level = self.r0
        r0 = rise * math.exp(-knee * z) + level
        rise, knee, level = self.r1
        r1 = rise * math.exp(-knee * z) + level
        rise, knee, level = self.c1
        # The published fit of C1 turns negative below z = 0.005: a tenth of the level is kept.
        return r0, r1, max(rise * math.exp(-knee * z) + level, 0.1 * level)

    def resistance_factor(self, temp_c: float) -> float:
        """Arrhenius: what the temperature multiplies resistances by (x0.60 at 45 C, x2.1 at 0 C)."""
        kelvin = max(temp_c, -60.0) + ZERO_C_K
        return math.exp(self.activation_j_mol / GAS_J_MOL_K * (1.0 / kelvin - 1.0 / WARM_K))


def usable_capacity(temp_c: float) -> float:
    """Share of the rated charge that a cold cell gives: 1.0 at 25 C, .85 at 0 C, .5 at -20 C."""
    for from_c, share, per_k in _COLD_CAPACITY:
        if temp_c >= from_c:
            return share + per_k * (temp_c - from_c)
    return max(0.2, share + per_k * (temp_c - from_c))


LITHIUM: Final = Cell(
    reference_ah=0.85,
    ocv_dip=1.031,
    ocv_knee=35.0,
    ocv_poly=(3.685, 0.2156, -0.1178, 0.3201),
    r0=(0.1562, 24.37, 0.07446),
    r1=(0.3208, 29.14, 0.04669),
    c1=(-752.9, 13.51, 703.6),
)

LEAD_ACID_12V: Final = Cell(
    # A flooded 12 V battery rests between 11.8 V (empty) and 12.7 V (full), close to a line; a car
    # battery of 60 Ah has some 8 mohm and relaxes within half a minute. Typical figures, not a fit.
    reference_ah=60.0,
    ocv_dip=0.0,
    ocv_knee=1.0,
    ocv_poly=(11.8, 0.9, 0.0, 0.0),
    r0=(0.006, 12.0, 0.008),
    r1=(0.0, 1.0, 0.004),
    c1=(0.0, 1.0, 6000.0),
    activation_j_mol=15_000.0,
)

CHEMISTRIES: Final = {"lithium": LITHIUM, "lead-acid-12v": LEAD_ACID_12V}
