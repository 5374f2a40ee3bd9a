"""A tenant's cloud is told of each change: signed, again until it takes it, after a restart too; no neighbour waits."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt import PyJWK

from recording.keys import KeyStore
from sos.clock import ManualClock, SystemClock
from sos.errors import Misconfigured
from sos.incident.commands import CloseIncident, Command, TakeIncident
from sos.incident.model import DeclineReason, DeskId, Disposition, IncidentId, OperatorId, TenantId
from sos.intake.configured import Intake
from sos.intake.replies import Reached, StatusEvent
from sos.intake.tenants import Tenant
from sos.intake.webhooks import GIVEN_UP_AFTER, PAUSES, Webhooks
from sos.journal.journal import Journal
from sos.journal.statuses_owed import StatusesOwed
from sos.journal.store import Store
from sos.settings import Settings, TenantSettings
from sos.signed_post import SignedPost
from sos.signing import verify
from tests.journeys import story as s
from tests.sos.intake.test_doors import house, report
from tests.sos.journal.reports import opened

ACME = TenantId("demo")
TAKE = TakeIncident(operator=OperatorId("hanako"), desk=DeskId("desk-1"))
CLOSE = CloseIncident(disposition=Disposition.FALSE_ALARM, untold=DeclineReason.NOT_NEEDED, words="all is well")


class Cloud:
    """A tenant's own receiver: it keeps what it is sent, and takes it or not."""

    def __init__(self) -> None:
        self.events: list[StatusEvent] = []
        self.requests: list[tuple[Mapping[str, str], bytes]] = []
        self.mood = "well"
        """``well``, ``broken``, ``silent``, ``redirects``."""
        self.url = ""
        self.came = asyncio.Event()
        self.over = asyncio.Event()

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((dict(request.headers), body))
        self.came.set()
        if self.mood == "silent":
            await self.over.wait()
        if self.mood == "redirects":
            raise web.HTTPTemporaryRedirect("/elsewhere")
        if self.mood == "broken":
            return web.Response(status=500)
        self.events.append(msgspec.json.decode(body, type=StatusEvent))
        return web.Response(status=204)

    @property
    def told(self) -> list[Reached]:
        return [event.data.status for event in self.events]


@asynccontextmanager
async def cloud() -> AsyncIterator[Cloud]:
    here = Cloud()
    app = web.Application()
    app.add_routes([web.post("/status", here.take)])
    async with TestServer(app) as server:
        here.url = str(server.make_url("/status"))
        yield here
        here.over.set()


class Telling:
    """What notes and tells, over a real journal, with time in the test's hand."""

    def __init__(self, journal: Journal, store: Store, urls: dict[TenantId, str], *, most: int = 100) -> None:
        self.journal, self.store = journal, store
        self.owed = StatusesOwed(store.engine, most=most)  # type: ignore[attr-defined]
        tenants = {each: Tenant(id=each, domain="acme.example") for each in urls}
        source = "https://sos.example/v1/incidents"
        self.webhooks = Webhooks(journal, self.owed, tenants=tenants, urls=urls, source=source)

    def post(self, *, total_s: float = 5.0) -> SignedPost:
        key = Ed25519PrivateKey.generate()
        return SignedPost(key, keyid="sos.example", clock=self.journal.clock, loopback=True, total_s=total_s)

    async def do(self, incident: IncidentId, *commands: Command) -> None:
        for command in commands:
            done = await self.journal.execute(incident, command, actor="operator:hanako")
            for recorded in done.recorded:
                await self.webhooks.handle([recorded])

    async def due(self) -> int:
        return len(await self.owed.due(ACME, at=self.journal.clock.now(), limit=100))


async def waiting_call(journal: Journal, number: int = 0) -> IncidentId:
    incident = (await opened(journal, number)).incident
    await journal.execute(incident, s.file_report(), actor="system:filer")
    return incident


