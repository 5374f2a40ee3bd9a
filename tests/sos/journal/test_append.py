"""Writing: one winner, one order, one tree, on both databases."""

import asyncio
from datetime import datetime

import asyncpg
import msgspec
import pytest

from recording.keys import KeyStore
from sos.clock import ManualClock
from sos.errors import Conflict, Refused, Unknown
from sos.incident.lifecycle import deadlines, replay
from sos.incident.model import Incident, IncidentId, State
from sos.journal.journal import Done, Journal
from sos.journal.keyring import Keyring
from sos.journal.losses import Losses
from sos.journal.postgres import PostgresStore
from sos.journal.sealing import Sealer, Stamp
from sos.journal.spool import Spool
from sos.journal.store import Append, QueueRow, Store
from tests.journeys import story as s
from tests.sos.journal.conftest import Database, PostgresDatabase
from tests.sos.journal.reports import TENANT, check_order, incident, opened, receipt, report, sequenced


async def test_of_fifty_operators_who_answer_at_once_exactly_one_has_the_incident(journal: Journal, store: Store):
    ringing = await incident(journal)

    outcomes = await asyncio.gather(
        *(journal.execute(ringing, s.take(f"op{k}"), actor=f"operator:op{k}") for k in range(50)),
        return_exceptions=True,
    )

    winners = [outcome for outcome in outcomes if isinstance(outcome, Done)]
    assert len(winners) == 1
    assert all(isinstance(outcome, Refused | Conflict) for outcome in outcomes if outcome not in winners)
    assert (await journal.state(ringing)).operator == winners[0].incident.operator
    assert len(await store.stream(ringing)) == 2


async def test_a_report_sent_thirty_times_at_once_opens_one_incident(journal: Journal, store: Store):
    answers = await asyncio.gather(*(opened(journal, 7) for _ in range(30)))

    assert len({answer.incident for answer in answers}) == 1
    assert sum(not answer.repeat for answer in answers) == 1
    assert await store.queue(limit=10, states=["received"]) == (
        1,
        [(answers[0].incident, msgspec.json.encode(await _state(journal, answers)))],
    )
    await check_order(store, 1)


async def _state(journal: Journal, answers) -> Incident:
    return await journal.state(answers[0].incident)


async def test_a_report_known_from_before_a_restart_is_a_repeat(journal: Journal, store: Store, keys, spool, clock):
    first = await opened(journal, 1)

    async with Journal(store, keys, spool, clock=clock) as restarted:
        again = await opened(restarted, 1)

    assert (again.incident, again.repeat) == (first.incident, True)


async def test_many_appends_share_few_commits(journal: Journal, database: Database):
    await incident(journal, 1000)
    before = await database.transactions()

    await asyncio.gather(*(opened(journal, number) for number in range(100)))

    assert 1 <= await database.transactions() - before <= 8


async def test_the_one_order_is_contiguous_and_the_tree_covers_it(journal: Journal, store: Store):
    streams = [answer.incident for answer in await asyncio.gather(*(opened(journal, n) for n in range(20)))]
    for command in (s.file_report(), s.plan(), s.note()):
        await asyncio.gather(*(journal.execute(stream, command, actor="system:test") for stream in streams))

    await check_order(store, 80)


async def test_what_follows_is_what_the_database_holds(journal: Journal, store: Store):
    for number in range(5):
        await journal.execute(await incident(journal, number), s.note(), actor="operator:hanako")
    held = await sequenced(store, 10)

    followed: list = []
    while len(followed) < 10:
        followed += await store.follow(len(followed), limit=3)

    assert followed == held
    assert await store.follow(10, limit=3) == []


async def test_a_late_append_is_refused_whole(journal: Journal, store: Store, keys: KeyStore):
    stream = await incident(journal)
    state = await journal.state(stream)
    late = await _append(store, keys, state, s.note("late"), now=journal.clock.now())
    await journal.execute(stream, s.note("first"), actor="operator:hanako")

    with pytest.raises(Conflict):
        await store.append(late)

    assert len(await store.stream(stream)) == 2
    assert {key.category for key in await store.keys(stream)} == {"RAW", "OBS"}
    assert len(await store.parts(stream, first=1, last=9)) == 2


async def test_a_stream_begins_once_also_when_its_first_event_has_its_place_already(
    journal: Journal, store: Store, keys: KeyStore
):
    """Two that decided on nothing at all: on PostgreSQL a second first event once stopped the sequencer for good."""
    stream = await incident(journal)
    await sequenced(store, 1)

    with pytest.raises(Conflict):
        await store.append(await _another_first(journal, store, keys, stream))

    await journal.execute(stream, s.note(), actor="operator:hanako")
    await check_order(store, 2)


async def _another_first(journal: Journal, store: Store, keys: KeyStore, stream: IncidentId) -> Append:
    """A first event of ``stream`` again, without words and keys: nothing but its number is there twice."""
    nothing = Incident(id=stream, tenant=TENANT)
    made = await _append(store, keys, nothing, report(2), now=journal.clock.now())
    return msgspec.structs.replace(made, parts=(), keys=())


