"""What the transfers machine keeps: nothing.

Grants and pauses are control's rows and are said again after a restart; leases and budgets are
worth a few seconds and are better begun anew. A device that was being served asks again.
"""

from __future__ import annotations

from typing import Final

import msgspec

TABLES: Final[dict[str, type[msgspec.Struct]]] = {}
