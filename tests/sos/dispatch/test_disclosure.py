import msgspec
import pytest

from routing.brief import read
from routing.categories import Category
from sos.errors import Refused, Unknown
from sos.incident.commands import AddNote
from sos.incident.events import DisclosureDecided
from sos.incident.model import AgencyId, Mode, OperatorId, State
from sos.vehicle.report import Car

FIRE = AgencyId("jp-13-fire")
HANAKO = OperatorId("hanako")
BOTH_LIMBS = {"necessity": "automatic_crash", "consent": "no_answer"}


async def _briefs(journal, incident):
    parts = await journal.unseal(incident, (Category.RAW,))
    return [read(part.payload) for part in parts if isinstance(part.recorded.event, DisclosureDecided)]


async def test_a_disclosure_names_rule_ground_and_both_limbs_and_keeps_the_brief_whole(journal, arrive, disclosures):
    incident = await arrive()
    note = AddNote(category=Category.OBS, text="意識なし / unconscious")
    await journal.execute(incident, note, actor="operator:hanako")

    done = await disclosures.decide(incident, agency=FIRE, operator=HANAKO, **BOTH_LIMBS)

    decided = done.recorded[0].event
    assert isinstance(decided, DisclosureDecided)
    assert (decided.rule, decided.ground) == ("JP-01", "JP-27-1-ii")
    assert (decided.necessity, decided.consent) == ("automatic_crash", "no_answer")
    assert decided.law_version.startswith("APPI-")
    assert Category.RAW not in decided.categories
    (brief,) = await _briefs(journal, incident)
    assert set(brief.sections) == {str(category) for category in decided.categories}
    assert brief.sections["OBS"] == {"notes": ["意識なし / unconscious"]}
    assert brief.sections["LOC"]["latitude"] == pytest.approx(35.681236)
    assert brief.disclosure == decided.disclosure


@pytest.mark.parametrize(
    "limbs",
    [
        {"necessity": "", "consent": "no_answer"},
        {"necessity": "automatic_crash", "consent": ""},
        {"necessity": "curiosity", "consent": "no_answer"},
    ],
)
async def test_without_both_limbs_of_the_exemption_nothing_is_disclosed(journal, arrive, disclosures, limbs):
    incident = await arrive()

    with pytest.raises(Refused, match="XX-99"):
        await disclosures.decide(incident, agency=FIRE, operator=HANAKO, **limbs)

    assert (await journal.state(incident)).disclosures == ()


async def test_only_the_operator_who_has_the_incident_may_tell(arrive, disclosures):
    incident = await arrive()

    with pytest.raises(Refused, match="answer it first"):
        await disclosures.decide(incident, agency=FIRE, operator=OperatorId("taro"), **BOTH_LIMBS)


async def test_an_agency_that_is_not_in_the_directory_is_not_told(arrive, disclosures):
    incident = await arrive()

    with pytest.raises(Unknown):
        await disclosures.decide(incident, agency=AgencyId("nobody"), operator=HANAKO, **BOTH_LIMBS)


async def test_a_test_call_never_leaves_the_house(journal, arrive, disclosures):
    incident = await arrive(mode=Mode.TEST)

    with pytest.raises(Refused):
        await disclosures.decide(incident, agency=FIRE, operator=HANAKO, **BOTH_LIMBS)

    assert (await journal.state(incident)).state is State.IN_CALL


async def test_the_same_agency_is_not_told_again_before_it_has_answered(arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, **BOTH_LIMBS)

    with pytest.raises(Refused, match="has not answered"):
        await disclosures.decide(incident, agency=FIRE, operator=HANAKO, **BOTH_LIMBS)


async def test_a_second_brief_knows_the_notes_since_the_first(journal, arrive, disclosures):
    incident = await arrive()
    for text in ("first", "second"):
        await journal.execute(incident, AddNote(category=Category.OBS, text=text), actor="operator:hanako")
        agency = FIRE if text == "first" else AgencyId("jp-13-police")
        await disclosures.decide(incident, agency=agency, operator=HANAKO, **BOTH_LIMBS)

    first, second = await _briefs(journal, incident)

    assert first.sections["OBS"] == {"notes": ["first"]}
    assert second.sections["OBS"] == {"notes": ["first", "second"]}


async def test_a_crash_without_a_position_is_planned_for_the_default_agencies(journal, arrive):
    incident = await arrive(car=Car(latitude=None, longitude=None))

    state = await journal.state(incident)

    assert state.planned
    assert state.prefecture is None
    assert {"position_unknown", "default_agency"} <= set(state.flags)
    assert len(state.agencies) >= 2


async def test_a_plan_names_its_data_and_says_where_in_words(journal, arrive):
    incident = await arrive()

    places = [p for p in await journal.unseal(incident, (Category.LOC,)) if b"prefectureName" in p.payload]

    assert (await journal.state(incident)).prefecture == "JP-13"
    assert msgspec.json.decode(places[0].payload)["prefectureName"] == "東京都"
