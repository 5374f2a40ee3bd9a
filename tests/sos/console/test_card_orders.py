"""The order by which a desk answers the question card: what is asked, what is an answer, who may give it."""

import msgspec
import pytest

from routing.cards import BrandCards, shipped
from routing.categories import Category
from sos.errors import Forbidden, Malformed, Refused
from sos.incident import commands as c
from sos.incident.events import CardAnswered
from sos.incident.model import DeskId, IncidentId, OperatorId
from sos.journal.journal import Journal
from sos.journal.sections import HELD, sections
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window
from tests.sos.journal.reports import incident as a_report

CHARGING = {
    "id": "charging",
    "kinds": ["breakdown"],
    "category": "OBS",
    "form": "yes_no",
    "ask": {"ja": "充電中でしたか", "en": "Was it charging?"},
    "told": {"ja": "充電中", "en": "Charging"},
}


@pytest.fixture
async def incident(journal: Journal) -> IncidentId:
    opened = await a_report(journal)
    take = c.TakeIncident(operator=OperatorId("hanako"), desk=DeskId("desk-hanako"))
    await journal.execute(opened, take, actor="operator:hanako")
    return opened


async def test_an_answer_is_a_fact_of_its_category_and_both_are_kept_when_it_is_corrected(
    journal: Journal, incident: IncidentId
):
    desk = window(room(journal, Ears()), "hanako")

    await order(desk, "card", incident=incident, question="trapped", value="yes")
    await order(desk, "card", incident=incident, question="trapped", value="no")
    await order(desk, "card", incident=incident, question="occupants", value=2)

    known = sections(await journal.unseal(incident, tuple(HELD)))
    answers = msgspec.json.decode(known[Category.OBS])["answers"]
    assert [(each["question"], each["value"]) for each in answers] == [("trapped", "no"), ("occupants", 2)]
    kept = [each.event for each in await journal.store.stream(incident) if isinstance(each.event, CardAnswered)]
    assert [(each.question, each.urgent) for each in kept] == [
        ("trapped", ("trapped",)), ("trapped", ()), ("occupants", ()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("question", "value", "why"),
    [
        ("weather", "yes", "no such question"),
        ("trapped", "perhaps", "not answered so"),
        ("trapped", 1, "not answered so"),
    ],
)
async def test_what_is_no_question_or_no_answer_is_said_so(
    journal: Journal, incident: IncidentId, question: str, value: str | int, why: str
):
    desk = window(room(journal, Ears()), "hanako")

    with pytest.raises(Malformed, match=why):
        await order(desk, "card", incident=incident, question=question, value=value)


async def test_of_somebodys_health_nothing_is_written_down_without_who_says_so(journal: Journal, incident: IncidentId):
    desk = window(room(journal, Ears()), "hanako")

    with pytest.raises(Refused, match="who says so"):
        await order(desk, "card", incident=incident, question="chest_pain", value="yes")


async def test_only_who_has_the_incident_answers(journal: Journal, incident: IncidentId):
    with pytest.raises(Forbidden):
        await order(window(room(journal, Ears()), "jiro"), "card", incident=incident, question="fire", value="yes")


async def test_a_brands_own_question_is_asked_of_its_cars_alone(journal: Journal, incident: IncidentId):
    tenant = (await journal.state(incident)).tenant
    branded = shipped().with_brand(msgspec.convert({"further": [CHARGING]}, BrandCards))
    house = msgspec.structs.replace(room(journal, Ears()), cards=lambda of: branded if of == tenant else shipped())

    await order(window(house, "hanako"), "card", incident=incident, question="charging", value="yes")
    with pytest.raises(Malformed, match="no such question"):
        await order(
            window(room(journal, Ears()), "hanako"), "card", incident=incident, question="charging", value="yes"
        )
