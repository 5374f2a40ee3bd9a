"""The code of a brief: it means one open incident, ends with it, and cannot be guessed."""

from datetime import timedelta
from hashlib import sha256

import pytest
from msgspec.structs import replace

from sos.clock import ManualClock
from sos.dispatch.codes import DIGITS, WITHIN, WRONG_OF_ALL, WRONG_OF_ONE, Codes, code_of
from sos.errors import Forbidden, Refused
from sos.incident.commands import CloseIncident, PressKeys
from sos.incident.events import KeysPressed
from sos.incident.model import AgencyId, Disposition, IncidentId, LegId, Relation, Standing
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window
from tests.sos.journal.reports import incident

FIRE, POLICE = AgencyId("jp-13-fire"), AgencyId("jp-13-police")
OF = code_of(b"a secret of the house")
HANAKO = "operator:hanako"


@pytest.fixture
def codes(journal: Journal) -> Codes:
    return Codes(journal, OF)


async def told(journal: Journal, number: int, *agencies: AgencyId) -> IncidentId:
    made = await incident(journal, number)
    await journal.execute(made, s.take(), actor=HANAKO)
    for place, agency in enumerate(agencies):
        await journal.execute(made, s.disclose(f"d{number}{place}", agency), actor=HANAKO)
    return made


async def about(journal: Journal, call: IncidentId) -> list[tuple[IncidentId, Relation]]:
    found = (await journal.state(call)).matches
    return [(each.other, each.relation) for each in found if each.standing is Standing.CONFIRMED]


async def test_a_call_is_joined_to_the_incident_whose_code_was_named_whatever_number_it_came_from(
    journal: Journal, codes: Codes
):
    fire, other = await told(journal, 1, FIRE), await told(journal, 2, FIRE)
    call = await incident(journal, 3)
    spoken = OF("d10")

    found = await codes.join(call, f"{spoken[:4]}-{spoken[4:]}", actor=HANAKO)

    assert (found.incident, found.agency) == (fire, FIRE)
    assert await about(journal, call) == [(fire, Relation.CALLS_ABOUT)]
    assert await about(journal, fire) == [(call, Relation.CALLED_ABOUT)]
    assert (await journal.state(call)).about_another
    assert await about(journal, other) == []


async def test_it_is_keyed_on_the_telephone_as_well(journal: Journal, codes: Codes):
    made, call = await told(journal, 1, FIRE), await incident(journal, 3)
    await journal.execute(call, s.join("leg-in"), actor="provider:test")
    for key in f"12*{OF('d10')}#":
        await journal.execute(call, PressKeys(leg=LegId("leg-in"), keys=key), actor="provider:test")

    await codes.handle([each for each in await journal.store.stream(call) if isinstance(each.event, KeysPressed)])

    assert await about(journal, call) == [(made, Relation.CALLS_ABOUT)]


async def test_a_code_ends_with_the_agency_s_part_and_with_the_incident(journal: Journal, codes: Codes):
    made, call = await told(journal, 1, FIRE, POLICE), await incident(journal, 3)
    await journal.execute(made, s.reject("d11", POLICE), actor="agency")
    with pytest.raises(Refused, match="nothing that is open"):
        await codes.join(call, OF("d11"), actor=HANAKO)

    await journal.execute(made, s.acknowledge("d10", FIRE), actor="agency")
    await journal.execute(made, CloseIncident(disposition=Disposition.HANDED_OVER), actor=HANAKO)

    with pytest.raises(Refused, match="nothing that is open"):
        await codes.join(call, OF("d10"), actor=HANAKO)
    assert await about(journal, call) == []


async def test_after_some_wrong_ones_not_even_the_right_one_is_looked_at(
    journal: Journal, codes: Codes, clock: ManualClock
):
    made, call = await told(journal, 1, FIRE), await incident(journal, 3)
    for wrong in range(WRONG_OF_ONE):
        with pytest.raises(Refused, match="nothing that is open"):
            await codes.join(call, f"{wrong:08d}", actor=HANAKO)

    with pytest.raises(Refused, match="too many"):
        await codes.join(call, OF("d10"), actor=HANAKO)
    assert (await codes.join(call, OF("d10"), actor="operator:jiro")).incident == made
    await clock.advance(WITHIN + timedelta(seconds=1))
    assert (await codes.join(call, OF("d10"), actor=HANAKO)).incident == made


async def test_many_callers_together_cannot_guess_more_than_one_could(journal: Journal, codes: Codes):
    call = await incident(journal, 3)
    for guess in range(WRONG_OF_ALL):
        with pytest.raises(Refused, match="nothing that is open"):
            await codes.join(call, f"{guess:08d}", actor=f"system:codes:leg-{guess}")

    with pytest.raises(Refused, match="too many"):
        await codes.join(call, "99999999", actor="system:codes:another")


async def test_the_operator_of_the_call_types_it_and_is_told_which_incident_it_is(journal: Journal, codes: Codes):
    made, call = await told(journal, 1, FIRE), await incident(journal, 3)
    desk = window(replace(room(journal, Ears()), codes=codes), "hanako")
    with pytest.raises(Forbidden):
        await order(desk, "about_code", incident=call, code=OF("d10"))

    await journal.execute(call, s.take(), actor=HANAKO)

    assert await order(desk, "about_code", incident=call, code=OF("d10")) == {"incident": made}


def test_codes_of_different_disclosures_and_houses_differ_and_are_spread_over_all_digits():
    ids = [sha256(str(number).encode()).hexdigest() for number in range(5000)]
    made = {OF(each) for each in ids}

    assert all(len(code) == DIGITS and code.isdecimal() for code in made)
    assert len(made) >= len(ids) - 2
    assert {code[0] for code in made} == set("0123456789")
    assert OF("d") != code_of(b"another house")("d")
