"""Which incidents belong together: proposed with reasons, confirmed by a person, undone by a person, never merged."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos.clock import ManualClock
from sos.incident.commands import ConfirmMatch, TakeIncident, UndoMatch
from sos.incident.model import Disposition, IncidentId, Mode, Relation, Standing, State, TenantId, Trigger
from sos.incident.report import CallBack, Crash, EmergencyReport, Location, Vehicle
from sos.intake import cloudevents
from sos.intake.acceptance import Acceptance
from sos.intake.arrival import About
from sos.intake.matching import Facts, Matching, compare
from sos.intake.reader import Filer
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent, Seen
from sos.intake.tenants import Tenant
from sos.intake.voice import CallsWithoutData
from sos.journal.journal import Journal
from sos.journal.store import Store
from tests.journeys import story as s

NOW = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
ACME = Tenant(id=TenantId("acme"), domain="acme.example")
BRAVO = Tenant(id=TenantId("bravo"), domain="bravo.example")
HERE = (35.681236, 139.767125)


class House:
    """A journal with everything of intake that follows it; ``settle`` lets the readers come to rest."""

    def __init__(self, journal: Journal, store: Store, clock: ManualClock) -> None:
        self.journal, self.store, self.clock = journal, store, clock
        self._position = 0
        self._receipts = Receipts(b"a secret for tests, 32 bytes long")
        self.restart()

    def restart(self) -> None:
        self.recent = Recent()
        self.acceptance = Acceptance(self.journal, self._receipts, self.recent)
        self.calls = CallsWithoutData(self.journal, self._receipts, self.recent)
        self.readers = (Filer(self.journal), Matching(self.journal, self.recent))

    async def crash(self, id: str, *, tenant: Tenant = ACME, test: bool = False, **about: Any) -> IncidentId:
        report = EmergencyReport(
            location=about.get("location", Location(latitude=HERE[0], longitude=HERE[1], heading=90.0)),
            vehicle=Vehicle(
                id_scheme=about.get("scheme", "vin"),
                id_value=about.get("vin", f"JTMZZ3TEST{id:0>7}"),
                license_plate=about.get("plate"),
            ),
            crash=Crash(event_time=about.get("at", self.clock.now())),
            call_back=CallBack(tel=about.get("tel")),
        )
        body = cloudevents.encode(
            report, source="/t", id=id, trigger=Trigger.AUTOMATIC, sent_at=self.clock.now(), test=test
        )
        accepted = await self.acceptance.take(
            body, content_type=cloudevents.MEDIA_TYPE, tenant=tenant, received_at=self.clock.now()
        )
        await self.settle()
        return accepted.incident

    async def call(self, leg: str, *, vehicle: str | None = None, tel: str | None = None) -> IncidentId:
        incident = await self.calls.incident(
            ACME, leg=leg, vehicle=vehicle, tel=tel, language=None, received_at=self.clock.now()
        )
        await self.settle()
        return incident

    async def settle(self) -> None:
        """Until the readers have followed all that there is, and what they wrote themselves."""
        while self._position < await self._written():
            await self.store.news(self._position)
            batch = await self.store.follow(self._position, limit=100)
            for reader in self.readers:
                await reader.handle(batch)
            self._position += len(batch)

    async def _written(self) -> int:
        _, incidents = await self.journal.queue(limit=1000, states=list(State))
        return sum(incident.version for incident in incidents)

    async def matches(self, incident: IncidentId) -> list[tuple[IncidentId, Relation, Standing]]:
        state = await self.journal.state(incident)
        return [(known.other, known.relation, known.standing) for known in state.matches]


@pytest.fixture
async def house(journal: Journal, store: Store, clock: ManualClock) -> House:
    return House(journal, store, clock)


def metres_north(metres: float) -> Location:
    return Location(latitude=HERE[0] + metres / 111_195, longitude=HERE[1], heading=270.0)


async def test_two_cars_at_one_place_are_proposed_to_both_desks(house: House) -> None:
    one = await house.crash("1")
    await house.clock.advance(timedelta(minutes=2))
    other = await house.crash("2", location=metres_north(80))

    assert await house.matches(one) == [(other, Relation.SAME_CRASH, Standing.PROPOSED)]
    assert await house.matches(other) == [(one, Relation.SAME_CRASH, Standing.PROPOSED)]
    stream = await house.store.stream(other)
    proposed = next(each.event for each in stream if type(each.event).__name__ == "MatchProposed")
    assert (proposed.reasons, proposed.distance_m, proposed.apart_s) == (("near", "opposite_direction"), 80, 120)


@pytest.mark.parametrize(("tel", "sure"), [(None, ()), ("+819000000002", ("2",))])
async def test_a_voice_under_a_number_of_two_cars_is_surely_of_none_but_the_one_it_calls_from(
    house: House, tel: str | None, sure: tuple[str, ...]
) -> None:
    imei = {"scheme": "oem_id", "vin": "356938035643809"}
    cars = {n: await house.crash(n, **imei, plate=f"品川 300 あ 12-3{n}", tel=f"+81900000000{n}") for n in "12"}
    house.recent.forget(cars["1"])  # as another replica, which has not heard of them
    house.recent.forget(cars["2"])

    call = await house.call("leg-0001", vehicle="oem_id:356938035643809", tel=tel)

    standing = {other: known for other, relation, known in await house.matches(call) if relation is Relation.SAME_CALL}
    assert set(standing) <= set(cars.values())
    confirmed = {other for other, known in standing.items() if known is Standing.CONFIRMED}
    assert confirmed == {cars[n] for n in sure}


async def test_a_person_confirms_and_undoes_and_both_incidents_say_so(house: House) -> None:
    one = await house.crash("1")
    other = await house.crash("2")

    order = ConfirmMatch(other=one, relation=Relation.SAME_CRASH)
    await house.journal.execute(other, order, actor="operator:hanako")
    await house.settle()
    confirmed = await house.matches(one), await house.matches(other)
    await house.journal.execute(one, UndoMatch(other=other, relation=Relation.SAME_CRASH), actor="operator:jiro")
    await house.settle()

    assert confirmed[0] == [(other, Relation.SAME_CRASH, Standing.CONFIRMED)]
    assert confirmed[1] == [(one, Relation.SAME_CRASH, Standing.CONFIRMED)]
    assert await house.matches(one) == [(other, Relation.SAME_CRASH, Standing.UNDONE)]
    assert await house.matches(other) == [(one, Relation.SAME_CRASH, Standing.UNDONE)]


@pytest.mark.parametrize(
    "about",
    [
        {"location": metres_north(400)},
        {"at": NOW + timedelta(minutes=11)},
        {"location": Location()},
        {"test": True},
    ],
)
async def test_what_is_far_late_unlocated_or_a_test_is_not_proposed(house: House, about: dict[str, Any]) -> None:
    one = await house.crash("1", at=NOW)
    other = await house.crash("2", **({"at": NOW} | about))

    assert await house.matches(one) == await house.matches(other) == []


async def test_a_bad_position_reaches_further(house: House) -> None:
    far = metres_north(400)
    vague = Location(latitude=far.latitude, longitude=far.longitude, horizontal_accuracy=300.0)
    one = await house.crash("1")
    other = await house.crash("2", location=vague)

    assert await house.matches(one) == [(other, Relation.SAME_CRASH, Standing.PROPOSED)]


async def test_one_car_reported_twice_is_proposed_even_without_positions(house: House) -> None:
    one = await house.crash("1", vin="JTMZZ3TESTEC00001", location=Location())
    other = await house.crash("2", vin="JTMZZ3TESTEC00001", location=Location())

    assert await house.matches(one) == [(other, Relation.SAME_CRASH, Standing.PROPOSED)]


async def test_a_closed_incident_is_proposed_to_nobody(house: House) -> None:
    one = await house.crash("1")
    take = TakeIncident(operator="hanako", desk="d")
    await house.journal.execute(one, take, actor="operator:hanako")
    await house.journal.execute(one, s.close(Disposition.FALSE_ALARM), actor="operator:hanako")
    await house.settle()

    other = await house.crash("2")

    assert await house.matches(other) == []


async def test_a_call_without_data_opens_an_incident(house: House) -> None:
    incident = await house.call("leg-1", vehicle="vin:JTMZZ3TESTEC00009", tel="+15550100")

    state = await house.journal.state(incident)
    assert (state.trigger, state.flags, state.located) == (Trigger.UNKNOWN, ("no_data",), False)
    assert await house.call("leg-1", vehicle="vin:JTMZZ3TESTEC00009", tel="+15550100") == incident


async def test_the_data_of_the_same_vehicle_joins_its_call(house: House) -> None:
    incident = await house.call("leg-1", vehicle="vin:JTMZZ3TESTEC00009")
    await house.clock.advance(timedelta(minutes=3))

    joined = await house.crash("1", vin="JTMZZ3TESTEC00009")

    state = await house.journal.state(incident)
    assert joined == incident
    assert (state.trigger, state.located) == (Trigger.AUTOMATIC, True)


async def test_the_call_of_the_same_vehicle_joins_its_data(house: House) -> None:
    crash = await house.crash("1", vin="JTMZZ3TESTEC00009")
    await house.clock.advance(timedelta(minutes=3))

    assert await house.call("leg-1", vehicle="vin:jtmzz3testec00009") == crash


async def test_after_ten_minutes_a_call_is_an_incident_of_its_own(house: House) -> None:
    crash = await house.crash("1", vin="JTMZZ3TESTEC00009")
    await house.clock.advance(timedelta(minutes=11))

    assert await house.call("leg-1", vehicle="vin:JTMZZ3TESTEC00009") != crash


async def test_the_same_number_is_a_proposal_and_not_certain(house: House) -> None:
    crash = await house.crash("1", tel="+15550100")

    call = await house.call("leg-1", tel="+15550100")

    assert call != crash
    assert await house.matches(call) == [(crash, Relation.SAME_CALL, Standing.PROPOSED)]
    assert await house.matches(crash) == [(call, Relation.SAME_CALL, Standing.PROPOSED)]


async def test_what_was_missed_at_the_door_is_certain_by_vehicle_and_can_be_undone(house: House) -> None:
    crash = await house.crash("1", vin="JTMZZ3TESTEC00009")
    house.calls = CallsWithoutData(house.journal, Receipts(b"another door of the house, replica"), Recent())

    call = await house.call("leg-1", vehicle="vin:JTMZZ3TESTEC00009")

    assert call != crash
    assert await house.matches(call) == [(crash, Relation.SAME_CALL, Standing.CONFIRMED)]
    assert await house.matches(crash) == [(call, Relation.SAME_CALL, Standing.CONFIRMED)]


async def test_after_a_restart_the_open_incidents_are_remembered(house: House) -> None:
    crash = await house.crash("1", vin="JTMZZ3TESTEC00009")
    house.restart()
    await house.readers[1].warm()

    assert await house.call("leg-1", vehicle="vin:JTMZZ3TESTEC00009") == crash
    other = await house.crash("2")
    assert await house.matches(other) == [(crash, Relation.SAME_CRASH, Standing.PROPOSED)]


async def test_of_another_brand_the_crash_matches_and_the_call_does_not(house: House) -> None:
    await house.call("leg-1", vehicle="vin:JTMZZ3TESTEC00009")

    crash = await house.crash("1", tenant=BRAVO, vin="JTMZZ3TESTEC00009")
    other = await house.crash("2", tenant=ACME)

    assert await house.matches(crash) == [(other, Relation.SAME_CRASH, Standing.PROPOSED)]


places = st.tuples(st.floats(35, 35.01), st.floats(139, 139.01))


@given(
    one=places,
    other=places,
    apart=st.integers(-1200, 1200),
    accuracy=st.floats(1, 2000),
    voice=st.tuples(st.booleans(), st.booleans()),
)
def test_matching_is_mutual(
    one: tuple[float, float], other: tuple[float, float], apart: int, accuracy: float, voice: tuple[bool, bool]
) -> None:
    a, b = (
        Facts(
            seen=Seen(
                incident=IncidentId(name),
                tenant=ACME.id,
                at=NOW + timedelta(seconds=later),
                about=About(position=place, vehicle=("vin", "X")),
                voice_only=alone,
            ),
            mode=Mode.LIVE,
            accuracy_m=accuracy,
            heading=10.0,
        )
        for name, place, later, alone in (("a", one, 0, voice[0]), ("b", other, apart, voice[1]))
    )

    assert compare(a, b) == compare(b, a)


async def test_one_vin_in_two_cities_is_no_match(house: House) -> None:
    one = await house.crash("1")
    other = await house.crash("2", vin="JTMZZ3TEST0000001", location=Location(latitude=43.0687, longitude=141.3508))

    assert await house.matches(one) == await house.matches(other) == []


@pytest.mark.parametrize("vin", ["0" * 17, "UNKNOWN", "JTM", "12345678901234567"])
async def test_a_placeholder_matches_nothing_by_itself(house: House, vin: str) -> None:
    one = await house.crash("1", vin=vin)
    other = await house.crash("2", vin=vin, location=metres_north(2000))
    call = await house.call("leg-1", vehicle=f"vin:{vin}")

    assert len({one, other, call}) == 3
    assert [await house.matches(each) for each in (one, other, call)] == [[], [], []]


async def test_a_number_that_many_cars_share_proposes_nothing(house: House) -> None:
    tel = "+81355500100"
    cars = [await house.crash(f"{each}", tel=tel, location=metres_north(3000 * each)) for each in range(1, 5)]

    call = await house.call("leg-1", tel=tel)

    assert await house.matches(call) == []
    assert [await house.matches(car) for car in cars] == [[]] * 4
