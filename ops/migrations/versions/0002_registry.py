"""The registry's index: which stream a vehicle key leads to, and which subjects a brand has.

Runs before the deploy: the old release does not look at these tables, and the new one fills them from the journal.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "registry_subjects",
        sa.Column("subject", sa.Text(), primary_key=True),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.Column("erase_ms", sa.BigInteger()),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_registry_subjects_tenant", "registry_subjects", ["tenant", "kind", "subject"])
    op.create_index("ix_registry_subjects_erase_ms", "registry_subjects", ["erase_ms"])
    op.create_table(
        "registry_keys",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_registry_keys_subject", "registry_keys", ["subject"])
