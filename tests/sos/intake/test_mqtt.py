"""The MQTT door on a real broker: what a vehicle is told, what is quarantined, what comes down."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import SystemClock
from sos.formats import msd
from sos.incident.commands import AnswerVehicle
from sos.incident.model import AnswerAction, AnswerId, State, TenantId
from sos.incident.report import Vehicle
from sos.intake.configured import Intake
from sos.intake.mqtt import address, media_type
from sos.intake.reader import Filer
from sos.intake.tenants import Tenant
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.readers import Follower, Reader
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.settings import Settings, TenantSettings
from sos.vehicle.report import Car, crash
from tests.sos.intake.brokers import BrokerProcess
from tests.sos.intake.test_mqtt_outages import BROKERS, needs

_MOMENT = timedelta(milliseconds=20)
VIN = "JTMZZ3TESTEC00001"
TOPIC = f"sos/v1/acme/vin:{VIN}"
CRASH = crash(Car(vin=VIN), at=datetime(2026, 1, 1, 9, tzinfo=UTC), seed=1).body


class Fleet:
    """A car's client and the house behind the broker."""

    def __init__(self, client: aiomqtt.Client, journal: Journal, *, five: bool) -> None:
        self.client, self.journal, self.five = client, journal, five

    async def publish(self, topic: str, payload: bytes, **more: Any) -> None:
        properties = None
        if self.five:
            properties = Properties(PacketTypes.PUBLISH)
            for name, value in more.items():
                setattr(properties, name, value)
        await self.client.publish(topic, payload, qos=1, properties=properties)

    async def heard(self) -> tuple[str, dict[str, Any], aiomqtt.Message]:
        async with asyncio.timeout(60):
            message = await anext(self.client.messages)
        return message.topic.value, json.loads(message.payload), message


@asynccontextmanager
async def fleet(
    tmp_path: Path, kind: str, version: int, *, files: bool = True, kept: Mapping[str, bytes] = MappingProxyType({})
) -> AsyncIterator[Fleet]:
    """With ``files`` false nobody takes the reports apart; ``kept`` is retained by vehicle before the house comes."""
    needs(kind)
    async with BrokerProcess(kind, tmp_path / "broker") as broker:
        settings = Settings(
            data_dir=str(tmp_path / "house"),
            mqtt_url=broker.url,
            mqtt_version=version,
            tenants=(
                TenantSettings(id="acme", domain="acme.example", mqtt=True),
                TenantSettings(id="http-only", domain="http.example"),
            ),
        )
        keys, clock = KeyStore(tmp_path / "keys"), SystemClock()
        async with SqliteStore(tmp_path / "journal.db") as store:
            await upgrade(store.engine)
            async with Journal(store, keys, Spool(tmp_path / "spool", keys.secret("spool")), clock=clock) as journal:
                intake = Intake.of(settings, journal, keys, store)
                assert intake.mqtt is not None
                filing = Follower(Reader(name="filer", handle=Filer(journal).handle), store, clock=clock)
                works = (intake.mqtt.serve, filing.run) if files else (intake.mqtt.serve,)
                protocol = aiomqtt.ProtocolVersion.V5 if version == 5 else aiomqtt.ProtocolVersion.V311
                async with aiomqtt.Client("127.0.0.1", broker.port, protocol=protocol) as client:
                    await client.subscribe("sos/v1/acme/+/command", qos=1)
                    await client.subscribe("sos/v1/acme/answers", qos=1)
                    for name, payload in kept.items():
                        await client.publish(f"sos/v1/acme/{name}/event", payload, qos=1, retain=True)
                    tasks = [asyncio.create_task(work()) for work in works]
                    await intake.mqtt.connected.wait()
                    yield Fleet(client, journal, five=version == 5)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(("kind", "version"), BROKERS)
async def test_a_report_is_acknowledged_with_its_incident_and_a_repeat_with_the_same(
    tmp_path: Path, kind: str, version: int
) -> None:
    async with fleet(tmp_path, kind, version) as cars:
        await cars.publish(f"{TOPIC}/event", CRASH)
        topic, first, _ = await cars.heard()
        await cars.publish(f"{TOPIC}/event", CRASH)
        _, second, _ = await cars.heard()
        state = await cars.journal.state(first["incident"])

    assert topic == f"{TOPIC}/command"
    assert (first["command"], first["received"], first["durability"], first["repeat"]) == (
        "ack",
        True,
        "committed",
        False,
    )
    assert first["urn"].startswith("urn:emergency:uid:incidentid:")
    assert (second["incident"], second["repeat"]) == (first["incident"], True)
    assert state.tenant == "acme"


