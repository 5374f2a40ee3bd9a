"""What kind of emergency it is decides who is needed: from the vehicle's report to the plan, and to who was told."""

import io
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pypdf
import pytest

from routing.boundaries import PrefectureLayer
from routing.brief import Brief, read
from routing.brief.eido import write_eido
from routing.brief.fax import write_fax
from routing.brief.spoken import speak
from routing.brief.words import render_text
from routing.categories import Category
from routing.directory import Directory
from routing.kinds import EmergencyKind
from routing.plan import Sources
from routing.services import Service
from sos.clock import ManualClock
from sos.dispatch.corrections import Corrections
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.planner import Planner
from sos.dispatch.unattended import Unattended
from sos.incident import attendance
from sos.incident import commands as c
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.events import DisclosureDecided, PlanMade, TellingWithheld
from sos.incident.model import AgencyId, DeskId, IncidentId, KindSource, Mode, OperatorId, TenantId, Trigger
from sos.intake import cloudevents
from sos.intake.filer import file_report
from sos.intake.reader import Filer
from sos.journal.journal import Journal

TENANT = TenantId("acme")
HANAKO = OperatorId("hanako")
FIRE, POLICE = AgencyId("jp-13-fire"), AgencyId("jp-13-police")
LIFE = DisclosureRequest(necessity="call_for_help", consent="delay")
K = EmergencyKind

Arrive = Callable[..., Awaitable[IncidentId]]


def _event(type_: str = "sos.manual.v1", **data: Any) -> bytes:
    location = {"latitude": 35.6812, "longitude": 139.7671}
    event = {"specversion": "1.0", "id": "e1", "source": "urn:acme", "type": f"com.acme.{type_}"}
    return json.dumps(event | {"data": {"location": location} | data}).encode()


@pytest.fixture
def planner(journal: Journal, layer: PrefectureLayer, directory: Directory) -> Planner:
    return Planner(journal, Sources(layer=layer, directory=directory))


@pytest.fixture
def comes(journal: Journal, planner: Planner) -> Arrive:
    """A report comes in and is filed and planned for; nobody has answered."""

    async def come(body: bytes) -> IncidentId:
        seen = cloudevents.peek(body)
        command = c.OpenIncident(
            mode=Mode.LIVE,
            trigger=seen.trigger,
            format=cloudevents.MEDIA_TYPE,
            report=body,
            report_digest="00" * 32,
            readable=True,
        )
        opened = await journal.open(command, tenant=TENANT, receipt=b"3" * 32, received_at=journal.clock.now())
        await Filer(journal).handle(await journal.store.stream(opened.incident))
        await planner.handle(await journal.store.stream(opened.incident))
        return opened.incident

    return come


@pytest.fixture
def says(journal: Journal, planner: Planner) -> Callable[..., Awaitable[None]]:
    """The operator, who has it then, says what has happened."""

    async def say(incident: IncidentId, kind: EmergencyKind) -> None:
        take = c.TakeIncident(operator=HANAKO, desk=DeskId("desk-1"))
        await journal.execute(incident, take, actor="operator:hanako")
        done = await journal.execute(incident, c.StateKind(operator=HANAKO, kind=kind), actor="operator:hanako")
        await planner.handle(done.recorded)

    return say


async def _plans(journal: Journal, incident: IncidentId) -> list[PlanMade]:
    return [each.event for each in await journal.store.stream(incident) if isinstance(each.event, PlanMade)]


WHO = [
    (K.UNKNOWN, (Service.FIRE, Service.POLICE)),
    (K.CRASH, (Service.FIRE, Service.POLICE)),
    (K.ILLNESS, (Service.FIRE,)),
    (K.FIRE, (Service.FIRE, Service.POLICE)),
    (K.CRIME, (Service.POLICE,)),
    (K.BREAKDOWN, ()),
    (K.DISASTER, (Service.FIRE, Service.POLICE)),
    (K.OTHER, (Service.FIRE, Service.POLICE)),
]


