"""One event whose header cannot be read any more: it lies aside with an alarm, and everybody else is followed."""

import pytest

from sos.clock import ManualClock
from sos.incident.events import IncidentOpened, Recorded
from sos.journal.asides import Asides
from sos.journal.journal import Journal
from sos.journal.readers import DAMAGED, Follower, Reader
from sos.journal.store import Store
from tests.sos.journal.conftest import Database
from tests.sos.journal.test_set_aside import Sick, emptied, events, running


@pytest.mark.parametrize("by_incident", [False, True], ids=["in the journal's order", "by incident"])
async def test_a_damaged_header_is_set_aside_and_its_neighbours_are_handled(
    journal: Journal, store: Store, database: Database, clock: ManualClock, by_incident: bool
) -> None:
    all_of_it = await events(journal, 4)
    whole = await database.damage(1)
    sick = Sick()
    reader = Reader(name="sick", handle=sick.handle, by_incident=by_incident)

    async with database.store() as after_a_restart:
        follower = Follower(reader, after_a_restart, clock=clock)
        asides = Asides(after_a_restart, [follower], clock=clock)
        work = [follower.run(), asides.watch()]
        await running(work, lambda: follower.position == 4 and asides.waiting == {"sick": 1}, clock)
        (aside,) = await after_a_restart.asides(limit=9)

    assert set(sick.done) == {event.id for event in all_of_it if event.position != 1}
    assert (aside.position, aside.stream, aside.n, aside.error) == (1, all_of_it[1].stream, 1, DAMAGED)

    await database.damage(1, whole)  # put back, from a replica say
    assert await store.ask_again("sick", 1)
    async with database.store() as repaired:
        follower = Follower(reader, repaired, clock=clock)
        asides = Asides(repaired, [follower], clock=clock)
        await running([follower.run(), asides.watch()], emptied(repaired), clock)
    assert all_of_it[1].id in sick.done


async def test_asked_again_while_it_is_damaged_it_stays_aside(
    journal: Journal, database: Database, clock: ManualClock
) -> None:
    await events(journal, 2)
    await database.damage(0)
    sick = Sick()
    async with database.store() as store:
        follower = Follower(Reader(name="sick", handle=sick.handle), store, clock=clock)
        await running([follower.run()], lambda: follower.position == 2, clock)
        (aside,) = await store.asides(limit=9)
        await follower.try_again(aside)
        (still,) = await store.asides(limit=9)

    assert (aside.tries, still.tries, len(sick.done)) == (1, 2, 1)


async def test_who_only_shows_what_happens_passes_it_over(
    journal: Journal, database: Database, clock: ManualClock
) -> None:
    shown: list[Recorded] = []

    async def show(batch: "list[Recorded]") -> None:
        shown.extend(batch)

    async with database.store() as store:
        follower = Follower(Reader(name="show", handle=show, from_now=True), store, clock=clock)  # type: ignore[arg-type]
        await follower._take([*await store.follow(0, limit=9)])
        all_of_it = await events(journal, 3)
        await database.damage(1)
    async with database.store() as store:
        follower = Follower(Reader(name="show", handle=show, from_now=True), store, clock=clock)  # type: ignore[arg-type]
        await follower._take(await store.follow(0, limit=9))
        assert await store.asides(limit=9) == []

    assert [each.id for each in shown] == [each.id for each in all_of_it if each.position != 1]


async def test_the_rest_of_its_incident_is_still_read(journal: Journal, store: Store, database: Database) -> None:
    (opening,) = await events(journal, 1)
    assert isinstance(opening.event, IncidentOpened)

    await database.damage(0)

    assert await store.stream(opening.stream) == []
    assert (await journal.state(opening.incident)).version == 1
