"""Medical data: who gets it by which row, who does not by the nearest, and what is said of it on the call itself."""

import msgspec
import pytest

from routing.brief import read
from routing.categories import Category
from routing.law import Fact, RuleBook
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.medical import MedicalNotes
from sos.dispatch.policy import Policy
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.events import DisclosureDecided, MedicalTaken
from sos.incident.model import AgencyId, OperatorId, TenantId
from tests.journeys import story as s

FIRE, POLICE = AgencyId("jp-13-fire"), AgencyId("jp-13-police")
HOSPITAL, HELICOPTER = AgencyId("jp-13-hospital"), AgencyId("jp-13-helicopter")
HANAKO = OperatorId("hanako")
LIFE = DisclosureRequest(necessity="automatic_crash", consent="no_answer")
USEFUL = msgspec.structs.replace(LIFE, facts=frozenset({Fact.MEDICALLY_USEFUL}))
MEDICAL, FAMILY = b'{"medical":"Mark-MED"}', b'{"familyContact":"Mark-FAM"}'


@pytest.fixture
def disclosures(journal, directory) -> Disclosures:
    return Disclosures(
        journal,
        directory=directory,
        rules=RuleBook.shipped(),
        domains={TenantId("acme"): "acme.sos.example"},
        policies={TenantId("acme"): Policy(terms="demo-terms")},
    )


@pytest.fixture
def notes(journal, directory) -> MedicalNotes:
    return MedicalNotes(journal, directory=directory, rules=RuleBook.shipped())


@pytest.fixture
async def incident(journal, arrive):
    """A crash whose car's owner has registered both."""
    made = await arrive()
    copied = msgspec.structs.replace(s.copy_registered(), parts={Category.MED: MEDICAL, Category.FAM: FAMILY})
    await journal.execute(made, copied, actor="system:registry")
    return made


async def _told(journal, incident) -> tuple[DisclosureDecided, bytes]:
    parts = await journal.unseal(incident, (Category.RAW,))
    last = [part for part in parts if isinstance(part.recorded.event, DisclosureDecided)][-1]
    return last.recorded.event, last.payload


RELEASED = {
    "fire, useful": (FIRE, USEFUL, {Category.MED, Category.FAM}),
    "fire, not said to be useful": (FIRE, LIFE, {Category.FAM}),
    "hospital, useful": (HOSPITAL, USEFUL, {Category.MED, Category.FAM}),
    "hospital, not said to be useful": (HOSPITAL, LIFE, {Category.FAM}),
    "helicopter, useful": (HELICOPTER, USEFUL, {Category.MED}),
    "helicopter, not said to be useful": (HELICOPTER, LIFE, set()),
    "police, useful or not": (POLICE, USEFUL, set()),
}


@pytest.mark.parametrize("case", RELEASED)
async def test_medical_data_and_family_contact_go_to_whom_the_row_names_under_its_condition(
    case: str, journal, disclosures, incident
):
    agency, wish, released = RELEASED[case]

    await disclosures.decide(incident, agency=agency, operator=HANAKO, request=wish)

    decided, brief = await _told(journal, incident)
    both = {Category.MED, Category.FAM}
    assert decided.rule == "JP-01"
    assert both & set(decided.categories) == released
    assert both & set(decided.withheld) == both - released
    assert (b"Mark-MED" in brief, b"Mark-FAM" in brief) == (Category.MED in released, Category.FAM in released)


@pytest.mark.parametrize("agency", [HOSPITAL, HELICOPTER])
async def test_who_prepares_or_flies_gets_neither_plate_nor_number_nor_call_back(
    agency, journal, disclosures, incident
):
    await disclosures.decide(incident, agency=agency, operator=HANAKO, request=LIFE)

    decided, payload = await _told(journal, incident)
    brief = read(payload)
    assert decided.without == ("VEH.licensePlate", "VEH.idScheme", "VEH.idValue")
    assert not {"licensePlate", "idScheme", "idValue"} & set(brief.sections["VEH"])
    assert "TEL" not in brief.sections
    assert {"LOC", "SEV"} <= set(brief.sections)


async def test_hospital_helicopter_and_fire_brigade_are_told_beside_each_other(journal, disclosures, incident):
    for agency in (FIRE, HOSPITAL, HELICOPTER):
        await disclosures.decide(incident, agency=agency, operator=HANAKO, request=USEFUL)

    told = (await journal.state(incident)).disclosures
    assert [(each.agency, each.pending) for each in told] == [(FIRE, True), (HOSPITAL, True), (HELICOPTER, True)]


