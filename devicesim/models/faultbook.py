"""The data faults that are active on one device, with their tokens.

Decides which amounts are allowed, and what several faults of one kind add up to. Leaves out what they
do to pictures, sounds and texts (datastream.py and its siblings).
"""

from __future__ import annotations

import math

from devicesim.models.datastream import AMOUNTS, FAULTS_PER_DEVICE_MAX, Condition


class FaultBook:
    """Active faults by token."""

    __slots__ = ("_active", "_seq")

    def __init__(self) -> None:
        self._active: dict[int, tuple[Condition, float]] = {}
        self._seq = 0

    def apply(self, condition: Condition, amount: float) -> int:
        """Note one; returns its token.

        Raises:
            ValueError: the amount is out of range, or too many faults are active.
        """
        low, high = AMOUNTS[condition]
        if not low <= amount <= high:
            raise ValueError(
                f"expected {condition} between {low:g} and {high:g}, found {amount!r}; "
                "amounts are shares, not percent"
            )
        if len(self._active) >= FAULTS_PER_DEVICE_MAX:
            raise ValueError(
                f"expected at most {FAULTS_PER_DEVICE_MAX} data faults at a time on one device; "
                "undo one first"
            )
        self._seq += 1
        self._active[self._seq] = (condition, amount)
        return self._seq

    def undo(self, token: int) -> None:
        """Forget one.

        Raises:
            KeyError: no such fault is active.
        """
        del self._active[token]

    def has(self, condition: Condition) -> bool:
        """Whether a fault of this kind is active."""
        return any(kind is condition for kind, _ in self._active.values())

    def sum_of(self, condition: Condition) -> float:
        """The amounts of one kind, added."""
        return math.fsum(amount for kind, amount in self._active.values() if kind is condition)

    def left_of(self, condition: Condition) -> float:
        """Shares of one kind, each of what the others left: never more than 1."""
        left = 1.0
        for kind, amount in self._active.values():
            if kind is condition:
                left *= 1.0 - amount
        return 1.0 - left
