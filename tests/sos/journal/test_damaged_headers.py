"""One event whose header cannot be read any more: it lies aside with an alarm, and everybody else is followed."""

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import ManualClock
from sos.incident import commands as c
from sos.incident.events import IncidentOpened, Recorded
from sos.incident.model import Disposition, IncidentId, State
from sos.journal.asides import Asides
from sos.journal.journal import Journal
from sos.journal.readers import DAMAGED, Follower, Reader
from sos.journal.schema import incidents
from sos.journal.spool import Spool
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.journal.conftest import Database
from tests.sos.journal.reports import TENANT, receipt, report, sequenced
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


async def noted(journal: Journal, store: Store, *notes: str) -> IncidentId:
    """An incident whose events all have their places: the opening, and a note each."""
    (opening,) = await events(journal, 1)
    for note in notes:
        await journal.execute(opening.incident, s.note(note), actor="operator:hanako")
    await sequenced(store, 1 + len(notes))
    return opening.incident


async def test_what_was_damaged_after_it_was_handled_is_counted_told_once_and_stands_in_its_place(
    journal: Journal, store: Store, database: Database
) -> None:
    incident = await noted(journal, store, "one", "two")
    whole = await database.damage(1)

    with capture_logs() as logs:
        read = [await store.stream(incident) for _ in range(3)]
        shown = await store.whole(incident)

    assert [each.n for each in read[0]] == [1, 3]
    assert [(each.n, each.damaged, each.position) for each in shown] == [(1, False, 0), (2, True, 1), (3, False, 2)]
    assert [(line["stream"], line["n"]) for line in logs if line["event"] == "event_unreadable"] == [(incident, 2)]
    assert store.damage.figures.get_sample_value("sos_events_unreadable_total") == 1
    assert store.damage.stands

    await database.damage(1, whole)  # put back
    assert [each.n for each in await store.stream(incident)] == [1, 2, 3]
    assert not store.damage.stands


async def test_parts_of_the_events_around_it_open(journal: Journal, store: Store, database: Database) -> None:
    incident = await noted(journal, store, "one", "two", "three")
    await database.damage(1)

    found = await journal.unseal(incident, (Category.OBS,))

    assert [part.payload for part in found] == [b"two", b"three"]
    assert not await journal.missing(incident, (Category.OBS,))


async def test_a_state_and_an_event_that_are_both_damaged_hide_no_other_incident(
    journal: Journal, store: Store, database: Database, keys: KeyStore, spool: Spool, clock: ManualClock
) -> None:
    incident = await noted(journal, store, "one")
    for command in (s.take("hanako"), s.note("two")):
        await journal.execute(incident, command, actor="operator:hanako")
    await journal.execute(incident, c.CloseIncident(disposition=Disposition.FALSE_ALARM), actor="operator:hanako")
    await sequenced(store, 5)
    await database.damage(2)  # somebody took it: closing does not follow from there
    async with store.engine.begin() as connection:  # type: ignore[attr-defined]
        await connection.execute(update(incidents).values(snapshot=b"\0 no state"))
    other = (await journal.open(report(9), tenant=TENANT, receipt=receipt(9), received_at=clock.now())).incident

    async with database.store() as restarted:
        later = Journal(restarted, keys, spool, clock=clock)
        total, found = await later.queue(limit=9, states=list(State))
        state = await later.state(incident)

    assert (total, {each.id for each in found}) == (2, {incident, other})
    assert state.version == 5
