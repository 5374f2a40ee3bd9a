"""The registry's own tables: an index over its streams in the journal, which can be filled from them at any time.

No personal data: a vehicle or a customer number is found by its keyed digest.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from sos.journal.schema import metadata

subjects = Table(
    "registry_subjects",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("erase_ms", BigInteger),
    Index("ix_registry_subjects_tenant", "tenant", "kind", "subject"),
    Index("ix_registry_subjects_erase_ms", "erase_ms"),
    sqlite_with_rowid=False,
)
"""Every brand, vehicle and subscriber, with the number of the last event the index has seen of it.

``erase_ms``: when personal data of it is to be erased next; null while no clock runs.
"""

keys = Table(
    "registry_keys",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("subject", Text, nullable=False),
    Index("ix_registry_keys_subject", "subject"),
    sqlite_with_rowid=False,
)
"""Keyed digest of tenant, scheme and value -> whose it is now."""
