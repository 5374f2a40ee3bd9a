"""Where anything about a person or a vehicle lies, by keyed digest.

Runs before the deploy: the old release knows nothing of the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "subject_keys",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("category", sa.Text(), primary_key=True),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_subject_keys_stream", "subject_keys", ["stream", "category"])
