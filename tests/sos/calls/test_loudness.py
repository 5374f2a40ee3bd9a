"""From what a provider measures to what desks are told: each leg's loudness, and who speaks."""

import asyncio
from collections.abc import Mapping

from sos.calls.loudness import EVERY, Loud, Loudness
from sos.calls.port import Level
from sos.clock import ManualClock
from sos.incident.model import IncidentId, LegId

CRASH, OTHER = IncidentId("crash"), IncidentId("other")
CAR, DESK, THIRD = LegId("car"), LegId("desk"), LegId("third")

Told = Mapping[IncidentId, Mapping[LegId, Loud]]


class Exchange:
    """A provider that is asked."""

    def __init__(self) -> None:
        self.loud = -20

    def levels(self) -> tuple[Level, ...]:
        return (Level(CRASH, CAR, self.loud, self.loud + 6),)


def test_legs_are_told_by_incident_with_who_speaks() -> None:
    loudness, told = Loudness(), list[Told]()
    loudness.tell = told.append

    for rms in (-70, -70, -70, -70, -70, -20):
        loudness.hear((Level(CRASH, CAR, rms, rms + 5), Level(CRASH, DESK, -70, -66), Level(OTHER, THIRD, -70, -70)))

    assert told[0][CRASH][CAR] == Loud(-70, -65, False)
    assert told[-1] == {
        CRASH: {CAR: Loud(-20, -15, True), DESK: Loud(-70, -66, False)},
        OTHER: {THIRD: Loud(-70, -70, False)},
    }


def test_nobody_is_told_while_nobody_is_in_a_call() -> None:
    loudness, told = Loudness(), list[Told]()
    loudness.tell = told.append

    loudness.hear(())

    assert told == []


async def test_a_provider_that_does_not_tell_by_itself_is_asked_ten_times_a_second(clock: ManualClock) -> None:
    loudness, told = Loudness(), list[Told]()
    loudness.tell = told.append
    asking = asyncio.create_task(loudness.watch(Exchange(), clock))
    await asyncio.wait((asking,), timeout=0)

    await clock.advance(10 * EVERY)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert len(told) == 10
    assert told[-1][CRASH][CAR].peak == -14


def test_who_is_gone_for_a_minute_begins_anew() -> None:
    loudness, told = Loudness(), list[Told]()
    loudness.tell = told.append
    for _ in range(20):
        loudness.hear((Level(CRASH, CAR, -35, -30),))  # taken for noise by now
    for _ in range(1_300):
        loudness.hear((Level(CRASH, DESK, -70, -70),))

    loudness.hear((Level(CRASH, CAR, -35, -30),))

    assert told[-1][CRASH][CAR].speaking
