"""A battery as a one-RC Thevenin circuit under constant power, with its energy audited.

Decides how charge, voltage and losses move over any time at constant power, when a pack is empty or
browns out, and how it charges. Leaves out who draws the power (`body.py`) and what the curves are
(`cell.py`).

    z' = -I / (3600 Q)      V1' = -V1/(R1 C1) + I/C1      V = OCV(z) - V1 - R0 I

A load draws constant *power*, so ``I = (b - sqrt(b^2 - 4 R0 P)) / (2 R0)`` with ``b = OCV - V1``; a
pack browns out when ``b^2 < 4 R0 P`` or ``V < v_cut``. Within a step the current is constant at the
value that makes the mean power right; a step moves z by 1 % at most. Charging is constant current to
`charge_v`, then constant voltage, and never happens below 0 C.

Energy accounts, checked by `energy_residual`: what the load took, minus what the charger gave, plus
what the two resistors burnt, plus what stands in the capacitor, is the chemical energy released: the
integral of OCV over charge in closed form, which no step size can flatter.

Rules: I > 0 discharges; W, J, V, A, C; durations in integer ns. Temperature enters by Arrhenius
resistance and by the share of charge that a cold pack keeps to itself.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from devicesdk.wire.timebase import NEVER, SECOND
from devicesim.models.cell import CHEMISTRIES, usable_capacity

STEP_SOC_MAX: Final = 0.01
STEP_SOC_LOW_MAX: Final = 0.002
FULL_SOC: Final = 0.999
TAPER_C: Final = 0.05
_REFRESH_SOC: Final = 0.002
_REFRESH_K: Final = 1.0
_ABOVE_KNEE: Final = 0.3
_NS: Final = 1e-9
_exp, _sqrt = math.exp, math.sqrt


class BatterySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pack as its profile gives it. `charge_c_rate` is in capacities per hour (0.5 C)."""

    capacity_ah: float
    chemistry: str = "lithium"
    v_cut: float = 3.3
    charge_v: float = 4.2
    charge_c_rate: float = 0.5
    charger_w: float = 10.0

    def __post_init__(self) -> None:
        if self.chemistry not in CHEMISTRIES:
            raise ValueError(f"expected one of {', '.join(CHEMISTRIES)}, found {self.chemistry!r}")
        for name in ("capacity_ah", "v_cut", "charge_v", "charge_c_rate", "charger_w"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"expected {name} above zero, found {getattr(self, name)}")


