"""Data keys change their wrapping with the incident: closing, holds, and the end; lost is never destroyed."""

from datetime import timedelta
from hashlib import sha256

import pytest

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import ManualClock
from sos.errors import Refused, Unknown
from sos.incident import commands as c
from sos.incident.model import Disposition, IncidentId
from sos.journal.journal import Journal
from sos.journal.keyring import Shut
from sos.journal.store import Store
from tests.journeys import story as s
from tests.rest import settled
from tests.sos.journal.reports import incident

NOTED = b"answers, bleeding"


async def closed(journal: Journal, number: int = 0) -> IncidentId:
    opened = await incident(journal, number)
    for command in (s.take(), s.note(), c.CloseIncident(disposition=Disposition.FALSE_ALARM)):
        await journal.execute(opened, command, actor="operator:hanako")
    return opened


async def classes(store: Store, stream: IncidentId) -> dict[Category, str]:
    return {key.category: key.kek.partition(".")[0] for key in await store.keys(stream)}


async def noted(journal: Journal, stream: IncidentId) -> list[bytes]:
    return [part.payload for part in await journal.unseal(stream, (Category.OBS,)) if part.payload == NOTED]


def destroy(clock: ManualClock, *categories: Category) -> c.DestroyData:
    return s.destroy(*categories, started_at=clock.now(), due_at=clock.now())


async def test_a_call_that_was_none_gets_the_keys_of_four_weeks_when_it_is_closed(journal: Journal, store: Store):
    stream = await closed(journal)

    assert await classes(store, stream) == dict.fromkeys((Category.RAW, Category.OBS), "nonincident-4w")
    assert await noted(journal, stream) == [NOTED]


async def test_what_comes_after_the_closing_is_sealed_under_the_class_of_the_closing(journal: Journal, store: Store):
    stream = await closed(journal)

    await journal.execute(stream, s.file_report(), actor="system:filer")

    assert (await classes(store, stream))[Category.LOC] == "nonincident-4w"


async def test_one_incident_is_held_and_the_rest_of_its_class_can_end(
    journal: Journal, store: Store, keys: KeyStore, spool, clock
):
    held, other = await closed(journal), await closed(journal, 1)
    await journal.execute(held, s.hold(), actor="operator:hanako")
    for kek in keys.keks():
        if kek.startswith(("nonincident-4w.", "open-")):
            keys.destroy(kek)

    assert set((await classes(store, held)).values()) == {"hold"}
    async with Journal(store, keys, spool, clock=clock) as later:
        assert await noted(later, held) == [NOTED]
        assert await noted(later, other) == []
        assert await later.missing(other, tuple(Category)) == {}


async def test_of_two_holds_one_is_let_go_and_nothing_is_destroyed(journal: Journal, store: Store, clock: ManualClock):
    stream = await closed(journal)
    for command in (s.hold("hold-1"), s.hold("hold-2"), s.hold("hold-2"), s.release_hold("hold-1")):
        await journal.execute(stream, command, actor="operator:hanako")

    with pytest.raises(Refused, match="it is held: hold-2"):
        await journal.execute(stream, destroy(clock, Category.OBS), actor="system:retention")
    with pytest.raises(Refused, match="no hold of that id"):
        await journal.execute(stream, s.release_hold("hold-1"), actor="operator:hanako")

    await journal.execute(stream, s.release_hold("hold-2"), actor="operator:hanako")
    assert set((await classes(store, stream)).values()) == {"nonincident-4w"}


async def test_what_is_destroyed_is_gone_in_the_transaction_that_says_so(
    journal: Journal, store: Store, keys: KeyStore, spool, clock: ManualClock
):
    stream = await closed(journal)

    await journal.execute(stream, destroy(clock, Category.OBS), actor="system:retention")

    (row,) = [row for row in await store.keys(stream) if row.category is Category.OBS]
    assert (row.kek, row.wrapped, row.destroyed) == ("", b"", True)
    assert await noted(journal, stream) == []
    with pytest.raises(Unknown, match="destroyed"):
        await journal.data_key(stream, Category.OBS)
    async with Journal(store, keys, spool, clock=clock) as later:
        shown = await later.read(stream, tuple(Category), reader="auditor:a", purpose="export")
        assert {each.why for each in shown.unread} == {Shut.DESTROYED}
        assert [part.category for part in shown.parts] == [Category.RAW]
        assert shown.missing == {}
        assert (await later.state(stream)).destroyed == ((Category.OBS, 5),)
    assert "" not in await store.keks_in_use()


