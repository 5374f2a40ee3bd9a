"""The questions asked of the registry's tables, in SQLAlchemy Core; the same for SQLite and PostgreSQL.

Filled twice: by whoever has just appended a change, so that it is found at once, and by a reader that follows the
journal, so that a process killed between the two leaves no hole.  Both do the same and may do it again: a key whose
retirement was seen already comes back for the moment until the reader reaches that retirement too.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from routing.categories import Category
from sos.clock import epoch_ms
from sos.errors import Unavailable
from sos.incident.events import Recorded, RegistryChanged
from sos.incident.model import SubjectId, TenantId
from sos.journal.connections import begun, in_one_go
from sos.journal.schema import data_keys
from sos.registry.changes import Change, KeyAdded, KeyRetired, PackSet, SubscriberRegistered, VehicleRegistered, read
from sos.registry.model import Kind
from sos.registry.schema import keys, subjects

ASKED_AT_ONCE = 500
"""Questions in one statement: two keys each, well below what the databases take as parameters."""


class _Changed(NamedTuple):
    recorded: Recorded
    kind: str
    change: Change


class Index:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = asyncio.Lock()
        self._asked: list[tuple[Sequence[bytes], asyncio.Future[dict[bytes, SubjectId]]]] = []
        self._looking: asyncio.Task[None] | None = None
        self._waiting: list[tuple[list[_Changed], asyncio.Future[None]]] = []
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def find(self, digests: Sequence[bytes]) -> dict[bytes, SubjectId]:
        """Whose are these keys now?  Questions asked at the same time share one statement."""
        answer: asyncio.Future[dict[bytes, SubjectId]] = asyncio.get_running_loop().create_future()
        self._asked.append((digests, answer))
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_up(), name="registry-look-up")
        return await answer

    async def _look_up(self) -> None:
        try:
            while self._asked:
                await asyncio.sleep(0)  # take along what this turn of the loop still asks
                lot, self._asked = self._asked[:ASKED_AT_ONCE], self._asked[ASKED_AT_ONCE:]
                await self._answer(lot)
        finally:
            self._looking = None

    async def _answer(self, lot: Sequence[tuple[Sequence[bytes], "asyncio.Future[dict[bytes, SubjectId]]"]]) -> None:
        wanted = sorted({digest for digests, _ in lot for digest in digests})
        query = select(keys.c.digest, keys.c.subject).where(keys.c.digest.in_(wanted))
        try:
            async with begun(self._engine) as connection:
                found = {bytes(row.digest): SubjectId(row.subject) for row in await connection.execute(query)}
        except Unavailable as away:
            for _, answer in lot:
                if not answer.done():
                    answer.set_exception(away)
            return
        for digests, answer in lot:
            if not answer.done():
                answer.set_result({digest: found[digest] for digest in digests if digest in found})

    async def of_brand(
        self, tenant: TenantId, kind: Kind, *, after: str = "", limit: int = 1000
    ) -> Sequence[SubjectId]:
        """Which vehicles or subscribers has this brand, in order of their ids, ``after`` one of them?"""
        query = (
            select(subjects.c.subject)
            .where(subjects.c.tenant == tenant, subjects.c.kind == kind, subjects.c.subject > after)
            .order_by(subjects.c.subject)
            .limit(limit)
        )
        async with begun(self._engine) as connection:
            return [SubjectId(row.subject) for row in await connection.execute(query)]

    async def set_clock(self, subject: SubjectId, erase_at: datetime | None) -> None:
        """Personal data of this subject is to be erased then; None: no clock runs."""
        erase_ms = None if erase_at is None else epoch_ms(erase_at)
        changed = update(subjects).where(subjects.c.subject == subject).values(erase_ms=erase_ms)
        await in_one_go(self._engine, lambda connection: connection.execute(changed))

    async def due(self, now: datetime, *, limit: int = 100) -> Sequence[SubjectId]:
        """Whose personal data has had its time?"""
        query = (
            select(subjects.c.subject)
            .where(subjects.c.erase_ms <= epoch_ms(now))
            .order_by(subjects.c.erase_ms)
            .limit(limit)
        )
        async with begun(self._engine) as connection:
            return [SubjectId(row.subject) for row in await connection.execute(query)]

    async def destroy_keys(self, subject: SubjectId, categories: Sequence[Category]) -> None:
        """Forget the wrapped data keys of these categories: what was sealed under them cannot be opened again."""
        gone = delete(data_keys).where(data_keys.c.stream == subject, data_keys.c.category.in_(categories))
        await in_one_go(self._engine, lambda connection: connection.execute(gone))

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """As a reader: take in what has changed.  What comes while one commit is under way shares the next."""
        changed = [
            _Changed(recorded, recorded.event.subject, read(recorded.event.change))
            for recorded in batch
            if isinstance(recorded.event, RegistryChanged)
        ]
        if not changed:
            return
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((changed, written))
        async with self._writing:
            if not written.done():
                await self._write_waiting()
        await written

    async def _write_waiting(self) -> None:
        """Write all that waits in one transaction; each who waits hears how it went."""
        lots, self._waiting = self._waiting, []
        failed: Unavailable | None = Unavailable("the index was not written")  # stays so when this task is cancelled
        try:
            await in_one_go(self._engine, lambda connection: self._take_all_in(connection, lots))
            failed = None
        except Unavailable as away:
            failed = away
        finally:
            for _, written in lots:
                if not written.done():
                    written.set_exception(failed) if failed else written.set_result(None)

    def _take_all_in(self, connection: Connection, lots: Sequence[tuple[list["_Changed"], object]]) -> None:
        for changed, _ in lots:
            for each in changed:
                self._take_in(connection, each)

    def _take_in(self, connection: Connection, changed: "_Changed") -> None:
        recorded, change = changed.recorded, changed.change
        row = {
            "subject": recorded.stream,
            "tenant": recorded.tenant,
            "kind": changed.kind,
            "version": recorded.n,
            "changed_ms": epoch_ms(recorded.at),
        }
        seen = self._insert(subjects).values(**row)
        newer = seen.on_conflict_do_update(
            index_elements=["subject"],
            set_={"version": row["version"], "changed_ms": row["changed_ms"]},
            where=subjects.c.version < row["version"],
        )
        connection.execute(newer)
        for digest in _added(change):
            claimed = self._insert(keys).values(digest=digest, subject=recorded.stream)
            connection.execute(claimed.on_conflict_do_nothing())
        if isinstance(change, KeyRetired):
            gone = delete(keys).where(
                keys.c.digest == bytes.fromhex(change.key.digest), keys.c.subject == recorded.stream
            )
            connection.execute(gone)


def _added(change: Change) -> Sequence[bytes]:
    match change:
        case VehicleRegistered(keys=made):
            return [bytes.fromhex(key.digest) for key in made]
        case PackSet(key=brand):
            return [bytes.fromhex(brand)]
        case KeyAdded(key=key):
            return [bytes.fromhex(key.digest)]
        case SubscriberRegistered(ref=ref) if ref:
            return [bytes.fromhex(ref)]
        case _:
            return []
