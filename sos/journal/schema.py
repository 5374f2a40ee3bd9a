"""Every table of the journal, for SQLite and PostgreSQL alike (SQLAlchemy Core; migrations in ops/migrations).

``events`` and ``parts`` are only ever inserted into.  Headers hold no personal data; ``parts`` holds it,
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
    text,
)

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s"}
)

_Ordinal = BigInteger().with_variant(Integer(), "sqlite")

incoming = Table(
    "incoming",
    metadata,
    Column("ordinal", _Ordinal, primary_key=True, autoincrement=True),
    Column("stream", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("header", LargeBinary, nullable=False),
    UniqueConstraint("stream", "n"),
)
"""Events that are committed and have no position yet: the sequencer moves them to ``events``.

PostgreSQL only; SQLite's single writer puts each event in its place in the same transaction.
"""

events = Table(
    "events",
    metadata,
    Column("position", _Ordinal, primary_key=True, autoincrement=False),
    Column("stream", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("header", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    UniqueConstraint("stream", "n"),
)
"""The journal itself, in its one order: contiguous positions from 0, each with the RFC 6962 leaf hash of its header."""

tree = Table(
    "tree",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
)
"""One row: the compact range of the Merkle tree over ``events``, so that appending costs no reading."""

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
    Column("first", Integer, primary_key=True, autoincrement=False, server_default="0"),
    Column("kek", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""Data keys, only ever wrapped; the key-encryption keys live outside the database.

``first``: number of the event the key was made for.  There is more than one of a category where an earlier one could
not be had when something new was to be sealed.
"""

key_names = Table(
    "key_names",
    metadata,
    Column("name", Text, primary_key=True),
    Column("check_value", Text, nullable=False, server_default=""),
    sqlite_with_rowid=False,
)
"""Every file of the key store that something depends on, and the check value of its content (``recording.keys``).

So a key that is gone is missed by its name, also when nobody has asked for what it opens.
"""