async def test_each_change_is_told_once_with_the_whole_status_and_other_events_are_none(
    journal: Journal, store: Store
) -> None:
    async with cloud() as acme:
        telling = Telling(journal, store, {ACME: acme.url})
        incident = await waiting_call(journal)
        async with telling.post() as post:
            for command in (TAKE, s.note("invented words"), CLOSE):
                await telling.do(incident, command)
                await telling.webhooks.round(ACME, post)

    assert acme.told == [Reached.ANSWERED, Reached.CLOSED]
    last = acme.events[-1]
    assert (last.subject, last.data.urn) == (incident, f"urn:emergency:uid:incidentid:{incident}:acme.example")
    assert last.time == last.data.closed_at
    assert len({event.id for event in acme.events}) == 2
    assert b"hanako" not in acme.requests[-1][1]


async def test_what_is_not_taken_is_tried_again_later_and_later_and_by_who_starts_after_a_restart(
    journal: Journal, store: Store, clock: ManualClock
) -> None:
    async with cloud() as acme:
        telling = Telling(journal, store, {ACME: acme.url})
        incident = await waiting_call(journal)
        acme.mood = "broken"
        async with telling.post() as post:
            await telling.do(incident, TAKE)
            for pause in PAUSES[:3]:
                assert await telling.webhooks.round(ACME, post) is None
                assert await telling.due() == 0
                await clock.advance(pause - timedelta(milliseconds=1))
                assert await telling.due() == 0
                await clock.advance(timedelta(milliseconds=1))
                assert await telling.due() == 1
        acme.mood = "well"
        after = Telling(journal, store, {ACME: acme.url})
        async with after.post() as post:
            assert await after.webhooks.round(ACME, post) == 1
            assert await after.webhooks.round(ACME, post) == 0

    keys = {headers["Idempotency-Key"] for headers, _ in acme.requests}
    assert (len(acme.requests), len(keys), acme.told) == (4, 1, [Reached.ANSWERED])


@pytest.mark.parametrize("mood", ["silent", "redirects"])
async def test_a_cloud_that_hangs_or_sends_elsewhere_has_not_been_told(
    mood: str, journal: Journal, store: Store
) -> None:
    async with cloud() as acme:
        telling = Telling(journal, store, {ACME: acme.url})
        acme.mood = mood
        await telling.do(await waiting_call(journal), TAKE)
        async with telling.post(total_s=0.2) as post:
            assert await telling.webhooks.round(ACME, post) is None

    assert (await telling.owed.waiting(), acme.events) == ({ACME: 1}, [])


async def test_several_changes_while_the_cloud_is_away_are_one_message(journal: Journal, store: Store) -> None:
    async with cloud() as acme:
        telling = Telling(journal, store, {ACME: acme.url})
        await telling.do(await waiting_call(journal), TAKE, CLOSE)
        async with telling.post() as post:
            await telling.webhooks.round(ACME, post)

    assert acme.told == [Reached.CLOSED]
    assert acme.events[0].data.answered_at is not None


async def test_what_changes_while_a_message_is_on_its_way_is_told_too(journal: Journal, store: Store) -> None:
    async with cloud() as acme:
        telling = Telling(journal, store, {ACME: acme.url})
        incident = await waiting_call(journal)
        await telling.do(incident, TAKE)
        (first,) = await telling.owed.due(ACME, at=journal.clock.now(), limit=9)
        await telling.do(incident, CLOSE)

        await telling.owed.told(first)

        assert await telling.due() == 1


async def test_after_a_day_it_is_given_up_and_counted(journal: Journal, store: Store, clock: ManualClock) -> None:
    async with cloud() as acme:
        telling = Telling(journal, store, {ACME: acme.url})
        acme.mood = "broken"
        incident = await waiting_call(journal)
        await telling.owed.owe(ACME, incident, version=1, at=clock.now() - GIVEN_UP_AFTER)
        async with telling.post() as post:
            await telling.webhooks.round(ACME, post)

    assert await telling.owed.waiting() == {}
    given_up = telling.webhooks.figures.get_sample_value(
        "sos_webhooks_total", {"tenant": "demo", "outcome": "given_up"}
    )
    assert given_up == 1


