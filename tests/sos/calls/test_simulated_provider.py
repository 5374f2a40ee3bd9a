"""The simulated provider's bad manners: repeatable, and never in what ``legs`` answers."""

from collections import Counter
from datetime import timedelta

import pytest

from sos.calls.adapters.simulated import SimulatedProvider
from sos.calls.port import LegDown, LegUp, RecordingBroken, RecordingDone
from sos.clock import ManualClock
from sos.errors import Unavailable
from sos.incident.model import IncidentId, LegId, Party
from tests.sos.calls.peers import Events

OFFER = "v=0\r\n"


async def take(provider: SimulatedProvider, incident: str, leg: str, party: Party = Party.VEHICLE) -> None:
    await provider.accept(
        incident=IncidentId(incident), leg=LegId(leg), party=party, who=party.value, offer=OFFER, key=bytes(32)
    )


async def calls(clock: ManualClock, *, misbehaviour: float, seed: int) -> tuple[list[str], int]:
    async with SimulatedProvider(clock=clock, misbehaviour=misbehaviour, seed=seed) as provider:
        events = Events(provider)
        for number in range(300):
            await take(provider, f"incident-{number}", f"leg-{number}")
        await clock.advance(timedelta(0))  # those to be told late begin to wait
        await clock.advance(timedelta(seconds=6))
        up = len(await provider.legs())
    await events.ended()
    told = [event.leg for event in events.seen if isinstance(event, LegUp)]
    return told, up


async def test_some_events_are_lost_late_or_doubled_but_legs_tells_the_truth(clock: ManualClock) -> None:
    told, up = await calls(clock, misbehaviour=0.05, seed=1)

    numbers = [int(leg.removeprefix("leg-")) for leg in told]
    assert up == 300
    assert 5 <= 300 - len(set(told)) <= 30
    assert any(times > 1 for times in Counter(told).values())
    assert numbers != sorted(numbers)


async def test_the_same_seed_is_the_same_mischief(clock: ManualClock) -> None:
    assert await calls(clock, misbehaviour=0.2, seed=9) == await calls(clock, misbehaviour=0.2, seed=9)


async def test_without_mischief_every_event_comes_once_and_in_order(clock: ManualClock) -> None:
    told, _ = await calls(clock, misbehaviour=0, seed=1)

    assert told == [f"leg-{number}" for number in range(300)]


async def test_a_leg_is_up_only_when_it_is_brought_up_if_nobody_answers(clock: ManualClock) -> None:
    async with SimulatedProvider(clock=clock, misbehaviour=0, answering=False) as provider:
        events = Events(provider)
        await take(provider, "i", "l")
        waiting = await provider.legs()
        provider.bring_up(LegId("l"))
        provider.bring_up(LegId("l"))
        provider.bring_up(LegId("unknown"))
        await events.until(LegUp)
        provider.break_recording(IncidentId("i"))
        await events.until(RecordingBroken)

    assert waiting == ()
    assert events.kinds()[:3] == ["RecordingBegun", "LegUp", "RecordingBroken"]


async def test_the_recording_is_done_5_seconds_after_the_last_leg_left_unless_somebody_comes_back(
    clock: ManualClock,
) -> None:
    async with SimulatedProvider(clock=clock, misbehaviour=0) as provider:
        events = Events(provider)
        await take(provider, "i", "l")
        provider.drop(LegId("l"))
        await clock.advance(timedelta(seconds=4))
        await take(provider, "i", "l")
        await clock.advance(timedelta(seconds=4))
        back = "RecordingDone" not in events.kinds()
        provider.drop(LegId("l"), reason="media_lost")
        await clock.advance(timedelta(seconds=6))
        await events.until(RecordingDone)

    assert back
    assert [event.reason for event in events.seen if isinstance(event, LegDown)] == ["media_lost", "media_lost"]


async def test_while_refusing_no_leg_can_be_made(clock: ManualClock) -> None:
    async with SimulatedProvider(clock=clock) as provider:
        provider.refusing = True

        with pytest.raises(Unavailable):
            await take(provider, "i", "l")

        assert await provider.legs() == ()
