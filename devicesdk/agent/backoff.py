"""How long to wait before the next connect.

Decides the delay. Leaves out timers and connections (session.py), and which library does what
(backoff_policies.py).

The n-th wait, n from 0 (after the `first_ns`, if there is one), is drawn around a curve c(n) with a cap:

    constant   c = base                    none          w = c
    linear     c = base + n step           full          w uniform in [0, c]
    doubling   c = base 2^n                equal         w uniform in [c/2, c]
    delta      c = base + (2^(n+1) - 1) step
                                           share         w uniform in [c (1 - below), c (1 + above)]
                                           decorrelated  w uniform in [base, 3 x the last w]

The cap cuts the curve before the draw, or with `cap_after` what was drawn. Formulas of full, equal and
decorrelated: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 4 March 2015.

Rules: by default the growth is forgotten only after a session was stable for a while. A device that is
kicked right after each connect backs off like one that cannot connect, or the herd would echo for ever;
libraries that forget at CONNACK can be rehearsed (`reset`). What has a name draws exactly once for each
wait, from dice of its own: another policy changes nothing else that the device draws.
"""

from __future__ import annotations

from typing import Final

from devicesdk.agent.config import BackoffConfig
from devicesdk.agent.dice import Dice
from devicesdk.wire.timebase import NEVER

DOUBLINGS_MAX: Final = 32
_LUCK: Final = 0xBAC0FF
_PERMILLE: Final = 1000


class Backoff:
    """The delays of one boot.

    Args:
        config: curve, jitter, and when it is forgotten.
        seed: the device's, for the luck of a named policy.
    """

    __slots__ = ("_config", "_last_ns", "_luck", "_seed", "losses")

    def __init__(self, config: BackoffConfig, seed: int = 0) -> None:
        self._config = config
        self._last_ns = config.base_ns
        self._seed = seed ^ _LUCK
        self._luck: Dice | None = Dice(self._seed, 0) if config.policy else None
        self.losses = 0
        """Delays drawn since growth was last forgotten."""

    def booted(self, boot_id: int) -> None:
        """A boot begins, with luck of its own."""
        if self._luck is not None:
            self._luck = Dice(self._seed, boot_id)

    def first(self, dice: Dice) -> int:
        """Delay in ns before the first connect of a boot: those who got power together spread, unless
        a library does not spread them."""
        if self._luck is not None or self._config.jitter == "none":
            return 0
        return dice.below(self._config.base_ns)

    def next(self, dice: Dice) -> int:
        """Delay in ns before the next connect; it grows until `session_ended` or `accepted` say that
        all is well. `NEVER`: no further connect."""
        config = self._config
        if config.attempts_max and self.losses >= config.attempts_max:
            self._forget()
            return config.rest_ns or NEVER
        self.losses += 1
        if config.first_ns < 0:
            return self._drawn(self.losses - 1, self._luck or dice)
        delay = self._drawn(max(0, self.losses - 2), self._luck or dice)
        return config.first_ns if self.losses == 1 else delay

    def _drawn(self, turn: int, dice: Dice) -> int:
        config = self._config
        if config.jitter == "decorrelated":
            # Capped before the draw: capping after it would gather most devices on the cap itself.
            top = 3 * self._last_ns if config.cap_after else min(config.cap_ns, 3 * self._last_ns)
            delay = min(dice.between(config.base_ns, top), config.cap_ns)
            self._last_ns = delay
            return delay
        low, high = bounds(config, turn)
        if low == high and self._luck is None:
            return low
        delay = dice.between(low, high)
        return min(delay, config.cap_ns) if config.cap_after else delay

    def accepted(self) -> None:
        """CONNACK: there are libraries for which all is well now."""
        if self._config.reset == "connack":
            self._forget()

    def session_ended(self, lasted_ns: int) -> None:
        """Forget the growth if the session that ended was stable."""
        if self._config.reset == "stable" and lasted_ns >= self._config.stable_ns:
            self._forget()

    def _forget(self) -> None:
        self._last_ns = self._config.base_ns
        self.losses = 0


def bounds(config: BackoffConfig, turn: int) -> tuple[int, int]:
    """Least and largest draw of the wait number `turn` (from 0), ns, before a `cap_after`.

    Not for decorrelated jitter, whose waits hang on each other.
    """
    base, grown = _curve(config, turn)
    if not config.cap_after:
        base = min(base, config.cap_ns)
        grown = min(grown, config.cap_ns - base)
    if config.jitter == "none":
        return base + grown, base + grown
    if config.jitter == "full":
        return 0, base + grown
    if config.jitter == "equal":
        half = (base + grown) // 2
        return half, 2 * half
    if config.growth != "delta":
        base, grown = 0, base + grown
    low = base + grown * (_PERMILLE - config.below_permille) // _PERMILLE
    return low, base + grown * (_PERMILLE + config.above_permille) // _PERMILLE


def _curve(config: BackoffConfig, turn: int) -> tuple[int, int]:
    """What stays and what has grown of the wait number `turn`, ns."""
    base, factor = config.base_ns, 1 << min(turn, DOUBLINGS_MAX)
    if config.growth == "constant":
        return base, 0
    if config.growth == "linear":
        return base, turn * config.step_ns
    if config.growth == "delta":
        return base, (2 * factor - 1) * config.step_ns
    return base, (factor - 1) * base
