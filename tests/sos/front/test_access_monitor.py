"""At the running service: who is refused, comes in or exports is on record, and who errs too often waits."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar, TCPConnector

from sos.app import Service, running
from sos.clock import SystemClock
from sos.front.access_monitor import ALARM_AT, PER_ADDRESS
from sos.incident.model import State
from sos.settings import AuditorSettings, OperatorSettings, RegistrarSettings, Settings, TenantSettings
from sos.vehicle.report import MEDIA_TYPE, Car, crash, report_once
from tests.ports import free_port

KEY, DESK, AUDITOR, PORTAL = "key-of-acme", "token-of-hanako", "token-of-the-auditor", "token-of-a-portal"
WRONG = "a-wrong-token-that-must-be-nowhere"
ELSEWHERE = {"X-Forwarded-For": "198.51.100.7"}
"""As our proxy on this machine says where somebody comes from."""


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    settings = Settings(
        data_dir=str(tmp_path),
        port=free_port(),
        metrics_port=free_port(),
        tenants=(TenantSettings(id="acme", domain="acme.example", key_digests=(_digest(KEY),)),),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=_digest(DESK)),),
        auditors=(AuditorSettings(id="auditor-1", token_digest=_digest(AUDITOR), brands=("acme",), categories=()),),
        registrars=(RegistrarSettings(id="portal-1", tenant="acme", role="portal", token_digest=_digest(PORTAL)),),
    )
    async with running(settings) as opened:
        yield opened


@pytest.fixture
async def visitor(service: Service) -> AsyncIterator[ClientSession]:
    async with ClientSession(service.url, cookie_jar=CookieJar(unsafe=True)) as session:
        yield session


def _lines(service: Service) -> list[dict[str, Any]]:
    file = service.settings.data / "access" / "access.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def _log_in(visitor: ClientSession, token: str, **headers: str) -> tuple[int, str]:
    async with visitor.post("/console/session", json={"token": token}, headers=headers) as answer:
        return answer.status, answer.headers.get("Retry-After", "")


async def _report(service: Service, key: str) -> None:
    report = crash(Car(), at=SystemClock().now(), seed=7)
    await report_once(report, base_url=service.url, key=key, clock=SystemClock())


async def _asked(visitor: ClientSession, method: str, path: str, **headers: str) -> int:
    async with visitor.request(method, path, headers=headers, data=b"{}") as answer:
        return answer.status


async def test_each_sort_of_refusal_is_a_line_with_route_reason_and_address_and_without_what_was_shown(
    service: Service, visitor: ClientSession
):
    bearer, cookie = f"Bearer {WRONG}", f"sos_desk=hanako|2026-01-01T00:00:00Z|{WRONG}"
    portal = f"Bearer {PORTAL}"

    statuses = [
        await _asked(visitor, "POST", "/v1/events", Authorization=bearer),
        await _asked(visitor, "POST", "/v1/exports", Authorization=bearer),
        await _asked(visitor, "POST", "/v1/exports"),
        await _asked(visitor, "GET", "/console/session", Cookie=cookie),
        await _asked(visitor, "GET", f"/agency/jp-13-fire/{WRONG}"),
        await _asked(visitor, "GET", "/v1/registry/subjects", Authorization=portal),
        (await _log_in(visitor, WRONG))[0],
    ]

    assert statuses == [401, 401, 401, 403, 404, 403, 403]
    lines = _lines(service)
    assert [(line["route"], line["kind"], line["reason"], line["status"]) for line in lines] == [
        ("/v1/events", "credential", "credential", 401),
        ("/v1/exports", "credential", "credential", 401),
        ("/v1/exports", "missing", "missing", 401),
        ("/console/session", "session", "session", 403),
        ("/agency/{agency}/{token}", "link", "link", 404),
        ("/v1/registry/subjects", "forbidden", "forbidden", 403),
        ("/console/session", "log-in", "desk-token", 403),
    ]
    assert [line.get("who", "") for line in lines] == ["", "", "", "operator:hanako", "", "registrar:portal-1", ""]
    assert {line["address"] for line in lines} == {"127.0.0.1"}
    assert WRONG not in json.dumps(lines)


async def test_a_log_in_and_an_export_are_lines_with_who_and_what(service: Service, visitor: ClientSession):
    status, _ = await _log_in(visitor, DESK)
    await _report(service, KEY)
    _, [incident] = await service.journal.queue(limit=1, states=tuple(State))
    asked = {"incident": incident.id, "purpose": "inspection of the door"}
    headers = {"Authorization": f"Bearer {AUDITOR}"}
    async with visitor.post("/v1/exports", json=asked, headers=headers) as answer:
        export = answer.headers["Sos-Export"]
        named = answer.headers["Content-Disposition"]

    assert status == 204
    assert named == f'attachment; filename="export-{export}.tar"'
    assert [(line["what"], line["who"], line.get("about", "")) for line in _lines(service)] == [
        ("logged_in", "operator:hanako", "token"),
        ("exported", "auditor:auditor-1", export),
    ]
    assert "inspection" not in json.dumps(_lines(service))
    assert DESK not in json.dumps(_lines(service))


async def test_who_fails_too_often_waits_and_others_do_not(service: Service, visitor: ClientSession):
    failed = [(await _log_in(visitor, WRONG, **ELSEWHERE))[0] for _ in range(PER_ADDRESS.burst)]
    status, wait = await _log_in(visitor, WRONG, **ELSEWHERE)
    right_but_early, _ = await _log_in(visitor, DESK, **ELSEWHERE)
    registry = await _asked(visitor, "GET", "/v1/registry/brand", **ELSEWHERE)
    elsewhere, _ = await _log_in(visitor, DESK, **{"X-Forwarded-For": "198.51.100.8"})

    assert failed == [403] * PER_ADDRESS.burst
    assert (status, right_but_early, registry, elsewhere) == (429, 429, 429, 204)
    assert 1 <= int(wait) <= PER_ADDRESS.each_s
    assert {line["address"] for line in _lines(service) if line["what"] == "refused"} == {"198.51.100.7"}


async def test_who_passes_for_another_address_without_our_proxy_is_the_address_he_has(
    service: Service, visitor: ClientSession
):
    for number in range(PER_ADDRESS.burst + 1):
        status, _ = await _log_in(visitor, WRONG, **{"X-Forwarded-For": f"203.0.113.{number}, 198.51.100.7"})

    assert status == 429
    assert {line["address"] for line in _lines(service)} == {"198.51.100.7"}


async def test_where_somebody_has_logged_in_a_colleague_is_not_shut_out_by_who_fails_beside(
    service: Service, visitor: ClientSession
):
    await _log_in(visitor, DESK, **ELSEWHERE)
    failed = [(await _log_in(visitor, WRONG, **ELSEWHERE))[0] for _ in range(PER_ADDRESS.burst + 2)]

    colleague, _ = await _log_in(visitor, DESK, **ELSEWHERE)

    assert failed == [403] * PER_ADDRESS.burst + [429] * 2
    assert colleague == 204


async def test_a_report_with_the_right_key_comes_in_whatever_came_from_its_address(
    service: Service, visitor: ClientSession
):
    bearer = f"Bearer {WRONG}"
    failed = [await _asked(visitor, "POST", "/v1/events", Authorization=bearer) for _ in range(PER_ADDRESS.burst + 5)]

    report = crash(Car(), at=SystemClock().now(), seed=7)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": MEDIA_TYPE}
    async with visitor.post("/v1/events", data=report.body, headers=headers) as answer:  # once: a car would try again
        first = answer.status

    assert failed == [401] * PER_ADDRESS.burst + [429] * 5
    assert first in (201, 202)
    waiting, _ = await service.journal.queue(limit=1, states=tuple(State))
    assert waiting == 1


async def test_an_account_that_many_addresses_try_is_throttled_and_not_shut(service: Service, visitor: ClientSession):
    statuses = []
    for number in range(25):
        cookie = f"sos_desk=hanako|2026-01-01T00:00:00Z|{WRONG}"
        origin = {"Cookie": cookie, "X-Forwarded-For": f"203.0.113.{number}"}
        statuses.append(await _asked(visitor, "GET", "/console/session", **origin))

    assert statuses == [403] * 20 + [429] * 5
    assert (await _log_in(visitor, DESK))[0] == 204
    assert await _asked(visitor, "GET", "/console/session") == 204


async def test_who_shows_nothing_is_refused_as_often_as_he_likes(service: Service, visitor: ClientSession):
    statuses = {await _asked(visitor, "GET", "/console/session") for _ in range(30)}

    assert statuses == {403}


async def test_many_wrong_credentials_are_an_alarm_that_figures_and_readiness_show(
    service: Service, visitor: ClientSession
):
    async with visitor.get("/readyz") as answer:
        before = await answer.json()
    for number in range(ALARM_AT):
        await _log_in(visitor, WRONG, **{"X-Forwarded-For": f"203.0.113.{number}"})

    async with visitor.get("/readyz") as answer:
        after, status = await answer.json(), answer.status
    async with visitor.get(f"http://127.0.0.1:{service.settings.metrics_port}/metrics") as answer:
        figures = await answer.text()

    assert (before["access"], after["access"], status) == ("ok", "alarm", 200)
    assert f'sos_access_refused_total{{kind="log-in"}} {ALARM_AT}.0' in figures


async def test_a_flood_of_refusals_leaves_room_in_the_log(service: Service, visitor: ClientSession):
    for _ in range(700):
        await _asked(visitor, "GET", "/console/session")
    await _log_in(visitor, DESK)

    lines = _lines(service)
    assert 500 <= len(lines) < 690
    assert lines[-1]["what"] == "logged_in"
    assert sum(line.get("left_out", 0) for line in lines) + len(lines) == 701


async def test_what_a_peer_that_is_no_proxy_says_of_its_address_is_not_believed(service: Service):
    from_elsewhere = TCPConnector(local_addr=("127.0.0.2", 0))
    async with ClientSession(service.url, connector=from_elsewhere) as stranger:
        await _log_in(stranger, WRONG, **ELSEWHERE)

    assert [line["address"] for line in _lines(service)] == ["127.0.0.2"]
