"""The page of a comparison: one HTML file that needs nothing else.

Decides how it is put together: the report's own style sheet with a few rules more, no script at all, and a
Content-Security-Policy that forbids both. Leaves out what it says (view.py) and where it goes.

Rule: everything from a scenario is escaped by Jinja.
"""

from __future__ import annotations

from pathlib import Path

from devicesim.compare.result import Comparison
from devicesim.compare.view import context
from devicesim.report.pages import render_scriptless


def render(found: Comparison, folder: Path) -> str:
    """Make the page.

    Args:
        found: the comparison.
        folder: where the page will be, for links to the runs' own pages.
    """
    parts = context(found, folder)
    return render_scriptless("compare.html.j2", "compare.css", parts, "devicesim.compare")
