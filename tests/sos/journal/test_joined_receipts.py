"""A further report under a receipt: written once for ever, and never taken for written when it was not."""

import asyncio

import pytest

from sos.errors import Refused
from sos.incident.commands import CloseIncident
from sos.incident.model import Disposition
from sos.journal.journal import Journal
from sos.journal.spool import Spool
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.journal.reports import incident, opened, receipt


def digest(number: int) -> str:
    return f"{number:064x}"


async def _joined(store: Store, stream) -> list[str]:
    return [e.event.report_digest for e in await store.stream(stream) if type(e.event).__name__ == "ReportJoined"]


async def test_a_further_report_sent_thirty_times_at_once_is_written_once(journal: Journal, store: Store):
    stream = await incident(journal)

    done = await asyncio.gather(
        *(journal.execute(stream, s.join_report(digest(1)), actor="vehicle", receipt=receipt(1000)) for _ in range(30))
    )

    assert sum(bool(each.recorded) for each in done) == 1
    assert {each.incident.id for each in done} == {stream}
    assert await _joined(store, stream) == [digest(1)]


async def test_of_many_reports_that_collide_in_one_incident_none_is_lost(journal: Journal, store: Store):
    stream = await incident(journal)

    done = await asyncio.gather(
        *(
            journal.execute(stream, s.join_report(digest(n)), actor="vehicle", receipt=receipt(1000 + n))
            for n in range(8)
        )
    )

    assert all(each.recorded for each in done)
    assert sorted(await _joined(store, stream)) == [digest(n) for n in range(8)]


async def test_two_replicas_that_join_at_once_lose_nothing_and_double_nothing(
    journal: Journal, store: Store, keys, tmp_path, clock
):
    if not store.shared:
        pytest.skip("one process alone writes to SQLite")
    stream = await incident(journal)

    async with Journal(store, keys, Spool(tmp_path / "other", keys.secret("spool")), clock=clock) as replica:
        await replica.state(stream)
        done = await asyncio.gather(
            *(
                house.execute(stream, s.join_report(digest(n)), actor="vehicle", receipt=receipt(1000 + n))
                for n in range(4)
                for house in (journal, replica)
            )
        )

    assert sum(bool(each.recorded) for each in done) == 4
    assert sorted(await _joined(store, stream)) == [digest(n) for n in range(4)]


async def test_a_receipt_that_opened_an_incident_joins_no_other(journal: Journal, store: Store):
    first, other = await opened(journal, 1), await incident(journal, 2)

    done = await journal.execute(other, s.join_report(digest(1)), actor="vehicle", receipt=receipt(1))

    assert (done.incident.id, done.recorded) == (first.incident, ())
    assert await _joined(store, other) == []


async def test_what_a_closed_incident_refuses_may_be_opened_under_the_same_receipt(journal: Journal, store: Store):
    stream = await incident(journal)
    await journal.execute(stream, s.take(), actor="operator:hanako")
    await journal.execute(stream, CloseIncident(disposition=Disposition.FALSE_ALARM), actor="operator:hanako")

    with pytest.raises(Refused):
        await journal.execute(stream, s.join_report(digest(1)), actor="vehicle", receipt=receipt(77))

    assert not (await opened(journal, 77)).repeat