@pytest.mark.parametrize(("kind", "version"), BROKERS)
@pytest.mark.parametrize("payload", [b"\xff\x00 nonsense", b'{"type":"com.exa', b"help"])
async def test_what_nobody_can_read_is_an_incident_of_the_vehicle_that_the_topic_names(
    tmp_path: Path, kind: str, version: int, payload: bytes
) -> None:
    async with fleet(tmp_path, kind, version) as cars:
        await cars.publish(f"{TOPIC}/event", payload)
        _, told, _ = await cars.heard()
        state = await cars.journal.state(told["incident"])
        parts = await cars.journal.unseal(told["incident"], (Category.RAW, Category.VEH))

    assert "unreadable_report" in state.flags
    by_category = {part.category: part.payload for part in parts}
    assert by_category[Category.RAW] == payload
    assert json.loads(by_category[Category.VEH]) == {"idScheme": "vin", "idValue": VIN}
    assert told["problems"]


WILLS = (b"", b"offline", b"{}", '{"state":"切断"}'.encode(), b'{"type":"heartbeat","seq":7}', b"\xef\xbb\xbfonline\0")


@pytest.mark.parametrize(("kind", "version"), BROKERS)
async def test_what_is_plainly_no_report_opens_nothing_and_stops_nothing(
    tmp_path: Path, kind: str, version: int
) -> None:
    async with fleet(tmp_path, kind, version) as cars:
        for payload in WILLS:
            await cars.publish(f"{TOPIC}/event", payload)
            _, told, _ = await cars.heard()
            assert told["command"] == "refused"
        await cars.publish(f"{TOPIC}/event", CRASH)
        _, told, _ = await cars.heard()
        total, _ = await cars.journal.queue(limit=10, states=list(State))

    assert (told["command"], total) == ("ack", 1)


@pytest.mark.parametrize(("kind", "version"), BROKERS)
async def test_what_the_broker_kept_opens_nothing_unless_it_says_that_it_is_fresh(
    tmp_path: Path, kind: str, version: int
) -> None:
    now = datetime.now(UTC)
    kept = {
        "old": crash(Car(vin=VIN), at=now - timedelta(hours=3), seed=1).body,
        "nameless": b'{"type":"jp.example.sos.manual.v1","data":{"trigger":"manual"}}',
        "unreadable": b"\xff\x00",
        "cleared": b"",
        "fresh": crash(Car(vin=VIN), at=now, seed=2).body,
    }
    async with fleet(tmp_path, kind, version, kept=kept) as cars:
        answers = {}
        for _ in range(4):
            topic, told, _ = await cars.heard()
            answers[topic.split("/")[3]] = told
        total, incidents = await cars.journal.queue(limit=10, states=list(State))

    assert {name: told["command"] for name, told in answers.items()} == {
        "old": "refused",
        "nameless": "refused",
        "unreadable": "refused",
        "fresh": "ack",
    }
    assert total == 1
    assert {"retained", "implausible_report"} <= set(incidents[0].flags)


async def test_another_vehicle_than_the_topic_names_is_flagged_and_taken(tmp_path: Path) -> None:
    async with fleet(tmp_path, "amqtt", 4) as cars:
        await cars.publish("sos/v1/acme/vin:JTMZZ3TESTEC99999/event", CRASH)
        _, told, _ = await cars.heard()
        state = await cars.journal.state(told["incident"])

    assert "vehicle_mismatch" in state.flags


async def test_a_topic_of_nobody_opens_nothing_and_stops_nothing(tmp_path: Path) -> None:
    async with fleet(tmp_path, "amqtt", 4) as cars:
        for topic in ("sos/v1/nobody/vin:X/event", "sos/v1/http-only/vin:X/event"):
            await cars.publish(topic, CRASH)
        await cars.publish(f"{TOPIC}/event", CRASH)
        await cars.heard()
        total, _ = await cars.journal.queue(limit=10, states=list(State))

    assert total == 1


