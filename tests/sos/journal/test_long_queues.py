"""A long queue of incidents is decoded in pieces, so that nobody else waits for all of it."""

import json
from datetime import UTC, datetime
from pathlib import Path

from recording.keys import KeyStore
from sos.clock import ManualClock
from sos.incident.model import Incident, IncidentId, TenantId
from sos.journal.journal import IN_ONE_GO, Journal
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from tests.turns import Turns

NOW = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
MANY = tuple(Incident(id=IncidentId(f"i-{k}"), tenant=TenantId("acme")) for k in range(3 * IN_ONE_GO + 1))


class _Answered(SqliteStore):
    """A store whose answer is there at once, so that every turn that others get is the journal's gift."""

    async def queue(self, **_: object) -> tuple[int, list[tuple[IncidentId, bytes]]]:  # type: ignore[override]
        return len(MANY), [(each.id, json.dumps({"id": each.id, "tenant": each.tenant}).encode()) for each in MANY]


async def test_a_long_queue_is_decoded_in_pieces(tmp_path: Path) -> None:
    store, clock = _Answered(tmp_path / "journal.db"), ManualClock(NOW)
    journal = Journal(store, KeyStore(tmp_path / "keys"), Spool(tmp_path, b"k" * 32), clock=clock)

    async with Turns() as turns:
        total, found = await journal.queue(limit=10_000, states=())

    assert turns.taken >= len(MANY) // IN_ONE_GO
    assert (total, [each.id for each in found]) == (len(MANY), [each.id for each in MANY])
    await store.engine.dispose()
