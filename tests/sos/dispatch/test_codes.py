"""The code of a brief: it means one open incident, ends with it, and cannot be guessed."""

from datetime import timedelta
from hashlib import sha256

import pytest
from msgspec.structs import replace

from routing.categories import Category
from sos.clock import ManualClock
from sos.dispatch.codes import DIGITS, Codes, code_of
from sos.dispatch.guesses import WITHIN, WRONG_OF_ALL, WRONG_OF_LINE, WRONG_OF_ONE, Guesser, Guesses
from sos.errors import Forbidden, Refused
from sos.incident.commands import CloseIncident, FileReport, PressKeys
from sos.incident.events import KeysPressed, LegTransferred
from sos.incident.model import AgencyId, AlarmKind, Disposition, IncidentId, LegId, Party, Relation, Standing
from sos.incident.report import CallBack, canonical
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window
from tests.sos.journal.reports import TENANT, incident, receipt, report

FIRE, POLICE = AgencyId("jp-13-fire"), AgencyId("jp-13-police")
OF = code_of(b"a secret of the house")
HANAKO = "operator:hanako"


@pytest.fixture
def codes(journal: Journal) -> Codes:
    return Codes(journal, OF)


async def telephoned(journal: Journal, number: int) -> IncidentId:
    """A call that brought no data."""
    command = replace(report(number), findings=("no_data:$",))
    at = journal.clock.now()
    opened = await journal.open(command, tenant=TENANT, receipt=receipt(number), received_at=at)
    return opened.incident


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
    call = await telephoned(journal, 3)
    spoken = OF("d10")

    found = await codes.join(call, f"{spoken[:4]}-{spoken[4:]}", actor=HANAKO)

    assert (found.incident, found.agency) == (fire, FIRE)
    assert await about(journal, call) == [(fire, Relation.CALLS_ABOUT)]
    assert await about(journal, fire) == [(call, Relation.CALLED_ABOUT)]
    assert (await journal.state(call)).about_another
    assert await about(journal, other) == []


async def test_it_is_keyed_on_the_telephone_as_well(journal: Journal, codes: Codes):
    made, call = await told(journal, 1, FIRE), await telephoned(journal, 3)
    await journal.execute(call, s.join("leg-in"), actor="provider:test")
    for key in f"12*{OF('d10')}#":
        await journal.execute(call, PressKeys(leg=LegId("leg-in"), keys=key), actor="provider:test")

    await codes.handle([each for each in await journal.store.stream(call) if isinstance(each.event, KeysPressed)])

    assert await about(journal, call) == [(made, Relation.CALLS_ABOUT)]


async def test_a_code_ends_with_the_agency_s_part_and_with_the_incident(journal: Journal, codes: Codes):
    made, call = await told(journal, 1, FIRE, POLICE), await telephoned(journal, 3)
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
    made, call = await told(journal, 1, FIRE), await telephoned(journal, 3)
    for wrong in range(WRONG_OF_ONE):
        with pytest.raises(Refused, match="nothing that is open"):
            await codes.join(call, f"{wrong:08d}", actor=HANAKO)

    with pytest.raises(Refused, match="too many"):
        await codes.join(call, OF("d10"), actor=HANAKO)
    assert (await codes.join(call, OF("d10"), actor="operator:jiro")).incident == made
    await clock.advance(WITHIN + timedelta(seconds=1))
    assert (await codes.join(call, OF("d10"), actor=HANAKO)).incident == made


async def keyed(journal: Journal, codes: Codes, call: IncidentId, leg: str, code: str) -> None:
    """Somebody on ``leg`` of ``call`` keys ``code``."""
    await journal.execute(call, s.join(leg), actor="provider:test")
    await journal.execute(call, PressKeys(leg=LegId(leg), keys=f"{code}#"), actor="provider:test")
    await codes.handle((await journal.store.stream(call))[-1:])


