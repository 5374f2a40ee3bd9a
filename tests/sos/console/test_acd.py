"""Distribution of calls: the best free desk, the next one, everybody; silent desks, telephones that are up."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from sos.clock import ManualClock
from sos.console.acd import RUNG_AT_ONCE, Distribution
from sos.console.desks import Desks
from sos.errors import Refused
from sos.incident import attendance
from sos.incident import commands as c
from sos.incident.events import DeskOffered, Event, OperatorLost, Recorded
from sos.incident.model import AlarmKind, DeskId, Incident, IncidentId, LegId, OperatorId, Party, State, TenantId
from sos.journal.deadlines import Deadlines
from sos.journal.journal import Done, Journal
from tests.journeys import story as s
from tests.sos.journal.reports import sequenced

TENANT = TenantId("acme")


class Hall:
    """Desks, and the distribution that follows the journal when it is told to."""

    def __init__(self, journal: Journal, clock: ManualClock) -> None:
        self.journal, self.clock = journal, clock
        self.desks = Desks(clock)
        self.distribution = Distribution(journal, self.desks)
        self._seen: dict[IncidentId, int] = {}

    async def sits(self, *names: str) -> None:
        """Desks of these operators are ready, the first the longest."""
        for name in names:
            self.desks.arrive(DeskId(f"desk-{name}"), OperatorId(name))
            self.desks.set_ready(DeskId(f"desk-{name}"), True)
            await self.clock.advance(timedelta(milliseconds=10))

    async def crash(self, number: int = 1, *, plan: bool = True, follow: bool = True) -> IncidentId:
        opened = await self.journal.open(
            s.open_incident(), tenant=TENANT, receipt=number.to_bytes(32), received_at=self.clock.now()
        )
        self._seen[opened.incident] = 0
        if plan:
            await self.journal.execute(opened.incident, s.plan(), actor="system:planner")
        if follow:
            await self.follow()
        return opened.incident

    async def do(self, incident: IncidentId, *commands: c.Command) -> Incident:
        for command in commands:
            await self.journal.execute(incident, command, actor="system:test")
        await self.follow()
        return await self.journal.state(incident)

    async def passes(self, incident: IncidentId, rung: str, *, after_s: float) -> Incident:
        """A deadline passes, with every desk still there."""
        await self.clock.advance(timedelta(seconds=after_s))
        for desk in self.desks:
            self.desks.beat(desk.id)
        return await self.do(incident, c.PassDeadline(name=rung))

    async def passes_alone(self, seconds: float) -> None:
        """Time, in which nothing but what runs for ever happens."""
        for _ in range(round(10 * seconds)):
            await self.clock.advance(timedelta(milliseconds=100))
        await self.distribution.settle()

    async def follow(self) -> None:
        """As the reader and the ringing do, until nothing new has happened."""
        news = True
        while news:
            news = False
            for incident, seen in self._seen.items():
                if batch := (await self.journal.store.stream(incident))[seen:]:
                    self._seen[incident] += len(batch)
                    await self.distribution.handle(batch)
                    await self.distribution.settle()
                    news = True

    async def happened(self, incident: IncidentId, kind: type[Event]) -> list[Event]:
        return [each.event for each in await self.journal.store.stream(incident) if isinstance(each.event, kind)]


@pytest.fixture
def hall(journal: Journal, clock: ManualClock) -> Hall:
    return Hall(journal, clock)


async def test_the_desk_that_does_not_answer_is_passed_over_for_the_next_best_and_then_all_ring(hall: Hall):
    await hall.sits("hanako", "jiro", "saburo")
    incident = await hall.crash()
    assert (await hall.journal.state(incident)).desks == ("desk-hanako",)

    state = await hall.passes(incident, attendance.NEXT_DESK, after_s=5)
    assert state.desks == ("desk-jiro",)
    state = await hall.passes(incident, attendance.RING_ALL, after_s=5)

    assert state.desks == ()
    assert [each.desks for each in await hall.happened(incident, DeskOffered)] == [  # type: ignore[attr-defined]
        ("desk-hanako",),
        ("desk-jiro",),
        (),
    ]


async def test_without_another_free_desk_all_of_them_ring_at_once(hall: Hall):
    await hall.sits("hanako")
    incident = await hall.crash()

    state = await hall.passes(incident, attendance.NEXT_DESK, after_s=5)

    assert state.desks == ()


async def test_what_no_free_desk_can_take_rings_everywhere_at_once(hall: Hall):
    await hall.sits("hanako")
    first, second = await hall.crash(1), await hall.crash(2)

    assert (await hall.journal.state(first)).desks == ("desk-hanako",)
    state = await hall.journal.state(second)
    assert (state.state, state.desks) == (State.RINGING, ())


async def test_who_reads_the_journal_does_not_wait_for_the_ringing(hall: Hall):
    """Under a flood the next call's plan stands behind this batch."""
    await hall.sits("hanako")
    incident = await hall.crash(follow=False)

    await hall.distribution.handle(await hall.journal.store.stream(incident))

    assert (await hall.journal.state(incident)).state is State.RECEIVED
    rings = asyncio.create_task(hall.distribution.ring())
    await sequenced(hall.journal.store, 3)
    rings.cancel()
    assert (await hall.journal.state(incident)).desks == ("desk-hanako",)


