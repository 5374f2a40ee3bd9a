"""Carries a disposal out: lists what is due, destroys what two people have agreed to, and writes the certificate.

1. The clock is believed or nothing goes on.  2. Every item is looked at again, as it is now: what is held, open, closed
again or not due yet is left.  3. Event and tombstone are one transaction.  4. Files go.  5. The certificate is made of
the events alone, so a run that was killed goes on and ends with the same bytes.  6. Every KEK that the destroyed keys
were ever wrapped under is retired; ``shredding`` ends it.
"""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path

import structlog
from msgspec import Struct

from recording.disposal import digest, lines
from recording.durable import replace, sync_directory
from recording.errors import OutOfOrder
from routing.categories import Category
from sos.clock import timestamp
from sos.errors import Refused
from sos.incident.commands import DestroyData
from sos.incident.events import DataDestroyed, DisposalApproved, DisposalDone, DisposalListed, Recorded
from sos.incident.model import Disposed, IncidentId
from sos.journal.journal import Journal
from sos.journal.retention_rows import DueRow, RetentionRows
from sos.retention.clerk import Clerk
from sos.retention.clocks import Clocks
from sos.retention.disposals import Disposal, Disposals, Stage, Told
from sos.retention.shredding import Shredding

log = structlog.get_logger()

ACTOR = "system:retention"

PAGE = 256
"""Incidents of a list that are read in one go."""

AT_ONCE = 32
"""Incidents that are destroyed at once: they share commits, half of one, so that what is accepted shares it too."""


class Listed(Struct, frozen=True, kw_only=True):
    """A review list that was made."""

    disposal: Disposal
    classes: Mapping[str, int]
    file: Path


class Executor:
    def __init__(
        self,
        journal: Journal,
        rows: RetentionRows,
        clerk: Clerk,
        disposals: Disposals,
        clocks: Clocks,
        shredding: Shredding,
        *,
        directory: Path,
        recordings: Path,
    ) -> None:
        """``directory``: where lists and certificates lie; ``recordings``: the sound, by incident."""
        self._journal = journal
        self._rows = rows
        self._clerk = clerk
        self._disposals = disposals
        self._clocks = clocks
        self._shredding = shredding
        self._directory = directory
        self._recordings = recordings

    async def list_due(self, *, actor: str, told: Told = lambda *_: None) -> Listed | None:
        """Make the review list of all that is due and not held; None where nothing is."""
        now = await self._clocks.believed()
        await self._clerk.catch_up(told)
        found = [row async for page in self._due(now) for row in page]
        if not found:
            return None
        content = lines(_line(stream, list(rows)) for stream, rows in groupby(found, key=lambda row: row.stream))
        classes = Counter(row.tag for row in found)
        event = DisposalListed(
            listed=digest(content),
            until=now,
            incidents=len({row.stream for row in found}),
            items=len(found),
            classes=tuple(sorted(classes.items())),
        )
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._list_file(event.listed)
        replace(file, content, mode=0o600)
        sync_directory(self._directory)
        return Listed(disposal=await self._disposals.begin(event, actor=actor), classes=classes, file=file)

    async def approve(self, disposal: str, *, by: str) -> Disposal:
        """One of two people agrees to the list as it lies there; ``OutOfOrder`` when it was changed."""
        listed = (await self._disposals.load(disposal)).listed
        self._list(listed)
        return await self._disposals.add(disposal, DisposalApproved(listed=listed, by=by), actor=by)

    async def run(self, disposal: str, *, told: Told = lambda *_: None) -> Disposal:
        """Destroy what was listed and agreed to; a run that was killed goes on.  ``Refused`` where two have not."""
        state = await self._disposals.load(disposal)
        if state.stage is Stage.DONE:
            return state
        if state.stage is not Stage.APPROVED:
            raise Refused("two different people must agree to the list first")
        listed = self._list(state.listed)
        for start in range(0, len(listed), AT_ONCE):
            piece = listed[start : start + AT_ONCE]
            now = await self._clocks.believed()
            await asyncio.gather(*(self._destroy(state, line, now=now) for line in piece))
            told(min(start + AT_ONCE, len(listed)), len(listed))
        return await self._certify(state, listed)

    async def _destroy(self, state: Disposal, line: Mapping[str, object], *, now: datetime) -> None:
        """What is still due of one incident."""
        incident, wanted = IncidentId(str(line["incident"])), _categories(line)
        seen = (await self._journal.state(incident)).version
        rows = [row for row in await self._clerk.dates(incident) or () if row.category in wanted]
        due = [row for row in rows if row.due_at <= now and not row.held]
        if due:
            await self._destroy_rows(state, incident, due, seen=seen)
        if Category.AUD in wanted and Category.AUD in await self._gone(state.disposal, incident):
            await asyncio.to_thread(_remove, self._recordings / incident)

    async def _destroy_rows(self, state: Disposal, incident: IncidentId, due: Sequence[DueRow], *, seen: int) -> None:
        keks: dict[Category, set[str]] = {}
        for key in await self._journal.store.keys(incident):
            if not key.destroyed:
                keks.setdefault(key.category, set()).add(key.kek)
        command = DestroyData(
            seen=seen,
            disposal=state.disposal,
            listed=state.listed,
            disposed=tuple(_disposed(row, keks.get(row.category, set())) for row in due),
            approved=state.approved,
        )
        try:
            await self._journal.execute(incident, command, actor=ACTOR)
        except Refused as refused:  # held or opened again at this moment: it is left, and the certificate says so
            log.info("not_destroyed", incident=incident, reason=str(refused))
            return
        await self._clerk.again_of(incident)

    async def _certify(self, state: Disposal, listed: Sequence[Mapping[str, object]]) -> Disposal:
        facts, items, keks = [], 0, set[str]()
        for line in listed:
            events = await self._journal.store.stream(IncidentId(str(line["incident"])))
            for recorded in events:
                if not _of(recorded, state.disposal):
                    continue
                fact = _fact(recorded, events)
                facts.append(fact)
                disposed = recorded.event.disposed if isinstance(recorded.event, DataDestroyed) else ()
                items += len(disposed)
                keks |= {kek for each in disposed for kek in each.keks}
        content = lines(facts)
        replace(self._directory / f"{state.disposal}.certificate.jsonl", content, mode=0o600)
        sync_directory(self._directory)
        done = DisposalDone(
            listed=state.listed,
            certificate=digest(content),
            incidents=len(facts),
            items=items,
            left=state.items - items,
            keks=self._shredding.retire(keks) if items else (),
        )
        return await self._disposals.add(state.disposal, done, actor=ACTOR)

    async def _gone(self, disposal: str, incident: IncidentId) -> frozenset[Category]:
        """What this disposal has destroyed of the incident, now or before it was killed."""
        events = await self._journal.store.stream(incident)
        ours = [each.event for each in events if _of(each, disposal)]
        return frozenset(d.category for event in ours if isinstance(event, DataDestroyed) for d in event.disposed)

    async def _due(self, now: datetime) -> AsyncIterator[Sequence[DueRow]]:
        after = ""
        while page := await self._rows.due(now, after=after, limit=PAGE):
            yield page
            after = page[-1].stream

    def _list(self, listed: str) -> list[Mapping[str, object]]:
        content = self._list_file(listed).read_bytes()
        if digest(content) != listed:
            raise OutOfOrder("the review list is not the one that was made: make another")
        return [json.loads(line) for line in content.splitlines()]

    def _list_file(self, listed: str) -> Path:
        return self._directory / f"{listed}.list.jsonl"


