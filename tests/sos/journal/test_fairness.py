"""One tenant's flood and another one's crash: whose turn it is, counted and not timed, on both databases."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import event as sql

from sos.clock import ManualClock
from sos.incident.commands import Command, FileReport, OpenIncident, PassDeadline
from sos.incident.model import Incident, IncidentId, Mode, State, TenantId, Trigger, new_id
from sos.journal.deadlines import AT_ONCE, Deadlines
from sos.journal.journal import Done, Journal
from sos.journal.postgres import PostgresStore
from sos.journal.readers import SAVE_EVERY, Follower, Reader
from sos.journal.spool import Spool, Spooled
from sos.journal.store import Store
from sos.journal.turns import Turns
from tests.journeys import story as s
from tests.sos.journal.conftest import PostgresDatabase
from tests.sos.journal.reports import incident, opened, receipt, report, sequenced

LOUD, NEIGHBOUR = TenantId("loud"), TenantId("neighbour")


async def crash(journal: Journal, number: int, tenant: TenantId, **changes: Any) -> IncidentId:
    command = replace(report(number), **changes)
    received = await journal.open(
        command, tenant=tenant, receipt=receipt(number), received_at=journal.clock.now() + timedelta(seconds=number)
    )
    return received.incident


async def waiting(store: Store, *, limit: int = 100) -> list[Incident]:
    _, snapshots = await store.queue(limit=limit, states=[str(State.RECEIVED)])
    return [msgspec.json.decode(each, type=Incident) for _, each in snapshots]


def test_turns_go_round_and_keep_each_ones_order():
    turns: Turns[str] = Turns()
    for whose, item in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("c", "c2")]:
        turns.put(whose, item)

    assert turns.take(but=["a"]) == "b1"
    assert list(turns) == ["a1", "c1", "a2", "c2", "a3"]


async def test_whoever_comes_after_a_flood_is_next_but_one(journal: Journal, store: Store):
    for number in range(12):
        await crash(journal, number, LOUD)
    theirs = [await crash(journal, number, NEIGHBOUR) for number in (20, 21)]

    order = await waiting(store)

    assert [order.index(each) for each in order if each.id in theirs] == [1, 3]
    assert [each.opened_at for each in order if each.tenant == LOUD] == sorted(
        each.opened_at for each in order if each.tenant == LOUD
    )
    assert (await store.queue(limit=2, states=[str(State.RECEIVED)]))[0] == 14


async def test_a_pressed_button_overtakes_few_crashes_and_a_drill_none(journal: Journal, store: Store):
    for number in range(12):
        await crash(journal, number, LOUD)
    pressed = await crash(journal, 20, NEIGHBOUR, trigger=Trigger.MANUAL)
    drill = await crash(journal, 21, TenantId("third"), mode=Mode.DRILL)

    order = [each.id for each in await waiting(store)]

    assert order.index(pressed) == 9
    assert order.index(drill) == len(order) - 1


async def test_who_is_in_danger_rings_before_a_bump_of_the_same_class_and_behind_what_has_waited_long(
    journal: Journal, store: Store
):
    long_ago = await crash(journal, 0, LOUD)
    bump = await crash(journal, 100, LOUD)
    burning = await crash(journal, 200, LOUD)
    pressed = await crash(journal, 201, LOUD, trigger=Trigger.MANUAL)

    for incident_, urgent in ((bump, ()), (burning, ("fire", "rollover", "hard_impact")), (pressed, ("fire",))):
        filed = FileReport(sequence=1, located=True, parts={}, urgent=urgent)
        await journal.execute(incident_, filed, actor="test")

    order = await waiting(store)
    assert [each.id for each in order] == [long_ago, burning, bump, pressed]
    assert order[1].urgent == ("fire", "rollover", "hard_impact")


async def test_a_later_and_milder_report_takes_no_head_start_back_and_a_judgement_may(journal: Journal, store: Store):
    burning = await crash(journal, 0, LOUD)
    for number, urgent in enumerate((("fuelLeak",), ("fire",), ()), 1):
        filed = FileReport(sequence=number, located=True, parts={}, urgent=urgent, report_digest=str(number))
        await journal.execute(burning, filed, actor="test")
    recognised = s.recognise(profiling=True)
    await journal.execute(burning, recognised, actor="test")

    for report_, severe in ((5, True), (6, False)):
        await journal.execute(burning, replace(s.judge(report_), severe=severe), actor="test")
        state = await journal.state(burning)
        assert state.urgent == ("fire", *(["judged_severe"] if severe else []), "fuelLeak")


async def test_deadlines_of_tenants_take_turns(journal: Journal, store: Store, clock: ManualClock):
    for number in range(6):
        await crash(journal, number, LOUD)
    last = await crash(journal, 30, NEIGHBOUR)

    due = await store.due(2**53, limit=4)

    assert last in [stream for stream, _ in due]


class Broken(Journal):
    """Fails where nobody expected it, on one incident."""

    poison: IncidentId | None = None

    async def execute(self, incident: IncidentId, command: Command, **more: Any) -> Done:
        if incident == self.poison and isinstance(command, PassDeadline):
            raise TypeError("a mistake of ours")
        return await super().execute(incident, command, **more)


async def test_a_deadline_that_cannot_be_passed_rests_and_the_others_pass(store: Store, keys, spool, clock):
    async with Broken(store, keys, spool, clock=clock) as journal:
        ill, well = await incident(journal, 1), await incident(journal, 2)
        journal.poison = ill
        deadlines = Deadlines(journal)
        await clock.advance(timedelta(seconds=3))

        assert await deadlines.round() == 2
        assert deadlines.stuck == 1
        assert (await journal.state(well)).state is State.RINGING
        assert (await journal.state(ill)).state is State.RECEIVED
        for _ in range(3):  # it rests: nobody tries it again and again
            assert ill not in {stream for stream, _ in await store.due(0, limit=9)}
            assert await deadlines.round() == 0
        journal.poison = None
        await clock.advance(timedelta(seconds=1))
        await deadlines.round()
        assert (await journal.state(ill)).state is State.RINGING
        await deadlines.round()
        assert deadlines.stuck == 0


async def test_a_crowd_of_deadlines_passes_many_at_once_and_its_neighbours_first(
    journal: Journal, store: Store, clock: ManualClock
):
    for number in range(AT_ONCE + 8):
        await crash(journal, number, LOUD)
    last = await crash(journal, 60, NEIGHBOUR)
    await clock.advance(timedelta(seconds=70))
    deadlines = Deadlines(journal)

    assert await deadlines.round() == AT_ONCE
    assert (await journal.state(last)).state is State.RINGING
    assert len(await waiting(store)) >= 8  # the others' first ones are for the next round, and nobody's second


def spooled(number: int, tenant: TenantId, journal: Journal) -> Spooled:
    command: OpenIncident = report(number)
    now = journal.clock.now()
    return Spooled(
        incident=IncidentId(new_id()), tenant=tenant, receipt=receipt(number), received_at=now, command=command
    )


async def test_what_was_spooled_is_drained_in_turns(journal: Journal, store: Store, spool: Spool):
    await spool.put([spooled(number, LOUD, journal) for number in range(40)])
    await spool.put([spooled(99, NEIGHBOUR, journal)])

    assert await journal.drain() == 41

    order = [each.tenant for each in await sequenced(store, 41)]
    assert order.index(NEIGHBOUR) == 1
    assert await spool.waiting() == []


async def test_an_append_that_cannot_be_made_fails_alone(journal: Journal, store: Store):
    def poison() -> Any:
        raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")

    ill = store.append(poison)
    well = await incident(journal)

    with pytest.raises(UnicodeEncodeError):
        await ill
    assert (await journal.state(well)).state is State.RECEIVED
    assert await incident(journal, 2)


class Counting:
    """A store that counts the questions of a reader."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        self.asked[name] = self.asked.get(name, 0) + 1
        return getattr(self._store, name)