async def from_number(journal: Journal, number: int, tel: str) -> IncidentId:
    call = await telephoned(journal, number)
    filed = FileReport(sequence=1, located=False, parts={Category.TEL: canonical(CallBack(tel=tel))})
    await journal.execute(call, filed, actor="system:filer")
    return call


async def test_who_calls_again_and_again_is_one_caller_and_others_are_not_kept_from_theirs(
    journal: Journal, codes: Codes
):
    made = await told(journal, 1, FIRE)
    for again in range(WRONG_OF_ONE):
        await keyed(journal, codes, await from_number(journal, 10 + again, "+81300000066"), "a", f"{again:08d}")

    call = await from_number(journal, 30, "+81300000066")
    await keyed(journal, codes, call, "a", OF("d10"))
    assert await about(journal, call) == []

    other = await from_number(journal, 31, "+81355500113")
    await keyed(journal, codes, other, "a", OF("d10"))
    assert await about(journal, other) == [(made, Relation.CALLS_ABOUT)]


def test_a_line_carries_no_more_wrong_ones_than_some_and_the_other_lines_go_on(clock: ManualClock):
    guesses = Guesses(clock)
    for number in range(WRONG_OF_LINE):
        guesses.wrong(Guesser(who=f"leg:{number}", line="acme"))

    with pytest.raises(Refused, match="too many"):
        guesses.check(Guesser(who="leg:another", line="acme"))
    guesses.check(Guesser(who="leg:another", line="nihon"))


async def test_a_line_that_takes_no_codes_any_more_alarms_people_once(journal: Journal):
    """A house has few lines: what they carry together may never come to the bound above all of them."""
    guesses = Guesses(journal.clock)
    codes = Codes(journal, OF, guesses=guesses)
    call, later = await telephoned(journal, 3), await telephoned(journal, 4)
    line = (await journal.state(call)).tenant
    for number in range(WRONG_OF_LINE - 1):
        assert not guesses.wrong(Guesser(who=f"leg:{number}", line=line))

    await keyed(journal, codes, call, "leg-in", "00000000")
    await keyed(journal, codes, later, "leg-later", "00000000")

    assert [alarm.why for alarm in (await journal.state(call)).alarms] == [AlarmKind.GUESSING]
    assert (await journal.state(later)).alarms == ()


async def test_very_many_on_all_lines_close_the_telephone_alarm_people_and_leave_those_of_ours_their_codes(
    journal: Journal, clock: ManualClock
):
    guesses = Guesses(clock)
    codes = Codes(journal, OF, guesses=guesses)
    made, call = await told(journal, 1, FIRE), await telephoned(journal, 3)
    for number in range(WRONG_OF_ALL - 1):
        assert not guesses.wrong(Guesser(who=f"leg:{number}", line=f"line-{number}"))

    await keyed(journal, codes, call, "leg-in", "00000000")

    assert [alarm.why for alarm in (await journal.state(call)).alarms] == [AlarmKind.GUESSING]
    other = await telephoned(journal, 4)
    await keyed(journal, codes, other, "leg-in", OF("d10"))
    assert await about(journal, other) == []
    assert (await codes.join(other, OF("d10"), actor=HANAKO)).incident == made
    await clock.advance(WITHIN + timedelta(seconds=1))
    guesses.check(Guesser(who="leg:x", line="line-1"))


async def test_a_try_is_as_much_work_whatever_is_open(journal: Journal):
    made: list[str] = []

    def counted(disclosure: str) -> str:
        made.append(disclosure)
        return OF(disclosure)

    codes = Codes(journal, counted)
    for number in range(20):
        await told(journal, 100 + number, FIRE)
    call = await telephoned(journal, 3)
    for number in range(3):
        with pytest.raises(Refused, match="nothing that is open"):
            await codes.join(call, f"{number:08d}", actor=HANAKO)

    assert len(made) == 20


