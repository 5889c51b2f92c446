"""Make `battery_pybamm.json`: our cell under three loads, as PyBaMM's Thevenin model sees it.

Needs PyBaMM (a development extra, not a dependency): ``python tests/golden/make_battery_pybamm.py``.
PyBaMM gets the same OCV, R0, R1 and C1 functions and integrates them with its own adaptive solver, so
that what is compared is our closed-form stepping. Isothermal: the cell is given a vast thermal mass.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pybamm

from devicesim.models.cell import LITHIUM, WARM_K, ZERO_C_K

AH = 4.0
SAMPLES = 40
ACTIVATION = LITHIUM.activation_j_mol / 8.314


def ocv(z):
    a, b, c, d = LITHIUM.ocv_poly
    return a + b * z + c * z**2 + d * z**3 - LITHIUM.ocv_dip * pybamm.exp(-LITHIUM.ocv_knee * z)


def curve(row):
    rise, knee, level = row
    return lambda z: rise * pybamm.exp(-knee * z) + level


def arrhenius(temp_c):
    return pybamm.exp(ACTIVATION * (1.0 / (temp_c + ZERO_C_K) - 1.0 / WARM_K))


def parameters(temp_c: float, load) -> pybamm.ParameterValues:
    scale = LITHIUM.reference_ah / AH
    values = pybamm.equivalent_circuit.Thevenin().default_parameter_values
    values.update(
        {
            "Open-circuit voltage [V]": ocv,
            "R0 [Ohm]": lambda t, _i, z: scale * curve(LITHIUM.r0)(z) * arrhenius(t),
            "R1 [Ohm]": lambda t, _i, z: scale * curve(LITHIUM.r1)(z) * arrhenius(t),
            "C1 [F]": lambda _t, _i, z: curve(LITHIUM.c1)(z) / scale,
            "Entropic change [V/K]": lambda _o, _t: pybamm.Scalar(0.0),
            "Cell capacity [A.h]": AH,
            "Nominal cell capacity [A.h]": AH,
            "Cell thermal mass [J/K]": 1e12,
            "Initial SoC": 0.95,
            "Initial temperature [K]": temp_c + ZERO_C_K,
            "Ambient temperature [K]": temp_c + ZERO_C_K,
            "Lower voltage cut-off [V]": 2.0,
            "Upper voltage cut-off [V]": 5.0,
        }
    )
    values.update(load, check_already_exists=False)
    return values


def solve(temp_c: float, mode: str, load, times) -> dict:
    model = pybamm.equivalent_circuit.Thevenin(options={"operating mode": mode})
    simulation = pybamm.Simulation(model, parameter_values=parameters(temp_c, load))
    solution = simulation.solve([times[0], times[-1]], t_interp=np.array(times))
    return {
        "capacity_ah": AH,
        "temp_c": temp_c,
        "soc0": 0.95,
        "time_s": [float(t) for t in times],
        "soc": [round(float(x), 7) for x in solution["SoC"](times)],
        "voltage_v": [round(float(x), 6) for x in solution["Voltage [V]"](times)],
    }


def even(end_s: float) -> list[float]:
    return [end_s * k / SAMPLES for k in range(SAMPLES + 1)]


def pulsed() -> dict:
    """30 s at 5 W, 90 s at 0.2 W, over and over: solved pulse by pulse, joined by the state."""
    on_w, off_w, on_s, off_s, cycles = 5.0, 0.2, 30.0, 90.0, 60
    out = {"on_w": on_w, "off_w": off_w, "on_s": on_s, "off_s": off_s, "cycles": cycles}
    step = pybamm.step.power
    cycle = (
        step(on_w, duration=on_s, period=on_s / 2),
        step(off_w, duration=off_s, period=off_s / 2),
    )
    experiment = pybamm.Experiment([cycle] * cycles)
    simulation = pybamm.Simulation(
        pybamm.equivalent_circuit.Thevenin(),
        parameter_values=parameters(25.0, {}),
        experiment=experiment,
    )
    solution = simulation.solve()
    out |= {"capacity_ah": AH, "temp_c": 25.0, "soc0": 0.95, "soc": [], "on_v": [], "off_v": []}
    for done in solution.cycles:
        on, off = done.steps
        out["soc"].append(round(float(done["SoC"].entries[-1]), 7))
        out["on_v"].append(round(float(on["Voltage [V]"].entries[-1]), 6))
        out["off_v"].append(round(float(off["Voltage [V]"].entries[-1]), 6))
    return out


def main() -> None:
    cases = {
        "0.2C": {**solve(25.0, "current", {"Current function [A]": 0.2 * AH}, even(16_000.0))},
        "1C": {**solve(25.0, "current", {"Current function [A]": AH}, even(3200.0))},
        "1C at 0 C": {**solve(0.0, "current", {"Current function [A]": AH}, even(3200.0))},
        "10 W": {**solve(25.0, "power", {"Power function [W]": 10.0}, even(4600.0))},
        "pulsed": pulsed(),
    }
    cases["0.2C"]["current_a"] = 0.2 * AH
    cases["1C"]["current_a"] = cases["1C at 0 C"]["current_a"] = AH
    cases["10 W"]["power_w"] = 10.0
    document = {"made_with": f"PyBaMM {pybamm.__version__}", "cases": cases}
    path = Path(__file__).with_name("battery_pybamm.json")
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
