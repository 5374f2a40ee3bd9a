"""At the running service: a link, a log-out, a revocation, a refused order, as a browser and the access log see it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sos.app import Service, running
from sos.clock import SystemClock, epoch_ms
from sos.front.access_monitor import ALARM_AT
from sos.incident.model import IncidentId, OperatorId, Party
from sos.journal.desk_access import DeskAccess
from sos.settings import OperatorSettings, Settings, TenantSettings
from sos.vehicle.report import Car, crash, report_once
from tests.house import free_port
from tests.journeys import story as s
from tests.sos.dispatch.test_disclosure_at_the_desk import KEY, Desk, _digest

HANAKO = OperatorId("hanako")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    settings = Settings(
        data_dir=str(tmp_path / "data"),
        port=free_port(),
        tenants=(TenantSettings(id="acme", domain="acme.sos.example", key_digests=(_digest(KEY),)),),
        operators=(
            OperatorSettings(id="hanako", name="架空 花子", token_digest=_digest("hanako")),
            OperatorSettings(id="jiro", name="架空 次郎", token_digest=_digest("jiro")),
        ),
    )
    async with running(settings) as opened:
        yield opened


@pytest.fixture
async def browser(service: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(service.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def _asked(browser: aiohttp.ClientSession, method: str, **given: Any) -> int:
    async with browser.request(method, "/console/session", **given) as answer:
        return answer.status


def _lines(service: Service) -> list[dict[str, Any]]:
    file = service.settings.data / "access" / "access.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


async def _code(service: Service) -> str:
    return (await service.access.link(service.url, HANAKO)).partition("#code=")[2]


async def test_a_link_opens_a_desk_once(service: Service, browser: aiohttp.ClientSession):
    code = await _code(service)

    first = await _asked(browser, "POST", json={"code": code})
    there = await _asked(browser, "GET")
    again = await _asked(browser, "POST", json={"code": code})

    assert (first, there, again) == (204, 204, 403)
    lines = _lines(service)
    assert [(line["what"], line.get("about"), line.get("reason")) for line in lines] == [
        ("logged_in", "code", None),
        ("refused", None, "desk-code"),
    ]
    assert code not in json.dumps(lines)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"data": b'{"token":"hanako"}', "headers": {"Content-Type": "text/plain"}}, 415),
        ({"json": {"token": "hanako"}, "headers": {"Origin": "https://evil.example"}}, 403),
        ({"json": {"token": "hanako"}, "headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
        ({"json": {}}, 400),
        ({"json": {"token": "hanako", "code": "x"}}, 400),
    ],
)
async def test_another_sites_page_logs_nobody_in(browser: aiohttp.ClientSession, given: dict[str, Any], status: int):
    assert await _asked(browser, "POST", **given) == status
    assert await _asked(browser, "GET") == 403


async def test_a_log_out_ends_the_session_at_the_service_and_every_page_of_it(service: Service):
    desk = await Desk.sit(service.url, "hanako")
    cookies = {cookie.key: cookie.value for cookie in desk.session.cookie_jar}
    async with desk.session.delete(f"{service.url}/console/session", headers={"Origin": "https://x"}) as elsewhere:
        assert elsewhere.status == 403

    async with desk.session.delete(f"{service.url}/console/session") as answer:
        out = answer.status, answer.cookies["sos_desk"]["max-age"]
    told = await desk.hear(t="ended")
    async with aiohttp.ClientSession(cookies=cookies) as thief:  # who has kept the cookie
        status = (await thief.get(f"{service.url}/console/session")).status
    await desk.leave()

    assert (out, told["why"], status) == ((204, "0"), "logged_out", 403)
    assert [line["what"] for line in _lines(service)] == ["logged_in", "refused", "logged_out", "refused"]


async def test_nobody_logs_out_of_a_call_by_mistake(service: Service):
    """A leg is up, as its events say; the call itself is another test's."""
    desk = await Desk.sit(service.url, "hanako")
    taken = await report_once(
        crash(Car(), at=SystemClock().now(), seed=1), base_url=service.url, key=KEY, clock=SystemClock()
    )
    await desk.hear(t="event", kind="PlanMade")
    assert (await desk.order(do="answer", incident=taken.incident))["ok"]
    legs = [s.invite("leg-own", Party.OPERATOR, "hanako"), s.join("leg-own", Party.OPERATOR, "hanako")]
    for command in legs:
        await service.journal.execute(IncidentId(taken.incident), command, actor="system:test")

    async with desk.session.delete(f"{service.url}/console/session") as answer:
        status = answer.status
    still = (await desk.order(do="away"))["ok"]
    await desk.leave()

    assert (status, still) == (409, True)


async def test_who_is_put_out_by_an_administrator_gets_and_says_nothing_more(service: Service):
    desk, kept = await Desk.sit(service.url, "hanako"), DeskAccess(service.journal.store.engine)
    other = await Desk.sit(service.url, "jiro")

    await kept.revoke(HANAKO, now_ms=epoch_ms(SystemClock().now()))
    told = await desk.hear(t="ended")
    with pytest.raises((TypeError, ConnectionError, AssertionError)):  # the connection closes, and gives no answer
        await desk.order(do="away")
    async with desk.session.get(f"{service.url}/console/session") as answer:
        status = answer.status
    stays = (await other.order(do="away"))["ok"]
    await desk.leave()
    await other.leave()

    assert (told["why"], status, stays) == ("revoked", 403, True)
    assert ("session_ended", "revoked") in [(line["what"], line.get("reason")) for line in _lines(service)]


async def test_an_order_that_is_not_allowed_or_not_one_is_a_line_and_many_are_an_alarm(service: Service):
    desk = await Desk.sit(service.url, "hanako")
    alarms: list[str] = []
    service.access_monitor.alarms.append(lambda alarm: alarms.append(alarm.kind))
    taken = await report_once(
        crash(Car(), at=SystemClock().now(), seed=1), base_url=service.url, key=KEY, clock=SystemClock()
    )

    await desk.order(do="away")
    approve = {"do": "approve", "referral": "r-1", "approved": False}
    for order in (approve, *[{"do": "note", "text": "secret words"}] * (ALARM_AT + 2)):
        assert not (await desk.order(**order, incident=taken.incident))["ok"]
    await desk.order(do="no such order")
    await desk.leave()

    lines = [line for line in _lines(service) if line["what"] == "refused"]
    assert [(line["about"], line["reason"]) for line in lines[:2]] == [("approve", "supervisor"), ("note", "not-yours")]
    assert lines[0] | {"at": "", "address": ""} == {
        "at": "", "what": "refused", "method": "GET", "route": "/console/socket", "address": "",
        "kind": "order", "who": "operator:hanako", "about": "approve", "reason": "supervisor",
    }  # fmt: skip
    assert lines[-1]["reason"] == "malformed"
    assert "secret" not in json.dumps(lines)
    assert alarms == ["order"]
