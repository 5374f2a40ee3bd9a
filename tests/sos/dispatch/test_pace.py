"""Beyond a rate the house tells nobody by itself: it stops, alarms people and asks them, also after a restart."""

from datetime import UTC, datetime, timedelta

from sos.clock import ManualClock
from sos.dispatch.pace import Pace
from sos.dispatch.unattended import Practice
from sos.incident import attendance
from sos.incident.events import DisclosureDecided, TellingWithheld
from sos.incident.model import State
from sos.journal.journal import Journal
from tests.sos.calls.search_rig import SearchHouse

AT = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)


def test_so_many_in_the_time_and_then_none_until_it_has_passed():
    pace = Pace({"agency": 2, "brand": 3}, within=timedelta(minutes=10))
    one, other = {"agency": "fire", "brand": "a"}, {"agency": "police", "brand": "a"}

    assert [pace.take(one, at=AT), pace.take(one, at=AT), pace.take(one, at=AT)] == [None, None, "agency"]
    assert [pace.take(other, at=AT), pace.take(other, at=AT)] == [None, "brand"]
    assert pace.take({"agency": "police", "brand": "b"}, at=AT) is None
    assert pace.take(one, at=AT + timedelta(minutes=10)) is None


def test_what_was_not_told_after_all_does_not_count():
    pace = Pace({"agency": 1})
    assert pace.take({"agency": "fire"}, at=AT) is None
    pace.give_back({"agency": "fire"})

    assert pace.take({"agency": "fire"}, at=AT) is None


async def test_a_flood_with_nobody_there_is_told_a_few_times_and_people_are_asked(journal: Journal, clock: ManualClock):
    house = SearchHouse(journal, clock, people=(), practice=Practice(to_an_agency=2))
    async with house.provider:
        await house.start()
        first = [await house.crash(seed=seed) for seed in (1, 2)]
        for incident in first:
            await house.until_happened(incident, DisclosureDecided)
        await house.stop()  # a restart does not begin to count anew
        await house.start()

        third = await house.crash(seed=3)
        (withheld,) = await house.until_happened(third, TellingWithheld)

        assert withheld.reason == "too_many"
        assert await house.happened(third, DisclosureDecided) == []
        state = await house.state(third)
        assert attendance.UNTOLD in state.flags  # every desk is alarmed
        assert (state.state, state.desks) == (State.RINGING, ())  # and it rings on
        await house.stop()
