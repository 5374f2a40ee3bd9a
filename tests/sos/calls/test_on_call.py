"""People on call: dialled one after the other, held until they have shown that they are there, lost with the call."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sos.calls.port import TALKING
from sos.clock import ManualClock
from sos.dispatch.unattended import NOT_TOLD, TOLD
from sos.incident import attendance
from sos.incident.events import (
    DisclosureDecided,
    LegDialled,
    LegLeft,
    OperatorAssigned,
    OperatorLost,
)
from sos.incident.model import IncidentId, LegId, Mode, Party
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from tests.sos.calls.search_rig import SABURO, SHIRO, SearchHouse, abroad

DESK_LINE = "+81300000051"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """One database is enough: what is tested here asks nothing of it that other tests do not."""
    async with SqliteStore(tmp_path / "journal.db") as sqlite:
        await upgrade(sqlite.engine)
        yield sqlite


@pytest.fixture
async def house(journal: Journal, clock: ManualClock) -> AsyncIterator[SearchHouse]:
    made = SearchHouse(journal, clock)
    async with made.provider:
        await made.start()
        yield made
        await made.stop()


def why(left: list[LegLeft], leg: LegId) -> list[str]:
    return [each.reason for each in left if each.leg == leg]


async def _has(house: SearchHouse, incident: IncidentId, operator: str | None) -> bool:
    return (await house.state(incident)).operator == operator


async def test_a_machine_that_picks_up_is_no_person_and_the_next_one_is_called(house: SearchHouse):
    incident = await house.crash()
    machine = await house.rings_at(SABURO)
    assert house.provider.modes[machine].held  # before anybody picks up
    house.provider.bring_up(machine)
    await house.until_happened(incident, LegDialled, least=2)

    assert why(await house.happened(incident, LegLeft), machine) == ["no_key"]
    assert house.told(machine) == ["on_call"]
    person = await house.rings_at(SHIRO)
    house.provider.bring_up(person)
    await house.until(lambda: house.up(incident, Party.SUPERVISOR))
    house.provider.press(person, "1")
    await house.until(lambda: _has(house, incident, "shiro"))

    assert [each.who for each in await house.happened(incident, LegDialled)] == ["saburo", "shiro"]
    assert machine not in {leg.leg for leg in await house.provider.legs()}
    await house.until(lambda: _talks(house, person))
    (assigned,) = await house.recorded(incident, OperatorAssigned)
    assert assigned.actor == "operator:shiro"


async def _talks(house: SearchHouse, leg: LegId) -> bool:
    return house.provider.modes[leg] == TALKING


async def test_a_busy_line_and_one_that_never_says_anything_cost_no_more_than_their_time(house: SearchHouse):
    house.provider.busy.add(SABURO.number)
    house.provider.dead.add(SHIRO.number)
    incident = await house.crash()

    left = await house.until_happened(incident, LegLeft, least=2)

    assert [each.reason for each in left] == ["busy", "no_answer"]

    async def again() -> bool:
        return [len(house.dialled(person.number)) for person in (SABURO, SHIRO)] == [2, 2]

    await house.until(again, within_s=120)  # everybody is called again in the next round


async def test_who_has_the_incident_by_telephone_is_lost_with_the_call_and_not_for_want_of_a_desk(house: SearchHouse):
    incident = await house.crash()
    leg = await house.rings_at(SABURO)
    house.provider.bring_up(leg)
    await house.until(lambda: house.up(incident, Party.SUPERVISOR))
    house.provider.press(leg, "1")
    await house.until(lambda: _has(house, incident, "saburo"))
    await house.pass_time(30)
    assert await _has(house, incident, "saburo")

    house.provider.drop(leg, reason="ended")

    (lost,) = await house.until_happened(incident, OperatorLost)
    assert lost.reason == "telephone_down"
    assert (await house.state(incident)).unattended_at == house.clock.now()


async def test_a_desk_that_answers_lets_the_telephone_sleep(house: SearchHouse):
    incident = await house.crash()
    leg = await house.rings_at(SABURO)

    await house.take(incident)

    left = await house.until_happened(incident, LegLeft)
    assert why(left, leg) == ["taken"]
    await house.until(lambda: _gone(house, leg))
    assert not house.dialled(SHIRO.number)


async def _gone(house: SearchHouse, leg: LegId) -> bool:
    house.provider.bring_up(leg)  # nobody can pick up any more
    return leg not in {each.leg for each in await house.provider.legs()}


async def test_a_key_that_comes_after_a_desk_has_answered_takes_nothing_away(house: SearchHouse):
    incident = await house.crash()
    leg = await house.rings_at(SABURO)
    house.provider.bring_up(leg)
    await house.until(lambda: house.up(incident, Party.SUPERVISOR))

    await house.take(incident)
    house.provider.press(leg, "1")

    assert "taken" in why(await house.until_happened(incident, LegLeft), leg)
    assert await _has(house, incident, "hanako")
    assert [each.operator for each in await house.happened(incident, OperatorAssigned)] == ["hanako"]


async def test_who_has_it_by_telephone_is_not_called_on_the_desk_s_telephone_as_well(
    journal: Journal, clock: ManualClock
):
    house = SearchHouse(journal, clock, desks={"saburo": DESK_LINE, "hanako": DESK_LINE})
    async with house.provider:
        await house.start()
        by_telephone = await house.crash()
        leg = await house.rings_at(SABURO)
        house.provider.bring_up(leg)
        await house.until(lambda: house.up(by_telephone, Party.SUPERVISOR))
        house.provider.press(leg, "1")
        await house.until(lambda: _has(house, by_telephone, "saburo"))
        at_desk = await house.crash(seed=2)
        await house.take(at_desk)
        await house.until(lambda: _called(house, DESK_LINE))
        await house.stop()

    assert len(house.dialled(DESK_LINE)) == 1


async def test_the_key_for_telling_is_a_decision_of_the_person_who_presses_it(house: SearchHouse):
    incident = await house.crash()
    leg = await house.rings_at(SABURO)
    house.provider.bring_up(leg)
    await house.until(lambda: house.up(incident, Party.SUPERVISOR))
    house.provider.press(leg, "19")

    await house.until_happened(incident, DisclosureDecided)

    (decided,) = await house.recorded(incident, DisclosureDecided)
    assert decided.actor == "operator:saburo"
    assert isinstance(decided.event, DisclosureDecided)
    assert not decided.event.unattended
    fire = house.number_of(decided.event.agency)
    await house.until(lambda: _called(house, fire))
    await house.until(lambda: _hears(house, leg, TOLD))


async def test_who_has_no_screen_hears_that_the_law_does_not_let_the_agency_be_told(
    journal: Journal, clock: ManualClock
):
    house = SearchHouse(journal, clock, directory=abroad("US"))
    async with house.provider:
        await house.start()
        incident = await house.crash()
        leg = await house.rings_at(SABURO)
        house.provider.bring_up(leg)
        await house.until(lambda: house.up(incident, Party.SUPERVISOR))
        house.provider.press(leg, "19")
        await house.until(lambda: _hears(house, leg, NOT_TOLD))
        await house.stop()

    assert TOLD not in house.told(leg)
    assert await house.happened(incident, DisclosureDecided) == []


async def _hears(house: SearchHouse, leg: LegId, notice: str) -> bool:
    return notice in house.told(leg)


async def _called(house: SearchHouse, number: str) -> bool:
    return bool(house.dialled(number))


async def test_the_key_for_telling_alone_tells_nobody(house: SearchHouse):
    incident = await house.crash()
    leg = await house.rings_at(SABURO)
    house.provider.bring_up(leg)
    await house.until(lambda: house.up(incident, Party.SUPERVISOR))

    house.provider.press(leg, "9")
    await house.until_happened(incident, LegLeft)  # too late: no key that takes it

    assert not [each for each in await house.happened(incident, DisclosureDecided) if not each.unattended]


async def test_a_service_that_is_killed_again_and_again_dials_each_person_once(house: SearchHouse):
    incident = await house.crash()
    for _ in range(8):
        await house.stop()
        await house.start()
        await house.pass_time(3)

    await house.rings_at(SHIRO)

    assert len(house.dialled(SABURO.number)) == len(house.dialled(SHIRO.number)) == 1
    assert attendance.ON_CALL in (await house.state(incident)).sought


async def test_a_test_call_wakes_nobody(house: SearchHouse):
    incident = await house.crash(mode=Mode.TEST)
    await house.pass_time(60)

    assert not house.provider.dialled
    assert await house.happened(incident, LegDialled) == []
