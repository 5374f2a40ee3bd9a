"""The stream of mass events on both databases: found after a restart, seen by others, its words nowhere in clear."""

import asyncio
from datetime import timedelta

import pytest

from recording.keys import KeyStore
from sos.clock import ManualClock
from sos.errors import Refused, SosError
from sos.incident.mass_event import Change, Declare
from sos.incident.model import Area, MassEventId, OperatorId, State
from sos.journal.journal import Journal
from sos.journal.losses import Losses
from sos.journal.mass_events import MassEventLedger
from sos.journal.store import Store
from tests.sos.journal.conftest import Database
from tests.sos.journal.reports import opened

WORDS = "架空の地震、震度六強"


def ledger(store: Store, keys: KeyStore, clock: ManualClock) -> MassEventLedger:
    return MassEventLedger(store, keys, clock=clock, losses=Losses())


def declare(clock: ManualClock, *, by: str = "hanako", seen: int = 0, mass_event: str = "m-1") -> Declare:
    return Declare(
        mass_event=MassEventId(mass_event),
        operator=OperatorId(by),
        seen=seen,
        words=WORDS,
        name=WORDS,
        area=Area(codes=("JP-13",)),
        until=clock.now() + timedelta(hours=6),
    )


async def test_what_was_declared_stands_after_a_restart_in_every_process_and_is_no_incident(
    database: Database, store: Store, keys: KeyStore, clock: ManualClock, journal: Journal
):
    told: list[int] = []
    first = ledger(store, keys, clock)
    first.on_change(lambda: told.append(first.now.version))

    (declared,) = await first.execute(declare(clock), actor="operator:hanako")

    assert told == [1]
    async with database.store() as other:
        later = ledger(other, keys, clock)
        assert await later.load() == first.now
        (event,) = later.now.in_force
        assert (await later.said(event)).name == WORDS
    assert (await journal.queue(limit=10, states=tuple(State)))[0] == 0
    assert await journal.alarmed(limit=10) == []
    assert [each.id for each in await first.history()] == [declared.id]
    assert WORDS.encode() not in await database.everything()


async def test_two_supervisors_at_once_come_to_one_outcome_in_words(
    database: Database, store: Store, keys: KeyStore, clock: ManualClock
):
    async with database.store() as other:
        desks = (ledger(store, keys, clock), ledger(other, keys, clock))
        orders = (declare(clock), declare(clock, by="jiro", mass_event="m-2"))

        outcomes = await asyncio.gather(
            *(
                desk.execute(order, actor=f"operator:{order.operator}")
                for desk, order in zip(desks, orders, strict=True)
            ),
            return_exceptions=True,
        )

        refused = [each for each in outcomes if isinstance(each, SosError)]
        (event,) = (await desks[0].load()).in_force
        assert await desks[1].load() == desks[0].now
    assert len(refused) == 1
    assert isinstance(refused[0], Refused)
    assert str(refused[0]).startswith(f"{event.operator} has decided about mass events meanwhile")


async def test_its_time_runs_out_once_whoever_looks(store: Store, keys: KeyStore, clock: ManualClock):
    book = ledger(store, keys, clock)
    await book.execute(declare(clock), actor="operator:hanako")
    await book.look()
    await clock.advance(timedelta(hours=6))

    for each in (book, ledger(store, keys, clock)):
        await each.look()

    assert [type(each.event).__name__ for each in await book.history()] == ["MassEventDeclared", "MassEventOverdue"]
    (event,) = book.now.in_force
    renewed = Change(
        mass_event=event.mass_event,
        operator=OperatorId("jiro"),
        seen=1,
        name="架空の地震",
        area=event.area,
        until=clock.now() + timedelta(hours=1),
    )
    await book.execute(renewed, actor="operator:jiro")
    assert (await book.said(book.now.in_force[0])).name == "架空の地震"


async def test_while_the_database_is_away_what_was_known_holds(
    database: Database, store: Store, keys: KeyStore, clock: ManualClock, journal: Journal
):
    book = ledger(store, keys, clock)
    await book.execute(declare(clock), actor="operator:hanako")

    async with database.gone():
        with pytest.raises(SosError):
            await book.execute(declare(clock, by="jiro", seen=1, mass_event="m-2"), actor="operator:jiro")
        assert len(book.now.in_force) == 1

    assert await opened(journal)  # and nobody else is held up, by the database or by the spool
