"""A fault of ours behind the MQTT door: the message is kept unread and acknowledged, and no other one waits on it."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import SystemClock
from sos.incident.model import State
from sos.intake.acceptance import Acceptance, Accepted
from sos.intake.configured import Intake
from sos.intake.mqtt import TRIES, Broker, MqttEndpoint
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.settings import Settings, TenantSettings
from sos.vehicle.report import Car, crash
from tests.sos.intake.brokers import BrokerProcess

POISON = b'{"type":"com.example.sos.manual.v1","data":{"trigger":"manual","crash":{"summary":"poison"}}}'


class Faulty(Acceptance):
    """Fails in a way that nobody foresaw, before anything is kept."""

    tried = 0

    async def take(self, body: bytes, **more: Any) -> Accepted:
        if b"poison" in body:
            self.tried += 1
            raise LookupError("a mistake of ours")
        return await super().take(body, **more)


async def test_what_fails_in_our_own_code_is_kept_unread_and_those_behind_it_are_acknowledged(tmp_path: Path) -> None:
    keys, clock = KeyStore(tmp_path / "keys"), SystemClock()
    async with BrokerProcess("amqtt", tmp_path / "broker") as broker, SqliteStore(tmp_path / "journal.db") as store:
        await upgrade(store.engine)
        settings = Settings(
            data_dir=str(tmp_path / "house"),
            tenants=(TenantSettings(id="acme", domain="acme.example", mqtt=True),),
        )
        async with Journal(store, keys, Spool(tmp_path / "spool", keys.secret("spool")), clock=clock) as journal:
            intake = Intake.of(settings, journal, keys, store)
            faulty = Faulty(journal, Receipts(keys.secret("intake")), Recent())
            endpoint = MqttEndpoint(
                Broker.at(broker.url, version=4),
                acceptance=faulty,
                credentials=intake.credentials,
                tenants=intake.tenants,
                orders=intake.orders,
                journal=journal,
                identifier="faulty",
            )
            task = asyncio.create_task(endpoint.run())
            await endpoint.connected.wait()
            heard = await _heard(broker.port)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            total, found = await journal.queue(limit=9, states=list(State))
            unread = next(each for each in found if "unreadable_report" in each.flags)
            parts = await journal.unseal(unread.id, (Category.RAW,))

    assert faulty.tried == TRIES
    assert {name: told["command"] for name, told in heard.items()} == {"vin:POISON": "ack", "vin:WELL": "ack"}
    assert heard["vin:POISON"]["incident"] == unread.id
    assert (total, [part.payload for part in parts]) == (2, [POISON])


async def _heard(port: int) -> dict[str, dict[str, Any]]:
    """What the two cars are told, by their names."""
    well = crash(Car(vin="JTMZZ3TESTEC00001"), at=datetime.now(UTC), seed=1).body
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V311) as client:
        await client.subscribe("sos/v1/acme/+/command", qos=1)
        await client.publish("sos/v1/acme/vin:POISON/event", POISON, qos=1)
        await client.publish("sos/v1/acme/vin:WELL/event", well, qos=1)
        told: dict[str, dict[str, Any]] = {}
        async with asyncio.timeout(60):
            async for message in client.messages:
                told[message.topic.value.split("/")[3]] = json.loads(message.payload)
                if len(told) == 2:
                    break
    return told
