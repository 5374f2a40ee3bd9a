"""A regulator's package: the same bytes whenever it is made, agreed to by two who did not ask, and ended in time."""

import asyncio
import io
import tarfile
from datetime import timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from recording import age
from recording.anchors import Anchored
from recording.errors import Tampered
from recording.keys import KeyStore
from recording.note import Signer, checkpoint_text, sign
from recording.tiles import TileStore
from recording.verify import Report, verify_package
from routing.categories import Category
from sos.clock import ManualClock
from sos.errors import RuleBroken, Unavailable, Unknown
from sos.exports.archive import unpack
from sos.exports.auditors import WHOLE, Scope
from sos.exports.making import Parts
from sos.exports.regulator import ASKED_A_DAY, Regulator
from sos.exports.requests import Request, Requests, Step
from sos.exports.scope import Wanted
from sos.incident import commands as c
from sos.incident.events import ExportBegun, ExportMade, Recorded
from sos.incident.model import Disposition, IncidentId
from sos.journal.journal import Journal
from sos.journal.publisher import Publisher
from sos.journal.spool import Spool
from sos.journal.store import Store
from sos.settings import ExportSettings, RecipientSettings
from tests.journeys import story as s
from tests.rest import Watched, settled
from tests.sos.journal.reports import incident

ORIGIN = "sos.example.com/journal"
IDENTITY = age.new_identity()
ASKER, HANAKO, JIRO = "operator:saburo", "operator:hanako", "operator:jiro"
LIMITS = ExportSettings(incidents_per_package=3, incidents_per_day=4, events_per_package=60, recordings_per_package=1)
PPC = RecipientSettings(
    id="ppc", age_key=age.recipient_of(IDENTITY), brands=("demo",), categories=("OBS", "RAW"), until="2026-12-31"
)

NUMBERS = count(100)


class House:
    """The walk with its log: published when somebody looks, as the service does every quarter of a second."""

    def __init__(self, journal: Journal, keys: KeyStore, home: Path) -> None:
        self.journal = journal
        self.home = home
        self.log = Signer(ORIGIN, keys.signing_key("log"))
        self.seal = Signer("sos.example.com/seal", keys.signing_key("seal"))
        self.tiles = TileStore(home / "log")
        self._publisher = Publisher(journal.store, self.tiles, self.log, origin=ORIGIN)
        self._keys = keys
        self.walk = self.with_limits(LIMITS)

    def with_limits(self, limits: ExportSettings, recipient: RecipientSettings = PPC) -> Regulator:
        return Regulator(
            Parts(
                journal=self.journal,
                requests=Requests(self.journal.store, self._keys, self.journal.clock),
                tiles=self.tiles,
                head=self._head,
                log_signer=self.log,
                seal_signer=self.seal,
                directory=self.home / "exports",
                recordings=self.home / "recordings",
                subjects=None,
                brands=frozenset({"demo", "other"}),
                recipients=(recipient,),
                limits=limits,
                supervisors=frozenset({JIRO}),
            )
        )

    async def _head(self, size: int | None) -> Anchored:
        await settled(self.journal.store)
        newest = await self._publisher.checkpoint()
        if size is None:
            return Anchored(newest)
        return Anchored(sign(checkpoint_text(ORIGIN, size, self.tiles.root(size)), [self.log]))

    def asked(self, **other: Any) -> Wanted:
        now = self.journal.clock.now()
        period = {"since": now - timedelta(days=1), "until": now + timedelta(days=1)}
        return Wanted(**({"recipient": "ppc", "brands": ("demo",), "categories": (Category.OBS,)} | period | other))

    async def request(self, asked: Wanted | None = None, *, by: str = ASKER) -> Request:
        return await self.walk.request(asked or self.asked(), words="架空の照会 1", by=by, scope=WHOLE)

    async def built(self, asked: Wanted | None = None, *, size: int | None = None) -> Request:
        made = await self.request(asked)
        counted = await self.walk.dry_run(made.request, by=ASKER, size=size)
        for by in (HANAKO, JIRO):
            await self.walk.approve(made.request, digest=counted.digest, by=by)
        return await self.walk.build(made.request, by=HANAKO)

    async def inside(self, state: Request) -> bytes:
        _, file = await self.walk.fetch(state.request, by=ASKER)
        assert sha256(file.read_bytes()).hexdigest() == state.encrypted
        return age.decrypt(file.read_bytes(), IDENTITY)

    def verified(self, archive: bytes, name: str) -> Report:
        unpack(archive, self.home / name)
        keys = {"log_vkey": self.log.verifier.vkey, "seal_vkey": self.seal.verifier.vkey}
        return verify_package(self.home / name, **keys)


