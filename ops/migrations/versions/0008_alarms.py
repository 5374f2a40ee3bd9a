"""How many alarms of an incident stand, so that they are found again after a restart, also those of closed ones.

Runs before the deploy: the old release writes rows without the column, which then says zero.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("incidents", sa.Column("alarms", sa.SmallInteger(), nullable=False, server_default="0"))
    stand = sa.text("alarms > 0")
    op.create_index("ix_incidents_alarms", "incidents", ["alarms"], sqlite_where=stand, postgresql_where=stand)
