"""Tables beside those of the machines: rows that no machine restores from, and that may grow without bound.

Decides only which they are. They become durable in the same commits as the machines' rows.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.core.access.approvals import APPROVAL, ApprovalRow
from gateway.core.access.tokens import TOKEN, TokenRow
from gateway.core.audit import rows as audit
from gateway.core.recovery import RESTORED, RestoredRow
from gateway.core.rehearsals.book import REHEARSAL, RehearsalRow
from gateway.core.tenure import TENURE, TenureRow

ASIDE: Final[dict[str, type[Any]]] = {
    **audit.TABLES,
    TOKEN: TokenRow,
    APPROVAL: ApprovalRow,
    RESTORED: RestoredRow,
    REHEARSAL: RehearsalRow,
    TENURE: TenureRow,
}
"""Table name to the type of its rows."""
