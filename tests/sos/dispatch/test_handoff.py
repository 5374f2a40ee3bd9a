import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from routing.directory import Directory
from sos.clock import ManualClock
from sos.dispatch.adapters.simulated import LOSSES, Fault, SimulatedChannel
from sos.dispatch.handoff import REST, WATCH, Breaker, Handoff, was_set_back
from sos.dispatch.reply_codes import check_digits
from sos.incident.commands import Acknowledge, EndAgencyCall, JoinLeg, LeaveLeg, PassDeadline, PressKeys, Reject
from sos.incident.events import (
    AgencyCallEnded,
    AgencyCallRequested,
    DeliveryConfirmed,
    DeliveryFailed,
    DeliveryStarted,
    DisclosureDecided,
    RungTaken,
)
from sos.incident.model import Acknowledgement, AgencyId, OperatorId, Party, Rung

FIRE = AgencyId("jp-13-fire")
START = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
LIMBS = {"operator": OperatorId("hanako"), "necessity": "automatic_crash", "consent": "no_answer"}


def _handoff(journal, channel, **options) -> Handoff:
    return Handoff(journal, directory=Directory.demo(), channels={"portal": channel}, **options)


async def _pass(journal, handoff, incident) -> None:
    """What the reader does with all events, as if its cursor had never been saved, and with what that led to."""
    for _ in range(2):
        await handoff.handle(await journal.store.stream(incident))
        await handoff.idle()


async def _until_confirmed(journal, clock, handoff, incident, *, rounds=60):
    """Let the deadlines of the hand-off pass until a machine there has the brief."""
    for _ in range(rounds):
        await _pass(journal, handoff, incident)
        if all(told.reached is not None for told in (await journal.state(incident)).disclosures):
            return
        await clock.advance(timedelta(seconds=5))
        await journal.execute(incident, PassDeadline(name="redeliver"), actor="timer")
    raise AssertionError("never confirmed")


