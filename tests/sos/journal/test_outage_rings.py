"""A report that cannot reach the database rings at every desk all the same; what was shown is written down later."""

import asyncio
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
from msgspec.structs import replace

from recording.keys import KeyStore
from sos.app import running
from sos.clock import ManualClock
from sos.console.hub import Hub, Mailbox
from sos.console.outage import ACTOR, Outage
from sos.early import rings
from sos.errors import Unavailable
from sos.incident.events import PartsRead
from sos.incident.model import IncidentId
from sos.intake.cloudevents import MEDIA_TYPE
from sos.journal.journal import Journal, Received
from sos.journal.spool import Spool
from sos.journal.store import Store
from sos.settings import OperatorSettings, Settings, TenantSettings
from tests.ports import free_port
from tests.sos.journal.conftest import Database, PostgresDatabase
from tests.sos.journal.reports import TENANT, opened, receipt, report

CRASH = (Path(__file__).resolve().parents[2] / "wire/crash.json").read_bytes()


async def crashed(journal: Journal, number: int = 1) -> Received:
    command = replace(report(number), report=CRASH, format=MEDIA_TYPE)
    return await journal.open(command, tenant=TENANT, receipt=receipt(number), received_at=journal.clock.now())


async def told(mailbox: Mailbox) -> list[dict[str, Any]]:
    """Everything a desk was sent, and its mailbox closed."""
    mailbox.close()
    found = []
    while (text := await mailbox.take()) is not None:
        found.append(json.loads(text))
    return found


async def drained(journal: Journal) -> None:
    while journal.spool_oldest is not None:
        try:
            await journal.drain()
        except Unavailable:
            await asyncio.to_thread(lambda: None)


async def test_a_report_rings_while_the_database_is_away_with_all_that_an_operator_needs(
    journal: Journal, store: Store, database: Database
):
    hub = Hub()
    outage, early, late = Outage(journal, hub), hub.join(), Mailbox()
    journal.on_spooled(rings(outage))
    async with database.gone():
        answer = await crashed(journal)
        again = await crashed(journal)
        outage.tell(late)

    wire = json.loads(CRASH)["data"]
    (ring,) = await told(early)
    assert (answer.durability, again.repeat) == ("spooled", True)
    assert (ring["t"], ring["incident"], ring["trigger"], ring["mode"]) == (
        "degraded", answer.incident, "automatic", "live",
    )  # fmt: skip
    assert ring["report"]["location"]["latitude"] == wire["location"]["latitude"]
    assert ring["report"]["vehicle"]["licensePlate"] == wire["vehicle"]["licensePlate"]
    assert ring["report"]["call_back"]["tel"] == wire["callback"]["tel"]
    assert await told(late) == [ring]


async def test_what_was_shown_is_in_the_journal_once_the_database_is_back(
    journal: Journal, store: Store, database: Database
):
    hub = Hub()
    outage = Outage(journal, hub)
    journal.on_spooled(rings(outage))
    async with database.gone():
        answer = await crashed(journal)
    await drained(journal)
    desk = hub.join()

    await outage.settle()
    await outage.settle()

    read = [event for event in await store.stream(answer.incident) if isinstance(event.event, PartsRead)]
    assert [event.actor for event in read] == [ACTOR]
    assert await told(desk) == [{"t": "recorded", "incident": answer.incident}]
    assert not outage.shown


async def test_a_report_that_repeated_a_committed_one_leaves_the_desks_too(
    postgres_database: PostgresDatabase, keys: KeyStore, spool: Spool, clock: ManualClock
):
    hub = Hub()
    async with postgres_database.store() as store, Journal(store, keys, spool, clock=clock) as journal:
        outage = Outage(journal, hub)
        journal.on_spooled(rings(outage))
        first = await opened(journal, 1)
        async with postgres_database.gone():
            second = await opened(journal, 1)  # nobody can know now that it has been here
        await drained(journal)
        shown = list(outage.shown)

        await outage.settle()

        assert shown == [second.incident] != [first.incident]
        assert await store.load(IncidentId(second.incident)) is None
        assert not outage.shown


async def _until(socket: aiohttp.ClientWebSocketResponse, kind: str) -> list[dict[str, Any]]:
    """The frames up to the first of ``kind``, without the house's health."""
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while not frames or kind not in (frames[-1]["t"], frames[-1].get("kind")):
            frame = await socket.receive_json()
            frames += [frame] if frame["t"] != "health" else []
    return frames


async def test_desks_of_the_whole_service_hear_a_crash_during_an_outage_even_when_they_join_then(
    postgres_database: PostgresDatabase, tmp_path: Path
):
    digest = sha256(b"key").hexdigest()
    settings = Settings(
        data_dir=str(tmp_path / "data"),
        database_url=postgres_database.dsn,
        port=free_port(),
        tenants=(TenantSettings(id="acme", domain="acme.sos.example", key_digests=(digest,)),),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=digest),),
    )
    jar = aiohttp.CookieJar(unsafe=True)
    async with running(settings) as service, aiohttp.ClientSession(service.url, cookie_jar=jar) as session:
        await session.post("/console/session", json={"token": "key"})
        early = await session.ws_connect("/console/socket")
        await _until(early, "snapshot")
        async with postgres_database.gone():
            headers = {"Authorization": "Bearer key", "Content-Type": MEDIA_TYPE}
            async with session.post("/v1/events", data=CRASH, headers=headers) as response:
                answer = await response.json()
            rung = await _until(early, "degraded")
            late = await session.ws_connect("/console/socket")
            joined = await _until(late, "degraded")
        recorded = await _until(early, "recorded")
        caught_up = await _until(late, "snapshot")
        await early.close()
        await late.close()

    assert answer["durability"] == "spooled"
    assert rung[-1]["incident"] == answer["incident"]
    assert [frame["t"] for frame in joined] == ["welcome", "degraded"]
    assert "IncidentOpened" in {frame.get("kind") for frame in recorded} | {frame.get("kind") for frame in caught_up}
    assert recorded[-1]["incident"] == answer["incident"]
