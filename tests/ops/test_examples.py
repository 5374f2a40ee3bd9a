"""What integrators copy runs as it stands: each example against the real service, from the crash to the end."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sos.app import Service, running
from sos.clock import SystemClock
from sos.incident.commands import CloseIncident, TakeIncident
from sos.incident.events import IncidentOpened
from sos.incident.model import DeclineReason, DeskId, Disposition, IncidentId, OperatorId
from sos.settings import Settings, TenantSettings
from sos.signing import signed
from tests.house import ROOT
from tests.ports import free_port
from tests.sos.intake.brokers import BrokerProcess

EXAMPLES = ROOT / "ops" / "examples"
KEY = "an-invented-key"
NEEDS = {".py": sys.executable, ".mjs": "node", ".sh": "sh"}
TAKE = TakeIncident(operator=OperatorId("hanako"), desk=DeskId("desk-1"))
CLOSE = CloseIncident(
    disposition=Disposition.FALSE_ALARM, untold=DeclineReason.NOT_NEEDED, words="invented: all is well"
)
CLOCK = SystemClock()


def _command(name: str, *needs: str) -> list[str]:
    """How the example is run; skipped where what it needs is missing, by its name."""
    runner = NEEDS[Path(name).suffix]
    for program in (runner, *needs):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    return [runner, str(EXAMPLES / name)]


@asynccontextmanager
async def _service(tmp_path: Path, *, webhook: str = "", mqtt: str = "") -> AsyncIterator[Service]:
    acme = TenantSettings(
        id="acme",
        domain="acme.example",
        key_digests=(sha256(KEY.encode()).hexdigest(),),
        webhook=webhook,
        mqtt=bool(mqtt),
    )
    settings = Settings(data_dir=str(tmp_path / "house"), port=free_port(), demo=True, tenants=(acme,), mqtt_url=mqtt)
    async with running(settings) as service:
        yield service


@asynccontextmanager
async def _process(command: Sequence[str], **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **environment},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _opened(service: Service) -> IncidentId:
    """The first incident there is."""
    async with asyncio.timeout(60):
        while True:
            for each in await service.journal.store.follow(0, limit=100):
                if isinstance(each.event, IncidentOpened):
                    return each.incident
            await CLOCK.wait(timedelta(milliseconds=20))


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode().strip()


@pytest.mark.parametrize(
    ("name", "needs"), [("crash_to_closed.py", ()), ("crash_to_closed.mjs", ()), ("crash_to_closed.sh", ("curl",))]
)
async def test_a_brand_reports_a_crash_and_follows_it_until_it_is_closed(
    tmp_path: Path, name: str, needs: Sequence[str]
) -> None:
    command = _command(name, *needs)
    async with (
        _service(tmp_path) as service,
        _process(command, SOS_URL=service.url, SOS_KEY=KEY) as example,
    ):
        reported = await _line(example)
        incident = await _opened(service)
        told = [await _line(example)]
        for order in (TAKE, CLOSE):
            await service.journal.execute(incident, order, actor="operator:hanako")
            told.append(await _line(example))
        async with asyncio.timeout(60):
            ended = await example.wait()

    assert reported.startswith(f"reported {incident}")
    assert (told, ended) == (["waiting", "answered", "closed"], 0)


@pytest.mark.parametrize("name", ["receive.py", "receive.mjs"])
async def test_a_receiver_takes_what_is_signed_and_refuses_what_is_forged(tmp_path: Path, name: str) -> None:
    command, port = _command(name), free_port()
    mine = f"http://127.0.0.1:{port}/status"
    async with (
        _service(tmp_path, webhook=mine) as service,
        _process(command, SOS_URL=service.url, MY_URL=mine, PORT=str(port)) as receiver,
        _process(_command("crash_to_closed.py"), SOS_URL=service.url, SOS_KEY=KEY),
        aiohttp.ClientSession() as session,
    ):
        incident = await _opened(service)
        await service.journal.execute(incident, TAKE, actor="operator:hanako")
        taken = await _line(receiver)
        forged = [await _post(session, mine, headers) for headers in ({}, _signed_by_a_stranger(service, mine))]

    assert taken.startswith(f"{incident}:")
    assert taken.endswith(" answered")
    assert forged == [401, 401]


FORGED = b'{"id":"forged","data":{"status":"closed"}}'


async def _post(session: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> int:
    async with session.post(url, data=FORGED, headers=headers) as answer:
        return answer.status


def _signed_by_a_stranger(service: Service, url: str) -> Mapping[str, str]:
    return signed(
        Ed25519PrivateKey.generate(),
        keyid=service.settings.keyid,
        method="POST",
        url=url,
        body=FORGED,
        content_type="application/cloudevents+json",
        idempotency_key="forged",
        now=CLOCK.now(),
    )


async def test_a_vehicle_reports_through_the_broker_and_gets_its_acknowledgement(tmp_path: Path) -> None:
    command = _command("crash_by_mqtt.sh", "mosquitto_pub", "mosquitto_sub")
    async with (
        BrokerProcess("mosquitto", tmp_path / "broker") as broker,
        _service(tmp_path, mqtt=broker.url) as service,
        _process(command, SOS_BROKER="127.0.0.1", SOS_PORT=str(broker.port), SOS_TENANT="acme") as example,
    ):
        told = await _line(example)
        incident = await _opened(service)

    assert incident in told


def test_every_example_is_run_and_stands_on_the_page() -> None:
    files = {file.name for file in EXAMPLES.iterdir()} - {"README.md"}
    page, here = (EXAMPLES / "README.md").read_text(), Path(__file__).read_text()

    assert not [name for name in files if f"]({name})" not in page or f'"{name}"' not in here]
