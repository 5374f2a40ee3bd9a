"""What is answered on the call, from the desk's order to the plan, to the judgement, and to whoever was told before."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from routing.boundaries import PrefectureLayer
from routing.brief import Brief, read, render_text
from routing.cards import shipped
from routing.categories import Category
from routing.directory import Directory
from routing.kinds import EmergencyKind
from routing.law import Fact
from routing.plan import Sources
from routing.services import Service
from sos.dispatch.corrections import Corrections
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.planner import Planner
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import urgency
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.events import CardAnswered, DisclosureDecided, PlanMade
from sos.incident.model import Acknowledgement, AgencyId, DeskId, IncidentId, Mode, OperatorId, TenantId, Trigger
from sos.incident.report import Location, canonical
from sos.journal.journal import Journal

HANAKO = OperatorId("hanako")
ME = "operator:hanako"
FIRE, POLICE = AgencyId("jp-13-fire"), AgencyId("jp-13-police")
USEFUL = DisclosureRequest(
    necessity="call_for_help", consent="delay", facts=frozenset({Fact.MEDICALLY_USEFUL}), update=True, confirmed=True
)
LIFE = DisclosureRequest(necessity="call_for_help", consent="delay")

Says = Callable[..., Awaitable[None]]


@pytest.fixture
def planner(journal: Journal, layer: PrefectureLayer, directory: Directory) -> Planner:
    return Planner(journal, Sources(layer=layer, directory=directory))


@pytest.fixture
async def breakdown(journal: Journal, planner: Planner) -> IncidentId:
    """An operator has it, and has stated that it is a breakdown."""
    command = c.OpenIncident(
        mode=Mode.LIVE, trigger=Trigger.MANUAL, format="x", report=b"{}", report_digest="0" * 64, readable=True
    )
    opened = await journal.open(command, tenant=TenantId("acme"), receipt=b"4" * 32, received_at=journal.clock.now())
    place = canonical(Location(latitude=35.6812, longitude=139.7671))
    filed = c.FileReport(sequence=1, located=True, parts={Category.LOC: place})
    take = c.TakeIncident(operator=HANAKO, desk=DeskId("desk-1"))
    stated = c.StateKind(operator=HANAKO, kind=EmergencyKind.BREAKDOWN)
    for order in (filed, take, stated):
        done = await journal.execute(opened.incident, order, actor=ME)
        await planner.handle(done.recorded)
    return opened.incident


@pytest.fixture
def says(journal: Journal, planner: Planner, disclosures: Disclosures) -> Says:
    """The operator answers the card, and everybody who follows the journal has seen it."""

    async def say(incident: IncidentId, id: str, value: str | int) -> None:
        question = shipped().question(id)
        assert question is not None
        answered = question.answered(value)
        sealed = question.category is Category.MED
        command = c.AnswerCard(
            operator=HANAKO,
            question=id,
            category=question.category,
            answer=canonical(answered),
            urgent=() if sealed else urgency.of_answer(answered.hazard, severe=answered.severe),
            needs=() if sealed else question.needs(value),
        )
        if sealed:
            done = await disclosures.medical.take_answer(incident, command, source="bystander")
        else:
            done = await journal.execute(incident, command, actor=ME)
        await planner.handle(done.recorded)
        await Corrections(journal, disclosures).handle(done.recorded)

    return say


async def _briefs(journal: Journal, incident: IncidentId) -> list[Brief]:
    parts = await journal.unseal(incident, (Category.RAW,))
    return [read(part.payload) for part in parts if isinstance(part.recorded.event, DisclosureDecided)]


async def _plans(journal: Journal, incident: IncidentId) -> list[PlanMade]:
    return [each.event for each in await journal.store.stream(incident) if isinstance(each.event, PlanMade)]


async def test_a_breakdown_with_smoke_needs_the_fire_brigade_until_it_is_taken_back(
    journal: Journal, breakdown: IncidentId, says: Says
):
    assert (await journal.state(breakdown)).services == ()

    await says(breakdown, "fire", "yes")
    state = await journal.state(breakdown)
    assert (state.services, state.agencies[:1], state.urgent) == ((Service.FIRE,), (FIRE,), ("fire",))
    assert state.kind is EmergencyKind.BREAKDOWN

    await says(breakdown, "fire", "no")
    state = await journal.state(breakdown)
    assert (state.services, state.urgent) == ((), ())


async def test_a_plan_is_made_anew_only_where_somebody_else_is_needed(
    journal: Journal, breakdown: IncidentId, says: Says
):
    before = len(await _plans(journal, breakdown))

    await says(breakdown, "occupants", 2)
    await says(breakdown, "out_of_the_way", "yes")
    assert len(await _plans(journal, breakdown)) == before

    await says(breakdown, "in_traffic", "yes")
    plans = await _plans(journal, breakdown)
    assert [(each.services, each.same_place) for each in plans[before:]] == [((Service.POLICE,), True)]


async def test_who_has_taken_over_gets_what_was_answered_since_with_the_words_that_were_asked(
    journal: Journal, breakdown: IncidentId, says: Says, disclosures: Disclosures
):
    await says(breakdown, "in_traffic", "yes")
    await disclosures.decide(breakdown, agency=POLICE, operator=HANAKO, request=LIFE)
    (told,) = (await journal.state(breakdown)).disclosures
    taken = c.Acknowledge(disclosure=told.disclosure, agency=POLICE, level=Acknowledgement.TAKEN_OVER)
    await journal.execute(breakdown, taken, actor=f"agency:{POLICE}")

    await says(breakdown, "occupants", 4)

    first, second = await _briefs(journal, breakdown)
    assert (first.version, second.version) == (1, 2)
    assert "車線上に停止: はい" in render_text(first, "ja")
    assert "People in the car, as heard: 4" in render_text(second, "en")
    assert "* changed: People in the car, as heard: 4" in render_text(second, "en")
    assert [one.unheard for one in (await journal.state(breakdown)).disclosures] == [True, False]


async def test_who_takes_over_later_gets_it_then_and_once(
    journal: Journal, breakdown: IncidentId, says: Says, disclosures: Disclosures
):
    await says(breakdown, "in_traffic", "yes")
    await disclosures.decide(breakdown, agency=POLICE, operator=HANAKO, request=LIFE)
    await says(breakdown, "occupants", 4)
    assert len(await _briefs(journal, breakdown)) == 1

    (told,) = (await journal.state(breakdown)).disclosures
    taken = c.Acknowledge(disclosure=told.disclosure, agency=POLICE, level=Acknowledgement.TAKEN_OVER)
    done = await journal.execute(breakdown, taken, actor=f"agency:{POLICE}")
    corrections = Corrections(journal, disclosures)
    await corrections.handle(done.recorded)
    await corrections.handle(done.recorded)

    assert [brief.version for brief in await _briefs(journal, breakdown)] == [1, 2]


async def test_an_answer_about_health_is_told_only_where_the_row_of_the_law_releases_it(
    journal: Journal, breakdown: IncidentId, says: Says, disclosures: Disclosures
):
    await journal.execute(breakdown, c.StateKind(operator=HANAKO, kind=EmergencyKind.ILLNESS), actor=ME)
    await says(breakdown, "breathing", "no")
    await says(breakdown, "chest_pain", "yes")

    await disclosures.decide(breakdown, agency=FIRE, operator=HANAKO, request=LIFE)
    await disclosures.decide(breakdown, agency=POLICE, operator=HANAKO, request=LIFE)
    await disclosures.decide(breakdown, agency=FIRE, operator=HANAKO, request=USEFUL)

    plain, police, useful = await _briefs(journal, breakdown)
    for withheld in (plain, police):
        assert "Everybody breathing normally: no" in render_text(withheld, "en")
        assert "Chest pain" not in render_text(withheld, "en")
    assert "Chest pain or shortness of breath: yes" in render_text(useful, "en")


async def test_what_a_bystander_says_of_somebodys_health_names_the_row_by_which_it_was_taken_in(
    journal: Journal, breakdown: IncidentId, says: Says
):
    await says(breakdown, "chest_pain", "yes")

    answered = [each.event for each in await journal.store.stream(breakdown) if isinstance(each.event, CardAnswered)]
    assert [(each.source, bool(each.law_version), bool(each.obligations)) for each in answered] == [
        ("bystander", True, True)
    ]
    header = msgspec.json.encode(answered[0]).decode()
    assert not [word for word in ("yes", "はい", "severe", "胸") if word in header]


async def test_the_value_is_in_no_header(journal: Journal, breakdown: IncidentId, says: Says):
    await says(breakdown, "what_is_wrong", "invented: the belt of the fan")

    stream = await journal.store.stream(breakdown)
    assert "belt" not in msgspec.json.encode([each.event for each in stream]).decode()
    (part,) = [
        each
        for each in await journal.unseal(breakdown, (Category.OBS,))
        if isinstance(each.recorded.event, CardAnswered)
    ]
    assert msgspec.json.decode(part.payload)["value"] == "invented: the belt of the fan"


async def test_somebody_else_cannot_answer(journal: Journal, breakdown: IncidentId):
    command = c.AnswerCard(operator=OperatorId("jiro"), question="fire", category=Category.OBS, answer=b"{}")

    with pytest.raises(Refused):
        await journal.execute(breakdown, command, actor="operator:jiro")


def test_nothing_of_it_is_assumed() -> None:
    found: dict[str, Any] = {each.id: each.feeds.get("unknown") for each in shipped().questions}

    assert set(found.values()) == {None}
