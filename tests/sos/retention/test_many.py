"""Hundreds of incidents, a clock that jumps and runs that are killed: nothing early, nothing left, all certified."""

import json
import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from recording.disposal import ClockDoubted
from recording.keys import KeyStore
from recording.retention import Period
from routing.categories import Category
from sos.clock import ManualClock
from sos.incident import commands as c
from sos.incident.events import DataDestroyed
from sos.incident.model import Disposition, IncidentId
from sos.journal.journal import Journal
from sos.journal.store import Store
from sos.retention.configured import Retention
from sos.retention.disposals import Disposal
from sos.retention.executor import Executor
from tests.journeys import story as s
from tests.rest import settled
from tests.sos.journal.reports import incident
from tests.sos.retention.conftest import DAY, HANAKO, JIRO, believed

MANY = 120
WEEKS = 6
FOUR_WEEKS = Period.parse("P4W")


async def _close_one(journal: Journal, number: int) -> IncidentId:
    opened = await incident(journal, number)
    for command in (s.take(), c.CloseIncident(disposition=Disposition.FALSE_ALARM)):
        await journal.execute(opened, command, actor=HANAKO)
    return opened


class _Killed(Exception):
    pass


class _Dying(Executor):
    """Dies after so many incidents, in the middle of others."""

    def __init__(self, alive: Executor, after: int) -> None:
        self.__dict__ |= alive.__dict__
        self._after = after

    async def _destroy(self, state: Disposal, line: Mapping[str, object], *, now: datetime) -> None:
        self._after -= 1
        if self._after < 0:
            raise _Killed
        await super()._destroy(state, line, now=now)


async def _dispose(house: Retention, pick: random.Random) -> list[str]:
    """Lists and runs what is due, killed at some place each time until one gets through; the disposals."""
    listed = await house.executor.list_due(actor="system:test")
    if listed is None:
        return []
    disposal = listed.disposal.disposal
    for by in (HANAKO, JIRO):
        await house.executor.approve(disposal, by=by)
    for _ in range(pick.randrange(3)):
        with suppress(_Killed):
            await _Dying(house.executor, pick.randrange(20)).run(disposal)
    await house.executor.run(disposal)
    return [disposal]


async def test_nothing_is_early_nothing_is_left_and_certificates_are_there_for_all(
    house: Retention, journal: Journal, store: Store, keys: KeyStore, clock: ManualClock, tmp_path: Path
):
    pick = random.Random(4711)
    due: dict[IncidentId, object] = {}
    disposals: list[str] = []
    for week in range(WEEKS + 5):
        if week < WEEKS:
            for number in range(MANY // WEEKS):
                stream = await _close_one(journal, week * 1000 + number)
                due[stream] = FOUR_WEEKS.after(clock.now())
        await settled(store)
        wrong = ManualClock(clock.now() + pick.choice((-30, 3, 400, 36_500)) * DAY)
        jumped = Journal(store, keys, journal._spool, clock=wrong)
        other = Retention.of(
            jumped, keys, house.rows, data=tmp_path, terms=house.clerk._terms, database=house.clocks._database
        )
        with suppress(ClockDoubted):
            await other.executor.list_due(actor="system:jumped")
            raise AssertionError("a clock that jumped was believed")
        await house.clocks.settle()
        disposals += await _dispose(house, pick)
        for stream, due_at in due.items():
            gone = await journal.unseal(stream, tuple(Category)) == []
            assert gone is (due_at <= clock.now()), stream
        await believed(house, clock, 7 * DAY)
        await house.overseer.end_keys()
    await clock.advance(timedelta(hours=2))
    await house.overseer.end_keys()

    assert (await house.rows.waits(clock.now())).categories == 0
    certified = [
        json.loads(line)["incident"]
        for disposal in disposals
        for line in (tmp_path / "retention" / f"{disposal}.certificate.jsonl").read_text().splitlines()
    ]
    assert sorted(certified) == sorted(due)
    for stream in due:
        stubs = [each for each in await store.stream(stream) if isinstance(each.event, DataDestroyed)]
        assert len(stubs) == 1
    assert not [kek for kek in keys.keks() if kek.startswith("nonincident-4w.2026-01")]
