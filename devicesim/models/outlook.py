"""Looking ahead: what heat and power will do to a device next, if nothing else happens.

Decides the instant and the kind of the next crossing, from the models alone. Leaves out what follows
(`body.py`). Cheap bounds come first, a solve only when they fail; most calls end at a bound.

Rule: an instant may be *early*, never late by more than `LOOK_AGAIN_NS`. A host that comes early finds nothing to do and asks
again; each look is later than the one before. An instant that is far away is given as a bound that
at least halves what is left.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.timebase import NEVER, SECOND
from devicesim.models.battery import Battery
from devicesim.models.cell import usable_capacity
from devicesim.models.crossing import Crossing
from devicesim.models.processor import HYSTERESIS_K, STEP_DOWN_NS, Processor
from devicesim.models.profile import Heat
from devicesim.models.thermal import HORIZON_NS, Thermal

EPSILON_K: Final = 1e-6
REVIVE_SOC: Final = 0.05
LOOK_AGAIN_NS: Final = SECOND
_EMPTY: Final = Crossing.EMPTY
_SAFE_SOC: Final = (0.2, 0.5)
_DISTANT_SOC: Final = 0.02

Outlook = tuple[int, Crossing]


def sooner(one: Outlook | None, other: Outlook | None) -> Outlook | None:
    """Give the earlier of two outlooks; the first one on a tie."""
    if one is None or other is None:
        return one or other
    return other if other[0] < one[0] else one


def heat_outlook(
    thermal: Thermal, processor: Processor, heat: Heat, now: int, change: tuple[int, float]
) -> Outlook | None:
    """Next step of the throttle governor, or shutdown.

    Args:
        thermal: temperatures, advanced to `now`.
        processor: its P-state.
        heat: trips and sensor.
        now: instant, ns.
        change: when the power will fall by itself (NEVER: it will not), and to what, W.
    """
    chip = heat.sensor == "chip"
    temp = thermal.chip_c if chip else thermal.body_c
    if temp >= heat.shutdown_c - EPSILON_K:
        return now, Crossing.SHUTDOWN
    until, later_w = change
    horizon = min(HORIZON_NS, until - now)
    may_step = max(now, processor.stepped_at + STEP_DOWN_NS)
    hot = temp >= heat.trip_c - EPSILON_K
    best: Outlook | None = None
    if not processor.slowest:
        at = now if hot else thermal.time_to_reach(heat.trip_c, chip=chip, horizon_ns=horizon)
        if at is not None:
            best = max(at, may_step), Crossing.THROTTLE_DOWN
    if hot or processor.slowest:
        at = thermal.time_to_reach(heat.shutdown_c, chip=chip, horizon_ns=horizon)
        best = sooner(best, None if at is None else (at, Crossing.SHUTDOWN))
    if processor.throttled and not hot:
        best = sooner(best, _recovery(thermal, heat, horizon, may_step))
    if best is not None or until >= NEVER:
        return best
    if processor.throttled:
        return until, Crossing.THROTTLE_UP
    warm = thermal.settled_c(later_w, chip=chip) >= heat.trip_c
    return (until, Crossing.THROTTLE_DOWN) if warm else None


def _recovery(thermal: Thermal, heat: Heat, horizon: int, may_step: int) -> Outlook | None:
    """When a throttled processor may go one P-state up."""
    chip, cool_c = heat.sensor == "chip", heat.trip_c - HYSTERESIS_K
    if (thermal.chip_c if chip else thermal.body_c) <= cool_c + EPSILON_K:
        return may_step, Crossing.THROTTLE_UP
    at = thermal.time_to_reach(cool_c, chip=chip, horizon_ns=horizon)
    return None if at is None else (max(at, may_step), Crossing.THROTTLE_UP)


def supply_outlook(
    battery: Battery, temp_c: float, now: int, mean_w: float, peak_w: float
) -> Outlook | None:
    """When a battery under this load browns out or is empty.

    Args:
        battery: the pack, advanced to `now`.
        temp_c: its temperature.
        now: instant, ns.
        mean_w: what it gives on average, W.
        peak_w: what it gives at moments, W.
    """
    if battery.browns_out(peak_w):
        return now, Crossing.BROWN_OUT
    if battery.is_empty(temp_c):
        return now, Crossing.EMPTY
    if mean_w <= 0.0:
        return None
    floor = battery.floor_soc(temp_c)
    soc = battery.soc
    for safe in _SAFE_SOC:
        low = floor + 0.1
        low = low if low > safe else safe
        if soc > low + _DISTANT_SOC and battery.sags_safely(low, mean_w, peak_w):
            # No voltage falls below the cut-off on the way, so the charge lasts at least this long.
            joules = (soc - low) * battery.capacity_as * battery.spec.v_cut
            return now + round(joules / mean_w * SECOND), _EMPTY
    sag = battery.brown_out_soc(mean_w, peak_w)
    kind = Crossing.BROWN_OUT if sag > floor else Crossing.EMPTY
    left = battery.time_to_floor(mean_w, max(sag, floor))
    # Early by a little, to cover what the quadrature and the curves taken as straight leave open.
    return now + max(left - left // 64, LOOK_AGAIN_NS), kind


def charge_outlook(battery: Battery, temp_c: float, now: int, spare_w: float) -> Outlook | None:
    """When a charging battery is full; exact in constant current, early in constant voltage."""
    left = battery.time_to_full(spare_w, temp_c)
    return None if left >= NEVER else (now + max(left, LOOK_AGAIN_NS), Crossing.CHARGED)


def revival_outlook(battery: Battery, temp_c: float, now: int, spare_w: float) -> Outlook | None:
    """When a dead battery on its charger is charged enough to boot."""
    missing = REVIVE_SOC - battery.usable_soc(temp_c)
    if missing <= 0.0:
        return now, Crossing.REVIVED
    current = battery.charging_current(spare_w, temp_c)
    if current <= 0.0:
        return None
    charge = missing * usable_capacity(temp_c) * battery.capacity_as
    return now + max(round(charge / current * SECOND), LOOK_AGAIN_NS), Crossing.REVIVED
