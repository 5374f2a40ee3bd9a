"""A test call from the report to its end: real readers, no operator, and a receipt that names each step."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sos.clock import ManualClock
from sos.incident.events import AnswerGiven, DeskOffered, IncidentClosed, LegDialled, ReceiptIssued
from sos.incident.model import AnswerAction, LegId, Mode
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from sos.vehicle.report import Car, crash
from tests.sos.calls.search_rig import SearchHouse


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
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


async def test_a_test_that_shows_every_step_ends_at_once(house: SearchHouse):
    sent = crash(Car(tel="+81300000091"), at=house.clock.now(), seed=1).body
    incident = await house.crash(mode=Mode.TEST, speaks=False, body=sent)
    car = await house.call_in(incident)
    await house.pass_time(1)
    assert house.told(car) == ["test"]

    house.provider.press(car, "1")
    house.provider.drop(car, reason="hung_up")
    (dialled,) = await house.until_happened(incident, LegDialled)
    house.provider.bring_up(dialled.leg)
    await house.pass_time(1)
    house.provider.drop(dialled.leg, reason="hung_up")

    await house.until_happened(incident, IncidentClosed)
    last = (await house.happened(incident, ReceiptIssued))[-1]
    assert all(dict(last.checks)[step] for step in ("called", "heard_both_ways", "called_back", "routed"))
    assert await house.happened(incident, DeskOffered) == []


async def test_a_test_that_shows_nothing_ends_when_its_time_is_over_and_says_which_steps_failed(house: SearchHouse):
    incident = await house.crash(mode=Mode.TEST, speaks=False)
    await house.pass_time(170)
    assert await house.happened(incident, IncidentClosed) == []

    await house.pass_time(12)

    (_,) = await house.happened(incident, IncidentClosed)
    last = (await house.happened(incident, ReceiptIssued))[-1]
    assert not last.passed
    assert dict(last.checks)["located"]
    assert not any(dict(last.checks)[step] for step in ("called", "heard_both_ways", "called_back"))


async def test_the_key_proves_nothing_before_the_car_was_told_to_press_it(house: SearchHouse):
    incident = await house.crash(mode=Mode.TEST, speaks=False)
    leg = LegId(f"{incident[:30]}-car")
    await house.call_in(incident)
    house.provider.press(leg, "2")
    house.provider.drop(leg, reason="hung_up")
    await house.pass_time(185)

    last = (await house.happened(incident, ReceiptIssued))[-1]
    assert dict(last.checks)["called"]
    assert not dict(last.checks)["heard_both_ways"]


async def test_a_silent_car_that_sent_data_is_dialled_and_asked_over_the_data_channel(house: SearchHouse):
    incident = await house.crash(speaks=False)

    await house.until_happened(incident, LegDialled)

    assert [each.action for each in await house.happened(incident, AnswerGiven)] == [AnswerAction.CALL_BACK]


async def test_a_call_that_is_over_is_cleared_down_over_the_data_channel(house: SearchHouse):
    incident = await house.crash(mode=Mode.TEST, speaks=False)

    await house.pass_time(185)

    assert (await house.happened(incident, AnswerGiven))[-1].action is AnswerAction.CLEAR_DOWN
