"""The bindings of CloudEvents: data in Base64, several events in one body, attributes in headers."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sos.incident.model import Trigger
from sos.intake.batch import MOST_EVENTS, attributes, events_of, in_one
from sos.intake.formats import read_report
from sos.intake.simulated import MemoryReception
from tests.sos.intake import field
from tests.sos.intake.test_http import application, post
from tests.sos.intake.test_mqtt import BROKERS, TOPIC, fleet

Client = TestClient[web.Request, web.Application]
BATCH = "application/cloudevents-batch+json"
TWO = [json.loads(field.as_json(vehicle=f"JTMZZ3TESTEC0000{number}", id=f"x{number}")) for number in (1, 2)]


@pytest.fixture
async def reception() -> MemoryReception:
    return MemoryReception()


@pytest.fixture
async def client(reception: MemoryReception) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(reception))) as ready:
        yield ready


def places(reception: MemoryReception) -> list[tuple[float | None, float | None]]:
    """The position of each incident as its filer reads it."""
    reports = [read_report(each.command.report, each.command.format, at=field.NOW) for each in reception.opened]
    return [(report.location.latitude, report.location.longitude) for report in reports]


def with_data(data: Any, name: str = "data_base64") -> bytes:
    event = json.loads(field.as_json())
    del event["data"]
    return json.dumps(event | {name: data}).encode()


DATA = json.dumps(json.loads(field.as_json())["data"]).encode()


@pytest.mark.parametrize(
    "body",
    [
        with_data(b64encode(DATA).decode()),
        with_data(b64encode(b"\xef\xbb\xbf" + DATA).decode()),
        with_data(b64encode(field.as_msd()).decode()),
        with_data(b64encode(field.as_veds()).decode()),
        with_data(DATA.decode(), name="data"),
    ],
    ids=["json", "json with a mark", "msd", "veds", "json as a text"],
)
async def test_data_that_came_as_text_keeps_its_position(
    client: Client, reception: MemoryReception, body: bytes
) -> None:
    status, _ = await post(client, body)

    assert (status, reception.last.readable) == (202, True)
    assert places(reception) == [pytest.approx(field.PLACE, abs=1e-6)]


@pytest.mark.parametrize("body", [with_data("%%%"), with_data(b64encode(b"{").decode())])
async def test_data_that_nobody_understands_is_an_unreadable_incident_and_says_so(
    client: Client, reception: MemoryReception, body: bytes
) -> None:
    status, answer = await post(client, body)

    assert (status, reception.last.readable) == (202, False)
    assert answer["problems"][0]["type"].endswith(":undecodable")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps(TWO).encode(), BATCH),
        (json.dumps(TWO, indent=1).encode(), "application/json"),
        (b"\xef\xbb\xbf" + json.dumps(TWO).encode() + b"\0", BATCH),
        (b"\n".join(json.dumps(each).encode() for each in TWO), "application/x-ndjson"),
        (b"\r\n".join(json.dumps(each).encode() for each in TWO) + b"\r\n", "application/json"),
    ],
)
async def test_a_batch_is_as_many_incidents_as_it_has_events_and_each_has_its_answer(
    client: Client, reception: MemoryReception, body: bytes, content_type: str
) -> None:
    status, answer = await post(client, body, Content_Type=content_type)
    again, repeated = await post(client, body, Content_Type=content_type)

    assert (status, again, len(reception.opened)) == (202, 200, 2)
    assert [each["incident"] for each in answer["events"]] == [each["incident"] for each in repeated["events"]]
    assert len({each["incident"] for each in answer["events"]}) == 2
    assert places(reception) == [pytest.approx(field.PLACE), pytest.approx(field.PLACE)]


async def test_two_nameless_events_of_a_batch_are_two_incidents_under_one_idempotency_key(
    client: Client, reception: MemoryReception
) -> None:
    press = {"type": "jp.example.sos.manual.v1", "data": {"trigger": "manual"}}

    await post(client, json.dumps([press, press]).encode(), Content_Type=BATCH, Idempotency_Key="k")
    await post(client, json.dumps([press, press]).encode(), Content_Type=BATCH, Idempotency_Key="k")

    assert len(reception.opened) == 2


async def test_what_is_no_emergency_in_a_batch_costs_the_others_nothing(
    client: Client, reception: MemoryReception
) -> None:
    status, answer = await post(client, json.dumps([{"order": 1}, TWO[0], 7]).encode(), Content_Type=BATCH)
    none, _ = await post(client, b'[{"order":1},7]', Content_Type=BATCH)

    assert (status, none, len(reception.opened)) == (202, 400, 1)
    assert [sorted(each)[0] for each in answer["events"]] == ["problem", "durability", "problem"]


async def test_a_batch_without_end_is_refused_in_words(client: Client) -> None:
    status, answer = await post(client, b"[" + b"{}," * MOST_EVENTS + b"{}]", Content_Type=BATCH)

    assert (status, answer["detail"]) == (413, "A batch has at most 256 events; send it in pieces.")


async def test_binary_mode_takes_the_attributes_from_the_headers(client: Client, reception: MemoryReception) -> None:
    sent = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/oem/demo/%E8%BB%8A", "ce_type": "jp.x.sos.manual.v1"}
    body = b'{"callback":{"tel":"+819000000001"}}'

    status, _ = await post(client, body, Content_Type="application/json", **sent)
    again, _ = await post(client, body, Content_Type="application/json", **sent)
    other, _ = await post(client, body, Content_Type="application/json", **sent | {"ce_id": "2"})

    assert (status, again, other, len(reception.opened)) == (202, 200, 202, 2)
    command = reception.opened[0].command
    assert (command.readable, command.trigger, command.findings) == (True, Trigger.MANUAL, ())
    assert body in command.report
    assert read_report(command.report, command.format, at=field.NOW).call_back.tel == "+819000000001"


@pytest.mark.parametrize("made", [field.as_msd, field.as_veds])
async def test_binary_mode_carries_octets_and_documents_too(
    client: Client, reception: MemoryReception, made: Any
) -> None:
    sent = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/x", "ce_type": "jp.x.sos.crash.v1"}

    status, _ = await post(client, made(), Content_Type="application/octet-stream", **sent)

    assert (status, reception.last.readable) == (202, True)
    assert places(reception) == [pytest.approx(field.PLACE, abs=1e-6)]


def test_the_headers_of_an_event_that_is_whole_by_itself_add_nothing() -> None:
    assert attributes({"ce-type": "x"}) == {}
    assert json.loads(in_one({"specversion": "1.0", "type": "t"}, b"", ""))["data"] == {}
    assert events_of(field.as_json()) == events_of(b"[") == events_of(b"{}\nhello") == ()


@pytest.mark.parametrize("name", ["ce_data_base64.json", "ce_batch_two_cars.json"])
async def test_the_field_s_bindings_are_read(client: Client, reception: MemoryReception, name: str) -> None:
    body = field.sample(name)

    status, _ = await post(client, body, Content_Type=BATCH if "batch" in name else "application/cloudevents+json")

    assert status == 202
    assert len(reception.opened) == (2 if "batch" in name else 1)
    assert None not in [latitude for latitude, _ in places(reception)]


async def test_the_field_s_binary_mode_is_read(client: Client, reception: MemoryReception) -> None:
    head, _, body = field.sample("ce_binary_mode_manual.http").replace(b"\r\n", b"\n").partition(b"\n\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:])
    sent = {name.replace("-", "_"): value for name, value in headers.items() if name.startswith("ce-")}

    status, _ = await post(client, body.strip(), Content_Type="application/json", **sent)

    assert (status, reception.last.readable, reception.last.trigger) == (202, True, Trigger.MANUAL)


@pytest.mark.parametrize(("kind", "version"), BROKERS)
async def test_a_batch_over_mqtt_is_answered_event_by_event(tmp_path: Path, kind: str, version: int) -> None:
    async with fleet(tmp_path, kind, version) as cars:
        await cars.publish(f"{TOPIC}/event", b"\xef\xbb\xbf" + json.dumps(TWO).encode())
        told = [(await cars.heard())[1] for _ in TWO]

    assert len({each["incident"] for each in told}) == 2
