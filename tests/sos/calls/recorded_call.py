"""A call of hanako's with its recording, in the whole service, for whoever hears it afterwards."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import ClientSession

from recording.tracks import Recorder, chunk_files
from routing.categories import Category
from sos.app import Service
from sos.clock import timestamp
from sos.incident.events import PartsRead
from sos.incident.model import IncidentId, TenantId
from sos.media import opus
from sos.settings import AuditorSettings, OperatorSettings, Settings, TenantSettings
from sos.vehicle.voice import speech_like
from tests.journeys import story as s
from tests.ports import free_port

CAR, DESK, FIRE = "leg-car", "leg-desk", "leg-fire"
VOICES = {"vehicle": speech_like(25.0, seed=11), f"operator-{DESK}": speech_like(25.0, seed=12)}
RATE_HZ = 16_000


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def auditor(name: str, brand: str, *categories: str) -> AuditorSettings:
    return AuditorSettings(id=name, token_digest=digest(name), brands=(brand,), categories=categories)


def settings(tmp_path: Path) -> Settings:
    operators = tuple(
        OperatorSettings(id=name, name=f"架空 {name}", token_digest=digest(name), supervisor=name == "jiro")
        for name in ("hanako", "taro", "jiro")
    )
    auditors = (auditor("regulator", "acme", "AUD"), auditor("foreign", "other", "AUD"), auditor("deaf", "acme", "LOC"))
    brands = tuple(
        TenantSettings(id=name, domain=f"{name}.example", key_digests=(digest(name),)) for name in ("acme", "other")
    )
    return Settings(
        data_dir=str(tmp_path / "data"), port=free_port(), tenants=brands, operators=operators, auditors=auditors
    )


@asynccontextmanager
async def somebody(service: Service, name: str) -> AsyncIterator[ClientSession]:
    """An operator by the session, an auditor by the token, a stranger by nothing."""
    bearer = {"Authorization": f"Bearer {name}"} if name in ("regulator", "foreign", "deaf", "nobody") else {}
    jar = aiohttp.CookieJar(unsafe=True)
    async with ClientSession(service.url, cookie_jar=jar, headers=bearer) as session:
        if name in ("hanako", "taro", "jiro"):
            async with session.post("/console/session", json={"token": name}) as answer:
                assert answer.status == 204
        yield session


@cache
def packets(track: str) -> Sequence[bytes]:
    encoder = opus.Encoder()
    frames = VOICES[track].reshape(-1, opus.FRAME)
    return [encoder.encode((frame * 0.5).astype(frame.dtype)) for frame in frames]


class Call:
    def __init__(self, service: Service, incident: IncidentId, made: Recorder) -> None:
        self.service, self.incident, self.made = service, incident, made
        self.place = Path(service.settings.data_dir) / "recordings" / incident / "rec-1"
        self.path = f"/v1/incidents/{incident}/recordings"

    async def happen(self, *commands: Any) -> None:
        for command in commands:
            await self.service.journal.execute(self.incident, command, actor="system:test")

    async def seal(self) -> None:
        manifest = self.made.seal()
        chunks = len(chunk_files(self.place))
        sealed = s.c.SealRecording(
            recording=s.RecordingId("rec-1"),
            manifest=manifest,
            manifest_digest=sha256(manifest).hexdigest(),
            chunks=chunks,
            duration_ms=25_000,
        )
        await self.happen(sealed)

    async def read(self) -> list[PartsRead]:
        events = await self.service.journal.store.stream(self.incident)
        return [each.event for each in events if isinstance(each.event, PartsRead)]

    async def begin(self, session: ClientSession, purpose: str, reason: str = "") -> tuple[int, dict[str, Any]]:
        body = {"purpose": purpose, "reason": reason}
        async with session.post(f"{self.path}/rec-1/listenings", json=body) as answer:
            return answer.status, await answer.json()


async def ring(service: Service) -> Call:
    """hanako is in a call of 25 s, of which vehicle and operator spoke all the time."""
    journal = service.journal
    opened = await journal.open(
        s.open_incident(), tenant=TenantId("acme"), receipt=b"r" * 32, received_at=journal.clock.now()
    )
    for command in (s.invite(CAR), s.join(CAR), s.start_recording()):
        await journal.execute(opened.incident, command, actor="system:test")
    key = await journal.data_key(opened.incident, Category.AUD)
    place = Path(service.settings.data_dir) / "recordings" / opened.incident / "rec-1"
    began = journal.clock.now() - timedelta(seconds=5)
    made = Recorder(place, "rec-1", key, started_at=timestamp(began))
    made.mark({"leg": CAR, "party": "vehicle", "what": "up"}, timestamp=0)
    for track in VOICES:
        for number, packet in enumerate(packets(track)):
            made.add(track, number * opus.FRAME, packet)
    made.flush()
    call = Call(service, opened.incident, made)
    await call.happen(s.take("hanako"))
    return call
