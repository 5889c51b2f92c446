"""The row of a folder's last run survives its bytes, is known to every storage, and does not outlive a restore."""

from __future__ import annotations

import msgspec

from gateway.core import rows
from gateway.core.aside import ASIDE
from gateway.core.tenure import TENURE, TENURE_KEY, TenureRow


def test_the_row_survives_its_bytes_and_newer_rows_may_have_more():
    row = TenureRow("ab" * 16)
    assert rows.decode(TenureRow, rows.encode(row)) == row
    longer = msgspec.msgpack.encode(
        [*msgspec.msgpack.decode(rows.encode(row)), "of a later version"]
    )
    assert rows.decode(TenureRow, longer) == row


def test_every_storage_knows_its_table():
    assert ASIDE[TENURE] is TenureRow
    assert TENURE_KEY, "one row: a folder has one last run"
