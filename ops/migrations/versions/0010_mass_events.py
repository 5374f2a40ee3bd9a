"""Where an incident waits inside a mass event, and whether the house holds back a telling of it.

Runs before the deploy: the old release leaves the columns as they are, which says that there is no mass event.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("incidents", sa.Column("mass_event", sa.Text()))
    op.add_column("incidents", sa.Column("place", sa.Text()))
    op.add_column("incidents", sa.Column("held", sa.SmallInteger(), nullable=False, server_default="0"))
    inside, held = sa.text("mass_event IS NOT NULL"), sa.text("held > 0")
    op.create_index(
        "ix_incidents_mass_event", "incidents", ["mass_event", "state"], sqlite_where=inside, postgresql_where=inside
    )
    op.create_index("ix_incidents_held", "incidents", ["held"], sqlite_where=held, postgresql_where=held)
