"""A clock that moves when a test says so: step by step as time passes, or at once as when a machine slept."""

import asyncio
from datetime import datetime, timedelta

from sos.clock import ManualClock

SECOND = timedelta(seconds=1)


async def _ticks(clock: ManualClock, seen: list[datetime]) -> None:
    while True:
        await clock.wait(SECOND)
        seen.append(clock.now())


async def test_time_that_passes_wakes_each_waiter_at_its_own_instant(clock: ManualClock) -> None:
    seen: list[datetime] = []
    begun, ticking = clock.now(), asyncio.create_task(_ticks(clock, seen))
    await clock.advance(timedelta(0))

    await clock.advance(3 * SECOND)
    ticking.cancel()

    assert seen == [begun + n * SECOND for n in (1, 2, 3)]


async def test_time_that_jumps_wakes_whoever_is_late_once_and_nobody_early(clock: ManualClock) -> None:
    seen: list[datetime] = []
    begun, ticking = clock.now(), asyncio.create_task(_ticks(clock, seen))
    later = asyncio.create_task(clock.wait(timedelta(days=2)))
    await clock.advance(timedelta(0))

    await clock.jump(timedelta(days=1))
    assert seen == [begun + timedelta(days=1)]
    assert not later.done()

    await clock.advance(SECOND)
    assert seen[1:] == [begun + timedelta(days=1) + SECOND]
    ticking.cancel()
    later.cancel()
