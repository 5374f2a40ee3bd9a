"""Several incidents are one crash: all of them know or none does, whoever is quicker, on both databases."""

import asyncio
from itertools import pairwise

import pytest
from msgspec.structs import replace

from sos.errors import Refused, SosError, Unconfirmed, Unknown
from sos.incident import commands as c
from sos.incident import linking
from sos.incident.lifecycle import replay
from sos.incident.model import Disposition, Incident, IncidentId, Mode, Relation, Share, Standing, State
from sos.journal.journal import Journal
from sos.journal.links import link, unlink
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.journal.conftest import Database
from tests.sos.journal.reports import TENANT, check_order, incident, receipt, report

HANAKO, JIRO = "operator:hanako", "operator:jiro"


async def cars(journal: Journal, count: int = 2) -> list[IncidentId]:
    return [await incident(journal, number) for number in range(count)]


async def answered(journal: Journal, count: int = 2) -> list[IncidentId]:
    found = await cars(journal, count)
    for number, each in enumerate(found):
        await journal.execute(each, s.take(f"op{number}"), actor=f"operator:op{number}")
    return found


async def members(journal: Journal, each: IncidentId) -> tuple[IncidentId, ...]:
    linked = (await journal.state(each)).linked
    return tuple(car.incident for car in linked.cars) if linked else ()


async def kinds(store: Store, each: IncidentId) -> list[str]:
    return [type(recorded.event).__name__ for recorded in await store.stream(each)]


async def test_a_link_stands_in_both_with_one_number_and_changes_nothing_else(journal: Journal, store: Store):
    one, other = await answered(journal)
    before = {each: await journal.state(each) for each in (one, other)}

    await link(journal, one, other, actor=HANAKO)

    for each, theirs in ((one, other), (other, one)):
        state = await journal.state(each)
        assert state.linked is not None
        assert state.linked.vehicles == 2
        assert state.match(theirs, Relation.SAME_CRASH).standing is Standing.CONFIRMED
        assert replace(state, version=0, linked=None, matches=()) == replace(before[each], version=0)
        assert (await kinds(store, each))[-2:] == ["MatchConfirmed", "IncidentsLinked"]
        fresh = Incident(id=each, tenant=TENANT)
        assert replay(fresh, tuple(await store.stream(each))) == state
    numbers = {(await journal.state(each)).linked.number for each in (one, other)}
    assert len(numbers) == 1
    assert len(numbers.pop()) == 6
    await check_order(store, 8)


async def test_three_cars_linked_two_by_two_are_one_crash_under_the_first_number(journal: Journal):
    one, two, three, four = await cars(journal, 4)
    await link(journal, one, two, actor=HANAKO)
    number = (await journal.state(one)).linked.number
    await link(journal, three, four, actor=JIRO)

    await link(journal, four, two, actor=JIRO)

    for each in (one, two, three, four):
        assert await members(journal, each) == (one, two, three, four)
        assert (await journal.state(each)).linked.number == number


async def test_where_one_of_the_two_cannot_be_written_neither_is(journal: Journal, store: Store, database: Database):
    one, other = await cars(journal)

    async with database.gone():
        with pytest.raises(SosError):
            await link(journal, one, other, actor=HANAKO)

    assert await kinds(store, one) == await kinds(store, other) == ["IncidentOpened"]
    assert await members(journal, one) == await members(journal, other) == ()
    await link(journal, one, other, actor=HANAKO)
    assert await members(journal, other) == (one, other)


async def test_an_append_of_several_streams_is_refused_whole_where_one_has_moved_on(journal: Journal, store: Store):
    """Whoever decided on what is no longer so decides again on what is."""
    one, other = await cars(journal)
    looked: list[int] = []

    def orders(states: linking.States) -> linking.Orders:
        looked.append(states[other].version)
        return {one: (s.note(),), other: (s.note(),)}

    await asyncio.gather(
        *(journal.execute(other, s.note(), actor=JIRO) for _ in range(5)),
        journal.execute_together((one, other), orders, actor=HANAKO),
    )

    assert len(looked) > 1
    assert (await kinds(store, one)).count("NoteAdded") == 1
    assert (await kinds(store, other)).count("NoteAdded") == 6


async def test_a_link_confirmed_by_two_at_once_is_one(journal: Journal, store: Store):
    one, other = await cars(journal)

    await asyncio.gather(
        *(link(journal, *pair, actor=HANAKO) for pair in ((one, other), (other, one)) for _ in range(4))
    )

    assert (
        await kinds(store, one) == await kinds(store, other) == ["IncidentOpened", "MatchConfirmed", "IncidentsLinked"]
    )
    assert (await journal.state(one)).linked.number == (await journal.state(other)).linked.number


async def test_many_links_at_once_make_one_crash_that_all_of_them_see_alike(journal: Journal):
    found = await cars(journal, 6)

    await asyncio.gather(*(link(journal, a, b, actor=HANAKO) for a, b in pairwise(found)))

    crashes = {(await journal.state(each)).linked.crash_id for each in found}
    assert len(crashes) == 1
    assert {await members(journal, each) for each in found} == {tuple(found)}


async def test_what_cannot_be_linked_is_refused_in_words(journal: Journal):
    one, other = await answered(journal)
    drill = await journal.open(
        replace(report(7), mode=Mode.DRILL), tenant=TENANT, receipt=receipt(7), received_at=journal.clock.now()
    )

    with pytest.raises(Refused, match="no match of its own"):
        await link(journal, one, one, actor=HANAKO)
    with pytest.raises(Unknown, match="no such incident"):
        await link(journal, one, IncidentId("019b7890-0000-7000-8000-0000bb000000"), actor=HANAKO)
    with pytest.raises(Refused, match="a drill call is never one crash with a live one"):
        await link(journal, one, drill.incident, actor=HANAKO)
    await journal.execute(other, c.CloseIncident(disposition=Disposition.NO_HELP_NEEDED), actor=HANAKO)
    with pytest.raises(Refused, match="is closed: reopen it first"):
        await link(journal, one, other, actor=HANAKO)
    assert await members(journal, one) == ()


