"""One crash at the desk: all cars beside each other, each with its own operator, and who has been told of which."""

import pytest

from routing.categories import Category
from sos.clock import ManualClock, timestamp
from sos.console.window import Window
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident.events import MatchProposed, PartsRead
from sos.incident.model import Disposition, IncidentId, Relation, Share, Standing, TenantId
from sos.incident.report import Crash, Location, Vehicle, canonical
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window

HANAKO, JIRO = "operator:hanako", "operator:jiro"


@pytest.fixture
async def cars(journal: Journal, clock: ManualClock) -> tuple[IncidentId, IncidentId]:
    """A car of Acme that Hanako has, with three people and a fuel leak, and one of Bravo that Jiro has."""
    known = (
        (Vehicle(occupants=3, brand="ACME"), Crash(fuel_leak=True), Location(latitude=35.1, longitude=139.7)),
        (Vehicle(), Crash(), Location(latitude=35.2, longitude=139.8, trusted=False)),
    )
    found = []
    for number, (tenant, operator) in enumerate((("acme", "hanako"), ("bravo", "jiro"))):
        opened = await journal.open(
            s.open_incident(), tenant=TenantId(tenant), receipt=bytes([number]) * 32, received_at=clock.now()
        )
        vehicle, crash, place = known[number]
        parts = {Category.VEH: canonical(vehicle), Category.SEV: canonical(crash), Category.LOC: canonical(place)}
        filed = c.FileReport(sequence=1, located=True, parts=parts)
        await journal.execute(opened.incident, filed, actor="system:filer")
        await journal.execute(opened.incident, s.take(operator), actor=f"operator:{operator}")
        found.append(opened.incident)
    return found[0], found[1]


@pytest.fixture
def desk(journal: Journal) -> Window:
    return window(room(journal, Ears()), "hanako")


async def test_one_view_has_every_car_with_its_own_facts_and_operator_and_who_was_told(
    journal: Journal, desk: Window, cars: tuple[IncidentId, IncidentId], clock: ManualClock
):
    one, other = cars
    await order(desk, "link", incident=one, other=other, share="vehicle")
    await journal.execute(other, s.disclose("d-fire"), actor=JIRO)

    seen = await order(desk, "crash", incident=one, anew=True)

    assert (seen.vehicles, seen.occupants, seen.unknown) == (2, 3, 1)
    assert seen.number == (await journal.state(other)).linked.number
    first, second = seen.cars
    assert [(car.incident, car.tenant, car.operator) for car in seen.cars] == [
        (one, "acme", "hanako"),
        (other, "bravo", "jiro"),
    ]
    assert (first.occupants, first.hazards, first.look) == (3, ("fuelLeak",), "ACME")
    assert (second.occupants, second.hazards, second.trusted) == (None, (), False)
    assert [(car.latitude, car.longitude) for car in seen.cars] == [(35.1, 139.7), (35.2, 139.8)]
    (told,) = second.told
    assert (told.agency, told.version, told.by, told.knows) == (s.FIRE, 1, JIRO, False)
    assert told.at == timestamp((await journal.store.stream(other))[-1].at)
    assert first.told == ()
    assert [(await journal.state(each)).operator for each in cars] == ["hanako", "jiro"]


async def test_opening_the_view_is_written_down_in_each_incident_and_showing_it_again_is_not(
    journal: Journal, desk: Window, cars: tuple[IncidentId, IncidentId]
):
    one, other = cars
    await order(desk, "link", incident=one, other=other, share="vehicle")
    for anew in (True, False, False, True):
        await order(desk, "crash", incident=one, anew=anew)

    for each in cars:
        reads = [known.event for known in await journal.store.stream(each) if isinstance(known.event, PartsRead)]
        assert [(read.reader, read.purpose) for read in reads] == [(HANAKO, "emergency_handling")] * 2


async def test_of_a_closed_car_the_headers_alone_are_shown_and_the_other_goes_on(
    journal: Journal, desk: Window, cars: tuple[IncidentId, IncidentId]
):
    one, other = cars
    await order(desk, "link", incident=one, other=other, share="vehicle")
    await journal.execute(other, c.CloseIncident(disposition=Disposition.NO_HELP_NEEDED), actor=JIRO)

    seen = await order(desk, "crash", incident=one, anew=True)

    assert [(car.opened, car.disposition, car.latitude) for car in seen.cars] == [
        (True, None, 35.1),
        (False, Disposition.NO_HELP_NEEDED, None),
    ]


async def test_a_crash_by_itself_has_no_such_view(desk: Window, cars: tuple[IncidentId, IncidentId]):
    with pytest.raises(Refused, match="a crash by itself"):
        await order(desk, "crash", incident=cars[0], anew=True)


async def test_a_proposal_answered_with_yes_links_and_with_no_takes_out(
    journal: Journal, desk: Window, cars: tuple[IncidentId, IncidentId]
):
    one, other = cars
    proposed = {"incident": one, "other": other, "relation": "same_crash"}
    await journal.execute(one, s.propose_match(other), actor="system:matching")

    await order(desk, "match", **proposed, approved=True)
    assert (await journal.state(other)).linked is not None
    await order(desk, "match", **proposed, approved=False)

    for each, theirs in ((one, other), (other, one)):
        state = await journal.state(each)
        assert state.linked is None
        assert state.match(theirs, Relation.SAME_CRASH).standing is Standing.UNDONE


async def test_a_vehicle_that_was_reported_twice_is_one_vehicle(
    journal: Journal, desk: Window, cars: tuple[IncidentId, IncidentId]
):
    one, other = cars
    proposed = c.ProposeMatch(other=other, relation=Relation.SAME_CRASH, reasons=("vehicle", "near"))
    done = await journal.execute(one, proposed, actor="system:matching")
    assert isinstance(done.recorded[0].event, MatchProposed)

    await order(desk, "match", incident=one, other=other, relation="same_crash", approved=True)

    linked = (await journal.state(one)).linked
    assert linked.vehicles == 1
    assert {car.incident: car.share for car in linked.cars} == {one: Share.VEHICLE, other: Share.SAME_VEHICLE}


async def test_an_operator_of_neither_links_a_bystanders_call_and_takes_one_out(
    journal: Journal, cars: tuple[IncidentId, IncidentId]
):
    third = window(room(journal, Ears()), "taro")
    one, other = cars

    await order(third, "link", incident=one, other=other, share="caller")
    assert (await journal.state(one)).linked.vehicles == 1
    await order(third, "unlink", incident=other)

    assert [(await journal.state(each)).linked for each in cars] == [None, None]
    assert [(await journal.state(each)).operator for each in cars] == ["hanako", "jiro"]
