"""Heat of a device: two nodes (chip and body), solved exactly, never stepped.

Decides how warm the chip and the body are after any time at constant power, and when a temperature
will be reached. Leaves out what a device does about it (`processor.py` throttles, `body.py` decides).

Theory of operation. With chip ``Ts``, body ``Tb`` and ambient ``Ta``::

    Cs Ts' = P - (Ts - Tb)/Rsb
    Cb Tb' = (Ts - Tb)/Rsb - (Tb - Ta)/Rba + q

a linear system, so the state is kept as two decaying *modes* around the temperature that the present
power and the daily sine of the ambient would settle at. Time only multiplies each mode by an
exponential; a change of power or ambient moves the resting point and the modes the other way, so
that no temperature jumps. The sine is carried by its phasor: a step of a night is as exact as one of
a millisecond.

Rules: temperatures in C, powers in W, instants in ns; time never goes back.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Final

import msgspec

from devicesdk.wire.timebase import DAY, HOUR, SECOND

_OMEGA: Final = 2.0 * math.pi / (DAY / SECOND)
_NS: Final = 1e-9
_exp, _sin = math.exp, math.sin
HORIZON_NS: Final = DAY + 2 * HOUR
"""Beyond one daily period (and the decay of the modes) nothing new can happen at constant power."""


class Ambient(msgspec.Struct, frozen=True, gc=False):
    """Air around a device: ``mean + amplitude sin(2 pi (t - 9 h) / 24 h) + enclosure``, in C.

    The sine peaks at 15:00. `midnight_ns` is the instant of a local midnight, `enclosure_c` what a
    housing adds (kiosk +8 K), `sun_w` the heat that sunshine puts on the body.
    """

    mean_c: float = 22.0
    amplitude_c: float = 0.0
    enclosure_c: float = 0.0
    sun_w: float = 0.0
    midnight_ns: int = 0

    def air_c(self, now: int) -> float:
        """Temperature of the air at `now`, the enclosure included, in C."""
        phase = _OMEGA * ((now - self.midnight_ns - 9 * HOUR) % DAY) * _NS
        return self.mean_c + self.enclosure_c + self.amplitude_c * math.sin(phase)


class Network(msgspec.Struct, frozen=True):
    """The four constants of the two nodes: K/W from chip to body to air, J/K of each."""

    chip_to_body_k_w: float
    body_to_air_k_w: float
    chip_j_k: float
    body_j_k: float

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) <= 0.0:
                raise ValueError(f"expected {name} above zero, found {getattr(self, name)}")

    def rates(self) -> tuple[float, float]:
        """Decay rates of the fast and the slow mode, 1/s."""
        chip = 1.0 / (self.chip_to_body_k_w * self.chip_j_k)
        body = 1.0 / (self.chip_to_body_k_w * self.body_j_k)
        air = 1.0 / (self.body_to_air_k_w * self.body_j_k)
        half = (chip + body + air) / 2.0
        root = math.sqrt(half * half - chip * air)
        return half + root, chip * air / (half + root)

    def daily_response(self) -> tuple[complex, complex]:
        """Phasors of chip and body for an ambient sine of 1 K and a period of one day."""
        jw = 1j * _OMEGA
        chip = 1.0 / (1.0 + jw * self.chip_to_body_k_w * self.chip_j_k)
        through = (1.0 - chip) / self.chip_to_body_k_w
        air = 1.0 / self.body_to_air_k_w
        body = air / (jw * self.body_j_k + through + air)
        return chip * body, body


class Thermal:
    """Temperatures of one device. Hold it, `advance` it, change its power; read chip and body.

    Args:
        network: constants of the two nodes.
        ambient: the air around.
        power_w: heat in the chip from the start, at which the device has settled.
        now: instant of construction, ns.
    """

    __slots__ = (
        "_amplitude", "_at", "_body_at", "_body_c", "_body_fast", "_body_slow", "_body_w", "_fast", "_mean", "_midnight",
        "_network", "_rate_fast", "_rate_slow", "_rest_body", "_rest_chip", "_slow",
        "_swing_body", "_swing_chip", "power_w",
    )  # fmt: skip

    def __init__(self, network: Network, ambient: Ambient, power_w: float, now: int) -> None:
        self._network = network
        self._rate_fast, self._rate_slow = network.rates()
        per_chip = network.chip_to_body_k_w * network.chip_j_k
        self._body_fast = 1.0 - self._rate_fast * per_chip
        self._body_slow = 1.0 - self._rate_slow * per_chip
        chip, body = network.daily_response()
        self._amplitude = abs(ambient.amplitude_c)
        self._swing_chip = cmath.polar(ambient.amplitude_c * chip)
        self._swing_body = cmath.polar(ambient.amplitude_c * body)
        self._midnight = ambient.midnight_ns + 9 * HOUR
        self._mean = ambient.mean_c + ambient.enclosure_c
        self._at = now
        self._body_at, self._body_c = -1, 0.0
        self.power_w = power_w
        """Heat in the chip since the last instant, W; `set_power` changes it."""
        self._body_w = ambient.sun_w
        self._fast = self._slow = 0.0
        self._rest()

    def _rest(self) -> None:
        network = self._network
        self._rest_body = self._mean + network.body_to_air_k_w * (self.power_w + self._body_w)
        self._rest_chip = self._rest_body + network.chip_to_body_k_w * self.power_w

    def _shift(self, chip_k: float, body_k: float) -> None:
        """Move the modes so that temperatures stay while the resting point has moved."""
        fast = (body_k - self._body_slow * chip_k) / (self._body_fast - self._body_slow)
        self._fast -= fast
        self._slow -= chip_k - fast

    def advance(self, now: int) -> None:
        """Let the modes decay until `now` (ns, not before the last call)."""
        dt = (now - self._at) * _NS
        self._at = now
        self._fast *= _exp(-self._rate_fast * dt)
        self._slow *= _exp(-self._rate_slow * dt)

    def set_power(self, power_w: float) -> None:
        """Change the heat in the chip from the last instant on."""
        change = power_w - self.power_w
        if change == 0.0:
            return
        self.power_w = power_w
        network = self._network
        body_k = network.body_to_air_k_w * change
        chip_k = body_k + network.chip_to_body_k_w * change
        self._rest_body += body_k
        self._rest_chip += chip_k
        fast = (body_k - self._body_slow * chip_k) / (self._body_fast - self._body_slow)
        self._fast -= fast
        self._slow -= chip_k - fast

    def set_surroundings(self, mean_c: float, body_w: float) -> None:
        """Change the daily mean of the air (enclosure included) and the heat put on the body."""
        chip, body = self._rest_chip, self._rest_body
        self._mean, self._body_w = mean_c, body_w
        self._rest()
        self._shift(self._rest_chip - chip, self._rest_body - body)

    @property
    def mean_c(self) -> float:
        """Daily mean of the air, the enclosure included, in C."""
        return self._mean

    @property
    def chip_c(self) -> float:
        """Temperature of the chip at the last instant, in C."""
        temp = self._rest_chip + self._fast + self._slow
        if self._amplitude:
            swing, phase = self._swing_chip
            temp += swing * _sin(_OMEGA * ((self._at - self._midnight) % DAY) * _NS + phase)
        return temp

    @property
    def body_c(self) -> float:
        """Temperature of the body at the last instant, in C; it does not jump, so it is computed once."""
        if self._body_at == self._at:
            return self._body_c
        temp = self._rest_body + self._body_fast * self._fast + self._body_slow * self._slow
        if self._amplitude:
            swing, phase = self._swing_body
            temp += swing * _sin(_OMEGA * ((self._at - self._midnight) % DAY) * _NS + phase)
        self._body_at, self._body_c = self._at, temp
        return temp

    def ceiling_c(self, *, chip: bool) -> float:
        """Give a bound that chip or body never passes at this power or less: the test before a solve."""
        fast, slow, rest = self._fast, self._slow, self._rest_chip
        if not chip:
            fast, slow, rest = fast * self._body_fast, slow * self._body_slow, self._rest_body
        rest += self._amplitude
        if fast > 0.0:
            rest += fast
        return rest + slow if slow > 0.0 else rest

    def settled_c(self, power_w: float, *, chip: bool) -> float:
        """Hottest temperature of the day that `power_w` would settle at, in C."""
        network = self._network
        body = self._mean + self._amplitude + network.body_to_air_k_w * (power_w + self._body_w)
        return body + network.chip_to_body_k_w * power_w if chip else body

    def time_to_reach(
        self, target_c: float, *, chip: bool, horizon_ns: int = HORIZON_NS
    ) -> int | None:
        """Solve for the first instant at which chip or body stands at `target_c`, at this power.

        Returns:
            The instant (ns, absolute), rounded up past the crossing; None if it is not reached
            within `horizon_ns` of the last instant.
        """
        gap = self._gap(target_c, chip=chip)
        left, value = 0.0, gap(0.0)
        if value == 0.0:
            return self._at
        end = horizon_ns * _NS
        for right in self._landmarks(end, chip=chip):
            ahead = gap(right)
            if ahead * value <= 0.0:
                return self._at + math.ceil(_root(gap, left, right, value, ahead) / _NS)
            left, value = right, ahead
        return None

    def _gap(self, target_c: float, *, chip: bool) -> Callable[[float], float]:
        """Close over the state: temperature minus target, `x` seconds after the last instant."""
        rest, (swing, phase) = self._rest_chip, self._swing_chip
        fast, slow = self._fast, self._slow
        if not chip:
            rest, (swing, phase) = self._rest_body, self._swing_body
            fast, slow = fast * self._body_fast, slow * self._body_slow
        rest -= target_c
        phase += _OMEGA * ((self._at - self._midnight) % DAY) * _NS
        rate_fast, rate_slow, exp, sin = self._rate_fast, self._rate_slow, math.exp, math.sin

        def gap(x: float) -> float:
            decay = fast * exp(-rate_fast * x) + slow * exp(-rate_slow * x)
            return rest + decay + swing * sin(phase + _OMEGA * x)

        return gap

    def _landmarks(self, end: float, *, chip: bool) -> list[float]:
        """Places (s) between which the temperature is monotone, to a fraction of a degree."""
        fast, slow = self._fast, self._slow
        if not chip:
            fast, slow = fast * self._body_fast, slow * self._body_slow
        marks = [k / self._rate_slow for k in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)]
        marks += [k / self._rate_fast for k in (0.5, 1.0, 2.0, 4.0)]
        ratio = -(fast * self._rate_fast) / (slow * self._rate_slow) if slow else 0.0
        if ratio > 1.0:  # the two modes pull apart: one extremum
            marks.append(math.log(ratio) / (self._rate_fast - self._rate_slow))
        if self._amplitude:
            marks += [1800.0 * k for k in range(1, int(end / 1800.0) + 1)]
        return [*sorted(mark for mark in marks if mark < end), end]


def _root(
    gap: Callable[[float], float], left: float, right: float, at_left: float, at_right: float
) -> float:
    """Find the sign change of `gap` in [left, right] to a nanosecond, from its right-hand side.

    Regula falsi with the Illinois correction (Dowell and Jarratt 1971), bisecting when it stalls.
    """
    for turn in range(80):
        if right - left <= _NS:
            break
        middle = (left * at_right - right * at_left) / (at_right - at_left)
        if turn % 4 == 3 or not left < middle < right:
            middle = (left + right) / 2.0
        value = gap(middle)
        if value * at_right > 0.0 or value == 0.0:
            right, at_right, at_left = middle, value, at_left / 2.0
            if value == 0.0:
                break
        else:
            left, at_left, at_right = middle, value, at_right / 2.0
    return right
