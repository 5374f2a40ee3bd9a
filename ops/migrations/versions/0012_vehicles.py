"""Which vehicle of the registry an incident is about, so that its earlier ones are found.

Runs before the deploy: the old release leaves the column empty.  Incidents of before are found from their next event.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("incidents", sa.Column("vehicle", sa.Text()))
    known = sa.text("vehicle IS NOT NULL")
    op.create_index("ix_incidents_vehicle", "incidents", ["vehicle"], sqlite_where=known, postgresql_where=known)
