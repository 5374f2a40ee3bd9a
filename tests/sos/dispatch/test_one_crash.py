"""What agencies are told of a crash of several cars: joined to what they have, counted alike in every form, once."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from routing.brief import Brief, read
from routing.brief.eido import write_eido
from routing.brief.fax import _page
from routing.brief.spelling import digits
from routing.brief.spoken import aloud, speak
from routing.brief.words import render_text
from routing.categories import Category
from routing.directory import Directory
from routing.law import RuleBook
from routing.services import Service
from sos.dispatch.corrections import ACTOR, Corrections
from sos.dispatch.disclosure import Disclosures
from sos.errors import Unconfirmed
from sos.incident import commands as c
from sos.incident.codec import write_header
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.events import DisclosureDecided, IncidentsLinked, Recorded
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    ConsentAnswer,
    Disposition,
    IncidentId,
    Mode,
    OperatorId,
    Relation,
    TenantId,
    Trigger,
)
from sos.journal.journal import Journal
from sos.journal.links import link, unlink
from sos.vehicle.report import Car, crash
from tests.journeys import story as s

HANAKO, FIRE, POLICE = OperatorId("hanako"), AgencyId("jp-13-fire"), AgencyId("jp-13-police")
LIFE = DisclosureRequest(necessity="automatic_crash", consent="no_answer")
UPDATE = msgspec.structs.replace(LIFE, update=True)
SURE = msgspec.structs.replace(LIFE, confirmed=True)
FORMS: dict[str, Callable[[Brief], str]] = {
    "text_ja": lambda brief: render_text(brief, "ja"),
    "text_en": lambda brief: render_text(brief, "en"),
    "spoken_ja": lambda brief: aloud(speak(brief, "ja")),
    "spoken_en": lambda brief: aloud(speak(brief, "en")),
    "fax": lambda brief: msgspec.json.encode(_page(brief)).decode(),
    "eido": lambda brief: write_eido(brief).decode(),
}


@pytest.fixture
def corrections(journal: Journal, disclosures: Disclosures) -> Corrections:
    return Corrections(journal, disclosures)


@pytest.fixture
def pair(arrive: Callable[..., Any]) -> Callable[..., Any]:
    """Two cars of one place and time, 3 people in the first and ``second`` in the other."""

    async def come(second: int | None = 2) -> tuple[IncidentId, IncidentId]:
        one = await arrive(car=Car(occupants=3), seed=1)
        return one, await arrive(car=Car(occupants=second, vin="JTMZZ3TESTEC00002", latitude=35.6815), seed=2)

    return come


async def decided(journal: Journal, incident: IncidentId) -> list[Recorded]:
    return [each for each in await journal.store.stream(incident) if isinstance(each.event, DisclosureDecided)]


async def briefs(journal: Journal, incident: IncidentId) -> list[Brief]:
    parts = [await journal.parts_of(each) for each in await decided(journal, incident)]
    return [read(part[Category.RAW]) for part in parts]


async def takes_over(journal: Journal, incident: IncidentId, agency: AgencyId = FIRE) -> None:
    told = [each for each in (await journal.state(incident)).disclosures if each.agency == agency][-1]
    taken = c.Acknowledge(disclosure=told.disclosure, agency=agency, level=Acknowledgement.TAKEN_OVER)
    await journal.execute(incident, taken, actor=f"agency:{agency}")


async def told(disclosures: Disclosures, incident: IncidentId, request: DisclosureRequest = LIFE) -> None:
    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=request)


async def follow(corrections: Corrections, journal: Journal, *incidents: IncidentId) -> None:
    """As the reader: all that has happened, again and again."""
    for incident in incidents:
        await corrections.handle(await journal.store.stream(incident))


async def test_who_has_one_of_the_cars_gets_an_update_that_names_the_other_and_no_second_first_notice(
    journal: Journal, disclosures: Disclosures, corrections: Corrections, pair: Callable[..., Any]
):
    one, other = await pair()
    await told(disclosures, one)
    await takes_over(journal, one)

    await link(journal, one, other, actor="operator:hanako")
    for _ in range(2):
        await follow(corrections, journal, one, other)

    first, update = await briefs(journal, one)
    number = (await journal.state(one)).linked.number
    assert (update.version, update.supersedes) == (2, first.disclosure)
    assert (update.one_crash.number, update.one_crash.vehicles) == (number, 2)
    assert (update.one_crash.occupants, update.one_crash.unknown) == (5, 0)
    assert [(change.field, change.how) for change in update.changes] == [("oneCrash", "added")]
    assert (await decided(journal, one))[-1].actor == ACTOR
    assert await decided(journal, other) == []
    assert update.sections == first.sections


async def test_an_agency_that_is_still_being_called_is_not_called_anew_and_hears_of_it_once_it_has_taken_over(
    journal: Journal, disclosures: Disclosures, corrections: Corrections, pair: Callable[..., Any]
):
    one, other = await pair()
    await told(disclosures, one)
    ladder = (await journal.state(one)).ladders

    await link(journal, one, other, actor="operator:hanako")
    await follow(corrections, journal, one, other)
    assert (await journal.state(one)).ladders == ladder
    await takes_over(journal, one)
    await follow(corrections, journal, one, other)

    assert [brief.version for brief in await briefs(journal, one)] == [1, 2]


async def test_telling_it_of_the_second_car_warns_and_once_confirmed_the_brief_says_what_it_has_heard(
    journal: Journal, disclosures: Disclosures, pair: Callable[..., Any]
):
    one, other = await pair()
    await told(disclosures, one)
    await link(journal, one, other, actor="operator:hanako")

    with pytest.raises(Unconfirmed, match="has been told of this crash"):
        await told(disclosures, other)
    assert await decided(journal, other) == []
    await told(disclosures, other, SURE)

    (first,), (second,) = await briefs(journal, one), await briefs(journal, other)
    (event,) = (each.event for each in await decided(journal, other))
    assert (event.joined, event.again) == ((one,), (first.disclosure,))
    assert [(each.disclosure, each.at) for each in second.one_crash.before] == [(first.disclosure, first.decided_at)]
    tail = first.incident.split(":")[-2][-4:]
    assert f"事案 …{tail}" in render_text(second, "ja")
    assert "The same crash as the incident ending in" in speak(second, "en")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("second", "people"), [(2, "5"), (None, "3")])
async def test_every_form_says_one_crash_how_many_vehicles_and_people_and_the_number(
    journal: Journal,
    disclosures: Disclosures,
    pair: Callable[..., Any],
    form: str,
    second: int | None,
    people: str,
):
    one, other = await pair(second)
    await link(journal, one, other, actor="operator:hanako")
    await told(disclosures, one)
    (brief,) = await briefs(journal, one)

    said = re.sub("[\u200b ]", "", FORMS[form](brief))

    number = (await journal.state(one)).linked.number
    if form.startswith("spoken"):
        number = digits(number, "ja" if form == "spoken_ja" else "en").replace(" ", "")
    assert number in said
    japanese = form in ("text_ja", "spoken_ja", "fax")
    assert ("車両2台" if form != "spoken_ja" else "車両は2台") in said if japanese else "2vehicles" in said
    assert (f"乗員は計{people}名" if japanese else f"occupants{people}") in said
    assert (("うち1台は不明" if japanese else "unknownin1vehicle") in said) is (second is None)


async def test_no_fact_of_one_car_stands_in_the_brief_of_another(
    journal: Journal, disclosures: Disclosures, pair: Callable[..., Any]
):
    one, other = await pair()
    await link(journal, one, other, actor="operator:hanako")
    await told(disclosures, one)
    await told(disclosures, other, SURE)

    for mine, theirs in ((one, "JTMZZ3TESTEC00002"), (other, "JTMZZ3TESTEC00001")):
        (brief,) = await briefs(journal, mine)
        assert theirs not in msgspec.json.encode(brief).decode()
    assert (await briefs(journal, one))[0].sections["LOC"] != (await briefs(journal, other))[0].sections["LOC"]


async def test_how_many_are_in_a_car_whose_person_has_refused_is_told_to_nobody(
    journal: Journal, disclosures: Disclosures, pair: Callable[..., Any]
):
    one, other = await pair()
    await link(journal, one, other, actor="operator:hanako")
    await journal.execute(other, s.consent(ConsentAnswer.REFUSED), actor="operator:hanako")

    await told(disclosures, one)

    (brief,) = await briefs(journal, one)
    assert (brief.one_crash.occupants, brief.one_crash.unknown) == (3, 1)


async def test_who_was_told_of_one_crash_is_told_that_they_are_two_and_nothing_else_changes(
    journal: Journal, disclosures: Disclosures, corrections: Corrections, pair: Callable[..., Any]
):
    one, other = await pair()
    await told(disclosures, one)
    await takes_over(journal, one)
    await link(journal, one, other, actor="operator:hanako")
    number = (await journal.state(one)).linked.number
    await follow(corrections, journal, one, other)
    await takes_over(journal, one)
    before = await briefs(journal, one)

    await unlink(journal, other, actor="operator:hanako")
    await follow(corrections, journal, one, other)

    last = (await briefs(journal, one))[-1]
    assert (last.version, last.parted, last.one_crash) == (3, number, None)
    assert f"共通番号 {number} の事故とは別の事故でした" in render_text(last, "ja")
    assert f"not part of number {number}" in render_text(last, "en")
    assert last.sections == before[-1].sections
    assert await decided(journal, other) == []


async def test_a_link_that_was_undone_before_anybody_was_told_of_it_tells_nobody(
    journal: Journal, disclosures: Disclosures, corrections: Corrections, pair: Callable[..., Any]
):
    one, other = await pair()
    await told(disclosures, one)
    await takes_over(journal, one)
    await link(journal, one, other, actor="operator:hanako")
    await unlink(journal, one, actor="operator:hanako")

    await follow(corrections, journal, one, other)

    assert [brief.version for brief in await briefs(journal, one)] == [1]


async def test_of_a_closed_one_nobody_is_told_anything_more_and_the_other_goes_on(
    journal: Journal, disclosures: Disclosures, corrections: Corrections, pair: Callable[..., Any]
):
    one, other = await pair()
    await told(disclosures, one)
    await takes_over(journal, one)
    await link(journal, one, other, actor="operator:hanako")
    await follow(corrections, journal, one, other)
    await takes_over(journal, one)
    await journal.execute(one, s.decline(Service.POLICE), actor="operator:hanako")
    await journal.execute(one, c.CloseIncident(disposition=Disposition.HANDED_OVER), actor="operator:hanako")
    await told(disclosures, other, SURE)
    await takes_over(journal, other)

    await unlink(journal, one, actor="operator:hanako")
    await follow(corrections, journal, one, other)

    assert [brief.version for brief in await briefs(journal, one)] == [1, 2]
    assert [(brief.version, bool(brief.parted)) for brief in await briefs(journal, other)] == [(1, False), (2, True)]


async def test_of_three_cars_an_agency_hears_from_the_first_alone_that_there_is_a_third(
    journal: Journal, disclosures: Disclosures, corrections: Corrections, pair: Callable[..., Any], arrive: Any
):
    one, two = await pair()
    three = await arrive(car=Car(vin="JTMZZ3TESTEC00003"), seed=3)
    await link(journal, one, two, actor="operator:hanako")
    for each, request in ((one, LIFE), (two, SURE)):
        await told(disclosures, each, request)
        await takes_over(journal, each)

    await link(journal, two, three, actor="operator:hanako")
    await follow(corrections, journal, one, two, three)

    assert [brief.version for brief in await briefs(journal, one)] == [1, 2]
    assert [brief.version for brief in await briefs(journal, two)] == [1]
    assert (await briefs(journal, one))[-1].one_crash.vehicles == 3


async def _nobody_anywhere(journal: Journal, incident: IncidentId) -> None:
    """The operator is lost and nobody of ours could be found."""
    await journal.execute(incident, s.release(), actor="system:test")
    clock = journal.clock
    await clock.advance(timedelta(minutes=2))
    await journal.execute(incident, c.PassDeadline(name="nobody"), actor="timer")


@pytest.mark.parametrize("sure", [True, False])
async def test_where_nobody_decides_the_agency_is_told_and_its_brief_joined_to_what_it_has(
    journal: Journal, disclosures: Disclosures, pair: Callable[..., Any], sure: bool
):
    one, other = await pair()
    await told(disclosures, one)
    if sure:
        await link(journal, one, other, actor="operator:hanako")
    else:
        proposed = c.ProposeMatch(other=one, relation=Relation.SAME_CRASH, reasons=("near",))
        await journal.execute(other, proposed, actor="system:matching")
    await _nobody_anywhere(journal, other)

    await disclosures.decide_unattended(other, agency=FIRE, request=LIFE)

    (first,), (brief,) = await briefs(journal, one), await briefs(journal, other)
    (event,) = (each.event for each in await decided(journal, other))
    assert event.unattended
    before = brief.one_crash.before if sure else brief.maybe
    assert [each.disclosure for each in before] == [first.disclosure]
    assert (event.again, event.maybe) == (((first.disclosure,), ()) if sure else ((), (one,)))
    assert ("May be the same crash" in render_text(brief, "en")) is not sure
    assert ("It may be the same crash as the incident ending in" in speak(brief, "en")) is not sure


async def test_without_a_person_nothing_leaves_twice_that_does_not_say_so_itself(
    journal: Journal, disclosures: Disclosures, pair: Callable[..., Any]
):
    one, other = await pair()
    await told(disclosures, one)
    await link(journal, one, other, actor="operator:hanako")
    await _nobody_anywhere(journal, other)

    with pytest.raises(Unconfirmed):
        await journal.execute(other, s.disclose("d-blind", unattended=True), actor="system:unattended")


async def test_the_cars_of_two_brands_are_one_crash_and_each_record_holds_its_own_car_alone(
    journal: Journal, directory: Directory, arrive: Callable[..., Any], corrections: Corrections
):
    """The operators are ours and see both; what a brand gets is made of its own incident."""
    domains = {TenantId("acme"): "acme.sos.example", TenantId("bravo"): "bravo.sos.example"}
    disclosures = Disclosures(journal, directory=directory, rules=RuleBook.shipped(), domains=domains)
    one = await arrive(car=Car(occupants=3))
    report = crash(Car(occupants=2, vin="JTMZZ3TESTEC00009"), at=journal.clock.now(), seed=9)
    opened = c.OpenIncident(
        mode=Mode.LIVE,
        trigger=Trigger.AUTOMATIC,
        format="application/cloudevents+json",
        report=report.body,
        report_digest="00" * 32,
        readable=True,
    )
    received = await journal.open(opened, tenant=TenantId("bravo"), receipt=b"9" * 32, received_at=journal.clock.now())
    other = received.incident
    await journal.execute(other, s.take("jiro"), actor="operator:jiro")
    await told(disclosures, one)

    await link(journal, one, other, actor="operator:jiro")
    await disclosures.decide(other, agency=FIRE, operator=OperatorId("jiro"), request=SURE)

    for mine, tenant, theirs in ((one, "acme", "bravo"), (other, "bravo", "acme")):
        stream = await journal.store.stream(mine)
        assert {each.tenant for each in stream} == {tenant}
        linked = next(each.event for each in stream if isinstance(each.event, IncidentsLinked))
        assert len(linked.cars) == 2
        assert not [each for each in stream if theirs.encode() in write_header(each)]
        for part in await journal.unseal(mine, tuple(Category)):
            known = part.payload.decode(errors="replace")
            assert f"{theirs}.sos.example" not in known
            assert ("JTMZZ3TESTEC00009" in known) <= (mine == other)
            assert ("JTMZZ3TESTEC00001" in known) <= (mine == one)
    (brief,) = await briefs(journal, other)
    assert [each.tail for each in brief.one_crash.before] == [one[-4:]]
