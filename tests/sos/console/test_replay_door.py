"""Who may hear a leg again, through the door of the whole service, and what stands in the journal before it sounds."""

import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
from aiohttp import ClientSession

from recording.tracks import Recorder
from routing.categories import Category
from sos.app import Service, running
from sos.incident.events import PartsRead
from sos.incident.model import Disposition, IncidentId, TenantId
from sos.media import opus
from sos.settings import OperatorSettings, Settings
from sos.vehicle.voice import speech_like
from tests.journeys import story as s
from tests.ports import free_port

CAR = "leg-car"
PEOPLE = ("hanako", "taro", "jiro")


def settings(tmp_path: Path) -> Settings:
    operators = tuple(
        OperatorSettings(
            id=name, name=f"架空 {name}", token_digest=sha256(name.encode()).hexdigest(), supervisor=name == "jiro"
        )
        for name in PEOPLE
    )
    return Settings(data_dir=str(tmp_path / "data"), port=free_port(), operators=operators)


@asynccontextmanager
async def desk(service: Service, name: str) -> AsyncIterator[ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with ClientSession(service.url, cookie_jar=jar) as session:
        async with session.post("/console/session", json={"token": name}) as answer:
            assert answer.status == 204
        yield session


async def call(service: Service, *, seconds: int) -> IncidentId:
    """hanako has an incident whose vehicle speaks, as far as its recording tells."""
    journal = service.journal
    opened = await journal.open(
        s.open_incident(), tenant=TenantId("acme"), receipt=b"r" * 32, received_at=journal.clock.now()
    )
    for command in (s.take("hanako"), s.invite(CAR), s.join(CAR), s.start_recording()):
        await journal.execute(opened.incident, command, actor="system:test")
    key = await journal.data_key(opened.incident, Category.AUD)
    place = Path(service.settings.data_dir) / "recordings" / opened.incident / "rec-1"
    made = Recorder(place, "rec-1", key, started_at="2026-01-01T09:00:00.000Z")
    made.mark({"leg": CAR, "party": "vehicle", "what": "up"}, timestamp=0)
    encoder = opus.Encoder()
    for number, frame in enumerate(speech_like(float(seconds), seed=1).reshape(-1, opus.FRAME)):
        made.add("vehicle", number * opus.FRAME, encoder.encode(frame))
    made.flush()
    return opened.incident


async def read(service: Service, incident: IncidentId) -> list[PartsRead]:
    return [r.event for r in await service.journal.store.stream(incident) if isinstance(r.event, PartsRead)]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with running(settings(tmp_path)) as opened:
        yield opened


async def test_the_operator_and_a_supervisor_hear_it_again_and_the_access_is_on_record(service: Service):
    incident = await call(service, seconds=20)
    path = f"/console/incidents/{incident}/replay/{CAR}"
    lengths = {}
    for name, query in (("hanako", "?seconds=5"), ("hanako", ""), ("jiro", "?seconds=60")):
        async with desk(service, name) as session, session.get(path + query) as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
            with wave.open(io.BytesIO(await answer.read())) as sound:
                lengths[name] = sound.getnframes() / sound.getframerate()

    assert lengths == {"hanako": pytest.approx(15, abs=0.1), "jiro": pytest.approx(20, abs=0.1)}
    assert await read(service, incident) == [
        PartsRead(reader=f"operator:{name}", categories=(Category.AUD,), purpose=f"replay:{CAR}:{seconds}s")
        for name, seconds in (("hanako", 5), ("hanako", 15), ("jiro", 60))
    ]


async def test_everybody_else_is_refused_and_nothing_stands_in_the_journal(service: Service):
    incident = await call(service, seconds=2)
    path = f"/console/incidents/{incident}/replay/{CAR}"

    async def status(session: ClientSession, to: str = path, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with session.get(to, headers=named) as answer:
            assert answer.content_type != "audio/wav"
            return answer.status

    async with ClientSession(service.url) as stranger, desk(service, "taro") as taro, desk(service, "hanako") as hers:
        statuses = {
            "stranger": await status(stranger),
            "another operator": await status(taro),
            "another site": await status(hers, Origin="https://elsewhere.example"),
            "another site's picture": await status(hers, Sec_Fetch_Site="cross-site"),
            "too long": await status(hers, f"{path}?seconds=61"),
            "nothing": await status(hers, f"{path}?seconds=0"),
            "no number": await status(hers, f"{path}?seconds=-1"),
            "no incident": await status(hers, f"/console/incidents/nobody/replay/{CAR}"),
        }

    assert statuses == {
        "stranger": 403,
        "another operator": 403,
        "another site": 403,
        "another site's picture": 403,
        "too long": 400,
        "nothing": 400,
        "no number": 400,
        "no incident": 404,
    }
    assert await read(service, incident) == []


async def test_a_leg_that_is_not_there_and_a_closed_incident_are_refused(service: Service):
    incident = await call(service, seconds=2)
    async with desk(service, "hanako") as session:
        async with session.get(f"/console/incidents/{incident}/replay/somebody's name") as answer:
            assert answer.status == 404
        assert await read(service, incident) == []
        close = s.close(Disposition.NO_HELP_NEEDED)
        await service.journal.execute(incident, close, actor="operator:hanako")
        async with session.get(f"/console/incidents/{incident}/replay/{CAR}") as answer:
            assert answer.status == 409
