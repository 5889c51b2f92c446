"""Words between a device's body and its host: crossings, costs, readings, modifiers.

Decides their shape alone; `body.py` gives them meaning.
"""

from __future__ import annotations

import enum

import msgspec


class Crossing(enum.IntEnum):
    """What the physics will do next, if nothing else happens first."""

    THROTTLE_DOWN = 1
    """The sensor is at the trip: one P-state slower."""
    THROTTLE_UP = 2
    """The sensor is 5 K below the trip: one P-state faster."""
    SHUTDOWN = 3
    """Too hot to go on: the host must call `power_off`."""
    COOLED = 4
    """A device that is off for heat may boot again."""
    BROWN_OUT = 5
    """The voltage sags under the cut-off: the device dies on the spot."""
    EMPTY = 6
    """No usable charge is left: the device dies."""
    CHARGED = 7
    """The battery is full."""
    REVIVED = 8
    """A battery that had died is charged enough to boot."""


class BurstCost(msgspec.Struct, frozen=True, gc=False):
    """What a burst of inferences costs: latency of one, whether slowed by heat, joules of all, its end."""

    latency_ns: int
    throttled: bool
    energy_j: float
    end_ns: int


class BodyReading(msgspec.Struct, frozen=True, gc=False):
    """What the sensors of a device say. `soc` is the fuel gauge (1.0 without a battery)."""

    chip_c: float
    body_c: float
    soc: float
    voltage_v: float
    charging: bool
    throttled: bool
    plugged: bool


class Modifier(msgspec.Struct, frozen=True, gc=False):
    """A hardship laid on a body for a while; modifiers add up, and taking one back leaves the others.

    Attributes:
        air_k: warmer air (heat wave), K.
        sun_w: heat of sunshine on the body, W.
        capacity: factor of the battery's capacity (age).
        resistance: factor of the battery's resistance (age).
        load_cores: cores kept busy by something else.
        plugged: on or off the charger (or grid); the latest one wins.
    """

    air_k: float = 0.0
    sun_w: float = 0.0
    capacity: float = 1.0
    resistance: float = 1.0
    load_cores: float = 0.0
    plugged: bool | None = None

    def __post_init__(self) -> None:
        if not (0.0 < self.capacity <= 1.0 and self.resistance > 0.0 and self.load_cores >= 0.0):
            raise ValueError(
                "expected 0 < capacity <= 1, resistance > 0 and load_cores >= 0, found "
                f"{self.capacity}, {self.resistance} and {self.load_cores}"
            )


def heat_wave(kelvin: float) -> Modifier:
    """Warm the air by so many kelvin."""
    return Modifier(air_k=kelvin)


def sun(watts: float) -> Modifier:
    """Put sunshine on the body, W of heat."""
    return Modifier(sun_w=watts)


def battery_age(capacity: float, resistance: float) -> Modifier:
    """Age the battery: factors of its capacity (0.8) and resistance (1.8)."""
    return Modifier(capacity=capacity, resistance=resistance)


def plugged(on: bool) -> Modifier:  # noqa: FBT001 - reads as plugged(True)
    """Put on, or take off, the charger or the grid."""
    return Modifier(plugged=on)


def load(cores: float) -> Modifier:
    """Keep so many cores busy with something else."""
    return Modifier(load_cores=cores)
