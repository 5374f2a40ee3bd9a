"""The doors of the whole service: test calls, answers to the vehicle, and client certificates, over loopback."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sos.app import Service, running
from sos.clock import SystemClock
from sos.formats import msd
from sos.incident.commands import AnswerVehicle
from sos.incident.model import AnswerAction, AnswerId, IncidentId
from sos.intake.signature import sign
from sos.settings import Settings, SigningKeySettings, TenantSettings
from sos.vehicle.report import Car, crash
from tests.ports import free_port

KEY, OTHER = "acme-key", "other-key"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@asynccontextmanager
async def house(tmp_path: Path, **more: Any) -> AsyncIterator[tuple[Service, aiohttp.ClientSession]]:
    tenants = (
        TenantSettings(id="acme", domain="acme.example", key_digests=(_digest(KEY),), **more.pop("tenant", {})),
        TenantSettings(id="other", domain="other.example", key_digests=(_digest(OTHER),)),
    )
    settings = Settings(data_dir=str(tmp_path / "house"), port=free_port(), tenants=tenants, **more)
    async with running(settings) as service, aiohttp.ClientSession(base_url=service.url) as session:
        yield service, session


def bearer(key: str = KEY, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", **more}


async def report(session: aiohttp.ClientSession, *, test: bool = False, located: bool = True) -> IncidentId:
    car = Car(test=test) if located else Car(test=test, latitude=None, longitude=None)
    event = crash(car, at=datetime.now(UTC), seed=1)
    headers = bearer(**{"Content-Type": "application/cloudevents+json"})
    async with session.post("/v1/events", data=event.body, headers=headers) as answer:
        assert answer.status == 202
        return IncidentId((await answer.json())["incident"])


async def receipt(session: aiohttp.ClientSession, incident: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            async with session.get(f"/v1/events/{incident}/receipt", headers=bearer()) as answer:
                if answer.status != 202:
                    return {"status": answer.status, **(await answer.json(content_type=None))}
            await SystemClock().wait(timedelta(milliseconds=20))


async def test_a_test_call_passes_without_any_agency(tmp_path: Path) -> None:
    async with house(tmp_path) as (service, session):
        incident = await report(session, test=True)
        told = await receipt(session, incident)
        state = await service.journal.state(incident)

    assert (told["status"], told["passed"], told["agenciesContacted"], told["voice"]) == (200, True, 0, False)
    assert told["checks"] == dict.fromkeys(("readable", "well_formed", "vehicle_named", "located", "routed"), True)
    assert (state.tested, state.disclosures) == (True, ())


async def test_a_test_call_without_a_position_fails_and_says_where(tmp_path: Path) -> None:
    async with house(tmp_path) as (_, session):
        told = await receipt(session, await report(session, test=True, located=False))

    assert told["passed"] is False
    assert [name for name, good in told["checks"].items() if not good] == ["located"]


async def test_a_live_report_has_no_receipt_and_a_stranger_sees_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as (_, session):
        incident = await report(session)
        live = await receipt(session, incident)
        statuses = []
        for path in (f"/v1/events/{incident}/receipt", f"/v1/incidents/{incident}/commands"):
            async with session.get(path, headers=bearer(OTHER)) as answer:
                statuses.append(answer.status)

    assert live["status"] == 409
    assert statuses == [404, 404]


async def test_what_the_operator_wants_reaches_a_vehicle_that_asks(tmp_path: Path) -> None:
    async with house(tmp_path) as (service, session):
        incident = await report(session)
        path = f"/v1/incidents/{incident}/commands"

        async with session.get(path, headers=bearer()) as answer:
            before = await answer.json()
        polling = asyncio.create_task(_poll(session, f"{path}?wait=20"))
        await SystemClock().wait(timedelta(milliseconds=50))
        order = AnswerVehicle(answer=AnswerId("answer-1"), action=AnswerAction.MESSAGE, text="help is coming")
        await service.journal.execute(incident, order, actor="operator:hanako")
        (command,) = (await polling)["commands"]
        async with session.post(f"{path}/{command['id']}", headers=bearer()) as answer:
            confirmed = answer.status
        async with session.post(f"{path}/nothing", headers=bearer()) as answer:
            unknown = answer.status
        async with session.get(path, headers=bearer()) as answer:
            after = await answer.json()
        state = await service.journal.state(incident)

    assert before["commands"] == after["commands"] == []
    assert (command["command"], command["text"], command["incident"]) == ("message", "help is coming", incident)
    assert (confirmed, unknown) == (204, 404)
    assert state.answers[0].delivered == "http"


async def _poll(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path, headers=bearer()) as answer:
        return await answer.json()


async def test_an_msd_in_octets_goes_the_whole_way(tmp_path: Path) -> None:
    sent = msd.write(
        msd.Msd(
            version=2,
            message_identifier=1,
            automatic_activation=True,
            test_call=True,
            position_can_be_trusted=True,
            vehicle_type=msd.VehicleType.M1,
            vin="WM9VDSVDSYA123456",
            propulsion=(msd.Energy.GASOLINE,),
            timestamp=int(datetime.now(UTC).timestamp()),
            latitude_mas=128_452_450,
            longitude_mas=503_161_650,
            direction=45,
        )
    )
    async with house(tmp_path) as (service, session):
        headers = bearer(**{"Content-Type": msd.MEDIA_TYPE})
        async with session.post("/v1/events", data=sent, headers=headers) as answer:
            taken = await answer.json()
            statuses = [answer.status]
        async with session.post("/v1/events", data=sent, headers=headers) as answer:
            statuses.append(answer.status)
        told = await receipt(session, taken["incident"])
        state = await service.journal.state(taken["incident"])

    assert statuses == [202, 200]
    assert (told["checks"], told["passed"], state.prefecture) == (dict.fromkeys(told["checks"], True), True, "JP-13")


async def test_a_client_certificate_is_as_good_as_a_key(tmp_path: Path) -> None:
    files = Certificates(tmp_path)
    tls = {
        "tls_certificate": str(files.path("server.pem")),
        "tls_key": str(files.path("server.key")),
        "tls_client_ca": str(files.path("cloud.pem")),
    }
    async with house(tmp_path, tenant={"certificates": (files.cloud_digest,)}, **tls) as (service, session):
        assert service.url.startswith("https://")
        event = crash(Car(), at=datetime.now(UTC), seed=1)
        statuses = []
        for context in (files.client(shown="cloud"), files.client(shown=None)):
            async with session.post("/v1/events", data=event.body, ssl=context) as answer:
                statuses.append(answer.status)

    assert statuses == [202, 401]


async def test_a_signed_request_is_not_taken_again_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"a signing secret of thirty-two b")
    tenant = {"signing_keys": (SigningKeySettings(id="acme-1", file=str(tmp_path / "secret")),)}
    statuses, headers, url = [], {}, "https://sos.example/v1/ice"
    for _ in range(2):
        async with house(tmp_path, tenant=dict(tenant)) as (_, session):
            headers = headers or {"Host": "sos.example"} | sign(
                (tmp_path / "secret").read_bytes(),
                key_id="acme-1",
                method="GET",
                url=url,
                body=b"",
                created=int(SystemClock().now().timestamp()),
                nonce="n1",
            )
            async with session.get("/v1/ice", headers=headers) as answer:
                statuses.append((answer.status, (await answer.json(content_type=None)).get("rule")))

    assert statuses == [(200, None), (401, "nonce")]


class Certificates:
    """A server's and a cloud's, each signed by itself."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._make("server")
        self.cloud_digest = hashlib.sha256(self._make("cloud").public_bytes(Encoding.DER)).hexdigest()

    def path(self, name: str) -> Path:
        return self._directory / name

    def client(self, *, shown: str | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.path("server.pem")))
        if shown is not None:
            context.load_cert_chain(self.path(f"{shown}.pem"), self.path(f"{shown}.key"))
        return context

    def _make(self, name: str) -> x509.Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(address, critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.path(f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.path(f"{name}.key").write_bytes(secret)
        return made
