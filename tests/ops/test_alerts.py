"""Each alert fires in its drill and names a runbook; rules and dashboard name figures that the service gives out."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from ops.dashboards import make
from recording.anchors import AnchorStore
from recording.errors import RootAway
from recording.root import HeldRoot, Roots
from routing.categories import Category
from sos.anchors.anchoring import Anchoring
from sos.anchors.port import Answer
from sos.anchors.stamps import Stamps
from sos.clock import ManualClock, epoch_ms
from sos.console.desks import Desks
from sos.errors import Unavailable
from sos.figures import Board
from sos.front.access_log import AccessLog
from sos.front.access_monitor import AccessMonitor
from sos.incident.events import BreachFound, RightAsked
from sos.incident.model import EventId, TenantId
from sos.intake.acceptance import Acceptance
from sos.intake.handed import Heard, Standing, answers, frame, framed
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent
from sos.intake.writer import Writer, local
from sos.journal.asides import Asides
from sos.journal.configured import Kept, kept
from sos.journal.readers import Follower, Reader
from sos.journal.store import Aside
from sos.rights.breach import register
from sos.rights.ledger import RightsLedger, StreamLedger, draft
from sos.rights.overseer import Overseer
from sos.rights.terms import shipped
from sos.settings import Settings
from sos.supervisor import Supervisor
from sos.times import Times
from tests.conftest import NEW_YEAR, empty_database, name_of
from tests.journeys import story as s
from tests.ops.promql import evaluate, names, scraped
from tests.sos.journal.conftest import PostgresDatabase
from tests.sos.journal.reports import TENANT, opened, receipt, report

ROOT = Path(__file__).resolve().parents[2]
RULES_FILE = ROOT / "ops" / "alerts" / "sos.rules.yml"
RULES = {rule["alert"]: rule for group in yaml.safe_load(RULES_FILE.read_text())["groups"] for rule in group["rules"]}


class Space(NamedTuple):
    total: int = 10**12
    free: int = 9 * 10**11


class Bench:
    """What the figures are made of, with real parts, and time in the test's hand."""

    def __init__(self, root: Path, database: str = "") -> None:
        self.clock = ManualClock(NEW_YEAR)
        self.settings = Settings(data_dir=str(root / "data"), database_url=database)
        self.space = Space()
        self.certificate = root / "certificate.pem"
        self.house: Kept
        self.board: Board

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Bench"]:
        async with kept(self.settings, clock=self.clock) as self.house:
            self.supervisor = Supervisor(self.clock)
            self.asides = Asides(self.house.store, (), clock=self.clock)
            self.times = Times()
            self.watch = AccessMonitor(AccessLog(self.settings.data / "access"), clock=self.clock)
            self.anchoring = Anchoring(
                self.house.tiles.checkpoint,
                AnchorStore(self.settings.data / "anchors"),
                clock=self.clock,
                stamps=Stamps(_answers_nobody, "http://tsa.example", (), clock=self.clock),
                late_after={"stamp": timedelta(hours=24)},
            )
            of = (self.house.store, self.house.keys, self.clock)
            self.breaches = StreamLedger(*of, kind=register(shipped().breach))
            self.rights = Overseer(RightsLedger(*of), clock=self.clock, breaches=self.breaches)
            tests = Acceptance(self.house.journal, Receipts(b"a secret for tests"), Recent())
            self.doors = Writer(tests, self.house.journal, tenants={})
            follower = Follower(Reader(name="planner", handle=_nothing), self.house.store, clock=self.clock)
            journal = self.house.journal
            self.board = Board(
                journal,
                self.house.publisher,
                tasks=self.supervisor,
                desks=Desks(self.clock),
                followers=(follower,),
                asides=self.asides,
                data=self.settings.data,
                certificates=(str(self.certificate),) if self.certificate.exists() else (),
                others=(
                    *journal.figures,
                    journal.accepts.figures,
                    self.house.custody.figures,
                    self.watch.figures,
                    self.times.figures,
                    self.anchoring.figures,
                    self.rights.figures,
                    self.doors.figures,
                ),
                space=lambda _: self.space,
            )
            async with AsyncExitStack() as self.stack:
                yield self
            await self.supervisor.stop()

    async def scrape(self) -> str:
        await self.board.refresh()
        return self.board.render().decode()


async def _nothing(_: object) -> None:
    return


async def _answers_nobody(url: str, body: bytes, *, content_type: str) -> Answer:
    raise Unavailable("http_ClientError")


Drill = Callable[[Bench], Awaitable[None]]


# --- the drills, each begun on a house in order ---


async def _wait_a_minute(bench: Bench) -> None:
    await opened(bench.house.journal, 1)
    await bench.clock.advance(timedelta(seconds=61))


async def _many(bench: Bench) -> None:
    for start in range(0, 5100, 300):
        await asyncio.gather(*(opened(bench.house.journal, number) for number in range(start, start + 300)))


async def _slow(bench: Bench) -> None:
    at = bench.clock.now() - timedelta(seconds=1)
    for number in range(3):
        await bench.house.journal.open(report(number), tenant=TENANT, receipt=receipt(number), received_at=at)


