"""Two places that cannot ask each other acknowledge one report: it is one incident, and both ids are good."""

import pytest

from routing.categories import Category
from sos.errors import Unknown
from sos.incident.commands import AddNote
from sos.incident.model import IncidentId, new_id
from sos.journal.journal import Journal
from sos.journal.spool import Spooled
from tests.sos.journal.reports import TENANT, opened, receipt, report


async def test_what_was_told_besides_is_good_for_the_incident_of_the_first(journal: Journal):
    first, told = await opened(journal, 1), IncidentId(new_id())

    again = await journal.open(
        report(1), tenant=TENANT, receipt=receipt(1), received_at=journal.clock.now(), incident=told, told=True
    )

    assert (again.repeat, again.incident) == (True, first.incident)
    assert (await journal.state(told)).id == first.incident
    done = await journal.execute(told, AddNote(category=Category.OBS, text="by the other id"), actor="operator:hanako")
    assert done.incident.id == first.incident
    assert {each.stream for each in done.recorded} == {first.incident}


async def test_what_another_place_had_in_its_spool_is_good_as_well(journal: Journal):
    first, told = await opened(journal, 1), IncidentId(new_id())
    waited = Spooled(
        incident=told, tenant=TENANT, receipt=receipt(1), received_at=journal.clock.now(), command=report(1)
    )
    await journal._spool.put([waited])

    drained = await journal.drain()

    assert drained == 1
    assert (await journal.state(told)).id == first.incident


async def test_a_first_that_waits_in_the_spool_is_meant_as_well(journal: Journal):
    first, told = IncidentId(new_id()), IncidentId(new_id())
    waits = Spooled(
        incident=first, tenant=TENANT, receipt=receipt(1), received_at=journal.clock.now(), command=report(1)
    )
    await journal._spool.put([waits])

    again = await journal.open(
        report(1), tenant=TENANT, receipt=receipt(1), received_at=journal.clock.now(), incident=told, told=True
    )
    await journal.drain()

    assert (again.incident, again.repeat, again.durability) == (first, True, "spooled")
    assert (await journal.state(told)).id == first


async def test_an_id_that_nobody_was_told_is_none(journal: Journal):
    await opened(journal, 1)
    named = IncidentId(new_id())
    await journal.open(report(1), tenant=TENANT, receipt=receipt(1), received_at=journal.clock.now(), incident=named)

    for nobodys in (named, IncidentId(new_id())):
        with pytest.raises(Unknown):
            await journal.state(nobodys)


async def test_a_named_incident_has_its_name_and_needs_no_other(journal: Journal):
    named = IncidentId(new_id())
    for _ in range(2):
        received = await journal.open(
            report(1), tenant=TENANT, receipt=receipt(1), received_at=journal.clock.now(), incident=named, told=True
        )

    assert received.incident == named
    assert (await journal.state(named)).id == named
    assert await journal.store.told_as(named) is None
