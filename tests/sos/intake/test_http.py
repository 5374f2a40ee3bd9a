"""The HTTP door: acceptance, repeats, refusals, and what happens when nothing can be kept."""

import asyncio
import gzip
import hashlib
import hmac
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from sos.clock import ManualClock, SystemClock
from sos.errors import Conflict, Forbidden, Misconfigured, Refused, SosError, Unavailable, Unknown
from sos.incident.model import Mode, TenantId, Trigger
from sos.intake.acceptance import Acceptance
from sos.intake.auth import Credentials
from sos.intake.findings import BODY_TIMEOUT_S, MAX_BODY_BYTES
from sos.intake.http import EventEndpoint, routes
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent
from sos.intake.simulated import MemoryReception
from sos.intake.tenants import Tenant, TenantKeys
from sos.problems import problem, problems_middleware

WIRE = Path(__file__).resolve().parents[2] / "wire"
CRASH = (WIRE / "crash.json").read_bytes()
SECRET = b"a secret for tests, 32 bytes long"
NOW = datetime(2026, 1, 1, 9, 0, 4, tzinfo=UTC)
ACME = Tenant(id=TenantId("acme"), domain="acme.example")
DRILL = Tenant(id=TenantId("exercise"), domain="exercise.example", mode=Mode.DRILL)
KEYS = TenantKeys.of({"acme-key": ACME, "drill-key": DRILL})
HEADERS = {"Authorization": "Bearer acme-key", "Content-Type": "application/cloudevents+json"}


@pytest.fixture
async def reception() -> MemoryReception:
    return MemoryReception()


@pytest.fixture
async def client(reception: MemoryReception) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async with TestClient(TestServer(application(reception))) as ready:
        yield ready


def application(reception: MemoryReception, *, body_timeout_s: float = BODY_TIMEOUT_S) -> web.Application:
    app = web.Application(middlewares=[problems_middleware])
    acceptance = Acceptance(reception, Receipts(SECRET), Recent())
    app.add_routes(routes(acceptance, Credentials(KEYS), ManualClock(NOW), body_timeout_s=body_timeout_s))
    return app


Client = TestClient[web.Request, web.Application]


async def post(client: Client, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    """Status and body; headers by name with ``_`` for ``-``, and an empty one leaves it out."""
    sent = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    skip = ["Content-Type"] if not sent["Content-Type"] else []
    async with client.post(
        "/v1/events",
        data=body,
        headers={name: value for name, value in sent.items() if value},
        skip_auto_headers=skip,
    ) as response:
        answer = await response.json(content_type=None)
        if response.status >= 400:
            assert response.content_type == "application/problem+json"
            assert answer["status"] == response.status
            assert answer["type"].startswith(("urn:problem-type:sos:", "about:blank"))
            assert "Traceback" not in json.dumps(answer)
        return response.status, answer


async def test_a_crash_is_accepted_when_it_is_kept(client: Client, reception: MemoryReception) -> None:
    status, answer = await post(client, CRASH)

    incident = answer["incident"]
    assert status == 202
    assert answer == {
        "incident": incident,
        "urn": f"urn:emergency:uid:incidentid:{incident}:acme.example",
        "durability": "committed",
        "voice": f"/v1/incidents/{incident}/voice",
    }
    kept, command = reception.opened[0], reception.last
    assert (command.report, command.readable, command.mode, command.trigger) == (
        CRASH,
        True,
        Mode.LIVE,
        Trigger.AUTOMATIC,
    )
    assert (command.format, command.findings, kept.tenant, kept.received_at) == (
        "application/cloudevents+json",
        (),
        "acme",
        NOW,
    )
    told = b"acme\0/oem/acme/tcu/4f2a\x0001JX0000000000000000000000"
    assert kept.receipt == hmac.new(SECRET, told, hashlib.sha256).digest()
    assert command.report_digest == Receipts(SECRET).report_digest(CRASH) != hashlib.sha256(CRASH).hexdigest()


async def test_a_repeat_is_answered_with_the_same_incident(client: Client, reception: MemoryReception) -> None:
    _, first = await post(client, CRASH)
    status, second = await post(client, CRASH.replace(b'"sequence": 1', b'"sequence": 2'))

    assert (status, second["incident"], len(reception.opened)) == (200, first["incident"], 1)


async def test_concurrent_duplicates_open_one_incident(client: Client, reception: MemoryReception) -> None:
    answers = await asyncio.gather(*(post(client, CRASH) for _ in range(24)))

    assert sorted(status for status, _ in answers) == [200] * 23 + [202]
    assert len({answer["incident"] for _, answer in answers}) == len(reception.opened) == 1


async def test_the_same_nameless_press_from_two_addresses_is_two_incidents(reception: MemoryReception) -> None:
    press = b'{"type": "jp.example.sos.manual.v1", "data": {"trigger": "manual"}}'
    opened: list[str] = []
    async with TestServer(application(reception)) as server:
        for address in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
            connector = aiohttp.TCPConnector(local_addr=(address, 0))
            url = server.make_url("/v1/events")
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.post(url, data=press, headers=HEADERS) as answer,
            ):
                opened.append((await answer.json())["incident"])

    assert opened[0] == opened[2] != opened[1]