@pytest.mark.parametrize(("kind", "version"), BROKERS)
async def test_what_the_operator_wants_comes_down(tmp_path: Path, kind: str, version: int) -> None:
    async with fleet(tmp_path, kind, version) as cars:
        await cars.publish(f"{TOPIC}/event", CRASH)
        _, ack, _ = await cars.heard()
        order = AnswerVehicle(answer=AnswerId("answer-1"), action=AnswerAction.REQUEST_DATA)
        await cars.journal.execute(ack["incident"], order, actor="operator:hanako")
        topic, told, _ = await cars.heard()
        async with asyncio.timeout(60):
            while (await cars.journal.state(ack["incident"])).answers[0].delivered is None:
                await SystemClock().wait(_MOMENT)

    assert topic == f"{TOPIC}/command"
    assert (told["command"], told["incident"], told["id"]) == ("requestData", ack["incident"], "answer-1")


@pytest.mark.parametrize("name", [f"vin:{VIN}", f"vin:{VIN.lower()}", "vin:JTMZZ3TESTEC99999", "4f2a", "oem_id:4f2a"])
async def test_an_order_goes_to_the_name_that_the_vehicle_reports_under_though_nothing_is_filed_yet(
    tmp_path: Path, name: str
) -> None:
    async with fleet(tmp_path, "amqtt", 4, files=False) as cars:
        await cars.publish(f"sos/v1/acme/{name}/event", CRASH)
        _, ack, _ = await cars.heard()
        order = AnswerVehicle(answer=AnswerId("answer-1"), action=AnswerAction.CALL_BACK)
        await cars.journal.execute(ack["incident"], order, actor="operator:hanako")
        to = [(await cars.heard())[0]]
        if "4f2a" in name:
            to.append((await cars.heard())[0])

    assert f"sos/v1/acme/{name}/command" in to


async def test_with_mqtt_5_the_answer_goes_where_the_vehicle_asks_and_names_its_question(tmp_path: Path) -> None:
    async with fleet(tmp_path, "mosquitto", 5) as cars:
        await cars.publish(f"{TOPIC}/event", CRASH, ResponseTopic="sos/v1/acme/answers", CorrelationData=b"question 7")
        topic, told, message = await cars.heard()
        await cars.publish(f"{TOPIC}/event", CRASH, ResponseTopic="sos/v1/bravo/answers")
        elsewhere, _, _ = await cars.heard()

    assert (topic, told["command"], message.properties.CorrelationData) == ("sos/v1/acme/answers", "ack", b"question 7")
    assert elsewhere == f"{TOPIC}/command"


@pytest.mark.parametrize(
    ("payload", "declared", "expected"),
    [
        (b' {"a":1}', None, "application/cloudevents+json"),
        (b"<x/>", None, "application/EmergencyCallData.VEDS+xml"),
        (b"\x02\x1f", None, msd.MEDIA_TYPE),
        (b"{}", msd.MEDIA_TYPE, msd.MEDIA_TYPE),
    ],
)
def test_without_a_content_type_the_first_octet_tells(payload: bytes, declared: str | None, expected: str) -> None:
    assert media_type(payload, declared) == expected


def test_a_topic_names_tenant_and_vehicle() -> None:
    acme = Tenant(id=TenantId("acme"), domain="acme.example")
    tenants = {acme.id: acme}

    known = address("sos/v1/acme/jp_frame:NZE121-0123456/event", tenants)
    bare = address("sos/v1/acme/4f2a/event", tenants)

    assert known is not None
    assert bare is not None
    assert known.vehicle == Vehicle(id_scheme="jp_frame", id_value="NZE121-0123456")
    assert known.command == "sos/v1/acme/jp_frame:NZE121-0123456/command"
    assert (bare.vehicle, bare.command) == (Vehicle(id_scheme="oem_id", id_value="4f2a"), "sos/v1/acme/4f2a/command")
    for stranger in ("sos/v1/bravo/x/event", "sos/v2/acme/x/event", "sos/v1/acme/event", "sos/v1/acme/x/y/event"):
        assert address(stranger, tenants) is None
