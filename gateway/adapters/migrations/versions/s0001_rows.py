"""The table of all rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "rows",
        sa.Column("tbl", text, primary_key=True),
        sa.Column("key", text, primary_key=True),
        sa.Column("row", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Remove it, and with it everything that was durable."""
    op.drop_table("rows")
