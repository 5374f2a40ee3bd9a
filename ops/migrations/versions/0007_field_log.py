"""Counters of what was odd about the reports of a brand's devices.

Runs before the deploy: the old release does not look at this table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    named = ("tenant", "format", "model", "firmware", "code", "field", "year")
    op.create_table(
        "field_log",
        *(sa.Column(name, sa.Text(), primary_key=True) for name in named),
        sa.Column("reports", sa.BigInteger(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