class Battery:
    """Charge, polarisation and accounts of one pack.

    Args:
        spec: the pack.
        soc: state of charge at the start, 0 to 1.
        unit: this unit's capacity over the rated one.
    """

    __slots__ = (
        "_base_z", "_c1", "_cell", "_chem_j", "_curve_ocv", "_curve_slope",
        "_curve_temp", "_curve_z", "_floor", "_floor_temp", "_health_r", "_r0", "_r1", "_scale", "_tau", "_unit_ah", "_v1", "_z",
        "accepted_j", "capacity_as", "current_a", "delivered_j", "lost_j", "refused_j",
        "spec",
    )  # fmt: skip

    def __init__(self, spec: BatterySpec, soc: float = 1.0, unit: float = 1.0) -> None:
        if not 0.0 <= soc <= 1.0:
            raise ValueError(f"expected a state of charge between 0 and 1, found {soc}")
        self.spec = spec
        self._cell = CHEMISTRIES[spec.chemistry]
        self._health_r = 1.0
        self._z = self._base_z = soc
        self._v1 = self._c1 = self._chem_j = 0.0
        self.delivered_j = self.accepted_j = self.lost_j = self.refused_j = 0.0
        self.current_a = 0.0
        self._unit_ah = spec.capacity_ah * unit
        self._floor, self._floor_temp = 0.0, 25.0
        self._set_capacity(self._unit_ah)
        self._refresh(25.0)

    def _set_capacity(self, ah: float) -> None:
        self.capacity_as = 3600.0 * ah
        self._scale = self._cell.reference_ah / ah

    def _refresh(self, temp_c: float) -> None:
        """Take the curves anew at this charge and temperature."""
        z, cell = self._z, self._cell
        a, b, c = cell.circuit(z)
        factor = self._scale * self._health_r * cell.resistance_factor(temp_c)
        self._r0, self._r1 = a * factor, b * factor
        stored = self.stored_j
        # The time constant is the reference cell's times the Arrhenius factor of its resistance.
        self._c1 = c / self._scale
        self._tau = self._r1 * self._c1
        self._curve_ocv = cell.ocv(z)
        half = _REFRESH_SOC
        self._curve_slope = (cell.ocv(z + half) - cell.ocv(z - half)) / (2.0 * half)
        self._curve_z, self._curve_temp = z, temp_c
        # A capacitor whose C drifts does work on the circuit; it is booked where it appears.
        self.lost_j -= self.stored_j - stored

    @property
    def soc(self) -> float:
        """Charge over rated charge, 0 to 1."""
        return self._z

    @property
    def stored_j(self) -> float:
        """Energy in the polarisation capacitor, J."""
        return 0.5 * self._c1 * self._v1 * self._v1

    def floor_soc(self, temp_c: float) -> float:
        """Give the charge that stays in the pack at this temperature."""
        if temp_c != self._floor_temp:  # three ask in a row at one instant
            self._floor, self._floor_temp = 1.0 - usable_capacity(temp_c), temp_c
        return self._floor

    def usable_soc(self, temp_c: float) -> float:
        """Give what a fuel gauge shows: the share of the charge that this temperature lets out."""
        floor = self._floor if temp_c == self._floor_temp else self.floor_soc(temp_c)
        share = (self._z - floor) / (1.0 - floor)
        return share if share > 0.0 else 0.0

    def open_circuit_v(self) -> float:
        """Open-circuit voltage at this charge, V."""
        return self._curve_ocv + self._curve_slope * (self._z - self._curve_z)

    def terminal_voltage(self, power_w: float) -> float:
        """Voltage under `power_w` at this instant, V; 0 when the pack cannot give that much."""
        b = self.open_circuit_v() - self._v1
        square = b * b - 4.0 * self._r0 * power_w
        return 0.0 if square < 0.0 else 0.5 * (b + _sqrt(square))

    def browns_out(self, power_w: float) -> bool:
        """Tell whether `power_w` now would pull the voltage under the cut-off."""
        return self.terminal_voltage(power_w) < self.spec.v_cut

    def is_empty(self, temp_c: float) -> bool:
        """Tell whether nothing is left above the cut-off at this temperature."""
        return self._z <= self.floor_soc(temp_c) + 1e-9

    def is_full(self) -> bool:
        """Tell whether the pack is full, or its constant-voltage current has tapered off."""
        return self._z >= FULL_SOC or self._taper_a() < TAPER_C * self.capacity_as / 3600.0

    def _taper_a(self) -> float:
        """Current at which the settled voltage stands at `charge_v`, A."""
        return (self.spec.charge_v - self.open_circuit_v()) / (self._r0 + self._r1)

    def set_age(self, capacity: float, resistance: float) -> None:
        """Age the pack: factors of the rated capacity and of the resistance of a new one.

        The charge that no longer fits is gone; the accounts are closed and go on with the new pack.
        """
        self._chem_j = self._released_j()
        self._base_z = self._z
        self._set_capacity(self._unit_ah * capacity)
        self._health_r = resistance
        self._refresh(self._curve_temp)

    # -- time -------------------------------------------------------------------------------------

    def advance(self, dt_ns: int, power_w: float, temp_c: float) -> None:
        """Discharge at constant power for `dt_ns`. What an exhausted pack cannot give is `refused_j`."""
        left = dt_ns * _NS
        while left > 0.0:
            if abs(self._z - self._curve_z) > _REFRESH_SOC or (
                abs(temp_c - self._curve_temp) > _REFRESH_K
            ):
                self._refresh(temp_c)
            left -= self._discharge_step(left, power_w)

    def draw(self, dt_ns: int, current_a: float, temp_c: float) -> None:
        """Discharge (or charge, if negative) at constant current for `dt_ns`."""
        left = dt_ns * _NS
        while left > 0.0:
            if abs(self._z - self._curve_z) > _REFRESH_SOC or (
                abs(temp_c - self._curve_temp) > _REFRESH_K
            ):
                self._refresh(temp_c)
            step = min(left, self._step_s(current_a))
            self._book(self._step(step, current_a))
            left -= step

    def charge(self, dt_ns: int, available_w: float, temp_c: float) -> None:
        """Charge for `dt_ns` from a charger with `available_w` to spare; at rest below 0 C."""
        left = dt_ns * _NS
        if self._z >= FULL_SOC:
            self._step(left, 0.0)
            return
        while left > 0.0:
            if abs(self._z - self._curve_z) > _REFRESH_SOC or (
                abs(temp_c - self._curve_temp) > _REFRESH_K
            ):
                self._refresh(temp_c)
            current = -self.charging_current(available_w, temp_c)
            step = min(left, self._step_s(current))
            self._book(self._step(step, current))
            left -= step

    def charging_current(self, available_w: float, temp_c: float) -> float:
        """Current (A, positive) that a charger pushes now: CC, then CV, none below 0 C or when full."""
        if temp_c < 0.0 or available_w <= 0.0:
            return 0.0
        if self.is_full():
            return 0.0
        b = self.open_circuit_v() - self._v1
        # b + R0 I = V and V I = P give what the charger's watts allow; the constant-voltage limit
        # takes the polarisation as settled, so the voltage comes up to `charge_v` from below.
        watts = (math.sqrt(b * b + 4.0 * self._r0 * available_w) - b) / (2.0 * self._r0)
        rated = self.spec.charge_c_rate * self.capacity_as / 3600.0
        return min(rated, watts, self._taper_a())

    def time_to_full(self, available_w: float, temp_c: float) -> int:
        """Bound from below how long (ns) charging goes on: exact in constant current; else NEVER."""
        current = self.charging_current(available_w, temp_c)
        if current <= 0.0:
            return NEVER
        room = min(FULL_SOC, self._tapered_soc()) - self._z
        return max(0, round(room * self.capacity_as / current * SECOND))

    def _tapered_soc(self) -> float:
        """Bound from below the charge at which the constant-voltage current has tapered off."""
        cell, r = self._cell, self._r0 + self._r1
        volts = self.spec.charge_v - TAPER_C * self.capacity_as / 3600.0 * r
        if volts >= cell.ocv(1.0):
            return 1.0
        # Above the knee the voltage rises ever faster: the slope at the top bounds it.
        start = max(self._z, _ABOVE_KNEE)
        return start + (volts - cell.ocv(start)) * 0.01 / (cell.ocv(1.0) - cell.ocv(0.99))

    def _step_s(self, current_a: float) -> float:
        """Longest step (s) in which the curves may be taken as straight."""
        z = self._z
        room = z if current_a > 0.0 else 1.0 - z
        limit = STEP_SOC_MAX if 0.25 < z < 0.85 else STEP_SOC_LOW_MAX
        limit = limit if limit <= room else room
        limit = limit if limit >= 1e-6 else 1e-6
        return limit * self.capacity_as / abs(current_a) if current_a else NEVER * _NS

    def _discharge_step(self, left: float, power_w: float) -> float:
        z, capacity_as = self._z, self.capacity_as
        b = self._curve_ocv + self._curve_slope * (z - self._curve_z) - self._v1
        r0 = self._r0
        square = b * b - 4.0 * r0 * power_w
        current = (b - _sqrt(square)) / (2.0 * r0) if square > 0.0 else b / (2.0 * r0)
        step = left
        if left * current > 0.0005 * capacity_as:
            longest = self._step_s(current)
            if longest < left:
                step = longest
            # Second look with the mean charge and polarisation of the step: constant mean power.
            share = step / self._tau
            rest = self._r1 * current
            mean_v1 = rest + (self._v1 - rest) * -math.expm1(-share) / share
            slide = self._curve_slope * 0.5 * step * current / capacity_as
            b += self._v1 - mean_v1 - slide
            square = b * b - 4.0 * r0 * power_w
            current = (b - _sqrt(square)) / (2.0 * r0) if square > 0.0 else b / (2.0 * r0)
        if z <= 0.0:
            self.refused_j += power_w * left
            self.current_a = 0.0
            return left
        given = self._step(step, current)
        wanted = power_w * step
        if square <= 0.0:  # more than the pack can give: the rest is refused, not invented
            self.refused_j += wanted - given
            wanted = given
        self.delivered_j += wanted
        return step

    def _step(self, dt: float, current: float) -> float:
        """Move charge and polarisation at constant current; return the terminal energy, J."""
        r0, r1, tau = self._r0, self._r1, self._tau
        rest = r1 * current
        away = self._v1 - rest
        fade = _exp(-dt / tau)
        moved = current * dt
        share = moved / self.capacity_as
        z = self._z
        ocv = self._curve_ocv + self._curve_slope * (z - self._curve_z - 0.5 * share)
        # Integrals of V1 and of V1^2 over the step, for the terminals and for R1.
        faded = away * tau * (1.0 - fade)
        sum_v1 = rest * dt + faded
        sum_v1_2 = rest * (rest * dt + 2.0 * faded) + away * away * 0.5 * tau * (1.0 - fade * fade)
        self.lost_j += current * current * r0 * dt + sum_v1_2 / r1
        self._v1 = rest + away * fade
        z -= share
        self._z = 1.0 if z > 1.0 else z if z > 0.0 else 0.0
        self.current_a = current
        return (ocv - r0 * current) * moved - current * sum_v1

    def _book(self, terminal_j: float) -> None:
        if terminal_j >= 0.0:
            self.delivered_j += terminal_j
        else:
            self.accepted_j -= terminal_j

    # -- looking ahead ----------------------------------------------------------------------------

    def time_to_floor(self, power_w: float, floor_soc: float) -> int:
        """Solve for how long (ns) constant power takes to bring the charge to `floor_soc`.

        Simpson's rule over ``dt = 3600 Q dz / I(z)`` with the polarisation settled; NEVER at no load.
        """
        span = self._z - floor_soc
        if span <= 0.0:
            return 0
        if power_w <= 0.0:
            return NEVER
        count = 16
        total = 0.0
        for k in range(count + 1):
            current = self._settled_current(floor_soc + span * k / count, power_w)
            total += (1.0 if k in {0, count} else 4.0 if k % 2 else 2.0) / current
        return min(NEVER, round(self.capacity_as * span / (3.0 * count) * total * SECOND))

    def time_to_empty(self, power_w: float, temp_c: float) -> int:
        """Solve for how long (ns) constant power takes to empty the pack at this temperature."""
        return self.time_to_floor(power_w, self.floor_soc(temp_c))

    def brown_out_soc(self, mean_w: float, peak_w: float) -> float:
        """Solve for the charge at which peaks of `peak_w` over a mean of `mean_w` reach the cut-off."""
        low, high = 0.0, self._z
        if self._settled_voltage(high, mean_w, peak_w) < self.spec.v_cut:
            return high
        if self._settled_voltage(low, mean_w, peak_w) >= self.spec.v_cut:
            return 0.0
        for _ in range(30):
            middle = 0.5 * (low + high)
            if self._settled_voltage(middle, mean_w, peak_w) < self.spec.v_cut:
                low = middle
            else:
                high = middle
        return high

    def sags_safely(self, soc: float, mean_w: float, peak_w: float) -> bool:
        """Tell whether the voltage stands 50 mV clear of the cut-off down to `soc`, as it is now."""
        v_cut = self.spec.v_cut
        v1, settled = self._v1, self._r1 * mean_w / v_cut
        ocv, ocv_now = self._cell.ocv(soc), self.open_circuit_v()
        b = (ocv if ocv <= ocv_now else ocv_now) - (v1 if v1 >= settled else settled)
        square = b * b - 4.0 * self._r0 * peak_w
        return square > 0.0 and 0.5 * (b + _sqrt(square)) > v_cut + 0.05

    def _resistances(self, soc: float) -> tuple[float, float]:
        a, b, _ = self._cell.circuit(soc)
        factor = self._scale * self._health_r * self._cell.resistance_factor(self._curve_temp)
        return a * factor, b * factor

    def _settled_current(self, soc: float, power_w: float) -> float:
        r0, r1 = self._resistances(soc)
        ocv = self._cell.ocv(soc)
        resistance = r0 + r1
        square = ocv * ocv - 4.0 * resistance * power_w
        return (ocv - math.sqrt(max(square, 0.0))) / (2.0 * resistance)

    def _settled_voltage(self, soc: float, mean_w: float, peak_w: float) -> float:
        r0, r1 = self._resistances(soc)
        b = self._cell.ocv(soc) - r1 * self._settled_current(soc, mean_w)
        square = b * b - 4.0 * r0 * peak_w
        return 0.5 * (b + math.sqrt(square)) if square > 0.0 else 0.0

    # -- audit ------------------------------------------------------------------------------------

    def _released_j(self) -> float:
        cell = self._cell
        drop = cell.ocv_integral(self._base_z) - cell.ocv_integral(self._z)
        return self._chem_j + self.capacity_as * drop

    def energy_residual(self) -> float:
        """Share of the energy moved that the accounts cannot explain (must stay under 0.01)."""
        explained = self.delivered_j - self.accepted_j + self.lost_j + self.stored_j
        moved = max(self.delivered_j + self.accepted_j, 1.0)
        return abs(self._released_j() - explained) / moved
