"""Which log is published of this journal: a journal that was restored goes on with a new one that names the one before.

Runs before the deploy: the old release does not look at this table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "logs",
        sa.Column(
            "ordinal", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=False),
    )
