"""Two processes on one PostgreSQL: one order, one winner, no gap, and nobody decides on yesterday's state."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from recording.keys import KeyStore
from sos.errors import Conflict, Refused
from sos.incident.model import State
from sos.journal.journal import Done, Journal
from sos.journal.spool import Spool
from tests.journeys import story as s
from tests.sos.journal.conftest import PostgresDatabase
from tests.sos.journal.reports import check_order, incident, opened, sequenced


@pytest.fixture
async def replicas(
    postgres_database: PostgresDatabase, keys: KeyStore, tmp_path, clock
) -> AsyncIterator[tuple[Journal, Journal]]:
    async with postgres_database.store() as one, postgres_database.store() as two:
        spools = [Spool(tmp_path / name, keys.secret("spool")) for name in ("one", "two")]
        async with (
            Journal(one, keys, spools[0], clock=clock) as first,
            Journal(two, keys, spools[1], clock=clock) as second,
        ):
            yield first, second


async def test_two_replicas_make_one_order_without_a_gap(replicas: tuple[Journal, Journal]):
    both = [await asyncio.gather(*(opened(j, 100 * k + n) for n in range(40))) for k, j in enumerate(replicas)]
    streams = [answer.incident for answers in both for answer in answers]
    async with asyncio.timeout(20):
        await asyncio.gather(
            *(j.execute(stream, s.note(), actor="operator:hanako") for j in replicas for stream in streams)
        )

    for journal in replicas:
        await check_order(journal.store, 240)
    orders = [[e.id for e in await sequenced(j.store, 240)] for j in replicas]
    assert orders[0] == orders[1]


async def test_of_operators_at_both_replicas_one_wins(replicas: tuple[Journal, Journal]):
    ringing = await incident(replicas[0])

    outcomes = await asyncio.gather(
        *(
            j.execute(ringing, s.take(f"op{k}"), actor=f"operator:op{k}")
            for k in range(12)
            for j in replicas[k % 2 :][:1]
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, Done) for outcome in outcomes) == 1
    assert all(isinstance(outcome, Done | Refused | Conflict) for outcome in outcomes)
    await check_order(replicas[0].store, 2)


async def test_a_report_sent_to_both_replicas_at_once_opens_one_incident(replicas: tuple[Journal, Journal]):
    answers = await asyncio.gather(*(opened(journal, n) for n in range(10) for journal in replicas))

    assert len({answer.incident for answer in answers}) == 10
    assert sum(answer.repeat for answer in answers) == 10
    await check_order(replicas[1].store, 10)


async def test_a_replica_looks_again_before_it_says_no(replicas: tuple[Journal, Journal]):
    first, second = replicas
    stream = await incident(first)
    await second.execute(stream, s.take("jiro"), actor="operator:jiro")
    await first.execute(stream, s.release("jiro"), actor="system:acd")

    taken = await second.execute(stream, s.take("hanako"), actor="operator:hanako")

    assert len(taken.recorded) == 1
    assert (taken.incident.state, taken.incident.operator) == (State.IN_CALL, "hanako")
    again = await first.execute(stream, s.take("hanako"), actor="operator:hanako")
    assert again.recorded == ()


async def test_parts_sealed_by_one_replica_open_at_the_other(replicas: tuple[Journal, Journal]):
    stream = await incident(replicas[0])
    await asyncio.gather(
        *(j.execute(stream, s.note(f"note {k}"), actor="operator:hanako") for k in range(4) for j in replicas)
    )

    for journal in replicas:
        notes = [part.payload for part in await journal.unseal(stream, (s.Category.OBS,))]
        assert sorted(notes) == sorted(f"note {k}".encode() for k in range(4) for _ in replicas)
