"""A comparison as one JSON object: what ``--json`` prints and ``compare.json`` holds.

Decides the shape: numbers unrounded, what does not exist as null, the same keys for every comparison.
Leaves out curves and stories, which are in the runs' own folders.
"""

from __future__ import annotations

from typing import Any

import msgspec

from devicesim.compare import wording
from devicesim.compare.result import CheckPair, Comparison, Measure
from devicesim.compare.sides import Side
from devicesim.report.document import finite, spell


def document(found: Comparison, report: str | None = None) -> dict[str, Any]:
    """Make the JSON object of a comparison.

    Args:
        found: the comparison.
        report: where the page was written, null when it was not.
    """
    first = found.pairs[0]
    made = {
        "summary": wording.headline(found),
        "same": found.same,
        "verdicts": wording.verdicts(found),
        "luck": wording.luck(found),
        "intervals": wording.caution(found),
        "seeds": found.seeds,
        "paired": len(first.rows_a),
        "a": _side(first.a),
        "b": _side(first.b),
        "digests": [
            {"seed": p.a.record.seed, "a": p.a.record.trace_digest, "b": p.b.record.trace_digest}
            for p in found.pairs
        ],
        "changes": msgspec.to_builtins(found.changes),
        "devices": [_measure(one) for one in found.devices],
        "fleet": [_measure(one) for one in found.fleet],
        "checks": [_check(one) for one in found.checks],
        "most_different": [first.rows_a[index].device for index in found.different],
        "report": report,
    }
    return {name: finite(value) for name, value in made.items()}


def encode(found: Comparison, report: str | None = None) -> str:
    """Spell `document` as indented JSON text with a newline at its end."""
    return spell(document(found, report))


def _side(side: Side) -> dict[str, Any]:
    record, bad = side.record, side.record.first_bad_minute
    return {
        "folder": str(side.folder), "scenario": record.scenario, "title": record.title,
        "verdict": record.verdict, "devices": record.devices, "virtual_s": record.virtual_s,
        "first_bad_minute_s": None if bad is None else bad.at_s, "reproduce": record.reproduce,
        "code": record.versions.get("code", ""),
    }  # fmt: skip


def _measure(one: Measure) -> dict[str, Any]:
    column = one.column
    return {
        "name": column.name, "title": column.title, "unit": column.unit, "better": column.better,
        "a": one.a, "b": one.b, "difference": one.difference, "median_difference": one.median,
        "interval": msgspec.to_builtins(one.interval), "direction": one.direction,
        "pairs": one.pairs, "only_a": one.only_a, "only_b": one.only_b,
        "share_less": one.less, "share_more": one.more,
    }  # fmt: skip


def _check(one: CheckPair) -> dict[str, Any]:
    def side(check: Any) -> dict[str, Any] | None:
        return (
            None
            if check is None
            else {"held": check.held, "at_s": check.at_s, "story": check.story}
        )

    return {
        "name": one.name,
        "kind": one.kind,
        "same": one.same,
        "a": side(one.a),
        "b": side(one.b),
    }
