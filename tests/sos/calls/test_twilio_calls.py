"""Calls through the emulated Twilio with the real client library: dialled once, whatever goes wrong."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from sos.calls.adapters.twilio.rest import Account
from sos.calls.port import (
    TALKING,
    LegDown,
    LegMode,
    LegQueued,
    LegUp,
    ProviderCopyDeleted,
    RecordingDone,
    RecordingLeft,
)
from sos.errors import Unavailable
from sos.incident.model import IncidentId, LegId, Party, new_id
from tests.sos.calls.peers import KEY, met
from tests.sos.calls.twilio_rig import CAR, FIRE, VEHICLES, TwilioHouse
from tests.twilio_emulator.world import Mischief, Person

SEEDS = range(12)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[TwilioHouse]:
    async with TwilioHouse(tmp_path, within_s=0.6) as opened:
        yield opened
        await opened.emulator.settled()
        assert opened.emulator.faults == []


def ids() -> tuple[IncidentId, LegId]:
    return IncidentId(new_id()), LegId(new_id())


@pytest.mark.parametrize("does", ["answers", "busy", "fails"])
@pytest.mark.parametrize("trouble", ["fail_after_doing", "silent", "fail_before_doing"])
async def test_an_order_without_an_answer_is_looked_for_and_nobody_is_called_twice(
    house: TwilioHouse, trouble: str, does: str
):
    incident, leg = ids()
    house.emulator.world.people[FIRE] = Person(does=does)
    house.emulator.world.mischief = Mischief(lose=1.0, **{trouble: 1})  # no callback helps either

    await house.place(incident, leg)
    await house.events.until(LegUp if does == "answers" else LegDown, leg=leg)

    assert house.dialled(leg) == 1


async def test_two_orders_to_one_number_that_both_went_unanswered_are_two_calls(house: TwilioHouse):
    first, second = ids(), ids()
    house.emulator.world.people[FIRE] = Person(does="busy")
    house.emulator.world.mischief = Mischief(lose=1.0, fail_after_doing=2)

    await house.place(*first)
    await house.place(*second)
    await house.events.until(LegDown, count=2)

    assert (house.dialled(first[1]), house.dialled(second[1])) == (1, 1)


async def test_a_twilio_that_is_away_is_said_within_its_time_and_not_called_later(house: TwilioHouse):
    incident, leg = ids()
    await house.emulator.down()

    with pytest.raises(Unavailable):
        await house.place(incident, leg)
    await house.emulator.up()
    await house.place(*ids())
    await house.events.until(LegUp)

    assert house.dialled(leg) == 0


async def test_a_twilio_that_takes_everything_and_answers_nothing_is_said_to_be_away(house: TwilioHouse):
    incident, leg = ids()
    house.emulator.hanging = True

    with pytest.raises(Unavailable):
        await house.place(incident, leg)
    house.emulator.hanging = False
    await house.place(incident, leg)
    await house.events.until(LegUp)

    assert house.dialled(leg) == 1


async def test_lost_callbacks_are_made_good_by_asking(house: TwilioHouse):
    incident, leg = ids()
    house.emulator.world.mischief = Mischief(lose=1.0)

    await house.place(incident, leg, Party.VEHICLE)
    up = await house.events.until(LegUp)
    house.emulator.hang_up(leg)
    down = await house.events.until(LegDown)

    assert up == LegUp(incident=incident, leg=leg, party=Party.VEHICLE, who="vehicle")
    assert down == LegDown(incident=incident, leg=leg, party=Party.VEHICLE, reason="media_lost")


@pytest.mark.parametrize("seed", SEEDS)
async def test_late_doubled_and_reordered_callbacks_change_nothing(house: TwilioHouse, seed: int):
    incident, leg = ids()
    house.emulator.world.mischief = Mischief(
        lose=0.2, double=0.3, shuffle=True, late_s=0.15, random=Random(seed)
    )  # fmt: skip

    await house.place(incident, leg)
    await house.events.until(LegUp)
    await house.provider.end(leg)
    await house.events.until(LegDown)
    await house.emulator.settled()

    told = [kind for kind in house.events.kinds() if kind in ("LegUp", "LegDown")]
    assert told == ["LegUp", "LegDown"]
    assert await house.provider.legs() == ()
    assert house.dialled(leg) == 1


async def test_an_update_that_is_answered_and_not_done_is_done_again(house: TwilioHouse):
    incident, leg = ids()
    await house.place(incident, leg, Party.OPERATOR)
    await house.events.until(LegUp)
    house.emulator.world.mischief = Mischief(do_nothing=1)

    await house.provider.set_mode(leg, LegMode(held=True))

    assert house.emulator.participant(leg).hold


async def test_a_mode_that_twilio_refuses_for_now_is_set_when_it_can(house: TwilioHouse):
    incident, leg = ids()
    await house.place(incident, leg, Party.OPERATOR)
    await house.events.until(LegUp)
    house.emulator.world.mischief = Mischief(do_nothing=4)

    with pytest.raises(Unavailable):
        await house.provider.set_mode(leg, LegMode(muted=True))
    await met(lambda: house.emulator.participant(leg).muted)


async def test_the_same_mode_again_asks_twilio_for_nothing(house: TwilioHouse):
    incident, leg = ids()
    await house.place(incident, leg, Party.OPERATOR)
    await house.events.until(LegUp)
    await house.provider.set_mode(leg, LegMode(muted=True))
    posted = [path for path in house.emulator.posted if "Participants/" in path]

    await house.provider.set_mode(leg, LegMode(muted=True))

    assert [path for path in house.emulator.posted if "Participants/" in path] == posted


async def test_a_call_that_waits_for_its_turn_is_told_of(house: TwilioHouse):
    incident, leg = ids()
    house.emulator.world.mischief = Mischief(queue_s=2.5)

    await house.place(incident, leg)
    queued = await house.events.until(LegQueued)
    await house.events.until(LegUp)

    assert queued == LegQueued(incident=incident, leg=leg, queued_ms=2500)
    assert house.provider.metrics.get_sample_value("sos_twilio_queued_legs_total") == 1
    assert house.events.kinds().count("LegQueued") == 1


async def test_an_end_that_twilio_does_not_take_is_ordered_again(house: TwilioHouse):
    incident, leg = ids()
    await house.place(incident, leg)
    await house.events.until(LegUp)
    house.emulator.world.mischief = Mischief(fail_before_doing=1)

    await house.provider.end(leg)
    down = await house.events.until(LegDown)

    assert down == LegDown(incident=incident, leg=leg, party=Party.AGENCY, reason="ended")
    assert house.emulator.world.calls[next(iter(house.emulator.world.calls))].over


async def test_finishing_ends_those_who_ring_as_well(house: TwilioHouse):
    incident, up, ringing = IncidentId(new_id()), LegId(new_id()), LegId(new_id())
    house.emulator.world.people["+81300000050"] = Person(does="ignores")
    await house.place(incident, up)
    await house.events.until(LegUp)
    await house.place(incident, ringing, number="+81300000050")

    await house.provider.finish(incident)
    await house.events.until(LegDown, count=2)

    assert all(call.over for call in house.emulator.world.calls.values())


async def test_after_a_restart_people_still_talk_and_nobody_is_called_again(house: TwilioHouse):
    incident, leg = ids()
    await house.place(incident, leg)
    up = await house.events.until(LegUp)

    await house.restart()
    await house.place(incident, leg)

    assert await house.provider.legs() == (up,)
    assert house.dialled(leg) == 1


async def test_a_leg_that_left_while_the_service_was_down_is_told_when_it_is_back(house: TwilioHouse):
    incident, leg = ids()
    await house.place(incident, leg)
    await house.events.until(LegUp)

    await house.stop()
    house.emulator.hang_up(leg)
    await house.start()

    await house.events.until(LegDown, leg=leg)


async def test_a_recording_of_a_killed_service_is_recovered_with_its_key(house: TwilioHouse):
    incident, leg = ids()
    await house.place(incident, leg)
    await house.events.until(LegUp)

    await house.stop()
    house.emulator.hang_up(leg)
    await house.start()
    left = await house.events.until(RecordingLeft)
    assert isinstance(left, RecordingLeft)
    done = await house.provider.recover(incident, left.recording, KEY)
    again = await house.provider.recover(incident, left.recording, KEY)

    assert isinstance(done, RecordingDone)
    assert done == again
    await house.events.until(ProviderCopyDeleted)


async def test_a_recording_whose_call_was_over_before_the_restart_is_recovered_too(house: TwilioHouse):
    incident, leg = ids()
    await house.place(incident, leg)
    await house.events.until(LegUp)
    await house.provider.end(leg)
    await house.events.until(LegDown)
    await house.emulator.down()
    await house.provider.finish(incident)

    await house.stop()
    await house.emulator.up()
    await house.start()
    left = await house.events.until(RecordingLeft)

    assert isinstance(left, RecordingLeft)
    assert isinstance(await house.provider.recover(incident, left.recording, KEY), RecordingDone)


@pytest.mark.parametrize("seed", SEEDS)
async def test_twilio_killed_at_any_moment_leaves_nobody_called_twice(house: TwilioHouse, seed: int):
    """Six legs placed one after another, again until each is known, while the edge goes away and comes back."""
    random = Random(seed)
    legs = [ids() for _ in range(6)]
    house.emulator.world.mischief = Mischief(lose=0.2, double=0.1, random=Random(seed))
    for incident, leg in legs:
        kill = house.kill_after(random.random() * 0.12, back_after=0.05 + random.random() * 0.4)
        for _ in range(10):
            try:
                await house.place(incident, leg)
                break
            except Unavailable:
                await house.emulator.world.pass_time(0.05)
        await kill

    for incident, leg in legs:
        await house.place(incident, leg)
    for _, leg in legs:
        await house.events.until(LegUp, leg=leg)

    assert [house.dialled(leg) for _, leg in legs] == [1] * 6


async def test_a_car_that_hangs_up_is_cut_off_and_an_agency_that_does_has_ended(house: TwilioHouse):
    await house.emulator.call_in(CAR, to=VEHICLES)
    up = await house.events.until(LegUp)
    assert isinstance(up, LegUp)
    agency = LegId(new_id())
    await house.place(up.incident, agency)
    await house.events.until(LegUp, leg=agency)

    house.emulator.hang_up(up.leg)
    house.emulator.hang_up(agency)
    car, fire = await house.events.until(LegDown, leg=up.leg), await house.events.until(LegDown, leg=agency)

    assert isinstance(car, LegDown)
    assert isinstance(fire, LegDown)
    assert (car.reason, fire.reason) == ("media_lost", "ended")


async def test_a_mode_set_while_it_rings_holds_when_somebody_answers(house: TwilioHouse):
    incident, leg = ids()
    house.emulator.world.people[FIRE] = Person(after_s=0.15)
    await house.place(incident, leg)

    await house.provider.set_mode(leg, LegMode(muted=True))
    await house.events.until(LegUp)
    await met(lambda: house.emulator.participant(leg).muted)
    await house.provider.set_mode(leg, TALKING)

    assert not house.emulator.participant(leg).muted


def test_secrets_do_not_show():
    assert "hidden" not in repr(Account(sid="AC0", user="SK0", secret="hidden"))
