"""How long each step took, out of the events' own times; each incident is measured once at each step."""

from datetime import timedelta

from sos.clock import ManualClock
from sos.journal.journal import Journal
from sos.times import REMEMBERED, Times
from tests.journeys import story as s
from tests.sos.journal.reports import incident, sequenced


def _seen(times: Times, name: str) -> tuple[float | None, float | None]:
    return times.figures.get_sample_value(f"{name}_count"), times.figures.get_sample_value(f"{name}_sum")


async def test_answering_is_measured_from_the_report_and_once(journal: Journal, clock: ManualClock):
    times = Times()
    opened = await incident(journal)
    await clock.advance(timedelta(seconds=7))
    await journal.execute(opened, s.take("hanako"), actor="operator:hanako")
    events = await sequenced(journal.store, 2)

    await times.handle(events)
    await times.handle(events[1:])

    assert _seen(times, "sos_answer_seconds") == (1, 7)
    assert _seen(times, "sos_taken_over_seconds") == (0, 0)


async def test_what_began_before_this_process_is_not_measured(journal: Journal):
    times = Times()
    opened = await incident(journal)
    await journal.execute(opened, s.take("hanako"), actor="operator:hanako")
    _, *later = await sequenced(journal.store, 2)

    await times.handle(later)

    assert _seen(times, "sos_answer_seconds") == (0, 0)


def test_what_is_remembered_is_bounded():
    assert REMEMBERED < 10_000