async def test_a_cursor_is_saved_by_time_and_not_by_event(journal: Journal, store: Store, clock: ManualClock):
    seen: list[str] = []

    async def handle(batch: Any) -> None:
        seen.extend(each.id for each in batch)

    counting: Any = Counting(store)
    one = Follower(Reader(name="one", handle=handle, by_incident=True), counting, clock=clock)
    task = asyncio.create_task(one.run())
    async with asyncio.timeout(60):
        for number in range(30):
            await opened(journal, number)
            await sequenced(store, number + 1)
            while len(seen) <= number:
                await asyncio.to_thread(lambda: None)
        assert counting.asked.get("save_cursor", 0) == 0
        await clock.advance(SAVE_EVERY)
        while await store.cursor("one") != 30:
            await asyncio.to_thread(lambda: None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert counting.asked["save_cursor"] == 1


async def test_at_the_end_of_the_journal_the_database_is_not_asked(journal: Journal, store: Store):
    await incident(journal)
    await sequenced(store, 1)
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    sql.listen(store.engine.sync_engine, "before_cursor_execute", note)  # type: ignore[attr-defined]
    for _ in range(20):
        assert list(await store.follow(1, limit=10)) == []

    assert asked == []


async def test_a_connection_that_was_cut_while_it_was_idle_costs_nobody_an_answer(postgres_database: PostgresDatabase):
    async with PostgresStore(postgres_database.dsn, idle_s=0.0) as store:
        await store.ping()
        async with postgres_database.gone():
            pass

        await store.ping()
