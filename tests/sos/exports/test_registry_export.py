"""A subject of the registry is exported and verified as an incident is: opt-outs, deactivation, transfer, consents."""

import json
import tarfile
from collections.abc import AsyncIterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp import ClientSession

from recording import package
from recording.verify import verify_package
from sos.app import Service, running
from sos.incident.model import SubjectId
from sos.registry import orders as o
from sos.registry.model import Acknowledged
from sos.settings import AuditorSettings, Settings, TenantSettings
from tests.ports import free_port
from tests.sos.registry.conftest import PROFILE, VIN, by

NAME = "山田 架空"


def auditor(name: str, brand: str, *categories: str) -> AuditorSettings:
    digest = sha256(name.encode()).hexdigest()
    return AuditorSettings(id=name, token_digest=digest, brands=(brand,), categories=categories)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    settings = Settings(
        data_dir=str(tmp_path / "house"),
        port=free_port(),
        tenants=(
            TenantSettings(id="demo", domain="demo.example"),
            TenantSettings(id="demo-no-profiling", domain="other.example"),
        ),
        auditors=(auditor("of-demo", "demo", "OWN"), auditor("of-other", "demo-no-profiling", "OWN")),
    )
    async with running(settings) as opened:
        yield opened


@pytest.fixture
async def subjects(service: Service) -> tuple[SubjectId, SubjectId]:
    """A car that was opted out, deactivated and is being sold, and its owner, who has consented and taken it back."""
    registry = service.registry
    car = (await registry.register(o.RegisterVehicle(keys=(VIN,), source="test"), by=by())).subject
    wanted = o.RegisterSubscriber(profile=PROFILE | {"name": NAME}, source="test")
    owner = (await registry.register(wanted, by=by())).subject
    effective = registry._clock.now()
    for order in (
        o.LinkOwner(subscriber=owner),
        o.StopData(),
        o.ResumeData(),
        o.Deactivate(document="paper 1", acknowledged=tuple(Acknowledged), effective_at=effective),
        o.BeginTransfer(document="paper 2"),
    ):
        assert (await registry.change_vehicle(car, order, by=by())).changed, order
    for given in (True, False):
        consent = o.RecordConsent(purpose="marketing", given=given, text="demo-terms/1", consequence_shown=True)
        assert (await registry.change_subscriber(owner, consent, by=by())).changed
    return car, owner


async def asked(service: Service, token: str, **wanted: object) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"}
    body = {"purpose": "an inquiry about opt-outs", **wanted}
    async with (
        ClientSession(service.url) as session,
        session.post("/v1/exports", json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.read()


def unpacked(content: bytes, to: Path) -> Path:
    with tarfile.open(fileobj=BytesIO(content)) as packed:
        packed.extractall(to)  # our own
    return to


def lines(made: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (made / package.AUDIT).read_text().splitlines()]


async def test_what_happened_to_a_car_and_to_its_owner_is_proved_and_verified_by_strangers(
    service: Service, subjects: tuple[SubjectId, SubjectId], tmp_path: Path
):
    kinds: dict[SubjectId, list[str]] = {}
    for subject in subjects:
        status, content = await asked(service, "of-demo", subject=subject)
        made = unpacked(content, tmp_path / subject)
        report = verify_package(made, log_vkey=service.log_vkey, seal_vkey=service.seal_vkey)
        assert (status, report.code) == (200, 0), str(report)
        assert f"{subject}: 1 to " in str(report)
        changes = [each["data"] for each in lines(made) if each["kind"] == "RegistryChanged"]
        kinds[subject] = [each["change"]["kind"] for each in changes]  # type: ignore[index]
        assert lines(made)[-1]["kind"] == "RegistryRead"
        assert lines(made)[-1]["actor"] == "auditor:of-demo"
        assert NAME.encode() not in b"".join(path.read_bytes() for path in made.rglob("*") if path.is_file())

    car, owner = subjects
    assert kinds[car][:1] == ["VehicleRegistered"]
    assert {"DataStopped", "DataResumed", "ServiceDeactivated", "TransferBegun"} <= set(kinds[car])
    assert kinds[owner] == ["SubscriberRegistered", "ConsentRecorded", "ConsentRecorded"]


async def test_a_changed_line_of_a_consent_is_found_out(
    service: Service, subjects: tuple[SubjectId, SubjectId], tmp_path: Path
):
    _, content = await asked(service, "of-demo", subject=subjects[1])
    made = unpacked(content, tmp_path / "made")
    text = (made / package.AUDIT).read_text()
    (made / package.AUDIT).write_text(text.replace('"given":false', '"given":true'))

    report = verify_package(made, log_vkey=service.log_vkey, seal_vkey=service.seal_vkey)

    assert text.count('"given":false') == 1
    assert {step.number for step in report.steps if not step.ok} >= {4, 6}


async def test_a_category_that_is_asked_for_and_allowed_is_opened_and_journaled(
    service: Service, subjects: tuple[SubjectId, SubjectId], tmp_path: Path
):
    status, content = await asked(service, "of-demo", subject=subjects[1], categories=["OWN"])
    made = unpacked(content, tmp_path / "made")

    assert status == 200
    assert NAME in "".join(path.read_text() for path in (made / "data/parts").glob("*.OWN.json"))
    assert verify_package(made, log_vkey=service.log_vkey, seal_vkey=service.seal_vkey).code == 0
    assert (await asked(service, "of-demo", subject=subjects[1], categories=["BIL"]))[0] == 403


async def test_another_brands_subject_is_none_and_one_thing_is_named(
    service: Service, subjects: tuple[SubjectId, SubjectId]
):
    before = [await service.journal.store.whole(each) for each in subjects]

    assert (await asked(service, "of-other", subject=subjects[0]))[0] == 404
    assert (await asked(service, "of-demo", subject="01999999-0000-7000-8000-000000000000"))[0] == 404
    assert (await asked(service, "of-demo"))[0] == 400
    assert (await asked(service, "of-demo", subject=subjects[0], incident="x"))[0] == 400
    assert [await service.journal.store.whole(each) for each in subjects] == before
