"""Decisions by rule: what the panel of run-time policies shows, by hardware class.

Decides order, colours and widths. Leaves out the counting (`devicesim.world.choices`), markup
(assets/report.html.j2) and the curves over time (panels.py, which gives a rule the same colour).

Rules: rules stand in the order in which they first decided; a class's bar is whole, so that classes of
any size compare; what the gateway was asked for and did not do is told with the rule.
"""

from __future__ import annotations

from typing import Any, Final

from devicesim.report import figures
from devicesim.report.palette import CURVES, GREY
from devicesim.report.record import RunRecord

POLICY_PREFIX: Final = "policy."
_NOT_OPEN: Final = ">local"


def spelled(rule: str) -> str:
    """A rule's name as people read it."""
    if rule.endswith(_NOT_OPEN):
        return f"{rule.removesuffix(_NOT_OPEN)}, but locally"
    return rule


def choices(record: RunRecord) -> dict[str, Any] | None:
    """The panel's rows and bars; None where no policy decided anything."""
    table = {rule: row for rule, row in record.choices.items() if sum(row.values())}
    if not table:
        return None
    classes = sorted({name for row in table.values() for name in row})
    sums = {name: sum(row.get(name, 0) for row in table.values()) for name in classes}
    total = sum(sums.values())
    colours = dict(zip(table, colours_of(len(table)), strict=True))
    return {
        "total": total,
        "total_text": figures.count(total),
        "classes": [
            _bar(name, table, sums[name], colours) for name in classes if sums[name]
        ],
        "rules": [
            {
                "title": spelled(rule), "colour": colours[rule],
                "sum": sum(row.values()), "sum_text": figures.count(sum(row.values())),
                "part": figures.share(sum(row.values()) / total),
                "cells": [
                    {"raw": row.get(name, 0), "text": figures.count(row.get(name, 0)),
                     "part": figures.share(row.get(name, 0) / sums[name])}
                    for name in classes if sums[name]
                ],
            }
            for rule, row in table.items()
        ],
    }  # fmt: skip


def colours_of(rules: int) -> list[str]:
    """A colour for each rule; beyond the palette grey, as the curves do it."""
    kept = len(CURVES) if rules <= len(CURVES) else len(CURVES) - 1
    return [CURVES[place] if place < kept else GREY for place in range(rules)]


def _bar(
    name: str, table: dict[str, dict[str, int]], whole: int, colours: dict[str, str]
) -> dict[str, Any]:
    parts = [(rule, row.get(name, 0)) for rule, row in table.items() if row.get(name, 0)]
    return {
        "name": name,
        "sum": whole,
        "sum_text": figures.count(whole),
        "parts": [
            {
                "width": 100 * value / whole, "colour": colours[rule],
                "hint": f"{spelled(rule)}: {figures.count(value)}, {figures.share(value / whole)}",
            }
            for rule, value in parts
        ],
    }  # fmt: skip
