"""Exports of what cannot be opened: refused until the loss is accepted; then the package says what is gone."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from recording.keys import KeyStore
from recording.note import Signer
from recording.package import UNREADABLE, parse_unreadable
from recording.tiles import TileStore
from recording.verify import Report, verify_package
from routing.categories import Category
from sos.clock import ManualClock
from sos.errors import KeyLost
from sos.exports.auditors import WHOLE
from sos.exports.package import Exporter
from sos.incident.events import NoteAdded
from sos.incident.model import IncidentId
from sos.journal.journal import Journal
from sos.journal.publisher import Publisher
from sos.journal.schema import events
from sos.journal.spool import Spool
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.journal.reports import incident

ORIGIN = "sos.example.com/journal"


@pytest.fixture
async def noted(journal: Journal) -> IncidentId:
    opened = await incident(journal)
    await journal.execute(opened, s.note("an invented note"), actor="operator:hanako")
    return opened


@pytest.fixture
def later(store: Store, keys: KeyStore, clock: ManualClock, tmp_path: Path) -> Exporter:
    """As after a restart: no key is remembered."""
    journal = Journal(store, keys, Spool(tmp_path / "none", keys.secret("spool")), clock=clock)
    tiles = TileStore(tmp_path / "log")
    log = Signer(ORIGIN, keys.signing_key("log"))
    seal = Signer("sos.example.com/seal", keys.signing_key("seal"))
    return Exporter(
        journal,
        Publisher(store, tiles, log, origin=ORIGIN),
        tiles,
        recordings=tmp_path / "recordings",
        log_signer=log,
        seal_signer=seal,
    )


async def _kek(store: Store, opened: IncidentId, category: Category) -> str:
    return next(key.kek for key in await store.keys(opened) if key.category is category)


def _verified(package: Path, keys: KeyStore) -> Report:
    log = Signer(ORIGIN, keys.signing_key("log")).verifier.vkey
    seal = Signer("sos.example.com/seal", keys.signing_key("seal")).verifier.vkey
    return verify_package(package, log_vkey=log, seal_vkey=seal)


ASKED = (Category.OBS, Category.RAW)
ASKING: dict[str, Any] = {"purpose": "inquiry", "actor": "auditor:a", "scope": WHOLE}


async def test_an_export_of_a_lost_key_waits_for_it_unless_the_loss_is_accepted(
    noted: IncidentId, later: Exporter, store: Store, keys: KeyStore, tmp_path: Path
):
    (tmp_path / "keys" / f"{await _kek(store, noted, Category.OBS)}.kek").rename(tmp_path / "aside")
    before = len(await store.stream(noted))

    with pytest.raises(KeyLost, match="OBS: lost"):
        await later.export(noted, tmp_path / "one", categories=ASKED, **ASKING)
    assert len(await store.stream(noted)) == before
    assert not (tmp_path / "one").exists()

    await later.export(noted, tmp_path / "two", categories=ASKED, **ASKING, accept_lost=True)
    report = _verified(tmp_path / "two", keys)
    assert report.ok, str(report)
    assert "2 opened, 0 withheld, 1 lost" in str(report)


async def test_destroyed_lost_and_withheld_are_three_words(
    noted: IncidentId, later: Exporter, store: Store, keys: KeyStore, tmp_path: Path
):
    keys.destroy(await _kek(store, noted, Category.OBS))

    await later.export(noted, tmp_path / "one", categories=(Category.OBS,), **ASKING)

    told = parse_unreadable((tmp_path / "one" / UNREADABLE).read_bytes())
    assert list(told.values()) == ["destroyed"]
    report = _verified(tmp_path / "one", keys)
    assert report.ok, str(report)
    assert "1 opened, 1 withheld (RAW 1), 1 destroyed" in str(report)


async def test_an_event_whose_row_is_damaged_is_proved_by_the_log_and_said_to_be_damaged(
    noted: IncidentId, later: Exporter, store: Store, keys: KeyStore, tmp_path: Path
):
    await later.export(noted, tmp_path / "one", categories=(Category.OBS,), **ASKING)
    note = next(each for each in await store.stream(noted) if isinstance(each.event, NoteAdded))
    assert note.position is not None
    async with store.engine.begin() as connection:  # type: ignore[attr-defined]
        await connection.execute(
            update(events).where(events.c.position == note.position).values(header=b"\0 no header")
        )

    with pytest.raises(KeyLost, match=f"events .{note.n}. of it cannot be read"):
        await later.export(noted, tmp_path / "two", categories=(Category.OBS,), **ASKING)
    await later.export(
        noted,
        tmp_path / "two",
        categories=(Category.OBS,),
        purpose="inquiry",
        actor="auditor:a",
        scope=WHOLE,
        accept_lost=True,
    )

    report = _verified(tmp_path / "two", keys)
    assert report.ok, str(report)
    assert parse_unreadable((tmp_path / "two" / UNREADABLE).read_bytes()) == {f"{note.id}.OBS": "damaged"}
    assert "0 withheld" not in str(_verified(tmp_path / "one", keys))
    assert "1 damaged" in str(report)
