"""The planner in the service: what is planned stands in the journal, and can be made again from what stands there."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from routing.boundaries import PrefectureLayer
from routing.categories import Category
from routing.directory import Directory
from routing.errors import Misconfigured
from routing.plan import PlanRules, Sources, again, plan_from
from routing.plan.hospitals import Facilities, Facility
from routing.plan.routes import Crossings
from sos.clock import ManualClock
from sos.dispatch.planner import Planner, facts_of
from sos.dispatch.sources import open_sources
from sos.errors import Misconfigured as WrongSetting
from sos.incident.commands import OpenIncident
from sos.incident.events import PlanMade
from sos.incident.model import Incident, IncidentId, Mode, TenantId, Trigger
from sos.incident.report import Crash, Fix, Location, Place
from sos.intake.formats import read_report
from sos.intake.reader import Filer
from sos.journal.journal import Journal
from sos.journal.sections import sections
from sos.settings import Settings
from sos.vehicle.report import Car, crash

HOSPITAL = Facility(id="h", name="架空病院", latitude=35.69, longitude=139.70, phone="+81300000001", critical_care=True)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources(
        layer=PrefectureLayer.load(),
        directory=Directory.demo(),
        facilities=Facilities([HOSPITAL], name="f", digest="0"),
        crossings=Crossings.load(),
    )


async def _planned(journal: Journal, clock: ManualClock, planner: Planner, car: Car) -> IncidentId:
    report = crash(car, at=clock.now(), seed=7)
    command = OpenIncident(
        mode=Mode.LIVE,
        trigger=Trigger.AUTOMATIC,
        format="application/cloudevents+json",
        report=report.body,
        report_digest="00" * 32,
        readable=True,
    )
    received = await journal.open(command, tenant=TenantId("acme"), receipt=b"7" * 32, received_at=clock.now())
    await Filer(journal).handle(await journal.store.stream(received.incident))
    await planner.handle(await journal.store.stream(received.incident))
    return received.incident


async def _place(journal: Journal, incident: IncidentId) -> tuple[PlanMade, Place]:
    for recorded in await journal.store.stream(incident):
        if isinstance(recorded.event, PlanMade):
            parts = await journal.parts_of(recorded)
            return recorded.event, msgspec.json.decode(parts[Category.LOC], type=Place)
    raise AssertionError("no plan")


async def test_the_place_in_words_and_the_hospitals_stand_beside_the_plan(
    journal: Journal, clock: ManualClock, sources: Sources
):
    incident = await _planned(journal, clock, Planner(journal, sources), Car(latitude=35.6812, longitude=139.7671))

    event, place = await _place(journal, incident)

    assert event.agencies == ("jp-13-fire", "jp-13-police")
    assert place.prefecture_name == "東京都"
    assert place.mgrs is not None
    assert place.mgrs.startswith("54S")
    assert place.aloud_ja is not None
    assert "東京都" in place.aloud_ja
    assert place.planning is not None
    assert [each.id for each in place.planning.plan.hospitals] == ["h"]
    assert place.planning.plan.hospitals[0].phone == HOSPITAL.phone


async def test_what_is_stored_replays_to_the_same_plan(journal: Journal, clock: ManualClock, sources: Sources):
    incident = await _planned(journal, clock, Planner(journal, sources), Car(latitude=35.5990, longitude=139.6330))

    event, place = await _place(journal, incident)

    assert place.planning is not None
    made = again(place.planning.plan, place.planning.facts, sources)
    assert made == place.planning.plan
    assert (event.agencies, event.reasons, event.flags) == (made.agencies, made.reasons, made.flags)
    assert event.datasets == made.datasets
    with pytest.raises(Misconfigured):
        again(made, place.planning.facts, Sources(layer=sources.layer, directory=sources.directory))


async def test_the_header_of_a_plan_tells_no_municipality_or_position(
    journal: Journal, clock: ManualClock, sources: Sources
):
    incident = await _planned(journal, clock, Planner(journal, sources), Car(latitude=35.6812, longitude=139.7671))

    event, _ = await _place(journal, incident)

    header = msgspec.json.encode(event).decode()
    assert "139.7" not in header
    assert "35.6" not in header
    assert "municipality" not in header


async def test_what_the_operator_alone_sees_of_a_plan_reaches_no_agency(
    journal: Journal, clock: ManualClock, sources: Sources
):
    incident = await _planned(journal, clock, Planner(journal, sources), Car(latitude=35.6812, longitude=139.7671))

    told = msgspec.json.decode(sections(await journal.unseal(incident, (Category.LOC,)))[Category.LOC])

    assert {"latitude", "prefectureName", "aloudJa", "mgrs"} <= set(told)
    assert not {"planning", "runnerUp", "runnerUpName", "borderDistanceM"} & set(told)


def test_a_fix_is_as_old_as_it_was_at_the_crash_not_as_it_is_when_the_report_arrives(
    journal: Journal, clock: ManualClock, sources: Sources
):
    at = clock.now()
    location = Location(
        latitude=35.6812,
        longitude=139.7671,
        timestamp=at - timedelta(minutes=10),
        recent=(Fix(latitude=35.6, longitude=139.7, age_seconds=5.0),),
    )
    happened = Crash(event_time=at - timedelta(minutes=9, seconds=40), speed_before=90.0)

    command = Planner(journal, sources).plan(_new_incident(), location, crash=happened, at=at)

    place = msgspec.json.decode(command.parts[Category.LOC], type=Place)
    assert place.planning is not None
    assert place.planning.facts.fix_age_s == 20.0
    assert place.planning.plan.radius_m == 500
    assert "position_stale" in command.flags


def _new_incident() -> Incident:
    return Incident(id=IncidentId("i"), tenant=TenantId("acme"), trigger=Trigger.AUTOMATIC)


def test_without_boundaries_everything_is_planned_for_the_default_agencies(journal: Journal):
    planner = Planner(journal, Sources(layer=None, directory=Directory.demo(), rules=PlanRules()))

    command = planner.plan(_new_incident(), Location(latitude=35.6812, longitude=139.7671))

    assert command.agencies == ("jp-default-fire", "jp-default-police")
    assert "layer_missing" in command.flags


@pytest.mark.parametrize("setting", ["boundaries", "directory", "hospitals", "routes"])
def test_a_file_that_is_configured_and_missing_stops_the_start_with_the_name_of_the_setting(setting, tmp_path):
    with pytest.raises(WrongSetting, match=setting):
        open_sources(Settings(data_dir=str(tmp_path), **{setting: str(tmp_path / "none")}))


def test_without_settings_the_shipped_prefectures_and_invented_agencies_are_used(tmp_path):
    opened = open_sources(Settings(data_dir=str(tmp_path)))

    assert [dataset.split("@")[0] for dataset in opened.datasets] == [
        "jp_prefectures",
        "demo-agencies",
        "plan-rules-jp",
        "jp_crossings",
    ]


FIELD = Path(__file__).resolve().parents[4] / "shared" / "data" / "field"


@pytest.mark.skipif(not FIELD.exists(), reason="the field inputs are not here")
@pytest.mark.parametrize("odd", ["fix_time_gps_week_rollover", "fix_time_jst_written_as_z"])
def test_a_fix_time_that_cannot_be_neither_ages_nor_moves_the_car(sources: Sources, odd: str):
    body = (FIELD / f"{odd}.json").read_bytes()
    at = datetime(2026, 11, 30, 7, 0, 2, tzinfo=UTC)

    report = read_report(body, "application/cloudevents+json", at=at)
    facts = facts_of(Incident(id=IncidentId("i"), tenant=TenantId("t")), report.location, report.crash, at=at)

    assert any("time_impossible" in finding for finding in report.findings)
    assert report.location.known
    assert not facts.fix_age_s
    assert plan_from(facts, sources).agencies[0].startswith("jp-13-")
