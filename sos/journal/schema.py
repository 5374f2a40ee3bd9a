"""Every table of the journal, for SQLite and PostgreSQL alike (SQLAlchemy Core; migrations in ops/migrations).

``events``, ``parts`` and ``log`` are only ever inserted into.  Headers hold no personal data; ``parts`` holds it,
encrypted.  ``incidents`` and ``deadlines`` are read models, rewritten in the transaction that appends the events.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s"}
)

_Ordinal = BigInteger().with_variant(Integer(), "sqlite")

events = Table(
    "events",
    metadata,
    Column("ordinal", _Ordinal, primary_key=True, autoincrement=True),
    Column("stream", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("header", LargeBinary, nullable=False),
    UniqueConstraint("stream", "n"),
)
"""Written in commit order per stream; ``ordinal`` has gaps and is not the order readers follow."""

unsequenced = Table("unsequenced", metadata, Column("ordinal", _Ordinal, primary_key=True, autoincrement=False))
"""Events that have no position yet (PostgreSQL only: SQLite's single writer sequences in the same transaction)."""

log = Table(
    "log",
    metadata,
    Column("position", _Ordinal, primary_key=True, autoincrement=False),
    Column("ordinal", _Ordinal, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    UniqueConstraint("ordinal"),
)
"""The one order: contiguous positions from 0, with the RFC 6962 leaf hash of each header."""

tree = Table(
    "tree",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
)
"""One row: the compact range of the Merkle tree over ``log``, so that appending costs no reading."""

parts = Table(
    "parts",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("category", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

data_keys = Table(
    "data_keys",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("category", Text, primary_key=True),
    Column("kek", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
"""Data keys, only ever wrapped; the key-encryption keys live outside the database."""

receipts = Table(
    "receipts",
    metadata,
    Column("receipt", LargeBinary, primary_key=True),
    Column("stream", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Which incident a report opened: keyed digest of tenant, source and id."""

incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
    Index("ix_incidents_queue", "state", "priority", "opened_ms"),
)
"""The state ``evolve`` computed, as JSON in ``snapshot``: equal to a replay of the stream, by test."""

deadlines = Table(
    "deadlines",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("due_ms", BigInteger, nullable=False),
    Index("ix_deadlines_due_ms", "due_ms"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("reader", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
"""How far each reader has come: the next position it has not handled."""

leases = Table(
    "leases",
    metadata,
    Column("role", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)