async def test_what_the_family_says_is_taken_in_by_its_row_and_has_to_be_explained(journal, notes, incident):
    await notes.take(incident, operator=HANAKO, text="diabetic", source="family", consent="unconscious")

    state = await journal.state(incident)
    (taken,) = [r.event for r in await journal.store.stream(incident) if isinstance(r.event, MedicalTaken)]
    assert (taken.rule, taken.ground, taken.source) == ("JP-15", "JP-20-2-ii", "family")
    assert [(each.obligation, each.about) for each in state.owed] == [("later_explanation", "person")]


async def test_what_fits_no_row_is_written_down_all_the_same_and_looked_at_within_a_day(journal, notes, incident):
    await notes.take(incident, operator=HANAKO, text="diabetic", source="bystander")

    (taken,) = [r.event for r in await journal.store.stream(incident) if isinstance(r.event, MedicalTaken)]
    assert (taken.rule, taken.obligations) == ("", ("review_within_a_day",))


async def test_what_the_person_says_themselves_needs_no_row(journal, notes, incident):
    await notes.take(incident, operator=HANAKO, text="diabetic", source="person")

    (taken,) = [r.event for r in await journal.store.stream(incident) if isinstance(r.event, MedicalTaken)]
    assert (taken.rule, taken.obligations) == ("", ())


async def test_what_was_said_reaches_the_doctors_and_not_the_police(journal, notes, disclosures, incident):
    await notes.take(incident, operator=HANAKO, text="Mark-SAID", source="person")
    await disclosures.decide(incident, agency=POLICE, operator=HANAKO, request=USEFUL)
    _, police = await _told(journal, incident)
    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=USEFUL)
    _, fire = await _told(journal, incident)

    assert (b"Mark-SAID" in police, b"Mark-SAID" in fire) == (False, True)


async def test_only_who_has_the_incident_writes_it_down(notes, incident):
    with pytest.raises(Refused, match="answer it first"):
        await notes.take(incident, operator=OperatorId("jiro"), text="x", source="person")


async def test_who_asked_from_outside_and_why_somebody_was_told_are_in_no_brief(journal, disclosures, incident):
    """A request, a review and a reason are OBS parts of the same incident."""
    await journal.execute(incident, s.ask(), actor="operator:hanako")
    await disclosures.decide(
        incident, agency=POLICE, operator=HANAKO, request=msgspec.structs.replace(LIFE, reason="Mark-REASON")
    )
    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=USEFUL)

    _, brief = await _told(journal, incident)
    assert not [word for word in (b"Mark-REASON", b"sergeant", b"no. 17") if word in brief]


async def test_what_only_a_request_can_show_is_not_ticked(disclosures, incident, journal):
    ticked = DisclosureRequest(
        path="public_task",
        facts=frozenset(
            {
                Fact.PUBLIC_BODY_ASKS,
                Fact.STATUTORY_TASK_STATED,
                Fact.ASKING_OBSTRUCTS_TASK,
                Fact.CALL_BACK_VERIFIED,
            }
        ),
    )
    with pytest.raises(Refused, match="JP-04: missing:asking_obstructs_task"):
        await disclosures.decide(incident, agency=POLICE, operator=HANAKO, request=ticked)

    refused = (await journal.store.stream(incident))[-1].event
    assert (type(refused).__name__, refused.rule, refused.outcome) == ("DisclosureRefused", "XX-99", "refer")
    assert ("JP-04", "missing:asking_obstructs_task") in refused.tried


async def test_the_same_body_gets_what_it_asked_for_once_the_request_is_on_record_and_checked(
    disclosures, incident, journal
):
    asked = msgspec.structs.replace(
        s.ask(recipient="POL", path="public_task", document="", scope=(Category.LOC, Category.MED)), channel="telephone"
    )
    for command in (asked, s.check(Fact.ASKING_OBSTRUCTS_TASK), s.check(Fact.CALL_BACK_VERIFIED)):
        await journal.execute(incident, command, actor="operator:hanako")

    await disclosures.decide(incident, agency=POLICE, operator=HANAKO, request=DisclosureRequest(path="public_task"))

    decided, _ = await _told(journal, incident)
    assert (decided.rule, decided.categories) == ("JP-04", (Category.LOC,))


async def test_a_reason_that_the_law_wants_is_kept_where_it_is_looked_for(journal, disclosures, incident):
    wish = DisclosureRequest(necessity="automatic_crash", consent="language", reason="Mark-REASON")
    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=wish)

    parts = await journal.unseal(incident, (Category.OBS,))
    reasons = [part.payload for part in parts if type(part.recorded.event).__name__ == "TellingReasoned"]
    assert [b"Mark-REASON" in each for each in reasons] == [True]
    assert ("review_within_a_day") in [each.obligation for each in (await journal.state(incident)).owed]


async def test_a_note_of_somebody_s_health_says_who_said_so(journal, incident):
    with pytest.raises(Refused, match="who says so"):
        await journal.execute(incident, c.AddNote(category=Category.MED, text="x"), actor="operator:hanako")
