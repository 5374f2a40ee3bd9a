"""What is asked while calls come in is found by an index, and reads through no table that grows for ever.

Asked of both planners.  PostgreSQL's is told to read a table from end to end, or to join by doing so, only where no
index serves: the answer does not hang on how little a test has stored.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from sos.incident.model import IncidentId, MassEventId
from sos.journal.postgres import PostgresStore
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store

GROWS = frozenset({"events", "parts", "data_keys", "receipts", "incidents"})
"""Tables that have a row for each that ever happened; the others hold what is under way."""

OPEN = ("received", "ringing", "in_call")
ONE = IncidentId("0198f000-0000-7000-8000-000000000001")

QUESTIONS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "followed": lambda store: store.positioned(5, limit=100),
    "published": lambda store: store.leaves(5, limit=100),
    "stream": lambda store: store.stream(ONE),
    "state": lambda store: store.load(ONE),
    "parts": lambda store: store.parts(ONE, first=1, last=5),
    "keys": lambda store: store.keys(ONE),
    "queue": lambda store: store.queue(limit=100, states=OPEN),
    "census": lambda store: store.census(OPEN),
    "due": lambda store: store.due(1_000_000, limit=100),
    "alarmed": lambda store: store.alarmed(limit=100),
    "held": lambda store: store.held(limit=100),
    "vehicle": lambda store: store.of_vehicle("v-1", limit=100),
    "mass event": lambda store: store.of_mass_event(MassEventId("m-1"), limit=100),
}

Asked = list[tuple[str, Any]]


@pytest.mark.parametrize("question", QUESTIONS)
async def test_what_is_asked_in_service_reads_no_growing_table_from_end_to_end(store: Store, question: str) -> None:
    assert isinstance(store, SqliteStore | PostgresStore)

    with _noted(store) as asked:
        await QUESTIONS[question](store)

    assert asked
    assert await _read_whole(store, asked) == set()


async def test_a_question_that_no_index_answers_is_seen(store: Store) -> None:
    assert isinstance(store, SqliteStore | PostgresStore)

    with _noted(store) as asked:
        await store.keks_in_use()

    assert await _read_whole(store, asked) == {"data_keys"}


@contextmanager
def _noted(store: SqliteStore | PostgresStore) -> Iterator[Asked]:
    """The statements that go to the database meanwhile, with their values."""
    asked: Asked = []

    def note(_c: object, _k: object, statement: str, values: Any, *_: object) -> None:
        asked.append((statement, values))

    event.listen(store.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(store.engine.sync_engine, "before_cursor_execute", note)


async def _read_whole(store: SqliteStore | PostgresStore, asked: Asked) -> set[str]:
    """The growing tables that these statements look through."""
    look = _by_postgres if isinstance(store, PostgresStore) else _by_sqlite
    async with store.engine.connect() as connection:
        return {table for statement, values in asked for table in await look(connection, statement, values)} & GROWS


async def _by_sqlite(connection: AsyncConnection, statement: str, values: Any) -> set[str]:
    """``SCAN t`` is a whole table (sqlite.org/eqp.html, 1.1)."""
    rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
    return {words[1] for row in rows if (words := row.detail.split())[0] == "SCAN"}


async def _by_postgres(connection: AsyncConnection, statement: str, values: Any) -> set[str]:
    for way in ("seqscan", "hashjoin", "mergejoin"):
        await connection.execute(text(f"SET LOCAL enable_{way} = off"))
    plan = (await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values)).scalar_one()
    return set(_without_condition(json.loads(plan) if isinstance(plan, str) else plan))


def _without_condition(plan: Any) -> Iterator[str]:
    for node in plan if isinstance(plan, list) else plan.values() if isinstance(plan, dict) else ():
        yield from _without_condition(node)
    if isinstance(plan, dict) and "Relation Name" in plan and not plan.keys() & {"Index Cond", "Recheck Cond"}:
        yield plan["Relation Name"]
