"""A place is a living fact: a newer one makes a new plan, whole, and who was told of the older one hears of it."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from routing.boundaries import PrefectureLayer
from routing.brief import read
from routing.brief.spoken import speak
from routing.brief.words import render_text
from routing.categories import Category
from routing.directory import Directory
from routing.law import Path
from routing.plan import Sources
from sos.dispatch.corrections import ACTOR, Corrections
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.planner import Planner
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.events import DisclosureDecided, MoveNoticed, PlanMade, ReportFiled
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    ConsentAnswer,
    DeskId,
    Disposition,
    IncidentId,
    Mode,
    OperatorId,
    State,
    TenantId,
    Trigger,
)
from sos.incident.report import Location, StatedPlace, canonical
from sos.journal.journal import Journal
from sos.journal.sections import sections
from tests.journeys import story as s

TENANT = TenantId("acme")
HANAKO = OperatorId("hanako")
TOKYO = Location(latitude=35.68124, longitude=139.76712, trusted=False, heading=90.0)
YOKOHAMA = Location(latitude=35.4437, longitude=139.6380, trusted=True, horizontal_accuracy=10.0)
TOKYO_FIRE, KANAGAWA_FIRE = AgencyId("jp-13-fire"), AgencyId("jp-14-fire")
LIFE = DisclosureRequest(necessity="automatic_crash", consent="no_answer")


@pytest.fixture
def planner(journal: Journal, layer: PrefectureLayer, directory: Directory) -> Planner:
    return Planner(journal, Sources(layer=layer, directory=directory))


@pytest.fixture
def report(journal: Journal, planner: Planner) -> Callable[..., Any]:
    """A further report of the vehicle is filed and planned for."""

    async def file(incident: IncidentId, location: Location, *, sequence: int) -> None:
        parts = {Category.LOC: canonical(location)} if location != Location() else {}
        filed = c.FileReport(
            sequence=sequence, located=location.known, parts=parts, findings=(), report_digest=f"{sequence:064x}"
        )
        done = await journal.execute(incident, filed, actor="system:filer")
        await planner.handle([each for each in done.recorded if isinstance(each.event, ReportFiled)])

    return file


@pytest.fixture
def told(journal: Journal, planner: Planner) -> Callable[..., Any]:
    """The operator says something about the place, and the planner hears it."""

    async def do(incident: IncidentId, command: c.Command) -> None:
        done = await journal.execute(incident, command, actor="operator:hanako")
        await planner.handle(done.recorded)

    return do


async def _place(journal: Journal, incident: IncidentId) -> dict[str, Any]:
    return msgspec.json.decode(sections(await journal.unseal(incident, (Category.LOC,)))[Category.LOC])


async def _plans(journal: Journal, incident: IncidentId) -> list[PlanMade]:
    return [each.event for each in await journal.store.stream(incident) if isinstance(each.event, PlanMade)]


async def _decided(journal: Journal, incident: IncidentId) -> list[DisclosureDecided]:
    return [each.event for each in await journal.store.stream(incident) if isinstance(each.event, DisclosureDecided)]


async def _untrusted_in_tokyo(arrive: Callable[..., Any], report: Callable[..., Any]) -> IncidentId:
    incident = await arrive()
    await report(incident, TOKYO, sequence=1)
    return incident


async def test_the_brief_says_one_place_after_a_move(journal: Journal, arrive: Any, report: Any):
    incident = await _untrusted_in_tokyo(arrive, report)
    assert "position_untrusted" in (await journal.state(incident)).flags
    before = await _place(journal, incident)

    await report(incident, YOKOHAMA, sequence=2)

    after, state = await _place(journal, incident), await journal.state(incident)
    assert (after["latitude"], after["longitude"], after["trusted"]) == (35.4437, 139.6380, True)
    assert (after["prefectureName"], after["source"]) == ("神奈川県", "vehicle")
    assert not {after["mgrs"], after["plusCode"], after["aloudJa"]} & {
        before["mgrs"],
        before["plusCode"],
        before["aloudJa"],
    }
    assert "35.68" not in canonical(after).decode()
    assert "東京都" not in canonical(after).decode()
    assert "heading" not in after
    assert (state.prefecture, state.agencies[0]) == ("JP-14", KANAGAWA_FIRE)
    assert "position_untrusted" not in state.flags


async def test_a_move_beyond_what_both_positions_may_be_wrong_is_said_with_its_distance(
    journal: Journal, arrive: Any, report: Any
):
    incident = await _untrusted_in_tokyo(arrive, report)

    await report(incident, YOKOHAMA, sequence=2)

    state = await journal.state(incident)
    assert state.move is not None
    assert (state.move.distance_m, state.move.in_force) == (29_000, True)


@pytest.mark.parametrize("sent", [TOKYO, msgspec.structs.replace(TOKYO, longitude=139.7690), Location()])
async def test_what_is_the_same_place_or_none_is_no_move(journal: Journal, arrive: Any, report: Any, sent: Location):
    incident = await _untrusted_in_tokyo(arrive, report)

    await report(incident, sent, sequence=2)

    assert (await journal.state(incident)).move is None
    assert (await _place(journal, incident))["prefectureName"] == "東京都"


async def test_a_report_handled_twice_is_planned_for_once_and_takes_no_later_place_back(
    journal: Journal, planner: Planner, arrive: Any, report: Any
):
    incident = await _untrusted_in_tokyo(arrive, report)
    await report(incident, YOKOHAMA, sequence=2)
    await report(incident, TOKYO, sequence=3)
    plans = len(await _plans(journal, incident))

    await planner.handle(await journal.store.stream(incident))

    assert len(await _plans(journal, incident)) == plans
    assert (await journal.state(incident)).prefecture == "JP-13"


async def test_the_operator_goes_back_and_the_same_report_does_not_move_it_again(
    journal: Journal, arrive: Any, report: Any, told: Any
):
    incident = await _untrusted_in_tokyo(arrive, report)
    await report(incident, YOKOHAMA, sequence=2)

    await told(incident, c.SettleMove(operator=HANAKO, adopted=False))
    await report(incident, YOKOHAMA, sequence=3)

    place, state = await _place(journal, incident), await journal.state(incident)
    assert (place["latitude"], place["source"], state.prefecture, state.move) == (35.68124, "operator", "JP-13", None)


async def test_what_a_person_has_stated_no_report_overwrites_silently(
    journal: Journal, arrive: Any, report: Any, told: Any
):
    incident = await _untrusted_in_tokyo(arrive, report)
    pin = StatedPlace(latitude=35.69, longitude=139.70, horizontal_accuracy=100.0)
    await told(incident, c.StatePlace(operator=HANAKO, how="pin", located=True, place=canonical(pin)))
    assert (await _place(journal, incident))["source"] == "operator"

    await report(incident, YOKOHAMA, sequence=2)

    state = await journal.state(incident)
    assert (await _place(journal, incident))["latitude"] == 35.69
    assert state.move is not None
    assert not state.move.in_force
    noticed = [each for each in await journal.store.stream(incident) if isinstance(each.event, MoveNoticed)]
    assert len(noticed) == 1

    await told(incident, c.SettleMove(operator=HANAKO, adopted=True))

    assert (await _place(journal, incident))["latitude"] == 35.4437
    assert (await journal.state(incident)).prefecture == "JP-14"


async def test_a_place_that_is_stated_before_any_plan_is_the_operators_too(journal: Journal, planner: Planner):
    command = c.OpenIncident(
        mode=Mode.LIVE, trigger=Trigger.MANUAL, format="", report=b"", report_digest="00" * 32, readable=False
    )
    opened = await journal.open(command, tenant=TENANT, receipt=b"5" * 32, received_at=journal.clock.now())
    take = c.TakeIncident(operator=HANAKO, desk=DeskId("desk-1"))
    await journal.execute(opened.incident, take, actor="operator:hanako")
    pin = StatedPlace(latitude=35.69, longitude=139.70, horizontal_accuracy=100.0)
    stated = c.StatePlace(operator=HANAKO, how="pin", located=True, place=canonical(pin))

    done = await journal.execute(opened.incident, stated, actor="operator:hanako")
    await planner.handle(done.recorded)

    place = await _place(journal, opened.incident)
    assert (place["latitude"], place["source"]) == (35.69, "operator")


async def test_the_callers_words_stand_beside_the_computed_place_and_are_told(
    journal: Journal, arrive: Any, told: Any, disclosures: Disclosures
):
    incident = await arrive()
    words = StatedPlace(stated="首都高 三つ目の橋")

    await told(incident, c.StatePlace(operator=HANAKO, how="words", located=False, place=canonical(words)))
    await disclosures.decide(incident, agency=TOKYO_FIRE, operator=HANAKO, request=LIFE)

    (brief,) = await _briefs(journal, incident)
    assert brief.sections["LOC"]["stated"] == "首都高 三つ目の橋"
    assert brief.sections["LOC"]["prefectureName"] == "東京都"
    assert "通話では、首都高 三つ目の橋。" in speak(brief, "ja")


async def test_only_who_has_the_incident_says_where_it_is(journal: Journal, arrive: Any):
    incident = await arrive()
    stranger = OperatorId("jiro")

    for command in (
        c.SettleMove(operator=stranger, adopted=True),
        c.StatePlace(operator=stranger, how="words", located=False, place=canonical(StatedPlace(stated="x"))),
    ):
        with pytest.raises(Refused, match="only the operator who has the incident"):
            await journal.execute(incident, command, actor="operator:jiro")


async def _briefs(journal: Journal, incident: IncidentId) -> list[Any]:
    parts = await journal.unseal(incident, (Category.RAW,))
    return [read(part.payload) for part in parts if isinstance(part.recorded.event, DisclosureDecided)]


async def _told_in_tokyo_then_moved(
    journal: Journal, arrive: Any, report: Any, disclosures: Disclosures
) -> tuple[IncidentId, DisclosureDecided]:
    incident = await _untrusted_in_tokyo(arrive, report)
    await disclosures.decide(incident, agency=TOKYO_FIRE, operator=HANAKO, request=LIFE)
    await report(incident, YOKOHAMA, sequence=2)
    return incident, (await _decided(journal, incident))[0]


async def test_who_was_told_first_gets_a_second_version_by_itself_with_what_changed_and_who_is_responsible(
    journal: Journal, arrive: Any, report: Any, disclosures: Disclosures, directory: Directory
):
    incident, first = await _told_in_tokyo_then_moved(journal, arrive, report, disclosures)
    assert [known.elsewhere for known in (await journal.state(incident)).disclosures] == [True]

    await Corrections(journal, disclosures).handle(await journal.store.stream(incident))

    stream = await journal.store.stream(incident)
    (again,) = [each for each in stream if isinstance(each.event, DisclosureDecided) and each.event.corrected]
    assert again.actor == ACTOR
    assert (again.event.agency, again.event.supersedes, again.event.brief_version) == (TOKYO_FIRE, first.disclosure, 2)
    assert (again.event.rule, again.event.path) == (first.rule, first.path)
    _, brief = await _briefs(journal, incident)
    assert brief.responsible == directory.agencies[KANAGAWA_FIRE].name_ja
    assert "latitude" in {change.field for change in brief.changes}
    assert brief.responsible in render_text(brief, "ja")
    assert f"管轄は{brief.responsible}です" in speak(brief, "ja")
    assert "go on until" in render_text(brief, "en")
    old, new = (await journal.state(incident)).disclosures
    assert (old.superseded, new.elsewhere, new.pending) == (True, False, True)


async def test_a_correction_is_made_once(journal: Journal, arrive: Any, report: Any, disclosures: Disclosures):
    incident, _ = await _told_in_tokyo_then_moved(journal, arrive, report, disclosures)
    corrections = Corrections(journal, disclosures)

    for _ in range(3):
        await corrections.handle(await journal.store.stream(incident))

    assert len(await _decided(journal, incident)) == 2


async def test_where_the_law_row_holds_no_longer_nothing_leaves_and_the_desk_goes_on_saying_so(
    journal: Journal, arrive: Any, report: Any, disclosures: Disclosures
):
    incident = await arrive()
    agreed = c.RecordConsent(answer=ConsentAnswer.AGREED, categories=(Category.LOC,), agencies=())
    await journal.execute(incident, agreed, actor="operator:hanako")
    await disclosures.decide(incident, agency=TOKYO_FIRE, operator=HANAKO, request=DisclosureRequest(path=Path.AGREED))
    await journal.execute(incident, c.RecordConsent(answer=ConsentAnswer.REFUSED), actor="operator:hanako")
    await report(incident, YOKOHAMA, sequence=2)

    await Corrections(journal, disclosures).handle(await journal.store.stream(incident))

    assert len(await _decided(journal, incident)) == 1
    assert [known.elsewhere for known in (await journal.state(incident)).disclosures] == [True]


async def test_a_closed_incident_corrects_nobody(journal: Journal, arrive: Any, report: Any, disclosures: Disclosures):
    incident = await _untrusted_in_tokyo(arrive, report)
    await disclosures.decide(incident, agency=TOKYO_FIRE, operator=HANAKO, request=LIFE)
    (told,) = (await journal.state(incident)).disclosures
    await journal.execute(
        incident,
        c.Acknowledge(disclosure=told.disclosure, agency=TOKYO_FIRE, level=Acknowledgement.TAKEN_OVER),
        actor="agency:x",
    )
    await journal.execute(incident, s.close(Disposition.HANDED_OVER), actor="operator:hanako")
    await report(incident, YOKOHAMA, sequence=2)

    await Corrections(journal, disclosures).handle(await journal.store.stream(incident))

    assert (await journal.state(incident)).state is State.CLOSED
    assert len(await _decided(journal, incident)) == 1