async def test_the_same_event_of_another_tenant_is_another_incident(client: Client, reception: MemoryReception) -> None:
    await post(client, CRASH)
    status, _ = await post(client, CRASH, Authorization="Bearer drill-key")

    assert (status, len(reception.opened), reception.last.mode) == (202, 2, Mode.DRILL)


async def test_a_test_call_stays_a_test_even_in_a_drill(client: Client, reception: MemoryReception) -> None:
    await post(client, (WIRE / "test_call.json").read_bytes(), Authorization="Bearer drill-key")

    assert reception.last.mode is Mode.TEST


async def test_a_damaged_report_opens_an_incident_and_says_what_is_wrong(
    client: Client, reception: MemoryReception
) -> None:
    body = (WIRE / "truncated.json").read_bytes()

    status, answer = await post(client, body)
    again, repeat = await post(client, body)

    assert status == 202
    assert answer["problems"] == [
        {
            "type": "urn:problem-type:sos:not-json",
            "title": "Damaged JSON",
            "status": 202,
            "detail": "The bytes were kept as received; an operator was told.",
            "field": "$",
        }
    ]
    assert (reception.last.readable, reception.last.report) == (False, body)
    assert (again, repeat["incident"], len(reception.opened)) == (200, answer["incident"], 1)


async def test_the_idempotency_key_names_a_report_that_has_no_name(client: Client, reception: MemoryReception) -> None:
    body = (WIRE / "no_envelope.json").read_bytes()
    other = body.replace(b"62.0", b"63.0")

    first = await post(client, body, Idempotency_Key="k1")
    second = await post(client, other, Idempotency_Key="k1")
    third = await post(client, other, Idempotency_Key="k2")
    fourth = await post(client, other)

    assert [status for status, _ in (first, second, third, fourth)] == [202, 200, 202, 202]
    assert len(reception.opened) == 3


async def test_the_events_own_name_outranks_the_idempotency_key(client: Client, reception: MemoryReception) -> None:
    await post(client, CRASH, Idempotency_Key="k1")
    status, _ = await post(client, CRASH, Idempotency_Key="k2")

    assert (status, len(reception.opened)) == (200, 1)


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/cloudevents+json; charset=utf-8", "Application/JSON"]
)
async def test_every_way_to_say_json_is_understood(client: Client, reception: MemoryReception, media_type: str) -> None:
    status, answer = await post(client, CRASH, Content_Type=media_type)

    assert (status, "problems" in answer) == (202, False)


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/octet-stream", "nonsense;;;"])
async def test_a_wrong_content_type_does_not_cost_an_emergency(
    client: Client, reception: MemoryReception, media_type: str
) -> None:
    status, answer = await post(client, CRASH, Content_Type=media_type)

    assert (status, answer["problems"][0]["type"]) == (202, "urn:problem-type:sos:content-type")
    assert reception.last.format == "application/cloudevents+json"


@pytest.mark.parametrize(
    ("body", "headers", "status", "field"),
    [
        (b"", {}, 400, "$"),
        (b"hello", {}, 400, "$"),
        (b"{}", {}, 400, "$.type"),
        (b"[1,2]", {}, 400, "$.type"),
        (b'{"type":"com.example.order.v1","data":{}}', {}, 400, "$.type"),
        (b"\xff\xfe\xfd", {}, 400, "$"),
        (b"<xml/>", {"Content_Type": "application/xml"}, 415, "Content-Type"),
        (b"a=b", {"Content_Type": "application/x-www-form-urlencoded"}, 415, "Content-Type"),
        (b"x" * (MAX_BODY_BYTES + 1), {}, 413, "$"),
        (b"not gzip", {"Content_Encoding": "gzip"}, 400, "$"),
        (CRASH, {"Authorization": ""}, 401, None),
        (CRASH, {"Authorization": "Bearer"}, 401, None),
        (CRASH, {"Authorization": "Bearer wrong"}, 401, None),
        (CRASH, {"Authorization": "Basic YTpi"}, 401, None),
        (CRASH, {"Authorization": "Bearer 鍵"}, 401, None),
    ],
)
async def test_what_is_no_emergency_or_nobodys_is_a_problem(
    client: Client, reception: MemoryReception, *, body: bytes, headers: dict[str, str], status: int, field: str | None
) -> None:
    told, answer = await post(client, body, **headers)

    assert (told, answer.get("field")) == (status, field)
    assert answer["detail"]
    assert answer["instance"].startswith("urn:uuid:")
    assert reception.opened == []


