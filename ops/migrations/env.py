"""Alembic's entry: it is handed an open connection by ``sos.journal.migrate`` and never opens one of its own."""

from alembic import context
from sqlalchemy import text

from sos.journal.locks import AdvisoryLock
from sos.journal.schema import metadata

connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":  # replicas that start together migrate one after the other
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": AdvisoryLock.MIGRATION})
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
