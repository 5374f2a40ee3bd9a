"""Due dates, what is known of the time, and who has agreed to shorter periods.

Runs before the deploy: the old release knows nothing of the tables.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "retention_due",
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("category", sa.Text(), primary_key=True),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.SmallInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_retention_due_due_ms", "retention_due", ["due_ms"])
    op.create_table(
        "retention_clock",
        sa.Column("id", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("doubted", sa.SmallInteger(), nullable=False),
    )
    op.create_table(
        "retention_agreed",
        sa.Column("version", sa.Text(), primary_key=True),
        sa.Column("by", sa.Text(), primary_key=True),
        sqlite_with_rowid=False,
    )