async def test_an_oversize_emergency_is_kept_as_far_as_we_read(client: Client, reception: MemoryReception) -> None:
    body = CRASH.replace(b'"ACME"', b'"' + b"A" * MAX_BODY_BYTES + b'"')

    status, answer = await post(client, body)

    assert (status, answer["problems"][0]["type"]) == (202, "urn:problem-type:sos:oversize")
    assert (reception.last.report, reception.last.readable) == (body[:MAX_BODY_BYTES], False)


async def test_a_body_of_exactly_the_limit_is_read(client: Client, reception: MemoryReception) -> None:
    body = CRASH.rstrip() + b" " * (MAX_BODY_BYTES - len(CRASH.rstrip()))

    status, answer = await post(client, body)

    assert (status, len(body), "problems" in answer) == (202, MAX_BODY_BYTES, False)


async def test_a_compressed_report_is_read(client: Client, reception: MemoryReception) -> None:
    status, _ = await post(client, gzip.compress(CRASH), Content_Encoding="gzip")

    assert (status, reception.last.report) == (202, CRASH)


async def test_a_report_that_arrives_in_pieces_is_whole(client: Client, reception: MemoryReception) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(CRASH), 100):
            yield CRASH[start : start + 100]
            await SystemClock().wait(timedelta())

    async with client.post("/v1/events", data=pieces(), headers=HEADERS) as response:
        assert response.status == 202
    assert reception.last.report == CRASH


async def test_a_connection_that_dies_amid_the_report_leaves_an_incident(reception: MemoryReception) -> None:
    runner = web.AppRunner(application(reception))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, writer = await asyncio.open_connection(*runner.addresses[0][:2])
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acme-key\r\nContent-Length: {len(CRASH)}\r\n\r\n"
    )

    writer.write(head.encode() + CRASH[:600])
    await writer.drain()
    writer.close()
    async with asyncio.timeout(60):
        await reception.kept.wait()
    await runner.cleanup()

    assert (reception.last.report, reception.last.readable) == (CRASH[:600], False)
    assert reception.last.findings == ("cut_off:$", "content_type:$")


async def test_a_report_that_stalls_is_taken_as_far_as_it_came(reception: MemoryReception) -> None:
    never = asyncio.Event()

    async def stalling(start: bytes) -> AsyncIterator[bytes]:
        yield start
        await never.wait()

    async with TestClient(TestServer(application(reception, body_timeout_s=0.05))) as client:
        async with client.post("/v1/events", data=stalling(CRASH[:600]), headers=HEADERS) as response:
            taken = response.status, (await response.json())["problems"][0]["title"]
        async with client.post("/v1/events", data=stalling(b"hello"), headers=HEADERS) as response:
            refused = response.status
        never.set()

    assert (taken, refused, len(reception.opened)) == ((202, "Too slow"), 408, 1)


async def test_when_nothing_can_be_kept_nothing_is_acknowledged(client: Client, reception: MemoryReception) -> None:
    reception.failing.append(Unavailable("Neither the database nor the spool can keep the report; send it again."))

    async with client.post("/v1/events", data=CRASH, headers=HEADERS) as response:
        answer = await response.json(content_type=None)
        told = response.status, response.headers["Retry-After"], response.content_type, answer["type"]
    status, _ = await post(client, CRASH)

    assert told == (503, "1", "application/problem+json", "urn:problem-type:sos:unavailable")
    assert status == 202


async def test_an_unexpected_failure_on_the_way_is_taken_as_a_report_that_nobody_could_read(
    client: Client, reception: MemoryReception
) -> None:
    reception.failing.append(RuntimeError("secret detail of the inside"))

    status, answer = await post(client, CRASH)

    assert (status, reception.last.readable, reception.last.report) == (202, False, CRASH)
    assert "secret" not in json.dumps(answer)


@pytest.mark.parametrize("odd", [Refused("no such step"), Conflict("at once"), SosError("odd")])
async def test_a_fault_of_ours_is_never_told_as_the_senders(
    client: Client, reception: MemoryReception, odd: SosError
) -> None:
    reception.failing.append(odd)

    status, _ = await post(client, CRASH)

    assert (status, reception.last.readable) == (202, False)


