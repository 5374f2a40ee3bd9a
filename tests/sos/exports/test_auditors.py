"""An auditor is bound to brands and categories: what is not theirs is refused, and nothing of it is read or written."""

import asyncio
import tarfile
from collections.abc import AsyncIterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp import ClientSession

from routing.categories import Category
from sos.app import Service, running
from sos.clock import ManualClock, SystemClock
from sos.errors import Forbidden, Misconfigured, RuleBroken, Unknown
from sos.exports.auditors import Scope
from sos.exports.daily import DAY, Daily
from sos.incident.model import IncidentId, State
from sos.settings import AuditorSettings, ExportSettings, Settings, TenantSettings
from sos.vehicle.report import Car, crash, report_once
from tests.ports import free_port

BRANDS = ("acme", "birch")


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def auditor(name: str, brands: tuple[str, ...], categories: tuple[str, ...]) -> AuditorSettings:
    return AuditorSettings(id=name, token_digest=_digest(name), brands=brands, categories=categories)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    settings = Settings(
        data_dir=str(tmp_path / "house"),
        port=free_port(),
        tenants=tuple(
            TenantSettings(id=each, domain=f"{each}.example", key_digests=(_digest(each),)) for each in BRANDS
        ),
        auditors=(
            auditor("of-acme", ("acme",), ("LOC", "VEH")),
            auditor("of-nobody", (), ()),
            auditor("of-all", ("*",), ("*",)),
        ),
        export=ExportSettings(single_per_day=3),
    )
    async with running(settings) as opened:
        yield opened


@pytest.fixture
async def crashes(service: Service) -> dict[str, IncidentId]:
    """One incident of each brand."""
    for number, brand in enumerate(BRANDS):
        report = crash(Car(), at=SystemClock().now(), seed=number)
        await report_once(report, base_url=service.url, key=brand, clock=SystemClock())
    _, found = await service.journal.queue(limit=5, states=tuple(State))
    return {each.tenant: each.id for each in found}


async def asked(service: Service, token: str, incident: str, *categories: str) -> tuple[int, bytes]:
    wanted = {"incident": incident, "purpose": "inquiry", "categories": categories}
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        ClientSession(service.url) as session,
        session.post("/v1/exports", json=wanted, headers=headers) as answer,
    ):
        return answer.status, await answer.read()


async def of_auditors(service: Service, incident: IncidentId) -> list[str]:
    """What auditors did with an incident, as the journal has it."""
    whole = await service.journal.store.whole(incident)
    return [type(each.event).__name__ for each in whole if each.actor.startswith("auditor:")]


async def test_an_auditor_of_one_brand_gets_nothing_of_another_and_cannot_tell_it_from_nothing(
    service: Service, crashes: dict[str, IncidentId]
):
    status, foreign = await asked(service, "of-acme", crashes["birch"])
    missing, never = await asked(service, "of-acme", "01999999-0000-7000-8000-000000000000")
    nobody, _ = await asked(service, "of-nobody", crashes["acme"])

    assert (status, missing, nobody) == (404, 404, 404)
    assert foreign.split(b'"instance"')[0] == never.split(b'"instance"')[0]
    assert not await of_auditors(service, crashes["birch"])
    assert (await asked(service, "of-acme", crashes["acme"]))[0] == 200
    assert [(await asked(service, "of-all", each))[0] for each in crashes.values()] == [200, 200]
    assert await of_auditors(service, crashes["birch"]) == ["ExportMade"]


async def test_an_auditor_opens_the_categories_given_and_no_others(service: Service, crashes: dict[str, IncidentId]):
    status, told = await asked(service, "of-acme", crashes["acme"], "LOC", "TEL", "RAW")
    assert (status, b"RAW, TEL: not among" in told) == (403, True)
    assert not await of_auditors(service, crashes["acme"])

    status, package = await asked(service, "of-acme", crashes["acme"], "LOC", "VEH")
    with tarfile.open(fileobj=BytesIO(package)) as packed:
        opened = {name.split(".")[-2] for name in packed.getnames() if "/parts/" in name}
    assert (status, opened) == (200, {"LOC", "VEH"})


async def test_who_asks_incident_by_incident_is_stopped_after_so_many_a_day_also_all_at_once(
    service: Service, crashes: dict[str, IncidentId]
):
    assert (await asked(service, "of-all", "01999999-0000-7000-8000-000000000000"))[0] == 404  # does not count

    answers = await asyncio.gather(*(asked(service, "of-all", crashes["acme"], "LOC") for _ in range(5)))

    assert sorted(status for status, _ in answers) == [200, 200, 200, 409, 409]
    assert all(b"exports-per-day" in told for status, told in answers if status == 409)
    assert (await of_auditors(service, crashes["acme"])).count("ExportMade") == 3
    assert (await asked(service, "of-acme", crashes["acme"]))[0] == 200


async def test_a_day_later_an_auditor_may_have_as_many_again(clock: ManualClock):
    daily = Daily(1, clock)
    with daily.one("a"):
        pass

    with pytest.raises(RuleBroken, match=r"^exports-per-day:"), daily.one("a"):
        pass
    await clock.advance(DAY)
    with daily.one("a"):
        pass


async def test_no_door_is_needed_for_the_refusal(service: Service, crashes: dict[str, IncidentId], tmp_path: Path):
    scope = Scope(brands=frozenset({"acme"}), categories=frozenset({"LOC"}))
    asking = {"purpose": "inquiry", "actor": "auditor:a", "scope": scope}

    with pytest.raises(Unknown):
        await service.exporter.export(crashes["birch"], tmp_path / "a", categories=(Category.LOC,), **asking)
    with pytest.raises(Forbidden):
        await service.exporter.export(crashes["acme"], tmp_path / "b", categories=(Category.VEH,), **asking)
    assert not list(tmp_path.glob("[ab]"))


@pytest.mark.parametrize(
    ("brands", "categories", "named"),
    [(("acme", "elm"), (), "brands.*elm"), (("acme",), ("LOC", "loc"), "categories.*loc")],
)
def test_what_an_auditor_is_bound_to_must_be_there(brands: tuple[str, ...], categories: tuple[str, ...], named: str):
    with pytest.raises(Misconfigured, match=named):
        Settings(
            tenants=(TenantSettings(id="acme", domain="acme.example"),),
            auditors=(auditor("a", brands, categories),),
        )
