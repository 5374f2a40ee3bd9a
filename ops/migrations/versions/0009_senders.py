"""Which vehicle opened an incident, as a keyed digest: one vehicle's many incidents wait behind its tenant's others.

Runs before the deploy: the old release leaves the column empty, which is a vehicle of its own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("incidents", sa.Column("sender", sa.Text(), nullable=False, server_default=""))