async def _aside(bench: Bench) -> None:
    first = (await opened(bench.house.journal, 1)).incident
    aside = Aside(
        reader="planner", position=0, event=EventId(f"{first}/1"), stream=first, n=1,
        tenant=TenantId("demo"), error="KeyError", tries=5, at_ms=epoch_ms(bench.clock.now()),
    )  # fmt: skip
    await bench.house.store.set_aside(aside)
    await bench.asides.look()


async def _task_dies(bench: Bench) -> None:
    async def dies() -> None:
        raise ZeroDivisionError

    bench.supervisor.start("planner", dies)
    await bench.clock.advance(timedelta(seconds=1))


async def _key_lost(bench: Bench) -> None:
    await opened(bench.house.journal, 1)
    await bench.house.custody.look()
    for file in (bench.settings.data / "keys").glob("incident-audio-1y.2026-01.*.kek"):
        file.unlink()
    await bench.house.custody.look()


async def _root_away(bench: Bench) -> None:
    bench.house.keys._roots = Roots(_Gone())
    await bench.house.custody.look()


class _Gone(HeldRoot):
    """A root key in a device that does not answer."""

    def __init__(self) -> None:
        super().__init__(bytes(32), id="token-gone")

    def wrap(self, content: bytes, *, context: bytes) -> bytes:
        raise RootAway("away")


async def _unreadable(bench: Bench) -> None:
    one = (await opened(bench.house.journal, 1)).incident
    await bench.house.journal.execute(one, s.note("an invented note"), actor="operator:hanako")
    for file in (bench.settings.data / "keys").glob("open-case.2026-01.*.kek"):
        file.unlink()
    bench.house.journal._sealer.forget(one)
    await bench.house.journal.missing(one, (Category.OBS,))


async def _header_damaged(bench: Bench) -> None:
    one = (await opened(bench.house.journal, 1)).incident
    with closing(sqlite3.connect(bench.settings.data / "journal.db", isolation_level=None)) as other:
        other.execute("UPDATE events SET header = x'00'")
    await bench.house.journal.store.stream(one)


async def _forked(bench: Bench) -> None:
    await opened(bench.house.journal, 1)
    other = Bench(bench.settings.data.parent / "other")
    async with other.open():
        for number in range(3):
            await opened(other.house.journal, number + 7)
        await other.house.publisher.checkpoint()
    shutil.copytree(other.settings.data / "log", bench.settings.data / "log", dirs_exist_ok=True)
    with pytest.raises(Unavailable):
        await bench.house.publisher.publish()


async def _disk_fills(bench: Bench) -> None:
    bench.space = Space(free=99 * 10**9)


async def _many_refused(bench: Bench) -> None:
    for _ in range(101):
        bench.watch._refused.labels("login").inc()


async def _in_order(_: Bench) -> None:
    return


async def _recording_fails(bench: Bench) -> None:
    one = (await opened(bench.house.journal, 1)).incident
    for command in (s.start_recording(), s.fail_recording()):
        await bench.house.journal.execute(one, command, actor="provider:media")
    await bench.times.handle(await bench.house.journal.store.stream(one))


async def _a_door_keeps_a_report(bench: Bench) -> None:
    """It says so, and goes on waiting."""
    await bench.stack.enter_async_context(bench.doors.listening(bench.settings.data))
    with local(bench.settings.data) as path:
        reader, writer = await asyncio.open_unix_connection(path)
    bench.stack.callback(writer.close)
    writer.write(framed(Standing(number=1, door=1, spooled=1)))
    assert answers.decode(await frame(reader)) == Heard(number=1)


async def _no_door_comes(bench: Bench) -> None:
    bench.doors.expect_doors()
    await bench.stack.enter_async_context(bench.doors.listening(bench.settings.data))


async def _nobody_stamps(bench: Bench) -> None:
    await opened(bench.house.journal, 1)
    await bench.house.publisher.checkpoint()
    await bench.anchoring.look()
    await bench.clock.jump(timedelta(hours=24, seconds=1))  # for each second of a day somebody would look at something
    await bench.anchoring.look()


async def _nobody_answers_a_person(bench: Bench) -> None:
    due = bench.clock.now() + timedelta(days=30)
    asked = RightAsked(right="disclosure", channel="letter", terms="", due_at=due)
    ledger = RightsLedger(bench.house.store, bench.house.keys, bench.clock)
    await ledger.begin(draft(asked), tenant=TenantId("house"), actor="operator:jiro")
    await bench.clock.jump(timedelta(days=30))
    await bench.rights.look()


async def _nobody_reports_a_breach(bench: Bench) -> None:
    found = BreachFound(
        what="intrusion",
        known_at=bench.clock.now(),
        categories=(),
        malicious=True,
        encrypted=False,
        by="operator:jiro",
    )
    await bench.breaches.begin(draft(found), tenant=TenantId("house"), actor="operator:jiro")
    await bench.clock.jump(timedelta(days=3))
    await bench.rights.look()