def _line(stream: IncidentId, rows: Sequence[DueRow]) -> Mapping[str, object]:
    return {
        "incident": stream,
        "tenant": rows[0].tenant,
        "items": [
            {
                "category": str(row.category),
                "class": row.tag,
                "version": row.version,
                "started": timestamp(row.started_at),
                "due": timestamp(row.due_at),
            }
            for row in rows
        ],
    }


def _categories(line: Mapping[str, object]) -> frozenset[Category]:
    items = line["items"]
    assert isinstance(items, list)
    return frozenset(Category(item["category"]) for item in items)


def _disposed(row: DueRow, keks: set[str]) -> Disposed:
    return Disposed(
        category=row.category,
        tag=row.tag,
        version=row.version,
        started_at=row.started_at,
        due_at=row.due_at,
        keks=tuple(sorted(keks)),
    )


def _of(recorded: Recorded, disposal: str) -> bool:
    return isinstance(recorded.event, DataDestroyed) and recorded.event.disposal == disposal


def _fact(recorded: Recorded, events: Sequence[Recorded]) -> Mapping[str, object]:
    """A line of the certificate: which commitments can never be opened again."""
    assert isinstance(recorded.event, DataDestroyed)
    gone = {each.category for each in recorded.event.disposed}
    return {
        "incident": recorded.stream,
        "event": recorded.id,
        "destroyed": timestamp(recorded.at),
        "approved": list(recorded.event.approved),
        "items": [
            {"category": str(each.category), "class": each.tag, "version": each.version, "due": timestamp(each.due_at)}
            for each in recorded.event.disposed
        ],
        "commitments": [
            [each.n, str(category), committed]
            for each in events
            if each.n < recorded.n
            for category, committed in sorted(each.commitments.items())
            if category in gone
        ],
    }


def _remove(directory: Path) -> None:
    """The sound of an incident; its key is gone already, so what a crash leaves here opens to nobody."""
    shutil.rmtree(directory, ignore_errors=True)
    if directory.parent.is_dir():
        sync_directory(directory.parent)