async def test_a_queue_has_a_bound_of_its_own_and_the_oldest_goes(
    journal: Journal, store: Store, clock: ManualClock
) -> None:
    telling = Telling(journal, store, {ACME: "https://acme.example/status"}, most=2)
    other = TenantId("other")
    await telling.owed.owe(other, IncidentId("of-another"), version=1, at=clock.now())
    incidents = []
    for number in range(3):
        incidents.append(await waiting_call(journal, number))
        await telling.do(incidents[-1], TAKE)
        await clock.advance(timedelta(seconds=1))

    kept = await telling.owed.due(ACME, at=clock.now(), limit=9)

    assert [each.stream for each in kept] == incidents[1:]
    assert await telling.owed.waiting() == {ACME: 2, other: 1}


async def test_an_event_that_comes_again_is_no_news(journal: Journal, store: Store, clock: ManualClock) -> None:
    telling = Telling(journal, store, {ACME: "https://acme.example/status"})
    incident = await waiting_call(journal)
    await telling.do(incident, TAKE)
    (owed,) = await telling.owed.due(ACME, at=clock.now(), limit=9)
    await telling.owed.failed(owed, due=clock.now() + timedelta(minutes=1))

    await telling.owed.owe(ACME, incident, version=owed.version, at=clock.now())

    assert await telling.due() == 0


async def test_a_cloud_that_hangs_keeps_no_neighbour_waiting(journal: Journal, store: Store) -> None:
    neighbour = TenantId("neighbour")
    async with cloud() as acme, cloud() as theirs:
        telling = Telling(journal, store, {ACME: acme.url, neighbour: theirs.url})
        acme.mood = "silent"
        for tenant, number in ((ACME, 0), (neighbour, 1)):
            await telling.owed.owe(tenant, await waiting_call(journal, number), version=9, at=journal.clock.now())
        serving = asyncio.create_task(telling.webhooks.watch(telling.post(total_s=30)))
        try:
            async with asyncio.timeout(20):
                await acme.came.wait()
                await theirs.came.wait()
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    assert theirs.told == [Reached.WAITING]


async def test_who_wants_to_be_told_no_more_is_owed_nothing(journal: Journal, store: Store) -> None:
    telling = Telling(journal, store, {ACME: "https://acme.example/status"})
    await telling.do(await waiting_call(journal), TAKE)

    await telling.owed.forget(but=())

    assert await telling.owed.waiting() == {}


async def test_the_whole_service_tells_and_the_key_in_its_directory_verifies_it(tmp_path: Path) -> None:
    async with cloud() as acme, house(tmp_path, demo=True, tenant={"webhook": acme.url}) as (service, session):
        incident = await report(session)
        for command in (TAKE, CLOSE):
            await service.journal.execute(incident, command, actor="operator:hanako")
        async with asyncio.timeout(30):
            while Reached.CLOSED not in acme.told:
                await SystemClock().wait(timedelta(milliseconds=20))
        async with session.get("/.well-known/http-message-signatures-directory") as answer:
            assert answer.content_type == "application/http-message-signatures-directory+json"
            (key,) = (await answer.json(content_type=None))["keys"]
        headers, body = acme.requests[-1]
        verify(_public(key), method="POST", url=acme.url, headers=headers, body=body, now=SystemClock().now())

    assert acme.events[-1].subject == incident
    assert f'keyid="{key["kid"]}"' in headers["Signature-Input"]


def _public(key: dict[str, Any]) -> Ed25519PublicKey:
    found = PyJWK(key, "EdDSA").key
    assert isinstance(found, Ed25519PublicKey)
    return found


def test_a_cloud_is_told_over_https_alone(tmp_path: Path, journal: Journal, store: Store, keys: KeyStore) -> None:
    acme = TenantSettings(id="acme", domain="acme.example", webhook="http://acme.example/status")

    with pytest.raises(Misconfigured, match=r"tenants\.acme\.webhook"):
        Intake.of(Settings(data_dir=str(tmp_path), tenants=(acme,)), journal, keys, store)
