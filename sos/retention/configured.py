"""Retention as the settings want it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from recording.keys import KeyStore
from recording.retention import Terms
from sos.incident.model import TenantId
from sos.journal.configured import Kept
from sos.journal.journal import Journal
from sos.journal.readers import Reader
from sos.journal.retention_rows import RetentionRows
from sos.journal.subject_rows import SubjectRows
from sos.retention.clerk import READER, Asked, Clerk, nobody
from sos.retention.clocks import Clocks
from sos.retention.disposals import Disposals
from sos.retention.executor import Executor
from sos.retention.overseer import Overseer
from sos.retention.shredding import Shredding


class Retention(Struct, frozen=True, kw_only=True):
    """All of the room, for the service and for the command."""

    journal: Journal
    rows: RetentionRows
    clerk: Clerk
    clocks: Clocks
    disposals: Disposals
    executor: Executor
    overseer: Overseer

    @classmethod
    def of(
        cls,
        journal: Journal,
        keys: KeyStore,
        rows: RetentionRows,
        *,
        data: Path,
        terms: Callable[[TenantId], Terms],
        database: Callable[[], Awaitable[datetime]] | None = None,
        asked: Asked = nobody,
    ) -> "Retention":
        """``terms``: what a brand promises otherwise than the house; ``database``: the clock of the database."""
        clock = journal.clock
        clerk = Clerk(journal, rows, terms=terms, asked=asked)
        clocks = Clocks(rows, clock, database=database)
        disposals = Disposals(journal.store, keys, clock)
        shredding = Shredding(journal.store, keys, clock)
        directory, recordings = data / "retention", data / "recordings"
        return cls(
            journal=journal,
            rows=rows,
            clerk=clerk,
            clocks=clocks,
            disposals=disposals,
            executor=Executor(
                journal, rows, clerk, disposals, clocks, shredding, directory=directory, recordings=recordings
            ),
            overseer=Overseer(rows, clocks, disposals, shredding, clock=clock),
        )

    @property
    def reader(self) -> Reader:
        return Reader(name=READER, handle=self.clerk.handle, wants=self.clerk.WANTS)


def retention(kept: Kept, data: Path, terms: Callable[[TenantId], Terms]) -> Retention:
    """The room of a running service."""
    rows, asked = RetentionRows(kept.store.engine), SubjectRows(kept.store.engine).erasures
    return Retention.of(kept.journal, kept.keys, rows, data=data, terms=terms, asked=asked)