async def test_no_more_than_a_large_pile_up_is_one_crash(journal: Journal):
    found = await cars(journal, linking.MOST + 1)
    for each in found[1:-1]:
        await link(journal, found[0], each, actor=HANAKO)

    with pytest.raises(Refused, match="no more than"):
        await link(journal, found[0], found[-1], actor=HANAKO)

    assert len(await members(journal, found[0])) == linking.MOST


async def test_closing_one_closes_no_other_and_takes_none_out(journal: Journal):
    one, other = await answered(journal)
    await link(journal, one, other, actor=HANAKO)

    await journal.execute(one, c.CloseIncident(disposition=Disposition.FALSE_ALARM), actor=HANAKO)

    assert (await journal.state(one)).state is State.CLOSED
    assert (await journal.state(other)).state is State.IN_CALL
    assert await members(journal, other) == (one, other)


async def test_unlinking_after_closing_makes_them_two_and_opens_nothing(journal: Journal, store: Store):
    one, other = await answered(journal)
    await link(journal, one, other, actor=HANAKO)
    await journal.execute(one, c.CloseIncident(disposition=Disposition.NO_HELP_NEEDED), actor=HANAKO)
    before = {each: await journal.state(each) for each in (one, other)}

    await unlink(journal, one, actor=JIRO)
    await unlink(journal, one, actor=JIRO)

    for each in (one, other):
        state = await journal.state(each)
        assert (state.linked, state.state) == (None, before[each].state)
        assert [match.standing for match in state.matches] == [Standing.UNDONE]
        assert (await kinds(store, each)).count("IncidentsUnlinked") == 1


async def test_one_of_three_is_taken_out_and_two_stay_one_crash(journal: Journal):
    one, two, three = await cars(journal, 3)
    await link(journal, one, two, actor=HANAKO)
    await link(journal, one, three, actor=HANAKO)
    number = (await journal.state(two)).linked.number

    await unlink(journal, one, actor=HANAKO)

    assert await members(journal, one) == ()
    assert await members(journal, two) == await members(journal, three) == (two, three)
    assert (await journal.state(two)).linked.number == number


async def test_a_callers_report_and_the_voice_of_a_car_make_no_further_vehicle(journal: Journal):
    car, voice, caller, other = await cars(journal, 4)
    await link(journal, car, voice, share=Share.SAME_VEHICLE, actor=HANAKO)
    await link(journal, car, caller, share=Share.CALLER, actor=HANAKO)
    await link(journal, caller, other, actor=HANAKO)
    assert (await journal.state(other)).linked.vehicles == 2

    await unlink(journal, car, actor=HANAKO)

    shares = {each.incident: each.share for each in (await journal.state(other)).linked.cars}
    assert shares == {voice: Share.VEHICLE, caller: Share.CALLER, other: Share.VEHICLE}


async def test_of_two_operators_who_tell_one_agency_of_one_crash_at_once_the_second_is_warned(
    journal: Journal, store: Store
):
    one, other = await answered(journal)
    await link(journal, one, other, actor=HANAKO)

    outcomes = await asyncio.gather(
        journal.execute(one, s.disclose("d-one"), actor="operator:op0"),
        journal.execute(other, s.disclose("d-other"), actor="operator:op1"),
        return_exceptions=True,
    )

    warned = [each for each in outcomes if isinstance(each, Unconfirmed)]
    assert len(warned) == 1
    number = (await journal.state(one)).linked.number
    assert f"jp-13-fire has been told of this crash (number {number})" in str(warned[0])
    told = {each: (await journal.state(each)).linked.told for each in (one, other)}
    assert sorted(len(each) for each in told.values()) == [0, 1]
    second, disclosure = (other, "d-other") if told[other] else (one, "d-one")
    await journal.execute(second, s.disclose(disclosure, confirmed=True), actor=HANAKO)
    assert {len((await journal.state(each)).linked.told) for each in (one, other)} == {1}


async def test_who_was_told_before_they_were_linked_is_known_in_both_and_each_keeps_its_operator(journal: Journal):
    one, other = await answered(journal)
    await journal.execute(one, s.disclose("d-one"), actor="operator:op0")

    await link(journal, one, other, actor=HANAKO)

    state = await journal.state(other)
    assert [(known.incident, known.agency, known.version) for known in state.linked.told] == [(one, s.FIRE, 1)]
    assert [(await journal.state(each)).operator for each in (one, other)] == ["op0", "op1"]
    with pytest.raises(Unconfirmed):
        await journal.execute(other, s.disclose("d-other"), actor="operator:op1")


async def test_a_telling_that_runs_while_the_two_are_linked_is_known_in_both(journal: Journal):
    """Whichever is written first: the link brings what was told, or the telling finds the link."""
    for turn in range(5):
        found = [await incident(journal, 2 * turn + k) for k in range(2)]
        for each in found:
            await journal.execute(each, s.take(), actor=HANAKO)

        await asyncio.gather(
            journal.execute(found[0], s.disclose("d-one"), actor=HANAKO),
            link(journal, found[0], found[1], actor=JIRO),
        )

        told = (await journal.state(found[1])).linked.told
        assert [known.disclosure for known in told] == ["d-one"]