async def test_a_failure_in_telling_several_reports_apart_is_one_that_nobody_could_read(
    reception: MemoryReception,
) -> None:
    def failing(_: bytes) -> tuple[bytes, ...]:
        raise LookupError("secret detail of the inside")

    acceptance, credentials = Acceptance(reception, Receipts(SECRET), Recent()), Credentials(KEYS)
    endpoint = EventEndpoint(acceptance, credentials, ManualClock(NOW), body_timeout_s=BODY_TIMEOUT_S, split=failing)
    app = web.Application(middlewares=[problems_middleware])
    app.router.add_post("/v1/events", endpoint.post)
    batch = b"[" + CRASH + b"," + CRASH + b"]"

    with capture_logs() as logs:
        async with TestClient(TestServer(app)) as client:
            first = await post(client, batch)
            again = await post(client, batch)

    assert (first[0], again[0], again[1]["incident"]) == (202, 200, first[1]["incident"])
    assert [(each.command.report, each.command.readable) for each in reception.opened] == [(batch, False)]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["body_not_split"] * 2
    assert "secret" not in str(logs)


async def test_an_unexpected_failure_shows_only_its_id(client: Client, reception: MemoryReception) -> None:
    reception.failing += [RuntimeError("secret detail of the inside")] * 2  # and it cannot be kept unread either

    status, answer = await post(client, CRASH)

    assert status == 500
    assert answer["instance"].startswith("urn:uuid:")
    assert "secret" not in json.dumps(answer)


async def test_a_missing_route_and_method_are_problems_too(client: Client) -> None:
    async with client.get("/v1/events") as wrong_method, client.get("/nowhere") as nowhere:
        assert (wrong_method.status, wrong_method.headers["Allow"]) == (405, "POST")
        assert wrong_method.content_type == nowhere.content_type == "application/problem+json"
        assert nowhere.status == 404


async def test_damaged_reports_get_only_documented_answers(client: Client, reception: MemoryReception) -> None:
    dice = random.Random(7)
    statuses = set()

    for _ in range(400):
        body = bytearray(CRASH)
        for _ in range(dice.randint(1, 4)):
            body[dice.randrange(len(body))] = dice.randrange(256)
        status, answer = await post(client, bytes(body))
        statuses.add(status)
        assert answer["incident"]

    assert statuses <= {200, 202}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("no"), 409),
        (Forbidden("no"), 403),
        (Unknown("no"), 404),
        (Conflict("again"), 409),
        (Unavailable("later"), 503),
        (Misconfigured("SOS_X"), 500),
        (SosError("odd"), 500),
    ],
)
def test_every_error_family_has_its_status(error: SosError, status: int) -> None:
    told = problem(error)

    assert told.status == status
    assert (told.detail is None) == (status == 500)


def test_a_tenant_that_would_spoil_a_urn_is_refused() -> None:
    for domain in ("", 'a"b', "Upper.example", "a b"):
        with pytest.raises(Misconfigured, match="domain"):
            Tenant(id=TenantId("x"), domain=domain)


ODD = {
    "vehicle_placeholder": {"vehicle": {"id": {"scheme": "vin", "value": "0" * 17}}},
    "vin_illegal": {"vehicle": {"id": {"scheme": "vin", "value": "JTMZZ3TESTEC0000O"}}},
    "event_time_impossible": {"eventTime": "1970-01-01T00:00:00Z"},
    "fix_time_impossible": {"location": {"latitude": 35.68, "longitude": 139.76, "timestamp": "2006-05-01T00:00:00Z"}},
    "position_impossible": {"location": {"latitude": 0.0, "longitude": 0.0}},
    "location_swapped": {"location": {"latitude": 139.76, "longitude": 35.68}},
    "tel_not_dialable": {"callback": {"tel": "119"}},
    "tel_withheld": {"callback": {"tel": "+266696687"}},
}


@pytest.mark.parametrize("code", ODD)
async def test_what_cannot_be_is_told_in_the_answer(client: Client, reception: MemoryReception, code: str) -> None:
    event = json.loads(CRASH)
    event["data"] |= ODD[code]

    async with client.post("/v1/events", data=json.dumps(event), headers=HEADERS) as answer:
        told = {problem["type"].rpartition("/")[2]: problem for problem in (await answer.json())["problems"]}

    assert answer.status == 202
    assert code.replace("_", "-") in {each.rpartition(":")[2] for each in told}
    assert any(finding.startswith(f"{code}:") for finding in reception.last.findings)