told_ids = Table(
    "told_ids",
    metadata,
    Column("told", Text, primary_key=True),
    Column("incident", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Ids that vehicles were told and that opened nothing, and the incident that the same report had opened before.

Two places that could not ask each other acknowledged one report; both ids are good for voice, status and updates.
"""

receipts = Table(
    "receipts",
    metadata,
    Column("ordinal", _Ordinal, primary_key=True, autoincrement=True),
    Column("receipt", LargeBinary, nullable=False),
    Column("stream", Text, nullable=False),
    Index("uq_receipts_receipt", "receipt", unique=True).ddl_if(dialect="postgresql"),
)
"""Which incident a report opened: keyed digest of tenant, source and id.

Unique.  PostgreSQL sees to it by an index; SQLite's single writer by its own memory of this table, because an index
over random digests costs a page write for every report.
"""

logs = Table(
    "logs",
    metadata,
    Column("ordinal", _Ordinal, primary_key=True, autoincrement=True),
    Column("origin", Text, nullable=False),
    Column("statement", LargeBinary, nullable=False),
)
"""Logs that were begun because the one before could not go on (``recording.succession``); the last is published."""

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
    Column("alarms", SmallInteger, nullable=False, server_default="0"),
    Column("sender", Text, nullable=False, server_default=""),
    Column("mass_event", Text),
    Column("place", Text),
    Column("held", SmallInteger, nullable=False, server_default="0"),
    Column("vehicle", Text),
    Index("ix_incidents_queue", "state", "priority", "opened_ms"),
    Index("ix_incidents_alarms", "alarms", sqlite_where=text("alarms > 0"), postgresql_where=text("alarms > 0")),
    Index(
        "ix_incidents_mass_event",
        "mass_event",
        "state",
        sqlite_where=text("mass_event IS NOT NULL"),
        postgresql_where=text("mass_event IS NOT NULL"),
    ),
    Index(
        "ix_incidents_vehicle",
        "vehicle",
        sqlite_where=text("vehicle IS NOT NULL"),
        postgresql_where=text("vehicle IS NOT NULL"),
    ),
    Index("ix_incidents_held", "held", sqlite_where=text("held > 0"), postgresql_where=text("held > 0")),
    sqlite_with_rowid=False,
)
"""The state ``evolve`` computed, as JSON in ``snapshot``: equal to a replay of the stream, by test.

``opened_ms`` orders within the priority: the opening, less the head start of whoever is in danger there
(``sos.incident.urgency``).  ``sender`` is the vehicle that opened it as a keyed digest, empty when none was named: a
tenant's vehicles take turns.  ``mass_event`` and ``place``: whose turn it takes while that one is in
force; ``held``: the house holds a telling back.  ``vehicle``: its record in the registry, as the headers name it.
"""

deadlines = Table(
    "deadlines",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("due_ms", BigInteger, nullable=False),
    Index("ix_deadlines_due_ms", "due_ms"),
    sqlite_with_rowid=False,
)

found_by = Table(
    "found_by",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("opened_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("stream", Text, primary_key=True),
    Column("category", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Index("ix_found_by_stream", "stream"),
    sqlite_with_rowid=False,
)
"""What an incident is found by: keyed digests of what its sealed parts hold, beside when it was opened.

A row goes when the data of its ``category`` is destroyed; that there was an incident stays (an empty category).
"""

cursors = Table(
    "cursors",
    metadata,
    Column("reader", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How far each reader has come: the next position it has not handled."""

leases = Table(
    "leases",
    metadata,
    Column("role", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

set_aside = Table(
    "set_aside",
    metadata,
    Column("reader", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("event", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("again", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Events that a reader could not handle: which one, of which incident (its parts hold the bytes), and what it failed
with, as a type and never as a message.  ``again``: somebody asked for one more try."""

desk_sessions = Table(
    "desk_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("operator", Text, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("active_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("why", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Log-ins of operators, and when each was ended; nothing in it lets anybody in.

A row whose id is ``*`` and an operator's: all sessions of that operator that began before ``ended_ms`` are over.
"""

desk_codes = Table(
    "desk_codes",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("operator", Text, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger),
    sqlite_with_rowid=False,
)
"""Codes that let an operator in once, by digest: those of links until they are used, and of second factors afterwards,
so that none is taken twice."""

field_log = Table(
    "field_log",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("format", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("firmware", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("year", Text, primary_key=True),
    Column("reports", BigInteger, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How often reports of a brand's devices were odd, and in what: counters without personal data.

What has been counted stands in ``cursors``, written in the same transaction.
"""

statuses_owed = Table(
    "statuses_owed",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Index("ix_statuses_owed_tenant", "tenant", "due_ms"),
    sqlite_with_rowid=False,
)
"""Incidents of whose status a tenant's cloud is still to be told (``tenants.webhook``), and when it is tried again."""

retention_due = Table(
    "retention_due",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("category", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("tag", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("held", SmallInteger, nullable=False),
    Index("ix_retention_due_due_ms", "due_ms"),
    sqlite_with_rowid=False,
)
"""Until when the data of each category of a closed incident is kept, and by which promise; can be computed anew.

It stands for what is there: no row where there is no data key."""

retention_clock = Table(
    "retention_clock",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("doubted", SmallInteger, nullable=False),
)
"""One row: the time that was believed last, and whether there is a doubt about the clocks that nobody has settled."""

retention_agreed = Table(
    "retention_agreed",
    metadata,
    Column("version", Text, primary_key=True),
    Column("by", Text, primary_key=True),
    sqlite_with_rowid=False,
)
"""Who has agreed to periods that are shorter than before, by the version of the promise."""

subject_keys = Table(
    "subject_keys",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("category", Text, primary_key=True),
    Column("scheme", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Index("ix_subject_keys_stream", "stream", "category"),
    sqlite_with_rowid=False,
)
"""Keyed digest of a vehicle's name, a telephone number or a person's name -> where it lies, so that everything about a
person is found; can be filled from the journal at any time.

A row goes with the category it was read from: what is destroyed cannot be searched for either.
"""
