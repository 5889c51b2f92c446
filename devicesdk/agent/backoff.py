"""How long to wait before the next connect.

Decides the delay. Leaves out timers and connections (session.py). Decorrelated jitter (Brooker 2015,
"Exponential Backoff And Jitter"): each sleep is uniform in [base, min(cap, 3 x last)].

Rule: the growth is forgotten only after a session was stable for a while. A device that is kicked
right after each connect backs off like one that cannot connect, or the herd would echo for ever.
"""

from __future__ import annotations

from devicesdk.agent.config import BackoffConfig
from devicesdk.agent.dice import Dice


class Backoff:
    """The delays of one boot."""

    __slots__ = ("_config", "_last_ns", "losses")

    def __init__(self, config: BackoffConfig) -> None:
        self._config = config
        self._last_ns = config.base_ns
        self.losses = 0
        """Delays drawn since the last stable session."""

    def first(self, dice: Dice) -> int:
        """Delay in ns before the first connect of a boot: those who got power together spread."""
        return 0 if self._config.jitter == "none" else dice.below(self._config.base_ns)

    def next(self, dice: Dice) -> int:
        """Delay in ns before the next connect; grows until `settled`."""
        config = self._config
        self.losses += 1
        if config.jitter == "decorrelated":
            # Capped before the draw: capping after it would gather most devices on the cap itself.
            ceiling = min(config.cap_ns, 3 * self._last_ns)
            self._last_ns = delay = dice.between(config.base_ns, ceiling)
            return delay
        ceiling = min(config.cap_ns, config.base_ns << min(self.losses - 1, 32))
        if config.jitter == "full":
            return dice.between(0, ceiling)
        if config.jitter == "equal":
            return ceiling // 2 + dice.between(0, ceiling // 2)
        return ceiling

    def session_ended(self, lasted_ns: int) -> None:
        """Forget the growth if the session that ended was stable."""
        if lasted_ns >= self._config.stable_ns:
            self._last_ns = self._config.base_ns
            self.losses = 0
