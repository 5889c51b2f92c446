"""Computing on a device: how long an inference takes, what it costs, and how heat slows it down.

Decides latency and energy of an inference from the operations of a model variant and the device's
measured speed, and which P-state the throttle governor stands in. Leaves out temperatures
(`thermal.py`) and when a crossing happens (`body.py`).

Latency goes with 1/f and power with f^2.2 (voltage falls with frequency), so that throttling saves
energy per inference and costs time. The governor is a staircase: one P-state down every 2 s while
the sensor is at or above the trip, one up below the trip less 5 K.

Speeds and watts are calibrated: energy per inference = busy watts x latency reproduces some 75 mJ for
MobileNetV2-int8 (300 MMAC) on a Raspberry Pi 4 and 0.4-1.3 nJ/MAC of microcontrollers in the MLPerf
Tiny v1.0 closed results (derived).
"""

from __future__ import annotations

from typing import Final

import msgspec

from devicesdk.wire.timebase import SECOND

POWER_EXPONENT: Final = 2.2
STEP_DOWN_NS: Final = 2 * SECOND
HYSTERESIS_K: Final = 5.0
SPREAD_MAX: Final = 10.0


class ProcessorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A processor as its profile gives it.

    `p_states_mhz` run from the fastest to the slowest; `macs_per_s` gives multiply-accumulates per
    second by precision (``int8``, ``fp16``, ``fp32``) of the one core or accelerator that serves
    inference, which draws `busy_w` at full speed.
    """

    p_states_mhz: tuple[float, ...]
    macs_per_s: dict[str, float]
    busy_w: float
    cores: int = 1
    memory_bytes: int = 1 << 30
    accelerator: str = ""

    def __post_init__(self) -> None:
        states = self.p_states_mhz
        if not states or list(states) != sorted(states, reverse=True) or states[-1] <= 0.0:
            raise ValueError(f"expected p_states_mhz from fast to slow, above zero, found {states}")
        if not self.macs_per_s or min(self.macs_per_s.values()) <= 0.0:
            raise ValueError(f"expected macs_per_s above zero, found {self.macs_per_s}")
        if self.busy_w <= 0.0 or self.cores < 1 or self.memory_bytes < 1:
            raise ValueError("expected busy_w, cores and memory_bytes above zero")

    def fits(self, memory_bytes: int, accelerator: str = "") -> bool:
        """Tell whether a variant's memory and accelerator (if it names one) are there."""
        return memory_bytes <= self.memory_bytes and accelerator in {"", self.accelerator}


class Processor:
    """Speed and P-state of one device's processor.

    Args:
        spec: the processor.
        spread: this unit's speed over the typical one.
    """

    __slots__ = (
        "_power", "_rates", "_slowest", "_speed", "busy_w", "p_state", "spec", "stepped_at",
    )  # fmt: skip

    def __init__(self, spec: ProcessorSpec, spread: float = 1.0) -> None:
        if not 1.0 / SPREAD_MAX <= spread <= SPREAD_MAX:
            raise ValueError(f"expected a spread between 1/10 and 10, found {spread}")
        self.spec = spec
        top = spec.p_states_mhz[0]
        self._speed = tuple(f / top for f in spec.p_states_mhz)
        self._power: tuple[float, ...] = tuple(spec.busy_w * s**POWER_EXPONENT for s in self._speed)
        self._slowest = len(self._speed) - 1
        self._rates = {name: rate * spread for name, rate in spec.macs_per_s.items()}
        self.p_state = 0
        self.busy_w = self._power[0]
        """Watts that one busy core adds in this P-state."""
        self.stepped_at = -STEP_DOWN_NS

    @property
    def throttled(self) -> bool:
        """Whether the processor runs below its full speed."""
        return self.p_state > 0

    @property
    def slowest(self) -> bool:
        """Whether there is no lower P-state."""
        return self.p_state == self._slowest

    @property
    def speed(self) -> float:
        """Frequency over the highest frequency."""
        return self._speed[self.p_state]

    def rate(self, precision: str) -> float:
        """Multiply-accumulates per second at full speed.

        Raises:
            ValueError: the profile has no speed for this precision.
        """
        try:
            return self._rates[precision]
        except KeyError:
            raise ValueError(
                f"expected a precision with a measured speed ({', '.join(self._rates)}), "
                f"found {precision!r}: add it to macs_per_s of the profile"
            ) from None

    def latency_ns(self, macs: float, precision: str = "int8", contention: float = 1.0) -> int:
        """Latency of one inference now: ``macs / rate x f_max/f x contention``, ns."""
        rate = self._rates.get(precision) or self.rate(precision)
        return round(macs * contention / (rate * self._speed[self.p_state]) * SECOND)

    def energy_j(self, macs: float, precision: str = "int8") -> float:
        """Energy of one inference now above idle, J: busy watts x latency, so ~ f^1.2."""
        return macs / (self.rate(precision) * self.speed) * self.busy_w

    def step_down(self, now: int) -> None:
        """Go one P-state down, because the sensor is at the trip."""
        self._go(min(self.p_state + 1, self._slowest))
        self.stepped_at = now

    def step_up(self, now: int) -> None:
        """Go one P-state up, because the sensor is well below the trip."""
        self._go(max(self.p_state - 1, 0))
        self.stepped_at = now

    def reset(self) -> None:
        """Boot: full speed, as before the first step."""
        self._go(0)
        self.stepped_at = -STEP_DOWN_NS

    def _go(self, p_state: int) -> None:
        self.p_state = p_state
        self.busy_w = self._power[p_state]
