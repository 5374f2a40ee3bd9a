"""Ids that vehicles were told and that opened nothing: each names the incident that the same report had opened.

Runs before the deploy: the old release knows nothing of the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "told_ids",
        sa.Column("told", sa.Text(), primary_key=True),
        sa.Column("incident", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
