"""Over HTTP an auditor asks and fetches what is its own, and two people at desks agree; what they get verifies."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar

from recording import age
from recording.verify import verify_package
from sos.app import Service, running
from sos.clock import SystemClock, timestamp
from sos.exports.archive import unpack
from sos.settings import AuditorSettings, OperatorSettings, RecipientSettings, Settings, TenantSettings
from sos.vehicle.report import Car, crash, report_once
from tests.ports import free_port

IDENTITY = age.new_identity()
DOOR = "/v1/exports/requests"


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    settings = Settings(
        data_dir=str(tmp_path / "house"),
        port=free_port(),
        tenants=(TenantSettings(id="acme", domain="acme.example", key_digests=(_digest("acme"),)),),
        operators=tuple(
            OperatorSettings(id=each, name=each, token_digest=_digest(each), supervisor=each == "jiro")
            for each in ("hanako", "jiro")
        ),
        auditors=tuple(
            AuditorSettings(id=each, token_digest=_digest(each), brands=("acme",), categories=("LOC",))
            for each in ("ministry", "another")
        ),
        recipients=(
            RecipientSettings(
                id="ministry", age_key=age.recipient_of(IDENTITY), brands=("acme",), categories=("LOC", "VEH")
            ),
        ),
    )
    async with running(settings) as opened:
        report = crash(Car(), at=SystemClock().now(), seed=1)
        await report_once(report, base_url=opened.url, key="acme", clock=SystemClock())
        yield opened


class People:
    """Who talks to the service, each with a browser or a token of their own."""

    def __init__(self, service: Service, stack: AsyncExitStack) -> None:
        self._service = service
        self._stack = stack

    async def auditor(self, name: str) -> ClientSession:
        headers = {"Authorization": f"Bearer {name}"}
        return await self._stack.enter_async_context(ClientSession(self._service.url, headers=headers))

    async def operator(self, name: str) -> ClientSession:
        browser = ClientSession(self._service.url, cookie_jar=CookieJar(unsafe=True))
        await self._stack.enter_async_context(browser)
        async with browser.post("/console/session", json={"token": name}) as answer:
            assert answer.status < 300
        return browser


@pytest.fixture
async def people(service: Service) -> AsyncIterator[People]:
    async with AsyncExitStack() as stack:
        yield People(service, stack)


async def say(session: ClientSession, method: str, path: str, **body: Any) -> tuple[int, Any]:
    async with session.request(method, path, json=body or None) as answer:
        return answer.status, await answer.json()


def wanted(**other: Any) -> dict[str, Any]:
    now = SystemClock().now()
    period = {"since": timestamp(now - timedelta(days=1)), "until": timestamp(now + timedelta(days=1))}
    asked = {"purpose": "架空の照会", "recipient": "ministry", "brands": ["acme"], "categories": ["LOC"]}
    return asked | period | other


async def test_an_auditor_asks_two_at_desks_agree_and_the_package_verifies(
    service: Service, people: People, tmp_path: Path
):
    ministry, hanako, jiro = (
        await people.auditor("ministry"),
        await people.operator("hanako"),
        await people.operator("jiro"),
    )

    status, made = await say(ministry, "POST", DOOR, **wanted())
    assert status == 201, made
    one = f"{DOOR}/{made['request']}"
    _, counted = await say(ministry, "POST", f"{one}/dry-run", size=None)
    early = await say(hanako, "POST", f"{one}/package")
    agreed = [await say(each, "POST", f"{one}/approvals", digest=counted["digest"]) for each in (hanako, jiro)]
    built = await say(hanako, "POST", f"{one}/package")
    async with ministry.get(f"{one}/package") as answer:
        encrypted, told = await answer.read(), answer.headers["Sos-Encrypted-Sha256"]
    wrong = await say(ministry, "POST", f"{one}/receipt", encrypted="0" * 64)
    received = await say(ministry, "POST", f"{one}/receipt", encrypted=sha256(encrypted).hexdigest())

    assert counted["categories"]["LOC"] >= 1
    assert (early[0], early[1]["rule"]) == (409, "approvals-missing")
    assert [status for status, _ in agreed] == [200, 200], agreed
    assert built[0] == 200, built
    assert (wrong[0], wrong[1]["rule"]) == (409, "receipt-digest")
    assert (received[0], received[1]["received"]) == (200, ["auditor:ministry"])
    assert told == sha256(encrypted).hexdigest() == built[1]["encrypted"]
    unpack(age.decrypt(encrypted, IDENTITY), tmp_path / "package")
    report = verify_package(tmp_path / "package", log_vkey=service.log_vkey, seal_vkey=service.seal_vkey)
    assert report.code == 0, str(report)


async def test_what_is_anothers_does_not_exist_and_what_is_the_houses_is_not_an_auditors(people: People):
    ministry, another = await people.auditor("ministry"), await people.auditor("another")
    stranger, nobody = await people.auditor("stranger"), await people.auditor("")
    _, made = await say(ministry, "POST", DOOR, **wanted())
    one = f"{DOOR}/{made['request']}"
    _, counted = await say(ministry, "POST", f"{one}/dry-run", size=None)

    for method, path, body in (
        ("GET", one, {}),
        ("GET", f"{one}/package", {}),
        ("DELETE", one, {}),
        ("POST", f"{one}/dry-run", {"size": None}),
        ("POST", f"{one}/receipt", {"encrypted": "0" * 64}),
    ):
        assert (await say(another, method, path, **body))[0] == 404, path
        assert (await say(stranger, method, path, **body))[0] == 401, path
        assert (await say(nobody, method, path, **body))[0] == 401, path
    assert (await say(another, "GET", DOOR))[1] == []
    assert [each["request"] for each in (await say(ministry, "GET", DOOR))[1]] == [made["request"]]
    assert (await say(ministry, "POST", f"{one}/approvals", digest=counted["digest"]))[0] == 403
    assert (await say(ministry, "POST", f"{one}/package"))[0] == 403
    assert (await say(ministry, "GET", one))[1]["approved"] == []


async def test_a_refusal_names_its_rule_and_leaves_no_request(people: People):
    ministry = await people.auditor("ministry")

    for rule, other in (
        ("unknown-recipient", {"recipient": "somebody"}),
        ("beyond-scope", {"categories": ["VEH"]}),
        ("beyond-scope", {"brands": ["*"]}),
        ("purpose", {"purpose": " "}),
    ):
        status, told = await say(ministry, "POST", DOOR, **wanted(**other))
        assert (status, told["rule"]) == (409, rule)
    assert (await say(ministry, "POST", DOOR, **wanted(categories=["NONE"])))[0] == 400
    assert (await say(ministry, "GET", DOOR))[1] == []


async def test_one_of_the_house_who_asks_at_a_desk_cannot_agree_and_can_withdraw(people: People):
    jiro, ministry = await people.operator("jiro"), await people.auditor("ministry")
    _, made = await say(jiro, "POST", DOOR, **wanted())
    one = f"{DOOR}/{made['request']}"
    _, counted = await say(jiro, "POST", f"{one}/dry-run", size=None)

    status, told = await say(jiro, "POST", f"{one}/approvals", digest=counted["digest"])
    hidden = await say(ministry, "GET", one)
    withdrawn = await say(jiro, "DELETE", one)

    assert (status, told["rule"]) == (409, "approver-is-requester")
    assert hidden[0] == 404
    assert (withdrawn[0], withdrawn[1]["stage"]) == (200, "ended")