async def test_a_call_that_waits_for_its_plan_too_long_rings_without(hall: Hall):
    await hall.sits("hanako")
    hurry = asyncio.create_task(hall.distribution.hurry())
    planned = await hall.crash(1)
    incident = await hall.crash(2, plan=False)

    await hall.passes_alone(0.3)
    assert (await hall.journal.state(incident)).state is State.RECEIVED
    await hall.passes_alone(0.2)

    assert (await hall.journal.state(incident)).state is State.RINGING
    assert len(await hall.happened(planned, DeskOffered)) == 1
    hurry.cancel()


async def test_two_rounds_at_once_ring_one_desk_for_one_call(hall: Hall):
    await hall.sits("hanako")
    calls = [await hall.crash(number, follow=False) for number in (1, 2)]

    await asyncio.gather(*(hall.distribution.distribute() for _ in range(2)))

    offered = [each for call in calls for each in await hall.happened(call, DeskOffered)]
    assert sorted(each.desks for each in offered) == [(), ("desk-hanako",)]  # type: ignore[attr-defined]


async def test_more_calls_than_a_round_has_all_ring_without_waiting_for_another_event(hall: Hall):
    await hall.sits("hanako")
    calls = [await hall.crash(number, follow=False) for number in range(2 * RUNG_AT_ONCE + 1)]
    for call in calls:
        await hall.distribution.handle(await hall.journal.store.stream(call))

    for _ in calls:
        await hall.distribution.settle()

    assert {(await hall.journal.state(call)).state for call in calls} == {State.RINGING}


class Overtaken(Journal):
    """While the distribution looks, shiro answers by telephone what it has seen waiting, and the reader reads that."""

    def __init__(self, known: Journal) -> None:
        self._known = known
        self.store, self.clock = known.store, known.clock
        self.reads: Callable[[Sequence[Recorded]], Awaitable[None]] | None = None

    async def queue(self, *, limit: int, states: Sequence[State]) -> tuple[int, Sequence[Incident]]:
        total, waiting = await self._known.queue(limit=limit, states=states)
        for incident in waiting if self.reads else ():
            await self._known.execute(incident.id, s.take("shiro"), actor="operator:shiro")
            await self.reads((await self.store.stream(incident.id))[-1:])
        return total, waiting

    async def state(self, incident: IncidentId) -> Incident:
        return await self._known.state(incident)

    async def execute(self, incident: IncidentId, command: c.Command, **more: Any) -> Done:
        return await self._known.execute(incident, command, **more)


