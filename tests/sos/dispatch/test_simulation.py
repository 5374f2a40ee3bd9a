"""Two thousand hand-offs against agencies that misbehave, a house that is killed and clocks that jump.

Ten thousand: ``python -m tests.sos.dispatch.simulate 10000``, 17 s of one core.
"""

import pytest

from sos.dispatch.handoff import Handoff
from sos.dispatch.ladder import Times
from tests.sos.dispatch.simulate import AGENCIES, World, simulate

INCIDENTS = 2000


async def test_every_hand_off_ends_taken_over_or_with_a_person_and_none_is_told_twice_or_left_in_silence():
    found = await simulate(range(INCIDENTS))

    assert [(each.seed, each.broken) for each in found if each.broken] == []
    assert {each.ended for each in found} == {"taken_over", "escalated"}
    assert sum(each.kills for each in found) > INCIDENTS / 3
    assert sum(each.jumps for each in found) > INCIDENTS / 3
    assert sum(each.warnings for each in found) > INCIDENTS / 10
    several = [each for each in found if each.cars > 1]
    assert len(several) > INCIDENTS / 4
    assert sum(each.links for each in several) > len(several)
    assert sum(each.updates for each in several) > len(several) / 4
    assert sum(each.warnings_across for each in several) > len(several) / 4


@pytest.mark.parametrize("seed", range(3))
async def test_a_seed_repeats_its_incident_exactly(seed: int):
    assert await World(seed).run() == await World(seed).run()


async def test_without_misbehaviour_every_brief_is_shown_once():
    for seed in range(50):
        world = World(seed, misbehaviour=0.0)
        found = await world.run()

        assert found.broken == ()
        arrived = [number for channel in world.channels.values() for number in channel.arrived.values()]
        assert found.kills or set(arrived) == {1}


class Deaf(World):
    """A house that hears nothing."""

    async def _follow(self) -> None:
        self.cursor = len(self.log.events)


class Sleepy(World):
    """A house that does not look for a minute and a half."""

    def _house(self) -> Handoff:
        house = Handoff(self.log, directory=AGENCIES, channels=self.mortal, times=Times(), dials=self.dials)
        awake = house.handle

        async def sleepy(batch):
            if self.clock.true < 1 or self.clock.true > 90:
                await awake(batch)

        house.handle = sleepy
        return house


@pytest.mark.parametrize("house", [Deaf, Sleepy])
async def test_the_promises_are_seen_to_be_broken_by_a_house_that_breaks_them(house: type[World]):
    found = [await house(seed).run() for seed in range(30)]

    assert sum(bool(each.broken) for each in found) >= 10