async def test_what_is_told_later_is_found_and_what_is_closed_is_not(journal: Journal, codes: Codes):
    call = await telephoned(journal, 3)
    with pytest.raises(Refused):
        await codes.join(call, "00000000", actor=HANAKO)
    made = await told(journal, 1, FIRE)
    await codes.handle(await journal.store.stream(made))
    assert (await codes.join(call, OF("d10"), actor=HANAKO)).incident == made

    await journal.execute(made, s.acknowledge("d10", FIRE), actor="agency")
    await journal.execute(made, CloseIncident(disposition=Disposition.HANDED_OVER), actor=HANAKO)
    await codes.handle(await journal.store.stream(made))
    with pytest.raises(Refused, match="nothing that is open"):
        await codes.join(call, OF("d10"), actor=HANAKO)


async def test_whoever_keys_the_code_is_taken_into_the_call_of_that_incident_once(journal: Journal):
    codes = Codes(journal, OF, moves=True)
    made, call = await told(journal, 1, FIRE), await telephoned(journal, 3)
    for _ in range(2):  # a reader does everything at least once
        await keyed(journal, codes, call, "leg-in", OF("d10"))

    (there,) = (await journal.state(made)).legs
    assert (there.party, there.who, there.called_in, there.up) == (Party.AGENCY, FIRE, True, False)
    moves = [each.event for each in await journal.store.stream(call) if isinstance(each.event, LegTransferred)]
    assert {(move.leg, move.to, move.as_leg) for move in moves} == {(LegId("leg-in"), made, there.leg)}


async def test_whom_the_operator_talks_with_is_taken_there_when_the_operator_types_the_code(journal: Journal):
    codes = Codes(journal, OF, moves=True)
    made, call = await told(journal, 1, FIRE), await telephoned(journal, 3)
    await journal.execute(call, s.join("leg-in"), actor="provider:test")
    await journal.execute(call, s.join("leg-op", Party.OPERATOR, "jiro"), actor="provider:test")

    await codes.join(call, OF("d10"), actor="operator:jiro")

    (move,) = [each.event for each in await journal.store.stream(call) if isinstance(each.event, LegTransferred)]
    assert (move.leg, move.to) == ("leg-in", made)


async def test_a_car_that_has_reported_is_not_taken_away_by_a_code_and_is_missed_as_before(journal: Journal):
    """Typed in the wrong call, or keyed in it: the people in the car would be alone, and nobody would look for them."""
    codes = Codes(journal, OF, moves=True)
    await told(journal, 1, FIRE)
    reported, late = await incident(journal, 3), await telephoned(journal, 4)
    await journal.execute(late, s.join_report(reason="data_for_call"), actor="vehicle")
    for call in (reported, late):
        await journal.execute(call, s.join("leg-car"), actor="provider:test")
        with pytest.raises(Refused, match="a vehicle has reported here"):
            await codes.join(call, OF("d10"), actor=HANAKO)
        await keyed(journal, codes, call, "leg-car", OF("d10"))

        assert not (await journal.state(call)).about_another
        assert not [e for e in await journal.store.stream(call) if isinstance(e.event, LegTransferred)]


async def test_a_house_without_a_telephone_links_the_call_and_moves_nobody(journal: Journal, codes: Codes):
    made, call = await told(journal, 1, FIRE), await telephoned(journal, 3)
    await keyed(journal, codes, call, "leg-in", OF("d10"))

    assert await about(journal, call) == [(made, Relation.CALLS_ABOUT)]
    assert (await journal.state(made)).legs == ()


async def test_a_code_that_means_two_things_means_neither(journal: Journal):
    codes = Codes(journal, lambda _: "12345678")
    await told(journal, 1, FIRE)
    await told(journal, 2, FIRE)

    with pytest.raises(Refused, match="nothing that is open"):
        await codes.join(await telephoned(journal, 3), "12345678", actor=HANAKO)


async def test_the_operator_of_the_call_types_it_and_is_told_which_incident_it_is(journal: Journal, codes: Codes):
    made, call = await told(journal, 1, FIRE), await telephoned(journal, 3)
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