@pytest.mark.parametrize(("kind", "services"), WHO)
async def test_each_kind_that_a_person_states_needs_its_own_services(
    journal: Journal, comes: Arrive, says: Any, kind: EmergencyKind, services: tuple[Service, ...]
):
    incident = await comes(_event())

    await says(incident, kind)

    state = await journal.state(incident)
    assert state.services == services
    assert {each.split("-")[2] for each in state.agencies} == set(services)
    assert (state.kind, state.prefecture) == (kind, "JP-13")


def test_the_table_names_every_kind():
    assert [kind for kind, _ in WHO] == list(EmergencyKind)


@pytest.mark.parametrize(
    ("body", "kind", "because"),
    [
        (_event(), K.UNKNOWN, ""),
        (_event(trigger="automatic"), K.UNKNOWN, ""),  # of the trigger the lifecycle makes a crash
        (_event(kind="breakdown"), K.BREAKDOWN, "said"),
        (_event(kind="illness", crash={"impact": "front"}), K.ILLNESS, "said"),
        (_event(service="urn:service:sos.police"), K.CRIME, "service"),
        (_event(service="urn:service:sos.ambulance"), K.ILLNESS, "service"),
        (_event(service="urn:service:sos.ecall.manual"), K.UNKNOWN, ""),
        (_event(service="urn:service:sos.ecall.automatic"), K.CRASH, "service"),
        (_event(crash={"deltaV": {"x": -20.0}}), K.CRASH, "crash_data"),
        (_event(crash={"rollover": "DETECTED"}), K.CRASH, "crash_data"),
        (_event(crash={"rollover": "NONE"}), K.UNKNOWN, ""),
        (_event(crash={"fire": True}), K.FIRE, "fire_sensor"),
        (_event(crash={"fire": False, "trapped": False}), K.UNKNOWN, ""),
        (_event(kind="nonsense"), K.UNKNOWN, ""),
    ],
)
def test_a_report_names_the_kind_or_shows_it_or_says_nothing(
    body: bytes, kind: EmergencyKind, because: str, clock: ManualClock
):
    filed = file_report(body, cloudevents.MEDIA_TYPE, at=clock.now())

    assert (filed.kind, filed.kind_because) == (kind, because)


async def test_a_pressed_button_is_planned_for_as_the_worst_and_says_that_nobody_knows(journal: Journal, comes: Arrive):
    incident = await comes(_event())

    (plan,) = await _plans(journal, incident)
    assert (plan.kind, plan.services) == (K.UNKNOWN, (Service.FIRE, Service.POLICE))


async def test_a_breakdown_by_the_vehicles_word_tells_nobody_and_a_fire_that_it_reports_later_does(
    journal: Journal, comes: Arrive, planner: Planner
):
    incident = await comes(_event(kind="breakdown"))
    assert (await journal.state(incident)).services == ()

    later = c.FileReport(
        sequence=2, located=True, parts={}, report_digest="2" * 64, kind=K.FIRE, kind_because="fire_sensor"
    )
    done = await journal.execute(incident, later, actor="system:filer")
    await planner.handle(done.recorded)

    state = await journal.state(incident)
    assert (state.services, state.kinds[-1].source) == ((Service.FIRE, Service.POLICE), KindSource.DEDUCED)
    assert state.agencies[:2] == (FIRE, POLICE)


async def test_what_the_vehicle_says_against_a_person_is_planned_for_as_well(
    journal: Journal, comes: Arrive, says: Any, planner: Planner
):
    incident = await comes(_event())
    await says(incident, K.BREAKDOWN)

    later = c.FileReport(
        sequence=2, located=True, parts={}, report_digest="2" * 64, kind=K.FIRE, kind_because="fire_sensor"
    )
    done = await journal.execute(incident, later, actor="system:filer")
    await planner.handle(done.recorded)

    state = await journal.state(incident)
    assert (state.kind, state.services) == (K.BREAKDOWN, (Service.FIRE, Service.POLICE))


