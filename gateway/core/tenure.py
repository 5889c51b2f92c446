"""Which run of a gateway had its folder of blobs last: the row that says so.

Decides its form. Leaves out the file in the folder that says the same, and what is made of the two
(gateway/adapters/tenure.py).
"""

from __future__ import annotations

from typing import Final

from gateway.core.rows import Row

TENURE: Final = "service.tenure"
TENURE_KEY: Final = "blobs"


class TenureRow(Row, frozen=True, array_like=True, gc=False):
    """The newest run of a gateway with this database."""

    run: str
    """Random, in hex; the folder of blobs that this run used has it, too."""
