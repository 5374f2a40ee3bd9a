"""What incidents are found by at a desk: keyed digests of plates, numbers and places, beside when each was opened.

Runs before the deploy: the old release does not look at this table.  The new one fills it from the journal.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "found_by",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column("opened_ms", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("category", sa.Text(), primary_key=True),
        sa.Column("tenant", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_found_by_stream", "found_by", ["stream"])
