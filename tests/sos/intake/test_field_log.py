"""The field log: what is odd about a brand's devices is counted once each, bounded, without a person in it."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from sos.clock import ManualClock, SystemClock
from sos.incident.model import TenantId
from sos.intake.acceptance import Acceptance
from sos.intake.field_log import OTHER, FieldLog, label
from sos.intake.field_log_http import COLUMNS, says
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent
from sos.intake.tenants import Tenant
from sos.journal.field_log import MOST_ROWS, TOGETHER, FieldLogTable, Oddity
from sos.journal.journal import Journal
from sos.journal.store import Store
from sos.settings import OperatorSettings, RegistrarSettings
from tests.journeys.story import open_incident
from tests.sos.intake.field import sample
from tests.sos.intake.test_doors import bearer, house

WIRE = Path(__file__).resolve().parents[2] / "wire"
CRASH = json.loads((WIRE / "crash.json").read_bytes())
ACME = Tenant(id=TenantId("acme"), domain="acme.example")
BRAVO = Tenant(id=TenantId("bravo"), domain="bravo.example")
CLOUD = "application/cloudevents+json"
OLD = {"latitude": 35.68, "longitude": 139.76, "timestamp": "2006-05-01T00:00:00Z"}


def event(id: str, *, firmware: str | None = "3.1", model: str | None = "TCU-4", **data: Any) -> bytes:
    device = {"model": model, "firmware": firmware}
    return json.dumps(CRASH | {"id": id, "data": CRASH["data"] | {"device": device} | data}).encode()


class Counting:
    """A journal, its door, and the log that follows it."""

    def __init__(self, journal: Journal, store: Store, clock: ManualClock) -> None:
        self.journal, self.store, self.clock = journal, store, clock
        self.table = FieldLogTable(store.engine)  # type: ignore[attr-defined]
        self.log = FieldLog(journal, self.table)
        self._acceptance = Acceptance(journal, Receipts(b"a secret for tests, 32 bytes long"), Recent())
        self.position = 0

    async def take(
        self, body: bytes, *, tenant: Tenant = ACME, media_type: str = CLOUD, at: datetime | None = None
    ) -> None:
        await self._acceptance.take(body, content_type=media_type, tenant=tenant, received_at=at or self.clock.now())

    async def follow(self, *, limit: int = 100) -> None:
        while batch := await self.store.follow(self.position, limit=limit):
            await self.log.handle(batch)
            self.position += len(batch)

    async def rows(self, tenant: str | None = None) -> list[Oddity]:
        return list(await self.table.of(None if tenant is None else TenantId(tenant)))


@pytest.fixture
async def counting(journal: Journal, store: Store, clock: ManualClock) -> Counting:
    return Counting(journal, store, clock)


async def written(counting: Counting, reports: int) -> None:
    """Until the sequencer has given every report its place."""
    while len(await counting.store.follow(0, limit=10_000)) < reports:
        await counting.store.sequence()


async def test_a_brand_is_told_what_its_firmware_sends(counting: Counting) -> None:
    for n in range(3):
        await counting.take(event(f"old-{n}", location=OLD))
    await counting.take(event("fine"))
    await counting.take(event("b", firmware="2.0", location=OLD), tenant=BRAVO)
    await written(counting, 5)

    await counting.follow()

    (row,) = await counting.rows("acme")
    assert (row.model, row.firmware, row.code, row.year, row.reports) == (
        *("TCU-4", "3.1", "fix_time_impossible", "2006"),
        3,
    )
    assert says(row).startswith("TCU-4 firmware 3.1: Impossible time of the position of 2006 in 3 reports.")
    assert [each.firmware for each in await counting.rows("bravo")] == ["2.0"]


async def test_what_comes_again_after_a_crash_or_from_another_process_counts_once(counting: Counting) -> None:
    for n in range(5):
        await counting.take(event(f"old-{n}", location=OLD))
    await written(counting, 5)
    await counting.follow(limit=2)

    counting.position = 0  # its cursor was not saved
    counting.log = FieldLog(counting.journal, FieldLogTable(counting.store.engine))  # type: ignore[attr-defined]
    await counting.follow(limit=3)

    assert [row.reports for row in await counting.rows()] == [5]


async def test_of_two_batches_that_overlap_only_what_is_new_is_counted(counting: Counting) -> None:
    await counting.table.count([(0, odd("acme", "1")), (1, odd("acme", "1"))], through=2)
    await counting.table.count([(1, odd("acme", "1")), (2, odd("acme", "1"))], through=3)

    assert [row.reports for row in await counting.rows("acme")] == [3]


async def test_a_path_that_is_no_path_of_names_is_counted_without_it(counting: Counting) -> None:
    report = replace(open_incident(), findings=("bad_time:$.Jane Roe 1970", "bad_time:$.location.timestamp"))
    await counting.journal.open(
        report, tenant=ACME.id, receipt=sha256(b"odd").digest(), received_at=counting.clock.now()
    )
    await written(counting, 1)

    await counting.follow()

    assert sorted(row.field for row in await counting.rows()) == sorted([OTHER, "$.location.timestamp"])


async def test_a_sender_that_names_itself_anew_each_time_fills_nothing_but_its_own_bound(counting: Counting) -> None:
    stranger = [odd("acme", str(n)) for n in range(MOST_ROWS + 40)]
    await counting.table.count(list(enumerate(stranger)), through=len(stranger))
    await counting.table.count([(9_000, stranger[0]), (9_001, odd("bravo", "1"))], through=9_002)

    rows = await counting.rows("acme")
    assert len(rows) == MOST_ROWS + 1
    assert sum(row.reports for row in rows) == MOST_ROWS + 41
    assert [row.reports for row in rows if row.model == TOGETHER] == [40]
    assert len(await counting.rows("bravo")) == 1


def odd(tenant: str, name: str) -> Oddity:
    made = {"format": CLOUD, "model": name, "firmware": name, "code": "bad_time", "field": "$", "year": ""}
    return Oddity(tenant=TenantId(tenant), first_ms=1, last_ms=1, **made)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, ""),
        ("  ", ""),
        ("TCU-4", "TCU-4"),
        ("v3.1.0-rc1+b7", "v3.1.0-rc1+b7"),
        ("ＴＣＵ　４", "TCU 4"),
        ("プリウス", "プリウス"),
        ("JTMZZ3TESTEC00001", OTHER),
        ("356938035643809", OTHER),
        ("+81-90-0000-0001", OTHER),
        ("090-00000001", OTHER),
        ("Yamada 090-0000-0001", OTHER),
        ("2026.11.30-2", "2026.11.30-2"),
        ("山田太郎", OTHER),
        ("a@b.example", OTHER),
        ("=HYPERLINK(1)", OTHER),
        ("<script>", OTHER),
        ("x" * 33, OTHER),
    ],
)
def test_a_label_is_a_model_or_a_version_and_never_a_person(text: str | None, shown: str) -> None:
    assert label(text) == shown


async def test_nothing_of_a_person_stands_in_the_log(counting: Counting) -> None:
    await counting.take(
        event(
            "1",
            model="Yamada 090-0000-0001",
            firmware="JTMZZ3TESTEC00001",
            callback={"tel": "119"},
            location=OLD | {"山田太郎": 1},
            vehicle={"id": {"scheme": "vin", "value": "0" * 17}, "Jane Roe 1970": 1},
        )
    )
    await written(counting, 1)
    await counting.follow()

    rows = await counting.rows()
    assert {row.code for row in rows} >= {"fix_time_impossible", "vehicle_placeholder", "tel_not_dialable"}
    shown = repr([(row.format, row.model, row.firmware, row.code, row.field, row.year) for row in rows])
    for secret in ("Yamada", "Jane", "山田", "119", "JTMZZ", "0000", "35.68"):
        assert secret not in shown


@pytest.mark.parametrize(
    "name", ["fix_time_gps_week_rollover.json", "placeholder_vin_carA.json", "json_trailing_nul.bin"]
)
async def test_the_field_s_odd_reports_are_in_it(counting: Counting, name: str) -> None:
    await counting.take(sample(name), media_type="application/json", at=datetime(2026, 11, 30, 7, 0, 4, tzinfo=UTC))
    await written(counting, 1)

    await counting.follow()

    rows = await counting.rows()
    assert rows
    assert {"2007"} == {row.year for row in rows if row.code == "fix_time_impossible"} or "rollover" not in name


async def test_bytes_that_nobody_can_read_count_too(counting: Counting) -> None:
    await counting.take(b'{"type": "jp.example.sos.crash.v1", "data": {"trig')
    await written(counting, 1)

    await counting.follow()

    assert {(row.model, row.code) for row in await counting.rows()} == {("", "not_json")}


# --- the doors ---


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    operators = tuple(
        OperatorSettings(id=name, name=f"架空 {name}", token_digest=digest(name), supervisor=name == "jiro")
        for name in ("hanako", "jiro")
    )
    registrars = tuple(
        RegistrarSettings(id=name, tenant=tenant, role=role, token_digest=digest(name))  # type: ignore[arg-type]
        for name, tenant, role in (("oem", "acme", "oem"), ("other", "other", "dealer"), ("portal", "acme", "portal"))
    )
    async with house(tmp_path, operators=operators, registrars=registrars) as (_, session):
        odd = event("1", firmware="3.1", location=OLD)
        headers = bearer(**{"Content-Type": CLOUD})
        async with session.post("/v1/events", data=odd, headers=headers) as answer:
            assert answer.status == 202
        yield session


async def shown(session: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, str]:
    """What stands there once the log has followed."""
    async with asyncio.timeout(60):
        while True:
            async with session.get(path, headers=headers) as answer:
                text = await answer.text()
                if answer.status != 200 or "3.1" in text or "other" in headers.get("Authorization", ""):
                    return answer.status, text
            await SystemClock().wait(timedelta(milliseconds=20))


async def test_a_registrar_sees_the_devices_of_the_own_brand_alone(doors: aiohttp.ClientSession) -> None:
    _, own = await shown(doors, "/v1/registry/field-log", Authorization="Bearer oem")
    _, as_csv = await shown(doors, "/v1/registry/field-log.csv", Authorization="Bearer oem")
    _, page = await shown(doors, "/v1/registry/field-log.html", Authorization="Bearer oem")
    _, others = await shown(doors, "/v1/registry/field-log", Authorization="Bearer other")
    portal, _ = await shown(doors, "/v1/registry/field-log", Authorization="Bearer portal")

    rows = json.loads(own)["reports"]
    assert {row["firmware"] for row in rows} == {"3.1"}
    told = {row["says"].partition(" in ")[0] for row in rows}
    assert "TCU-4 firmware 3.1: Impossible time of the position of 2006" in told
    assert next(csv.reader(io.StringIO(as_csv.removeprefix("\ufeff")))) == list(COLUMNS)
    assert "<td>3.1</td>" in page
    assert json.loads(others) == {"reports": []}
    assert portal == 403


async def test_a_supervisor_sees_every_brand_s_and_an_operator_does_not(doors: aiohttp.ClientSession) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(doors._base_url, cookie_jar=jar) as desk:
        seen: dict[str, list[tuple[int, str]]] = {}
        for name in ("hanako", "jiro"):
            async with desk.post("/console/session", json={"token": name}) as answer:
                assert answer.status == 204
            seen[name] = [await shown(desk, f"/console/{path}") for path in ("field-log", "field-log.csv")]

    assert [status for status, _ in seen["hanako"]] == [403, 403]
    assert [status for status, _ in seen["jiro"]] == [200, 200]
    assert all("acme" in text and "TCU-4 firmware 3.1" in text for _, text in seen["jiro"])