async def test_a_desk_whose_call_was_answered_elsewhere_before_it_rang_is_free_for_the_next(hall: Hall):
    overtaken = Overtaken(hall.journal)
    hall.distribution = Distribution(overtaken, hall.desks)
    await hall.sits("hanako")
    lost = await hall.crash(1, follow=False)
    overtaken.reads = hall.distribution.handle
    await hall.distribution.distribute()
    overtaken.reads = None
    assert (await hall.journal.state(lost)).operator == "shiro"
    del hall._seen[lost]  # all of it has been read

    incident = await hall.crash(2)

    assert (await hall.journal.state(incident)).desks == ("desk-hanako",)


async def test_where_nobody_sits_nothing_rings_before_its_deadline(hall: Hall):
    incident = await hall.crash()

    assert (await hall.journal.state(incident)).state is State.RECEIVED


async def test_a_desk_that_was_passed_over_gets_other_calls_after_the_others(hall: Hall):
    await hall.sits("hanako", "jiro", "saburo")
    first = await hall.crash(1)
    await hall.passes(first, attendance.NEXT_DESK, after_s=5)

    second = await hall.crash(2)
    assert (await hall.journal.state(second)).desks == ("desk-saburo",)
    third = await hall.crash(3)

    assert (await hall.journal.state(third)).desks == ("desk-hanako",)


async def test_an_incident_that_was_answered_meanwhile_is_offered_to_nobody(hall: Hall):
    await hall.sits("hanako", "jiro")
    incident = await hall.crash()
    await hall.clock.advance(timedelta(seconds=5))
    await hall.journal.execute(incident, c.PassDeadline(name=attendance.NEXT_DESK), actor="timer")
    await hall.journal.execute(incident, s.take("hanako"), actor="operator:hanako")

    await hall.follow()

    assert len(await hall.happened(incident, DeskOffered)) == 1


async def test_a_silent_desk_loses_its_incident_and_a_telephone_that_is_up_does_not(hall: Hall):
    await hall.sits("hanako")
    at_desk, by_telephone = await hall.crash(1), await hall.crash(2)
    await hall.do(at_desk, s.take("hanako"))
    await hall.do(by_telephone, s.join("leg-shiro", Party.SUPERVISOR, "shiro"), s.take("shiro"))

    await hall.clock.advance(timedelta(seconds=11))
    await hall.distribution.release_silent()

    assert (await hall.journal.state(at_desk)).state is State.RINGING
    assert (await hall.journal.state(by_telephone)).operator == "shiro"


async def test_a_call_whose_operator_never_comes_up_rings_at_the_others(hall: Hall):
    await hall.sits("hanako", "jiro")
    incident = await hall.crash()
    await hall.do(incident, s.join(), s.take("hanako"), s.invite("leg-hanako", Party.OPERATOR, "hanako"))

    await _time_passes(hall, 9)
    assert (await hall.journal.state(incident)).operator == "hanako"
    await _time_passes(hall, 1)

    state = await hall.journal.state(incident)
    assert (state.state, state.desks) == (State.RINGING, ())  # everywhere
    (lost,) = await hall.happened(incident, OperatorLost)
    assert (lost.operator, lost.reason) == ("hanako", "no_voice")


async def test_the_telephone_of_a_desk_may_ring_twice_as_long_and_others_are_alarmed_all_the_same(hall: Hall):
    await hall.sits("hanako", "jiro")
    incident = await hall.crash()
    await hall.do(incident, s.join(), s.take("hanako"), s.invite("leg-hanako", Party.OPERATOR, "hanako"))
    await hall.do(incident, c.RingLeg(leg=LegId("leg-hanako")))

    await _time_passes(hall, 19)
    state = await hall.journal.state(incident)
    assert state.operator == "hanako"
    assert [alarm.why for alarm in state.alarms] == [AlarmKind.NO_VOICE]
    await _time_passes(hall, 1)

    assert (await hall.journal.state(incident)).state is State.RINGING


async def test_a_decision_to_tell_somebody_is_no_voice_for_the_car(hall: Hall):
    await hall.sits("hanako", "jiro")
    incident = await hall.crash()
    await hall.do(incident, s.join(), s.take("hanako"), s.disclose())

    await _time_passes(hall, 10)

    state = await hall.journal.state(incident)
    assert (state.state, state.operator) == (State.HANDING_OVER, None)
    assert state.unattended_at is not None


