"""A run as one JSON object: what ``--json`` prints, for programs and for the next tool in the pipe.
Decides the shape: the names of the record, its numbers unrounded, counts as integers, unknown
values as null. Leaves out the curves, which are in the page and the trace, unless they are asked
for.

Rule: the object has the same keys for every run, so that nobody has to ask whether one is there.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec

from devicesim.report.record import RunRecord, failed_first
from devicesim.report.wording import tally, verdict_line

_ORDER: Final = (
    "scenario", "title", "seed", "verdict", "trace_digest", "scenario_digest", "clock_start",
    "devices", "groups", "virtual_s", "wall_s", "cpu_s", "speedup", "events", "inferences",
    "messages", "windows", "attempts_peak_per_s", "memory_mib",
)  # fmt: skip
_TABLES: Final = (
    "drops", "ledger", "rollouts", "flags", "drifts", "percentiles", "first_bad_minute", "worst_devices",
        "bands", "choices", "cohorts", "decisions", "hardship", "machine", "overrides", "reproduce", "returns", "seeds", "versions",
)  # fmt: skip


def document(
    record: RunRecord, report: str | None = None, *, curves: bool = False
) -> dict[str, Any]:
    """Make the JSON object of a run.

    Args:
        record: what the run left behind.
        report: where the HTML page was written, null when it was not.
        curves: adds ``series``, the curves of the timeline at full resolution.
    """
    plain = msgspec.to_builtins(record)
    counts = tally(record.checks)
    made = {name: plain[name] for name in _ORDER}
    made["summary"] = verdict_line(record)
    made["checks_held"], made["checks_failed"] = counts.held, counts.failed
    made["checks_open"] = counts.open
    made["checks"] = msgspec.to_builtins(failed_first(record.checks))
    for check in made["checks"]:
        del check["lanes"]  # what the page draws; the explanation says it in words
    made |= {name: plain[name] for name in _TABLES}
    made["report"] = report
    if curves:
        made["series"] = plain["series"]
    return {name: finite(value) for name, value in made.items()}


def encode(record: RunRecord, report: str | None = None, *, curves: bool = False) -> str:
    """Spell `document` as indented JSON text with a newline at its end."""
    return spell(document(record, report, curves=curves))


def spell(made: dict[str, Any]) -> str:
    """Spell a JSON object, indented, with a newline at its end."""
    return json.dumps(made, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """Turn NaN and infinities, which JSON does not have, into null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list) else value