async def test_a_plan_for_the_kind_leaves_the_place_and_its_move_alone(
    journal: Journal, comes: Arrive, says: Any, planner: Planner
):
    incident = await comes(_event())
    before = (await journal.unseal(incident, (Category.LOC,)))[-1].payload

    await says(incident, K.ILLNESS)
    await says(incident, K.ILLNESS)
    await planner.handle(await journal.store.stream(incident))

    plans = await _plans(journal, incident)
    assert [(each.kind, each.same_place, each.moved_m) for each in plans] == [
        (K.UNKNOWN, False, None),
        (K.ILLNESS, True, None),
    ]
    after = (await journal.unseal(incident, (Category.LOC,)))[-1].payload
    place = {name: json.loads(after)[name] for name in ("latitude", "longitude", "mgrs", "source")}
    assert place == {name: json.loads(before)[name] for name in place}


async def _briefs(journal: Journal, incident: IncidentId) -> list[Any]:
    parts = await journal.unseal(incident, (Category.RAW,))
    return [read(part.payload) for part in parts if isinstance(part.recorded.event, DisclosureDecided)]


def _fax(brief: Brief) -> str:
    return "".join(pypdf.PdfReader(io.BytesIO(write_fax(brief))).pages[0].extract_text().split())


async def test_who_was_told_of_another_kind_gets_a_newer_brief_and_who_is_not_needed_hears_that_they_are_not(
    journal: Journal, comes: Arrive, says: Any, disclosures: Disclosures
):
    incident = await comes(_event())
    take = c.TakeIncident(operator=HANAKO, desk=DeskId("desk-1"))
    await journal.execute(incident, take, actor="operator:hanako")
    for agency in (FIRE, POLICE):
        await disclosures.decide(incident, agency=agency, operator=HANAKO, request=LIFE)

    await says(incident, K.ILLNESS)
    corrections = Corrections(journal, disclosures)
    await corrections.handle(await journal.store.stream(incident))
    await corrections.handle(await journal.store.stream(incident))

    first_fire, first_police, fire, police = await _briefs(journal, incident)
    assert (first_fire.kind, first_fire.kind_was, first_fire.needed) == ("unknown", "", True)
    assert (fire.kind, fire.kind_was, fire.kind_source, fire.needed) == ("illness", "unknown", "operator", True)
    assert (police.version, police.kind_was, police.needed) == (2, "unknown", False)
    state = await journal.state(incident)
    assert not [each for each in state.disclosures if each.otherwise and not each.superseded]
    for said in (render_text(police, "ja"), speak(police, "ja"), _fax(police)):
        assert "貴機関の出動は不要" in said
        assert "急病" in said
    for said in (render_text(fire, "en"), speak(fire, "en"), write_eido(fire).decode()):
        assert "illness" in said
        assert "not needed" not in said
    assert "not needed" in write_eido(police).decode()
    assert "種別は不明です" in speak(first_police, "ja")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (_event(kind="breakdown"), None),
        (_event(kind="crime"), POLICE),
        (_event(), FIRE),
        (_event(kind="illness"), FIRE),
    ],
)
async def test_nobody_of_ours_tells_whom_the_kind_needs_and_of_a_breakdown_nobody(
    journal: Journal,
    clock: ManualClock,
    comes: Arrive,
    disclosures: Disclosures,
    directory: Directory,
    body: bytes,
    told: AgencyId | None,
):
    incident = await comes(body)
    await journal.execute(incident, c.OfferDesks(desks=()), actor="system:acd")
    await clock.advance(timedelta(seconds=60))
    for step in attendance.STEPS:
        await journal.execute(incident, c.PassDeadline(name=step.name), actor="timer")

    await Unattended(journal, disclosures, directory).handle(await journal.store.stream(incident))

    stream = [each.event for each in await journal.store.stream(incident)]
    assert [each.agency for each in stream if isinstance(each, DisclosureDecided)] == ([told] if told else [])
    withheld = [each.reason for each in stream if isinstance(each, TellingWithheld)]
    assert withheld == ([] if told else ["breakdown"])


def test_a_call_that_sensors_made_is_a_crash():
    assert cloudevents.peek(_event("sos.crash.v1")).trigger is Trigger.AUTOMATIC