async def test_intent_stands_before_the_delivery_and_its_outcome_after(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    channel = SimulatedChannel(misbehaviour=0)

    await _pass(journal, _handoff(journal, channel), incident)

    kinds = [type(recorded.event) for recorded in await journal.store.stream(incident)]
    assert kinds[-5:] == [DisclosureDecided, RungTaken, RungTaken, DeliveryStarted, DeliveryConfirmed]
    assert (await journal.state(incident)).disclosures[0].reached is Acknowledgement.DELIVERED


async def test_the_reader_may_see_the_decision_again_and_delivers_once(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    channel = SimulatedChannel(misbehaviour=0)
    handoff = _handoff(journal, channel)

    for _ in range(3):  # the cursor was not saved: everything comes again
        await _pass(journal, handoff, incident)

    assert list(channel.arrived.values()) == [1]


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_the_channel_loses_each_brief_arrives_exactly_once(journal, clock, arrive, disclosures, seed):
    incident = await arrive()
    for agency in (FIRE, AgencyId("jp-13-police")):
        await disclosures.decide(incident, agency=agency, **LIMBS)
    channel = SimulatedChannel(misbehaviour=0.5, seed=seed, faults=LOSSES)

    await _until_confirmed(journal, clock, _handoff(journal, channel), incident)

    assert len(channel.arrived) == 2
    assert set(channel.arrived.values()) == {1}
    recorded = [event.event for event in await journal.store.stream(incident)]
    started = sum(isinstance(event, DeliveryStarted) for event in recorded)
    assert started == 2 + sum(isinstance(event, DeliveryFailed) for event in recorded)


async def test_a_service_killed_between_delivery_and_record_asks_before_it_repeats(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    channel = SimulatedChannel(misbehaviour=0)

    class DiesAfterwards(SimulatedChannel):
        async def deliver(self, parcel):
            await channel.deliver(parcel)
            raise asyncio.CancelledError

    await _pass(journal, _handoff(journal, DiesAfterwards(misbehaviour=0)), incident)
    assert (await journal.state(incident)).disclosures[0].reached is None
    await _pass(journal, _handoff(journal, channel), incident)

    assert list(channel.arrived.values()) == [1]
    assert (await journal.state(incident)).disclosures[0].reached is Acknowledgement.DELIVERED
    assert (await journal.state(incident)).disclosures[0].attempts == 2


async def _rungs(journal, incident):
    events = [recorded.event for recorded in await journal.store.stream(incident)]
    return [event for event in events if isinstance(event, RungTaken)]


async def test_at_once_the_brief_is_pushed_and_the_operator_is_asked_to_call(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)

    await _pass(journal, _handoff(journal, SimulatedChannel(misbehaviour=0)), incident)

    push, call = await _rungs(journal, incident)
    assert (push.rung, call.rung, call.line, call.by_hand) == (Rung.PUSH, Rung.FIRST_LINE, "first", True)
    assert call.next_after_ms == 20_000


async def test_a_house_that_dials_requests_the_call_beside_its_rung(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)

    await _pass(journal, _handoff(journal, SimulatedChannel(misbehaviour=0), dials=True), incident)

    events = [recorded.event for recorded in await journal.store.stream(incident)]
    requested = [event for event in events if isinstance(event, AgencyCallRequested)]
    assert [call.line for call in requested] == ["first"]
    assert events.index(requested[0]) == 1 + next(
        n for n, event in enumerate(events) if isinstance(event, RungTaken) and event.line == "first"
    )


async def test_the_ladder_climbs_by_deadlines_alone_until_people_are_alarmed(journal, clock, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    handoff = _handoff(journal, SimulatedChannel(misbehaviour=0))
    await _pass(journal, handoff, incident)

    for _ in range(22):
        await clock.advance(timedelta(seconds=5))
        await journal.execute(incident, PassDeadline(name="rung"), actor="timer")
        await _pass(journal, handoff, incident)

    taken = await _rungs(journal, incident)
    assert [rung.rung for rung in taken][2:] == [Rung.SECOND_LINE, Rung.OTHERS, Rung.SUPERVISOR, Rung.SUPERVISOR]
    assert [rung.elapsed_ms for rung in taken][2:] == [20_000, 60_000, 75_000, 105_000]
    assert "jp-13-police" in next(rung for rung in taken if rung.rung is Rung.OTHERS).proposed


async def test_a_busy_line_is_no_reason_to_wait(journal, clock, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    handoff = _handoff(journal, SimulatedChannel(misbehaviour=0), dials=True)
    await _pass(journal, handoff, incident)
    told = (await journal.state(incident)).disclosures[0]
    busy = EndAgencyCall(disclosure=told.disclosure, leg=told.calls[0].leg, outcome="busy")

    await journal.execute(incident, busy, actor="system:bridge")
    await _pass(journal, handoff, incident)

    last = (await _rungs(journal, incident))[-1]
    assert (last.rung, last.reason, last.elapsed_ms) == (Rung.SECOND_LINE, "busy", 0)


async def test_a_leg_that_hangs_up_ends_its_call_although_nobody_said_how(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    handoff = _handoff(journal, SimulatedChannel(misbehaviour=0), dials=True)
    await _pass(journal, handoff, incident)
    leg = (await journal.state(incident)).disclosures[0].calls[0].leg

    await journal.execute(incident, JoinLeg(leg=leg, party=Party.AGENCY, who=FIRE), actor="provider:simulated")
    await journal.execute(incident, LeaveLeg(leg=leg, reason="media_lost"), actor="provider:simulated")
    await _pass(journal, handoff, incident)

    ended = [r.event for r in await journal.store.stream(incident) if isinstance(r.event, AgencyCallEnded)]
    assert [event.outcome for event in ended] == ["media_lost"]


async def test_keys_on_the_agencys_telephone_answer_after_the_check_digits_alone(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    handoff = _handoff(journal, SimulatedChannel(misbehaviour=0), dials=True)
    await _pass(journal, handoff, incident)
    told = (await journal.state(incident)).disclosures[0]
    leg, check = told.calls[0].leg, check_digits(told.disclosure)
    await journal.execute(incident, JoinLeg(leg=leg, party=Party.AGENCY, who=FIRE), actor="provider:simulated")

    for keys, reached in (("2", Acknowledgement.DELIVERED), (check[:2], None), (f"{check}1", Acknowledgement.HEARD)):
        await journal.execute(incident, PressKeys(leg=leg, keys=keys), actor="provider:simulated")
        await _pass(journal, handoff, incident)
        state = await journal.state(incident)
        assert state.disclosures[0].reached is (reached or Acknowledgement.DELIVERED)
    await journal.execute(incident, PressKeys(leg=leg, keys=f"{check}2#"), actor="provider:simulated")
    await _pass(journal, handoff, incident)

    assert (await journal.state(incident)).disclosures[0].taken_over


async def test_a_machines_yes_does_not_stop_the_ladder_and_a_humans_does(journal, clock, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    handoff = _handoff(journal, SimulatedChannel(misbehaviour=1, faults=(Fault.LIE,)))
    await _pass(journal, handoff, incident)
    assert (await journal.state(incident)).disclosures[0].reached is Acknowledgement.DELIVERED

    await clock.advance(timedelta(seconds=20))
    await journal.execute(incident, PassDeadline(name="rung"), actor="timer")
    await _pass(journal, handoff, incident)
    told = (await journal.state(incident)).disclosures[0]
    heard = Acknowledge(disclosure=told.disclosure, agency=FIRE, level=Acknowledgement.HEARD)
    await journal.execute(incident, heard, actor=f"agency:{FIRE}")
    await _pass(journal, handoff, incident)

    assert [rung.rung for rung in await _rungs(journal, incident)][-2:] == [Rung.SECOND_LINE, Rung.HEARD]
    assert (await journal.state(incident)).disclosures[0].pending


async def test_a_refusal_proposes_others_at_once(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    handoff = _handoff(journal, SimulatedChannel(misbehaviour=0))
    await _pass(journal, handoff, incident)
    told = (await journal.state(incident)).disclosures[0]

    refused = Reject(disclosure=told.disclosure, agency=FIRE, reason="not_our_area")
    await journal.execute(incident, refused, actor=f"agency:{FIRE}")
    await _pass(journal, handoff, incident)

    last = (await _rungs(journal, incident))[-1]
    assert last.rung is Rung.REFUSED
    assert last.proposed


async def test_a_clock_that_is_set_back_makes_the_ladder_louder_and_not_silent(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    handoff = _handoff(journal, SimulatedChannel(misbehaviour=0))
    await _pass(journal, handoff, incident)

    await handoff.look_again(hurry=True)

    last = (await _rungs(journal, incident))[-1]
    assert (last.rung, last.reason) == (Rung.SECOND_LINE, "clock_set_back")


def test_a_step_back_of_the_clock_is_noticed_and_a_late_look_is_not_one():
    now = ManualClock(START).now()

    assert was_set_back(now, now + WATCH - timedelta(seconds=2))
    assert was_set_back(now, now - timedelta(hours=1))
    assert not was_set_back(now, now + WATCH)
    assert not was_set_back(now, now + timedelta(seconds=60))


def test_a_channel_that_fails_three_times_rests_and_is_tried_again_later():
    breaker, now = Breaker(), START

    for _ in range(3):
        assert breaker.resting(FIRE, now) == frozenset()
        breaker.failed(FIRE, "https", now)

    assert breaker.resting(FIRE, now) == {"https"}
    assert breaker.resting(AgencyId("jp-13-police"), now) == frozenset()
    assert breaker.resting(FIRE, now + REST) == frozenset()
    breaker.worked(FIRE, "https")
    assert breaker.resting(FIRE, now) == frozenset()


async def test_losing_the_lease_ends_the_deliveries_under_way(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    begun, ended = asyncio.Event(), asyncio.Event()

    class Hangs(SimulatedChannel):
        async def deliver(self, parcel):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    handoff = _handoff(journal, Hangs())

    async def follow():
        for _ in range(2):
            await handoff.handle(await journal.store.stream(incident))
        await begun.wait()

    async with asyncio.timeout(60):
        await handoff.run(follow)
        await ended.wait()