async def test_what_two_people_run_at_once_is_destroyed_once(journal: Journal, store: Store, clock: ManualClock):
    stream = await closed(journal)
    seen = (await journal.state(stream)).version
    ordered = s.destroy(Category.OBS, started_at=clock.now(), due_at=clock.now(), seen=seen)

    first = await journal.execute(stream, ordered, actor="system:retention")
    second = await journal.execute(stream, ordered, actor="system:retention")

    assert (len(first.recorded), len(second.recorded)) == (1, 0)


async def test_another_process_forgets_what_it_still_had_in_memory(
    journal: Journal, store: Store, keys: KeyStore, spool, clock: ManualClock
):
    stream = await closed(journal)
    async with Journal(store, keys, spool, clock=clock) as other:
        assert await noted(other, stream) == [NOTED]
        await journal.execute(stream, destroy(clock, Category.OBS), actor="system:retention")
        await settled(store)

        events = await store.follow(0, limit=100)

        assert any(type(each.event).__name__ == "DataDestroyed" for each in events)
        assert await noted(other, stream) == []


async def test_what_is_said_after_the_end_has_a_key_of_its_own(journal: Journal, store: Store, clock: ManualClock):
    stream = await closed(journal)
    await journal.execute(stream, destroy(clock, Category.OBS), actor="system:retention")

    await journal.execute(stream, s.read_parts(purpose="review", reason="what was here"), actor="operator:hanako")

    opened = await journal.unseal(stream, (Category.OBS,))
    assert [b"what was here" in part.payload for part in opened] == [True]
    assert len([row for row in await store.keys(stream) if row.category is Category.OBS]) == 2


async def test_a_wrapping_that_is_lost_stops_no_closing_and_stays_lost(
    journal: Journal, store: Store, keys: KeyStore, spool, clock, tmp_path
):
    opened = await incident(journal)
    await journal.execute(opened, s.take(), actor="operator:hanako")
    for path in (tmp_path / "keys").glob("open-*.kek"):
        path.unlink()

    async with Journal(store, keys, spool, clock=clock) as later:
        done = await later.execute(
            opened, c.CloseIncident(disposition=Disposition.FALSE_ALARM), actor="operator:hanako"
        )
        assert done.recorded
        assert await later.missing(opened, (Category.RAW,)) == {Category.RAW: Shut.LOST}


async def test_an_incident_that_was_closed_again_is_not_destroyed_by_an_older_list(
    journal: Journal, clock: ManualClock
):
    stream = await closed(journal)
    listed = destroy(clock, Category.OBS)
    await clock.advance(timedelta(hours=1))
    for command in (
        c.ReopenIncident(reason="again"),
        s.take(),
        c.CloseIncident(disposition=Disposition.FALSE_ALARM),
    ):
        await journal.execute(stream, command, actor="operator:hanako")

    with pytest.raises(Refused, match="closed again"):
        await journal.execute(stream, listed, actor="system:retention")


async def test_under_a_retired_key_nothing_more_is_wrapped_and_what_is_there_opens(keys: KeyStore, clock: ManualClock):
    first = keys.wrap(b"k" * 32, retention="hold", month="2026-01", context=b"c")
    keys.retire(first.kek, at=clock.now())
    keys.retire(first.kek, at=clock.now() + timedelta(hours=1))

    second = keys.wrap(b"k" * 32, retention="hold", month="2026-01", context=b"c")

    assert second.kek != first.kek
    assert KeyStore(keys._directory).wrap(b"k" * 32, retention="hold", month="2026-01", context=b"c").kek == second.kek
    assert sha256(keys.unwrap(first.kek, first.wrapped, context=b"c")).digest() == sha256(b"k" * 32).digest()
    assert keys.retired() == {first.kek: clock.now()}
    keys.destroy(first.kek)
    assert keys.retired() == {}