@pytest.fixture
async def journal(store: Store, keys: KeyStore, clock: ManualClock, tmp_path: Path) -> Journal:
    """Not opened: nobody watches for slow commits every 50 ms, so a year goes by in no time."""
    spool = Spool(tmp_path / "spool", keys.secret("spool"))
    await spool.open()
    return Journal(Watched.over(store), keys, spool, clock=clock)


@pytest.fixture
def house(journal: Journal, keys: KeyStore, tmp_path: Path) -> House:
    return House(journal, keys, tmp_path)


async def noted(journal: Journal, number: int = 0) -> IncidentId:
    opened = await incident(journal, number)
    await journal.execute(opened, s.take(), actor=HANAKO)
    await journal.execute(opened, s.note(f"an invented note {number}"), actor=HANAKO)
    return opened


def names(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        return packed.getnames()


async def test_the_whole_walk_ends_with_a_package_that_only_its_recipient_reads_and_a_stranger_verifies(house: House):
    opened = [await noted(house.journal, number) for number in range(3)]

    built = await house.built()
    archive = await house.inside(built)
    received = await house.walk.receive(built.request, encrypted=built.encrypted, by=ASKER)

    report = house.verified(archive, "package")
    assert report.ok, str(report)
    assert (report.code, built.stage, received.received) == (0, Step.BUILT, (ASKER,))
    assert "3 opened, 3 withheld (RAW 3)" in str(report)
    assert [name for name in names(archive) if name.startswith("data/parts/")]
    with pytest.raises(Tampered, match="somebody else"):
        age.decrypt((house.home / "exports" / built.request / "package.tar.age").read_bytes(), age.new_identity())
    for each in opened:  # that it was opened stands at the incident too
        assert [e for e in await house.journal.store.stream(each) if isinstance(e.event, ExportMade)]
    left = [path.name for path in (house.home / "exports").rglob("*") if path.is_file()]
    assert not [name for name in left if not name.endswith((".age", ".checkpoint", ".witnesses"))]


async def test_two_packages_of_the_same_scope_and_checkpoint_are_the_same_bytes_whatever_happened_between(house: House):
    opened = await noted(house.journal)
    asked = house.asked()
    first = await house.built(asked)
    await house.journal.execute(opened, s.note("later"), actor=HANAKO)
    await noted(house.journal, 1)

    again = await house.built(asked, size=first.size)
    newer = await house.built(asked)

    assert (again.digest, again.package) == (first.digest, first.package)
    assert await house.inside(again) == await house.inside(first)
    assert again.encrypted != first.encrypted
    assert newer.package != first.package


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_whatever_is_appended_between_two_builds_changes_no_byte(data: st.DataObject, house: House):
    """Property: incidents, notes, closings and the walk's own events, in any order; any scope; any checkpoint."""
    house.walk = house.with_limits(ExportSettings(incidents_per_day=100_000))
    opened = [await incident(house.journal, next(NUMBERS)) for _ in range(2)]
    asked = house.asked(
        categories=data.draw(st.sampled_from([(), (Category.OBS,), (Category.RAW, Category.OBS), (Category.RAW,)])),
        kinds=data.draw(st.sampled_from([(), ("NoteAdded",), ("IncidentOpened", "OperatorAssigned")])),
        subject=opened[0] if data.draw(st.booleans()) else "",
    )
    first = await house.built(asked)
    for step in data.draw(st.lists(st.sampled_from(["note", "open", "close", "request"]), max_size=4)):
        if step == "open":
            opened.append(await incident(house.journal, next(NUMBERS)))
        elif step == "request":
            await house.request()
        else:
            close = c.CloseIncident(disposition=Disposition.FALSE_ALARM)
            command = s.note() if step == "note" else close
            target = opened[-1] if step == "note" else await noted(house.journal, next(NUMBERS))
            await house.journal.execute(target, command, actor=HANAKO)

    again = await house.built(replace(asked, categories=asked.categories[::-1]), size=first.size)

    assert await house.inside(again) == await house.inside(first)


async def test_two_who_agree_at_the_same_moment_are_two_of_whom_one_is_a_supervisor(house: House):
    await noted(house.journal)
    made = await house.request()
    counted = await house.walk.dry_run(made.request, by=ASKER)

    both = [house.walk.approve(made.request, digest=counted.digest, by=by) for by in (HANAKO, "operator:shiro")]
    first, second = sorted(await asyncio.gather(*both, return_exceptions=True), key=lambda each: type(each).__name__)

    assert isinstance(first, Request)
    assert isinstance(second, RuleBroken)
    assert str(second).startswith("no-supervisor:")
    assert (await house.walk.requests.load(made.request)).stage is Step.COUNTED


async def test_who_asks_without_end_fills_no_register_and_hinders_nobody_else(house: House, clock: ManualClock):
    for _ in range(ASKED_A_DAY):
        await house.request(by="auditor:a")

    with pytest.raises(RuleBroken, match=r"^requests-per-day:"):
        await house.request(by="auditor:a")
    assert (await house.request(by="auditor:b")).stage is Step.REQUESTED
    await clock.advance(timedelta(days=1, minutes=1))
    assert (await house.request(by="auditor:a")).stage is Step.REQUESTED


async def test_what_two_processes_build_at_once_is_built_by_one(house: House):
    await noted(house.journal)
    made = await house.request()
    counted = await house.walk.dry_run(made.request, by=ASKER)
    for by in (HANAKO, JIRO):
        await house.walk.approve(made.request, digest=counted.digest, by=by)

    both = [walk.build(made.request, by=HANAKO) for walk in (house.walk, house.with_limits(LIMITS))]
    first, second = sorted(await asyncio.gather(*both, return_exceptions=True), key=lambda each: type(each).__name__)

    assert isinstance(first, Request)
    assert isinstance(second, Unavailable)
    kinds = [type(each.event) for each in await house.journal.store.stream(made.request)]
    assert kinds.count(ExportBegun) == 1
    assert await house.inside(first)


async def test_what_agrees_is_two_people_who_did_not_ask_for_the_newest_dry_run(house: House):
    await noted(house.journal)
    made = await house.request()
    counted = await house.walk.dry_run(made.request, by=ASKER)

    async def refused(rule: str, by: str, digest: str = counted.digest) -> None:
        with pytest.raises(RuleBroken, match=rf"^{rule}:"):
            await house.walk.approve(made.request, digest=digest, by=by)

    await refused("approver-is-requester", ASKER)
    await refused("dry-run-changed", HANAKO, "0" * 64)
    await house.walk.approve(made.request, digest=counted.digest, by=HANAKO)
    await refused("approver-twice", HANAKO)
    await refused("no-supervisor", "operator:shiro")
    with pytest.raises(RuleBroken, match=r"^approvals-missing:"):
        await house.walk.build(made.request, by=HANAKO)

    await noted(house.journal, 1)
    newer = await house.walk.dry_run(made.request, by=ASKER)
    assert newer.digest != counted.digest
    assert (await house.walk.requests.load(made.request)).approved == ()
    await refused("dry-run-changed", JIRO)
    with pytest.raises(RuleBroken, match=r"^not-built:"):
        await house.walk.fetch(made.request, by=ASKER)


async def test_what_was_destroyed_since_the_dry_run_is_not_what_they_agreed_to(house: House, store: Store):
    opened = await noted(house.journal)
    made = await house.request()
    counted = await house.walk.dry_run(made.request, by=ASKER)
    for by in (HANAKO, JIRO):
        await house.walk.approve(made.request, digest=counted.digest, by=by)
    for command in (s.note(), c.CloseIncident(disposition=Disposition.FALSE_ALARM), s.destroy(Category.OBS)):
        await house.journal.execute(opened, command, actor=HANAKO)

    with pytest.raises(RuleBroken, match=r"^dry-run-changed:"):
        await house.walk.build(made.request, by=HANAKO)

    assert (await house.walk.requests.load(made.request)).stage is Step.APPROVED
    again = await house.walk.dry_run(made.request, by=ASKER)
    assert (again.opened, again.destroyed) == (0, 2)


async def test_limits_are_of_one_package_and_of_one_day(house: House, clock: ManualClock):
    for number in range(3):
        await noted(house.journal, number)
    await house.built()

    async def refused(rule: str, asked: Wanted) -> None:
        with pytest.raises(RuleBroken, match=rf"^{rule}:"):
            await house.built(asked)

    await refused("incidents-per-day", house.asked())
    await house.built(house.asked(categories=()))  # opens nothing, so it counts for nobody
    await clock.advance(timedelta(days=1, minutes=1))
    whole = house.asked(since=clock.now() - timedelta(days=9))
    await house.built(whole)
    await noted(house.journal, 3)
    await refused("incidents-per-package", whole)
    house.walk = house.with_limits(replace(LIMITS, events_per_package=4))
    await refused("events-per-package", house.asked(categories=(), since=clock.now() - timedelta(days=9)))
    assert not [*(house.home / "exports").rglob("*.part")]


async def test_nobody_asks_beyond_what_they_or_the_recipient_may_have(house: House, clock: ManualClock):
    mine = Scope(brands=frozenset({"demo"}), categories=frozenset({"OBS"}))

    async def refused(rule: str, asked: Wanted, scope: Scope = mine, words: str = "an invented inquiry") -> None:
        with pytest.raises(RuleBroken, match=rf"^{rule}:"):
            await house.walk.request(asked, words=words, by="auditor:a", scope=scope)

    await refused("unknown-recipient", house.asked(recipient="somebody"))
    await refused("beyond-scope", house.asked(categories=(Category.RAW,)))
    await refused("beyond-scope", house.asked(brands=("demo", "other")))
    await refused("beyond-scope", house.asked(brands=("*",)), WHOLE)
    await refused("beyond-scope", house.asked(categories=(Category.AUD,)), WHOLE)
    await refused("scope-period", house.asked(until=clock.now() - timedelta(days=2)))
    await refused("scope-kinds", house.asked(kinds=("Nothing",)))
    await refused("unknown-subject", house.asked(subject="架空 山田"))
    await refused("scope-brands", house.asked(brands=()))
    await refused("purpose", house.asked(), words=" ")
    await clock.advance(timedelta(days=365))
    await refused("recipient-key-expired", house.asked())
    assert not await house.walk.requests.all()


async def test_a_typed_name_of_nothing_comes_into_no_header(house: House):
    house.walk = house.with_limits(LIMITS, replace(PPC, brands=("*",)))

    with pytest.raises(RuleBroken, match=r"^unknown-brand: brand 1 "):
        await house.request(house.asked(brands=("架空 山田",)))


async def test_another_brands_incident_is_in_no_package_and_of_a_subject_nothing_else(house: House):
    mine, other = await noted(house.journal, 1), await noted(house.journal, 2)

    house.walk = house.with_limits(LIMITS, replace(PPC, brands=("*",)))
    foreign = await house.request(house.asked(brands=("other",)))
    counted = await house.walk.dry_run(foreign.request, by=ASKER)
    one = await house.inside(await house.built(house.asked(subject=mine)))

    assert counted.chosen.lines == 0
    with tarfile.open(fileobj=io.BytesIO(one)) as packed:
        audit = packed.extractfile("data/events/audit.jsonl")
        assert audit is not None
        content = audit.read()
    assert mine.encode() in content
    assert other.encode() not in content


async def test_a_package_and_a_request_end_in_time_and_nothing_of_them_is_left(house: House, clock: ManualClock):
    await noted(house.journal)
    waiting, built = await house.request(), await house.built()
    withdrawn = await house.walk.withdraw((await house.request()).request, by=HANAKO)
    assert (house.home / "exports" / built.request).is_dir()

    await clock.advance(timedelta(days=14))
    with pytest.raises(RuleBroken, match=r"^request-expired:"):
        await house.walk.fetch(built.request, by=ASKER)
    assert [each.request for each in await house.walk.expire()] == [built.request]
    assert not (house.home / "exports" / built.request).exists()
    await clock.advance(timedelta(days=16))
    assert [each.request for each in await house.walk.expire()] == [waiting.request]

    with pytest.raises(RuleBroken, match=r"^request-expired:"):
        await house.walk.dry_run(withdrawn.request, by=ASKER)
    why = {each.request: each.why for each in await house.walk.requests.all()}
    assert why == {waiting.request: "expired", built.request: "expired", withdrawn.request: "withdrawn"}


async def test_a_receipt_for_other_bytes_or_by_who_did_not_fetch_it_is_none(house: House):
    await noted(house.journal)
    built = await house.built()

    with pytest.raises(RuleBroken, match=r"^out-of-turn:"):
        await house.walk.receive(built.request, encrypted=built.encrypted, by=ASKER)
    await house.walk.fetch(built.request, by=ASKER)
    with pytest.raises(RuleBroken, match=r"^receipt-digest:"):
        await house.walk.receive(built.request, encrypted="0" * 64, by=ASKER)
    with pytest.raises(Unknown):
        await house.walk.fetch(built.request, by="auditor:another")


async def test_every_step_is_in_the_journal_before_it_acts(house: House):
    await noted(house.journal)
    built = await house.built()
    await house.inside(built)
    await settled(house.journal.store)

    steps = [type(each.event).__name__ for each in await house.journal.store.stream(built.request)]
    opened: list[Recorded] = [
        each
        for each in await house.journal.store.positioned(0, limit=1000)
        if type(each.event).__name__ in ("ExportBegun", "ExportMade", "PartsRead", "ExportBuilt")
    ]

    asked = ["ExportRequested", "ExportCounted", "ExportApproved", "ExportApproved"]
    assert steps == [*asked, "ExportBegun", "ExportBuilt", "ExportFetched"]
    assert [type(each.event).__name__ for each in opened] == ["ExportBegun", "ExportMade", "PartsRead", "ExportBuilt"]
