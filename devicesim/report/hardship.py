"""Hardship at named places of our own code: what terminal and page say about it.

Decides order and wording. Leaves out the counting (`devicesim.world.buggify`) and markup (assets/report.html.j2).

Rules: what acted most stands first; an active place that was never passed is named, because it shows nothing.
"""

from __future__ import annotations

from typing import Any

from devicesim.report import figures
from devicesim.report.record import RunRecord, SiteRow


def hardship_line(record: RunRecord) -> str:
    """One line for the terminal; empty where nothing was made hard."""
    rows = record.hardship
    if not rows:
        return ""
    active = [row for row in rows if row.active]
    fired = sum(row.fired for row in active)
    acted = sum(row.fired > 0 for row in active)
    return (
        f"{len(active)} of {len(rows)} places active, {acted} acted, {figures.count(fired)} times"
        + "".join(
            f"; {row.name} {figures.count(row.fired)}" for row in _ordered(active)[:3] if row.fired
        )
    )


def hardship(record: RunRecord) -> dict[str, Any] | None:
    """The panel's rows; None where nothing was made hard."""
    active = _ordered([row for row in record.hardship if row.active])
    if not active:
        return None
    most = max(1, active[0].fired)
    return {
        "active": len(active),
        "places": len(record.hardship),
        "rows": [
            {
                "title": _title(row),
                "what": row.what,
                "fired": figures.count(row.fired),
                "part": f"of {figures.count(row.passed)}" if row.passed else "never passed",
                "length": 100 * row.fired / most,
            }
            for row in active
        ],
        "calm": [_title(row) for row in record.hardship if not row.active],
    }


def _title(row: SiteRow) -> str:
    """A place as people read it: ``agent.save_twice`` is ``agent: save twice``."""
    return row.name.replace(".", ": ", 1).replace("_", " ")


def _ordered(rows: list[SiteRow]) -> list[SiteRow]:
    return sorted(rows, key=lambda row: (-row.fired, -row.passed, row.name))
