"""Mass events at the desks: supervisors decide by orders, every desk is told, and it alarms whom it must."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from recording.keys import KeyStore
from sos.clock import ManualClock
from sos.console.hub import Mailbox
from sos.console.mass_events import MassEventBoard
from sos.console.room import Room
from sos.errors import Forbidden, Refused
from sos.incident.alarms import LOUDER_AFTER
from sos.incident.mass_event import AskTelling, Propose, Spot
from sos.incident.model import AgencyId, Area, DeskId, IncidentId, MassEventId, OperatorId
from sos.journal.journal import Journal
from sos.journal.losses import Losses
from sos.journal.mass_events import MassEventLedger
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window

ONE = MassEventId("m-1")
DECLARED = {"name": "invented quake", "hours": 6, "codes": ["JP-13"]}


class Hall:
    def __init__(self, journal: Journal, keys: KeyStore, clock: ManualClock) -> None:
        self.ledger = MassEventLedger(journal.store, keys, clock=clock, losses=Losses())
        bare = room(journal, Ears())
        self.board = MassEventBoard(
            self.ledger,
            journal,
            bare.hub,
            bare.desks,
            supervisors=(OperatorId("jiro"),),
            renewed_after_h=6.0,
            names={"JP-13": ("東京都", "Tokyo")},
        )
        self.house: Room = msgspec.structs.replace(bare, mass_events=self.board)
        self.desk = window(self.house, "hanako")
        self.supervisor = window(self.house, "jiro", supervisor=True)

    async def told(self, mailbox: Mailbox | None = None) -> dict[str, Any]:
        """What a desk was told last."""
        box = mailbox or self.desk.mailbox
        box.close()
        last: dict[str, Any] = {}
        while (text := await box.take()) is not None:
            last = msgspec.json.decode(text)
        return last

    async def audience(self) -> Any:
        """Whom it alarms now, as a desk is told that joins."""
        await self.board.look()
        joined = self.house.hub.join()
        self.board.tell(joined)
        return (await self.told(joined))["audience"]

    async def propose(self) -> None:
        spot = Spot(latitude=35.69, longitude=139.7)
        area = Area(latitude=35.69, longitude=139.7, radius_km=20)
        proposed = Propose(mass_event=ONE, area=area, spot=spot, emergencies=12, tenants=3, within_s=600)
        await self.ledger.execute(proposed, actor="system:mass-event")


@pytest.fixture
def hall(journal: Journal, keys: KeyStore, clock: ManualClock) -> Hall:
    return Hall(journal, keys, clock)


async def test_every_desk_is_told_what_a_supervisor_has_declared_and_so_is_one_that_comes_later(hall: Hall):
    await order(hall.supervisor, "declare_mass_event", seen=0, **DECLARED)

    told = await hall.told()
    (event,) = told["events"]
    assert (told["t"], told["decisions"], told["audience"]) == ("mass_events", 1, None)
    assert (event["name"], event["operator"], event["in_force"], event["waiting"]) == (
        "invented quake",
        "jiro",
        True,
        0,
    )
    assert event["area_names"] == [["東京都", "Tokyo"]]
    late = hall.house.hub.join()
    hall.board.tell(late)
    assert await hall.told(late) == told


async def test_an_operator_declares_nothing_and_the_second_of_two_supervisors_hears_who_was_first(hall: Hall):
    with pytest.raises(Forbidden):
        await order(hall.desk, "declare_mass_event", seen=0, **DECLARED)
    await order(hall.supervisor, "declare_mass_event", seen=0, **DECLARED)

    other = window(hall.house, "saburo", supervisor=True)
    with pytest.raises(Refused, match="jiro has decided about mass events meanwhile"):
        await order(other, "declare_mass_event", seen=0, **DECLARED)
    assert len(hall.ledger.now.events) == 1


async def test_a_proposal_alarms_supervisors_and_every_desk_when_none_decides(hall: Hall, clock: ManualClock):
    jiro = DeskId("desk-jiro")
    hall.house.desks.arrive(jiro, "jiro", seat="s", tell=lambda _: None)
    await hall.propose()
    assert await hall.audience() == "supervisors"

    await clock.advance(LOUDER_AFTER - timedelta(milliseconds=1))
    hall.house.desks.beat(jiro, seat="s")
    assert await hall.audience() == "supervisors"

    await clock.advance(timedelta(milliseconds=1))
    hall.house.desks.beat(jiro, seat="s")
    assert await hall.audience() == "everybody"
    await order(hall.supervisor, "dismiss_mass_event", mass_event=ONE, seen=0)
    assert (await hall.told())["events"] == []


async def test_what_waits_longest_decides_who_is_alarmed(hall: Hall, clock: ManualClock):
    jiro = DeskId("desk-jiro")
    hall.house.desks.arrive(jiro, "jiro", seat="s", tell=lambda _: None)
    await order(hall.supervisor, "declare_mass_event", seen=0, **(DECLARED | {"codes": ["JP-01"]}))
    event = hall.ledger.now.in_force[0].mass_event
    assert await hall.audience() is None
    ask = AskTelling(mass_event=event, agency=AgencyId("jp-13-fire"), place="JP-01", incident=IncidentId("i-1"))
    await hall.ledger.execute(ask, actor="system:unattended")
    await clock.advance(LOUDER_AFTER)
    hall.house.desks.beat(jiro, seat="s")
    await hall.propose()

    assert await hall.audience() == "everybody"


async def test_with_no_supervisor_there_every_desk_is_alarmed_at_once(hall: Hall):
    await hall.propose()
    await hall.board.look()

    assert (await hall.told())["audience"] == "everybody"


async def test_it_is_an_alarm_again_when_its_time_has_run_out_until_it_is_renewed(hall: Hall, clock: ManualClock):
    await order(hall.supervisor, "declare_mass_event", seen=0, **DECLARED)
    event = hall.ledger.now.in_force[0].mass_event
    await clock.jump(timedelta(hours=6))
    await hall.ledger.look()
    await hall.board.look()
    box = hall.house.hub.join()
    hall.board.tell(box)
    told = await hall.told(box)
    assert (told["audience"], told["events"][0]["overdue"]) == ("everybody", True)

    await order(hall.supervisor, "change_mass_event", mass_event=event, seen=1, **(DECLARED | {"hours": 2}))
    assert (await hall.told())["audience"] is None
    await order(hall.supervisor, "end_mass_event", mass_event=event, seen=2, words="over")


async def test_what_is_asked_about_an_agency_and_a_place_is_answered_at_the_desk(hall: Hall):
    await order(hall.supervisor, "declare_mass_event", seen=0, **DECLARED)
    event = hall.ledger.now.in_force[0].mass_event
    ask = AskTelling(mass_event=event, agency=AgencyId("jp-13-fire"), place="JP-13", incident=IncidentId("i-1"))
    await hall.ledger.execute(ask, actor="system:unattended")
    about = {"mass_event": event, "agency": "jp-13-fire", "place": "JP-13"}

    await order(hall.supervisor, "answer_mass_telling", **about, how="list", every_min=10)
    with pytest.raises(Refused, match="jiro has answered meanwhile: list"):
        await order(hall.supervisor, "answer_mass_telling", **about, how="hold")

    (telling,) = (await hall.told())["events"][0]["tellings"]
    assert (telling["how"], telling["every_min"], telling["place_name"]) == ("list", 10, ["東京都", "Tokyo"])
