"""Delta debugging: the smallest part of a list that still shows a failure.

Zeller and Hildebrandt 2002, "Simplifying and isolating failure-inducing input", IEEE TSE 28(2), algorithm ddmin.
Decides which parts are tried and in which order. Leaves out what an item is and how a part is tried: all
candidates of a round are handed over at once, so that they can be tried side by side.

Rule: the result depends on the answers alone, never on how many candidates were tried at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")
FirstFailing = Callable[[list[list[Item]]], int | None]
"""Tells the index of the first candidate, in the order given, that still fails; None: none does."""


def ddmin(items: Sequence[Item], first_failing: FirstFailing[Item]) -> list[Item]:
    """Find a part of `items` that fails and of which no single item can be spared.

    Args:
        items: that fail as a whole.
        first_failing: tries candidates; what cannot be tried at all does not fail.
    """
    left = list(items)
    if left and first_failing([[]]) == 0:
        return []
    parts = 2
    while len(left) > 1:
        subsets = _split(left, parts)
        complements = [_without(left, subset) for subset in subsets] if parts > 2 else []
        hit = first_failing(subsets + complements)
        if hit is None:
            if parts >= len(left):
                break
            parts = min(len(left), 2 * parts)
        elif hit < len(subsets):
            left, parts = subsets[hit], 2
        else:
            left, parts = complements[hit - len(subsets)], max(parts - 1, 2)
    return left


def _split(items: list[Item], parts: int) -> list[list[Item]]:
    """Cut a list into so many parts of nearly the same length, none of them empty."""
    bounds = [len(items) * number // parts for number in range(parts + 1)]
    return [items[a:b] for a, b in pairwise(bounds) if b > a]


def _without(items: list[Item], gone: list[Item]) -> list[Item]:
    """The complement: `gone` is a stretch of `items`, found by identity of its first item."""
    start = next(index for index, item in enumerate(items) if item is gone[0])
    return items[:start] + items[start + len(gone) :]
