"""Which keys the database depends on, so that one that is gone is missed before somebody needs it.

Runs before the deploy: the old release does not look at this table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "key_names",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("check_value", sa.Text(), nullable=False, server_default=""),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO key_names (name) SELECT DISTINCT kek || '.kek' FROM data_keys")