SQLITE: dict[str, Drill] = {
    "SosBreachOverdue": _nobody_reports_a_breach,
    "SosRightOverdue": _nobody_answers_a_person,
    "SosAnchorLate": _nobody_stamps,
    "SosNobodyAnswers": _wait_a_minute,
    "SosNoDesk": _in_order,
    "SosDeadlinesLate": _wait_a_minute,
    "SosReaderBehind": _many,
    "SosPublisherBehind": _many,
    "SosAcceptSlow": _slow,
    "SosSetAside": _aside,
    "SosTaskDied": _task_dies,
    "SosKeysMissing": _key_lost,
    "SosRootKeyAway": _root_away,
    "SosPartsUnreadable": _unreadable,
    "SosEventsUnreadable": _header_damaged,
    "SosRecordingFailed": _recording_fails,
    "SosNoDoor": _no_door_comes,
    "SosDoorKeepsReports": _a_door_keeps_a_report,
    "SosLogStopped": _forked,
    "SosDiskFilling": _disk_fills,
    "SosCertificateEnds": _in_order,
    "SosRefusals": _many_refused,
}
AWAY = ("SosDatabaseAway", "SosSpooled", "SosNotReady")
"""Those of a database that has gone."""

ALWAYS = {"SosNoDesk"}
"""Fires on the bench before the drill too: nobody sits at it."""


def _fires(alert: str, first: str, last: str) -> bool:
    return bool(evaluate(RULES[alert]["expr"], first, last))


def _certificate(file: Path, *, days: int) -> None:
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sos.example")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NEW_YEAR - timedelta(days=1))
        .not_valid_after(NEW_YEAR + timedelta(days=days))
        .sign(key, None)
    )
    file.write_bytes(made.public_bytes(Encoding.PEM))


@pytest.mark.parametrize("alert", sorted(SQLITE))
async def test_an_alert_fires_in_its_drill_and_not_before(alert: str, tmp_path: Path) -> None:
    _certificate(tmp_path / "certificate.pem", days=5 if alert == "SosCertificateEnds" else 300)
    async with Bench(tmp_path).open() as bench:
        first = await bench.scrape()
        before = _fires(alert, first, first)
        await SQLITE[alert](bench)
        last = await bench.scrape()

    assert _fires(alert, first, last)
    assert before is (alert in ALWAYS or alert == "SosCertificateEnds")


@pytest.fixture
async def away(postgres: str, tmp_path: Path) -> AsyncIterator[tuple[Bench, str, str]]:
    """The figures before and while PostgreSQL is away, after a report that went to the spool."""
    async with empty_database(postgres) as url:
        database = PostgresDatabase(postgres, url, name_of(url))
        async with Bench(tmp_path, url).open() as bench:
            first = await bench.scrape()
            async with database.gone():
                received = await opened(bench.house.journal, 1)
                assert received.durability == "spooled"
                await bench.clock.advance(timedelta(seconds=31))
                yield bench, first, await bench.scrape()


async def test_while_the_database_is_away_figures_are_given_out_and_its_alerts_fire(
    away: tuple[Bench, str, str],
) -> None:
    bench, first, last = away

    assert [alert for alert in AWAY if _fires(alert, first, first)] == []
    assert [alert for alert in AWAY if _fires(alert, first, last)] == ["SosDatabaseAway", "SosSpooled"]
    assert bench.board.accepts


async def test_without_database_and_spool_nothing_can_be_accepted_and_that_is_said(
    away: tuple[Bench, str, str],
) -> None:
    bench, first, _ = away
    bench.space = Space(free=0)

    assert _fires("SosNotReady", first, await bench.scrape())


def test_without_any_figures_the_service_counts_as_down() -> None:
    assert _fires("SosDown", "", "")


def test_every_alert_has_a_drill_and_a_runbook_that_is_there() -> None:
    assert set(RULES) == {*SQLITE, *AWAY, "SosDown"}
    for alert, rule in RULES.items():
        assert (ROOT / rule["annotations"]["runbook"]).is_file(), alert
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("critical", "warning")


async def test_rules_and_dashboard_name_figures_that_are_given_out(tmp_path: Path) -> None:
    _certificate(tmp_path / "certificate.pem", days=300)
    async with Bench(tmp_path).open() as bench:
        await _slow(bench)
        text = await bench.scrape()
    given = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")} | set(scraped(text))
    panels = {expression for panel in make.PANELS for expression in panel[2]}

    named = set().union(*(names(rule["expr"]) for rule in RULES.values()), *map(names, panels))

    assert len(named) > 20
    assert {name for name in named if name not in given} == set()


def test_the_dashboard_is_made_of_its_code() -> None:
    assert make.FILE.read_text() == make.text(), "run python ops/dashboards/make.py"
    panels = json.loads(make.text())["panels"]
    assert len({panel["title"] for panel in panels}) == len(panels)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian package prometheus) is not installed")
def test_prometheus_reads_the_rules() -> None:
    subprocess.run(["promtool", "check", "rules", RULES_FILE], check=True)
