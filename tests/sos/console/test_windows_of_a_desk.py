"""One operator's desk in several windows: a second tab, and a page that came back before its old link was closed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from sos.app import Service, running
from sos.clock import ManualClock, SystemClock
from sos.console.desks import SILENT, Desks
from sos.console.refusals import table
from sos.incident.model import DeskId, OperatorId
from sos.settings import OperatorSettings, Settings, TenantSettings
from sos.vehicle.report import Car, crash, report_once
from tests.ports import free_port
from tests.sos.dispatch.test_disclosure_at_the_desk import KEY, Desk, _digest

DESK, HANAKO = DeskId("desk-hanako"), OperatorId("hanako")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    settings = Settings(
        data_dir=str(tmp_path / "data"),
        port=free_port(),
        tenants=(TenantSettings(id="acme", domain="acme.sos.example", key_digests=(_digest(KEY),)),),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=_digest("hanako")),),
    )
    async with running(settings) as opened:
        yield opened


async def test_a_desk_whose_older_connection_closes_late_is_still_there_and_rings(service: Service):
    old = await Desk.sit(service.url, "hanako")
    await old.order(do="ready")
    new = await Desk.sit(service.url, "hanako")
    await new.order(do="ready")

    await old.leave()
    await new.order(do="ready")
    here = service.desks.connected(HANAKO), service.desks.free()
    taken = await report_once(
        crash(Car(), at=SystemClock().now(), seed=1), base_url=service.url, key=KEY, clock=SystemClock()
    )
    rung = await new.hear(t="event", kind="DeskOffered")
    await new.leave()

    assert here[0]
    assert here[1] is not None
    assert (rung["incident"], rung["data"]["desks"]) == (taken.incident, [DESK])


@pytest.mark.parametrize(
    ("order", "field", "longest", "longer"),
    [
        ({"do": "note"}, "text", 4000, "長" * 4001),
        ({"do": "reopen"}, "reason", 1000, "長" * 1001),
        ({"do": "note", "text": "t"}, "incident", 128, "x" * 129),
        ({"do": "dial", "agency": "a"}, "line", 128, "x" * 129),
        ({"do": "consent", "answer": "agreed"}, "categories", 32, ["LOC"] * 33),
    ],
)
async def test_what_is_longer_than_its_field_is_refused_by_its_name(
    service: Service, order: dict[str, str], field: str, longest, longer
):
    desk = await Desk.sit(service.url, "hanako")

    too_long = await desk.order(**{"incident": "i", **order, field: longer})
    as_long = await desk.order(**{"incident": "i", **order, field: longer[:longest]})
    await desk.leave()

    assert (too_long["ok"], too_long["error"]["type"]) == (False, "Malformed")
    assert str(longest) in too_long["error"]["detail"]
    assert as_long["error"]["type"] == "Unknown"
    assert as_long["error"]["code"] in table().said
    assert as_long["error"]["words"] == [table().said[as_long["error"]["code"]].ja, as_long["error"]["detail"]]
    assert (too_long["error"]["code"], too_long["error"]["words"][0]) == ("", table().kind["Malformed"].ja)


async def test_of_two_windows_one_is_worked_at_and_the_other_is_told(service: Service):
    first = await Desk.sit(service.url, "hanako")
    await first.order(do="ready")
    second = await Desk.sit(service.url, "hanako")

    looking_on = await second.hear(t="welcome")
    still_ready = service.desks.free()
    await second.order(do="away")
    told = await first.hear(t="seat")
    nobody_free = service.desks.free()
    await second.leave()
    back = await first.hear(t="seat", active=True)
    again = service.desks.free()
    await first.leave()

    assert (await _welcomed(first), looking_on["active"]) == (True, False)
    assert still_ready is not None
    assert told == {"t": "seat", "active": False}
    assert (nobody_free, back["active"]) == (None, True)
    assert again is not None


async def test_whoever_works_in_a_window_is_not_refused_and_reading_does_not_take_the_desk(service: Service):
    first, second = await Desk.sit(service.url, "hanako"), await Desk.sit(service.url, "hanako")
    await first.order(do="ready")
    taken = await report_once(
        crash(Car(), at=SystemClock().now(), seed=2), base_url=service.url, key=KEY, clock=SystemClock()
    )
    await second.hear(t="event", kind="DeskOffered")

    await second.order(do="open", incident=taken.incident)
    read = [frame for frame in second.frames if frame["t"] == "seat"]
    answered = await second.order(do="answer", incident=taken.incident)
    moved = await first.hear(t="seat", active=False)
    await first.leave()
    await second.leave()

    assert read == []
    assert answered["ok"]
    assert moved


async def _welcomed(desk: Desk) -> bool:
    return bool((await desk.hear(t="welcome"))["active"])


async def test_where_the_window_worked_at_falls_silent_the_one_that_is_heard_takes_its_place(clock: ManualClock):
    desks = Desks(clock)
    told: list[tuple[str, bool]] = []
    desks.arrive(DESK, HANAKO, seat="old", tell=lambda here: told.append(("old", here)))
    desks.set_ready(DESK, True, seat="old")
    desks.arrive(DESK, HANAKO, seat="new", tell=lambda here: told.append(("new", here)))
    desks.set_ready(DESK, True, seat="new")
    await clock.advance(SILENT + timedelta(seconds=1))
    told.clear()

    desks.beat(DESK, seat="old")

    assert told == [("old", True), ("new", False)]
    assert desks.present(HANAKO)
    assert desks.free() is not None


def test_a_window_that_has_not_begun_its_work_does_not_ring_when_the_other_closes(clock: ManualClock):
    desks = Desks(clock)
    desks.arrive(DESK, HANAKO, seat="working")
    desks.set_ready(DESK, True, seat="working")
    desks.arrive(DESK, HANAKO, seat="just opened")

    desks.leave(DESK, seat="working")

    assert desks.connected(HANAKO)
    assert desks.free() is None
