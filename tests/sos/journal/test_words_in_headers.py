"""What a person typed lies in sealed parts alone: not in a header, a log tile, a row, a figure or a log line."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from recording.keys import KeyStore
from recording.note import Signer
from recording.tiles import TileStore
from routing.categories import Category
from sos.clock import ManualClock
from sos.errors import SosError
from sos.exports.auditors import WHOLE
from sos.exports.package import Exporter
from sos.incident import commands as c
from sos.incident.codec import read_header
from sos.incident.events import KINDS, AskerChecked, RightAsked, RightExtended, RightRefused
from sos.incident.model import Disposition, IncidentId, TenantId
from sos.incident.report import canonical
from sos.journal.journal import Journal
from sos.journal.publisher import Publisher
from sos.journal.store import Store
from sos.registry import orders as o
from sos.registry.index import Index
from sos.registry.lifecycle import Role
from sos.registry.model import Acknowledged, Notice, Scheme, Suspension, VehicleKey
from sos.registry.pack import shipped
from sos.registry.registry import Registry
from sos.rights.ledger import RightsLedger, draft
from tests.journeys import story as s
from tests.rest import settled
from tests.sos.journal.conftest import Database
from tests.sos.journal.reports import incident
from tests.sos.registry.conftest import by
from tests.wire.events.make import HERE as SAMPLES

NUMBER = "+81300009999"
MARK = f"架空 山田 {NUMBER}"
ORIGIN = "sos.example.com/journal"


async def _an_incident_full_of_words(journal: Journal) -> IncidentId:
    opened = await incident(journal)
    said = (
        s.offer("desk-a"),
        s.take(),
        s.note(MARK),
        msgspec.structs.replace(s.answer_card(), answer=MARK.encode()),
        msgspec.structs.replace(s.cancel(), words=MARK, report=MARK.encode()),
        s.answer_vehicle("answer-1", MARK),
        msgspec.structs.replace(s.refer(), reason=MARK),
        msgspec.structs.replace(s.answer_referral(supervisor="jiro"), reason=MARK),
        s.disclose(),
        s.ask_back(text=MARK),
        s.acknowledge(),
        s.close(Disposition.HANDED_OVER),
        c.ReopenIncident(reason=MARK),
    )
    for command in said:
        done = await journal.execute(opened, command, actor="operator:hanako")
        assert done.recorded, command
    return opened


async def _a_registry_full_of_words(registry: Registry) -> None:
    key = VehicleKey(Scheme.OEM_ID, "INVENTED-1")
    owner = await registry.register(o.RegisterSubscriber(profile={"name": MARK}, source="test"), by=by())
    car = (await registry.register(o.RegisterVehicle(keys=(key,), source="test"), by=by())).subject
    for order in (
        o.LinkOwner(subscriber=owner.subject),
        o.Suspend(reason=Suspension.UNPAID, document=MARK),
        o.LiftSuspension(document=MARK),
        o.BeginTransfer(document=MARK),
        o.NotifyBuyer(content=Notice.SERVICES, document=MARK),
        o.CancelTransfer(document=MARK),
        o.Deactivate(document=MARK, acknowledged=tuple(Acknowledged), effective_at=registry._clock.now()),
        o.Reactivate(document=MARK),
        o.Scrap(document=MARK),
    ):
        done = await registry.change_vehicle(car, order, by=by())
        assert done.changed, order
    await registry.change_subscriber(owner.subject, o.ChangeProfile(profile={"name": f"{MARK} 2"}, source="x"), by=by())
    shown = await registry.personal(owner.subject, (Category.OWN,), by=by(Role.DEALER), purpose=MARK)
    assert MARK in str(shown)
    assert MARK in str(await registry.personal(car, (Category.OBS,), by=by(), purpose=MARK))


async def _a_rights_desk_full_of_words(store: Store, keys: KeyStore, clock: ManualClock) -> None:
    ledger = RightsLedger(store, keys, clock)
    asked = RightAsked(right="disclosure", channel="letter", terms="", due_at=clock.now() + timedelta(days=30))
    claim = {"PER": canonical({"name": MARK}), "TEL": canonical({"tels": [NUMBER]}), "OBS": canonical({"words": MARK})}
    state = await ledger.begin(draft(asked, **claim), tenant=TenantId("house"), actor="operator:jiro")
    for event in (
        AskerChecked(proved=True, shown=("passport",), by="operator:jiro"),
        RightExtended(reason="identity", due_at=clock.now() + timedelta(days=60), by="operator:jiro"),
        RightRefused(rule="harm", by="operator:jiro"),
    ):
        said = draft(event, OBS=canonical({"text": MARK}))
        await ledger.change(state.request, lambda _, said=said: (said,), actor="operator:jiro")
    assert any(MARK.encode() in part.payload for part in (await ledger.opened(state.request)).parts)


async def test_what_a_person_typed_is_in_no_header_tile_row_figure_or_log_line(
    journal: Journal, store: Store, database: Database, keys: KeyStore, clock: ManualClock, tmp_path: Path
):
    registry = Registry(store, Index(store.engine), keys, clock=clock)
    await registry.load_packs(shipped().values(), ())
    tiles = TileStore(tmp_path / "log")
    log, seal = Signer(ORIGIN, keys.signing_key("log")), Signer("sos.example.com/seal", keys.signing_key("seal"))
    publisher = Publisher(store, tiles, log, origin=ORIGIN)
    exporter = Exporter(journal, publisher, tiles, recordings=tmp_path / "rec", log_signer=log, seal_signer=seal)
    with capture_logs() as logged:
        opened = await _an_incident_full_of_words(journal)
        await _a_registry_full_of_words(registry)
        await _a_rights_desk_full_of_words(store, keys, clock)
        await exporter.export(
            opened, tmp_path / "none", categories=(Category.VEH,), purpose=MARK, actor="auditor:a", scope=WHOLE
        )
        with pytest.raises(SosError):
            await journal.execute(opened, c.ReopenIncident(reason=MARK), actor="operator:hanako")
        await settled(store)
        await publisher.checkpoint()

    searched = {
        "log": b"".join(file.read_bytes() for file in (tmp_path / "log").rglob("*") if file.is_file()),
        "database": await database.everything(),
        "export": b"".join(file.read_bytes() for file in (tmp_path / "none" / "data").rglob("*") if file.is_file()),
        "figures": generate_latest(journal.losses.figures),
        "log lines": repr(logged).encode(),
    }
    assert b"IncidentReopened" in searched["log"]
    assert b"IncidentReopened" in searched["database"]
    for place, content in searched.items():
        for word in (MARK.encode(), "山田".encode(), NUMBER.encode(), msgspec.json.encode("山田")[1:-1], b"\\u5c71"):
            assert word not in content, place


async def test_the_words_are_there_for_who_may_read_them(journal: Journal):
    opened = await _an_incident_full_of_words(journal)

    parts = await journal.unseal(opened, (Category.OBS,))

    told = {type(part.recorded.event).__name__: part.payload.decode() for part in parts}
    assert told["IncidentReopened"] == MARK
    assert all(MARK in text for text in told.values())


async def test_a_document_that_is_told_twice_is_known_again(
    store: Store, keys: KeyStore, clock: ManualClock, journal: Journal
):
    registry = Registry(store, Index(store.engine), keys, clock=clock)
    await registry.load_packs(shipped().values(), ())
    key = VehicleKey(Scheme.OEM_ID, "INVENTED-1")
    car = (await registry.register(o.RegisterVehicle(keys=(key,), source="test"), by=by())).subject
    await registry.change_vehicle(car, o.BeginTransfer(document="t-1"), by=by())
    notice = o.NotifyBuyer(content=Notice.SERVICES, document=MARK)

    assert (await registry.change_vehicle(car, notice, by=by())).changed == ("BuyerNotified",)
    assert (await registry.change_vehicle(car, notice, by=by())).changed == ()


@pytest.mark.parametrize("field", ["unit", "terms"])
def test_a_code_of_the_registry_takes_no_words(field: str):
    order = {"do": "register_vehicle", "keys": [], "source": "test"}
    if field == "terms":
        order = {"do": "grant_entitlement", "service": "sos", "begins": "2026-01-01T00:00:00Z"}
    kind = o.RegisterVehicle if field == "unit" else o.GrantEntitlement

    msgspec.convert(order | {field: "demo-terms/1"}, kind)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(order | {field: MARK}, kind)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("IncidentReopened", "called_again"),
        ("ExportMade", "regulator"),
        ("RegistryChanged", "doc-1"),
        ("RegistryRead", "inquiry"),
    ],
)
def test_words_in_headers_of_an_earlier_version_are_shown_to_nobody(kind: str, words: str):
    header = (SAMPLES / f"{kind}-1.json").read_bytes()

    assert words.encode() in header
    assert words not in repr(read_header(header))


_CODES = """
about again agencies agency alarm answer approved area as_leg brands by cars categories certificate channel checkpoint
checks classes clause clauses coaching coefficients consent copy country crash_id datasets desk desks digest
disclosure disposal disposed document encrypted entitlement erased export facts findings flags format forms ground
grounds hold holder how incident joined judged_by keks kept keys kind_because kinds law_version leg line listed
manifest_digest mass_event maybe necessity notice number obligation obligations operator opt_out_clause other outcome
pack package path place prefecture proposed purpose question reader reason reasons receipt recipient record recording
referral report_digest request retention right rule rules rung shown source stage statements stream streams subject
supersedes supervisor supervisors sure taken_from terms to told tried urgent version voice what while_called who why
without
"""
CODES = frozenset(_CODES.split())
"""Every field of an event that can hold text: ids, codes, digests, names of files and rules; nobody types into one.

A new one is put here by somebody who has asked where its text comes from.
"""


def test_every_text_field_of_an_event_is_a_code_and_somebody_has_said_so():
    fields = {(kind, field.name) for kind in KINDS for field in inspect.type_info(KINDS[kind]).fields if _text(field)}

    assert {name for _, name in fields} - {"change"} <= CODES
    assert not {("IncidentReopened", "reason"), ("ExportMade", "purpose")} & fields


def _text(field: inspect.Field) -> bool:
    return "StrType" in repr(field.type)