async def test_what_is_there_twice_stops_nobody_and_is_told(
    postgres_database: PostgresDatabase, keys: KeyStore, spool: Spool, clock: ManualClock
):
    """As an earlier release could leave it: the sequencer passes it over, says so, and goes on with the others."""
    async with postgres_database.store() as store, Journal(store, keys, spool, clock=clock) as journal:
        stream = await incident(journal, 1)
        await sequenced(store, 1)
        await postgres_database.add_incoming(stream, n=1)

        await incident(journal, 2)

        await check_order(store, 2)
        assert store.damage.stands
        assert store.damage.figures.get_sample_value("sos_events_unreadable_total") == 1
        assert await postgres_database.incoming() == [(stream, 1)]


async def test_a_place_that_is_taken_is_a_failure_that_is_told_and_is_not_tried_without_a_pause(
    postgres_database: PostgresDatabase, keys: KeyStore, spool: Spool, clock: ManualClock
):
    """No event is there twice, so none can be passed over: what is wrong is the tree."""
    async with postgres_database.store() as store, Journal(store, keys, spool, clock=clock) as journal:
        await incident(journal, 1)
        await sequenced(store, 1)
        await postgres_database.set_back()
        await incident(journal, 2)

        with pytest.raises(asyncpg.UniqueViolationError):
            await _sequencing(store)
        assert not store.damage.stands


async def _sequencing(store: PostgresStore) -> None:
    """Again and again: the store itself may be just trying."""
    async with asyncio.timeout(20):
        while True:
            await store.sequence()


async def _append(store: Store, keys: KeyStore, state: Incident, command, *, now: datetime) -> Append:
    """The append that ``command`` would be, made the way the journal makes it."""
    sealer = Sealer(store, Keyring(keys), Losses())
    stamp = Stamp(stream=state.id, tenant=state.tenant, follows=state.version, at=now, actor="system:test")
    row = QueueRow(state.tenant, state.state, 0, 0, msgspec.json.encode(state))
    drafts = s.decide(state, command, now=now)
    return sealer.seal(stamp, drafts, keys=await sealer.keys(state.id), row=row).append


async def test_the_state_in_memory_in_the_database_and_by_replay_is_the_same(journal: Journal, store: Store):
    stream = await incident(journal)
    for command in (
        s.file_report(),
        s.plan(),
        s.offer("a"),
        s.take(),
        s.join(),
        s.read_parts(),
        s.disclose(),
        s.confirm(),
    ):
        await journal.execute(stream, command, actor="system:test")

    kept = await journal.state(stream)
    stored = await store.load(stream)
    replayed = replay(Incident(id=stream, tenant=TENANT), tuple(await store.stream(stream)))

    assert stored is not None
    assert stored.version == kept.version == 9
    assert msgspec.json.decode(stored.snapshot, type=Incident) == kept == replayed
    waits = await store.due(2**53, limit=10)
    assert sorted(waits) == sorted((stream, name) for name, _ in deadlines(kept))


async def test_what_is_already_so_writes_nothing(journal: Journal, store: Store):
    stream = await incident(journal)
    first = await journal.execute(stream, s.take(), actor="operator:hanako")

    again = await journal.execute(stream, s.take(), actor="operator:hanako")

    assert len(first.recorded) == 1
    assert again.recorded == ()
    assert again.incident == first.incident


async def test_an_incident_that_is_not_there_is_unknown(journal: Journal):
    with pytest.raises(Unknown):
        await journal.execute(IncidentId("nowhere"), s.note(), actor="operator:hanako")
    with pytest.raises(Unknown):
        await journal.state(IncidentId("nowhere"))


async def test_the_queue_shows_automatic_crashes_before_buttons_and_exercises_last(journal: Journal, clock):
    orders = (
        ("drill", s.open_incident(s.Mode.DRILL)),
        ("button", s.open_incident(trigger=s.Trigger.MANUAL)),
        ("crash", s.open_incident()),
        ("crash later", s.open_incident()),
    )
    opened_as = {}
    for number, (name, order) in enumerate(orders):
        received = await journal.open(order, tenant=TENANT, receipt=receipt(number), received_at=clock.now())
        opened_as[received.incident] = name
        await clock.advance(s.timedelta(seconds=1))

    total, urgent = await journal.queue(limit=3, states=(State.RECEIVED,))

    assert total == 4
    assert [opened_as[each.id] for each in urgent] == ["crash", "crash later", "button"]


async def test_a_role_is_held_by_one_until_its_lease_runs_out(store: Store):
    assert await store.lease("sequencer", "a", now_ms=1_000, until_ms=6_000)
    assert not await store.lease("sequencer", "b", now_ms=2_000, until_ms=7_000)
    assert await store.lease("sequencer", "a", now_ms=5_000, until_ms=10_000)
    assert not await store.lease("sequencer", "b", now_ms=9_999, until_ms=15_000)
    assert await store.lease("sequencer", "b", now_ms=10_001, until_ms=15_000)
    assert await store.lease("publisher", "a", now_ms=10_001, until_ms=15_000)


async def test_headers_are_kept_as_they_were_written(journal: Journal, store: Store):
    stream = await incident(journal)
    done = await journal.execute(stream, s.note(), actor="operator:hanako", causation="request-1")

    kept = (await sequenced(store, 2))[1]

    assert kept == msgspec.structs.replace(done.recorded[0], position=kept.position)
    assert kept.causation == "request-1"
    assert report(0).report not in b"".join(leaf.header for leaf in await store.leaves(0, limit=10))