@pytest.mark.parametrize(
    "first",
    [
        (s.join("leg-hanako", Party.OPERATOR, "hanako"),),  # speaks
        (s.join("leg-hanako", Party.OPERATOR, "hanako"), s.leave("leg-hanako")),  # spoke, and may be back in a moment
        (s.leave(),),  # nobody is in the car's line
    ],
)
async def test_a_call_is_left_to_an_operator_who_speaks_or_spoke_or_has_nobody_on_the_line(
    hall: Hall, first: tuple[c.Command, ...]
):
    await hall.sits("hanako", "jiro")
    incident = await hall.crash()
    await hall.do(incident, s.join(), s.take("hanako"), *first)

    await _time_passes(hall, 60)

    assert (await hall.journal.state(incident)).operator == "hanako"


async def test_where_nobody_else_is_there_a_call_stays_with_who_has_it_and_nobody_loses_it_twice(hall: Hall):
    await hall.sits("hanako")
    incident = await hall.crash()
    await hall.do(incident, s.join(), s.take("hanako"))
    await _time_passes(hall, 60)
    assert (await hall.journal.state(incident)).operator == "hanako"

    await hall.sits("jiro")
    await _time_passes(hall, 1)
    await hall.do(incident, s.take("hanako"))
    await _time_passes(hall, 60)

    assert (await hall.journal.state(incident)).operator == "hanako"
    assert len(await hall.happened(incident, OperatorLost)) == 1


async def test_nobody_hoards_calls_that_others_could_answer(hall: Hall):
    await hall.sits("hanako", "jiro")
    for number in range(1, 4):
        await hall.do(await hall.crash(number), s.take("hanako"))

    with pytest.raises(Refused, match="3 calls are yours and you speak in none"):
        await hall.distribution.check_hoard(OperatorId("hanako"))
    await hall.distribution.check_hoard(OperatorId("jiro"))

    hall.desks.set_ready(DeskId("desk-jiro"), False)
    await hall.distribution.check_hoard(OperatorId("hanako"))  # a rescue is never refused where nobody else is there


async def _time_passes(hall: Hall, seconds: float) -> None:
    """With every desk still there, the timers passing what is due, and the watch looking."""
    await hall.clock.advance(timedelta(seconds=seconds))
    for desk in hall.desks:
        hall.desks.beat(desk.id)
    await Deadlines(hall.journal).round()
    await hall.follow()
    await hall.distribution.release_voiceless()
    await hall.follow()


async def test_whoever_has_it_by_telephone_alone_is_lost_with_the_call_at_once(hall: Hall):
    incident = await hall.crash()
    await hall.do(incident, s.join("leg-shiro", Party.SUPERVISOR, "shiro"), s.take("shiro"))

    state = await hall.do(incident, c.LeaveLeg(leg=LegId("leg-shiro"), reason="ended"))

    assert (state.operator, state.state) == (None, State.RINGING)
    assert await hall.happened(incident, OperatorLost) == [
        OperatorLost(operator=OperatorId("shiro"), reason="telephone_down")
    ]


async def test_whoever_has_come_to_a_desk_meanwhile_keeps_it_when_the_telephone_goes_down(hall: Hall):
    incident = await hall.crash()
    await hall.do(incident, s.join("leg-shiro", Party.SUPERVISOR, "shiro"), s.take("shiro"))
    await hall.sits("shiro")

    state = await hall.do(incident, c.LeaveLeg(leg=LegId("leg-shiro"), reason="ended"))

    assert state.operator == "shiro"


async def test_another_s_leg_that_goes_down_costs_nobody_the_incident(hall: Hall):
    incident = await hall.crash()
    legs = (s.join("leg-shiro", Party.SUPERVISOR, "shiro"), s.join("leg-saburo", Party.SUPERVISOR, "saburo"))
    await hall.do(incident, *legs, s.take("shiro"))

    state = await hall.do(incident, c.LeaveLeg(leg=LegId("leg-saburo"), reason="ended"))

    assert state.operator == "shiro"
