"""A category of a stream may have more than one data key: a new one where an earlier one cannot be had.

Runs before the deploy: the old release writes the column's default, and opens what it has sealed by itself.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("data_keys", sa.Column("first", sa.Integer(), nullable=False, server_default="0"))
        op.drop_constraint("data_keys_pkey", "data_keys", type_="primary")
        op.create_primary_key("data_keys_pkey", "data_keys", ["stream", "category", "first"])
        return
    op.rename_table("data_keys", "data_keys_before")
    op.create_table(
        "data_keys",
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("category", sa.Text(), primary_key=True),
        sa.Column("first", sa.Integer(), primary_key=True, autoincrement=False, server_default="0"),
        sa.Column("kek", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO data_keys (stream, category, first, kek, wrapped)"
        " SELECT stream, category, 0, kek, wrapped FROM data_keys_before"
    )
    op.drop_table("data_keys_before")
