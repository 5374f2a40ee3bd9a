"""Calls that nobody wants, many of them: the promises of the search hold, and are seen to be broken where they are."""

from typing import Any

import pytest

from sos.calls.adapters.simulated import SimulatedProvider
from sos.calls.port import TALKING
from sos.incident import attendance
from sos.incident.commands import PassDeadline
from sos.incident.deadline import DeadlineName
from sos.incident.events import HelpEscalated
from sos.incident.lifecycle import deadlines
from tests.sos.calls.search_world import ALONE_FOR, ME, World


@pytest.mark.parametrize("seed", range(50))
async def test_nobody_who_is_up_is_left_alone_and_nobody_is_dialled_twice(seed: int):
    found = await World(seed).run()

    assert found.broken == ()
    assert found.longest_s <= ALONE_FOR.total_seconds()


class Deaf(World):
    """A house that does not hear that nobody was found."""

    def build(self) -> None:
        super().build()
        awake = self.readers["unattended"]

        async def deaf(batch):
            heard = [each for each in batch if each.event != HelpEscalated(rung=attendance.NOBODY)]
            await awake(heard)

        self.readers["unattended"] = deaf


class Credulous(World):
    """A house that lets in whoever picks up."""

    def build(self) -> None:
        super().build()
        place = SimulatedProvider.place

        async def not_held(*_: object) -> None:
            return None

        async def place_talking(**order: Any) -> None:
            await place(self.provider, **order | {"mode": TALKING})

        self.provider.set_mode = not_held  # type: ignore[method-assign]
        self.provider.place = place_talking  # type: ignore[method-assign]


class Trusting(World):
    """A house that takes a name for a voice."""

    async def _timers(self) -> None:
        for name, due in deadlines(self.journal.incident):
            if due <= self.clock.now() and name != DeadlineName.NO_VOICE:
                await self.journal.execute(ME, PassDeadline(name=name), actor="timer")


class Quiet(World):
    """A house whose alarms stay with supervisors who say nothing."""

    def build(self) -> None:
        super().build()

        async def once() -> None:
            return None

        self.alarms.look = once  # type: ignore[method-assign]


@pytest.mark.parametrize(("house", "seen"), [(Deaf, 8), (Credulous, 8), (Trusting, 2), (Quiet, 5)])
async def test_the_promises_are_seen_to_be_broken_by_a_house_that_breaks_them(house: type[World], seen: int):
    found = [await house(seed).run() for seed in range(30)]

    assert sum(bool(each.broken) for each in found) >= seen
