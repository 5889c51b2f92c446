"""Disruption budgets: how many devices of a site, a ward, a shift are away at once.

Decides who counts as unavailable, and whether one more may be. Leaves out what a plan may say (gateway/core/pace.py)
and everything else that may hold an offer back (pacing.py).

Rules: a device is unavailable while it is offline, or from its offer until that ended, whichever rollout made it: so
all rollouts share one budget, and a site that lost devices by itself has less of it left. One that is unavailable
already takes no second place, but where the budget is used up it is not offered anything either: those who come back
together must not be updated together. Devices without the label are bounded by nothing. Counts are taken anew for
every page of offers, so they cannot go wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.core.control.twins import Twin
from gateway.core.pace import Budget


def unavailable(twin: Twin) -> bool:
    """Whether a device is offline, or at work on an update or on its way back from one."""
    if not twin.presence.online:
        return True
    return twin.wants_open() and twin.desired is not None and not twin.desired.hold


class Disruption:
    """How much of each budget is used, as the twins are now.

    Args:
        budgets: of one plan.
        twins: all devices of the registry.
    """

    __slots__ = ("_budgets", "_sizes", "_used")

    def __init__(self, budgets: Sequence[Budget], twins: Iterable[Twin]) -> None:
        self._budgets = budgets
        self._sizes: dict[tuple[str, str], int] = {}
        self._used: dict[tuple[str, str], int] = {}
        labels = list(dict.fromkeys(budget.label for budget in budgets))
        for twin in twins:
            if twin.device.enrolled:
                away = unavailable(twin)
                for label in labels:
                    value = twin.device.labels.get(label)
                    if value is not None:
                        key = label, value
                        self._sizes[key] = self._sizes.get(key, 0) + 1
                        self._used[key] = self._used.get(key, 0) + away

    def full(self, twin: Twin) -> str:
        """The budget that has no room for an offer to a device, for people; empty when all have."""
        more = not unavailable(twin)
        for budget in self._budgets:
            key = budget.label, twin.device.labels.get(budget.label, "")
            if key in self._sizes:
                used, most = self._used[key], budget.most(self._sizes[key])
                if used + more > most:
                    return f"{key[0]}={key[1]}: {used} of {most} are updating or offline"
        return ""

    def take(self, twin: Twin) -> None:
        """Count a device that is about to be offered something."""
        if unavailable(twin):
            return
        for label in dict.fromkeys(budget.label for budget in self._budgets):
            key = label, twin.device.labels.get(label, "")
            if key in self._sizes:
                self._used[key] += 1
