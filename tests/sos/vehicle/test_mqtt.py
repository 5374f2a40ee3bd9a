"""A car on a broker believes the service and not the broker: it publishes again until it is answered."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt
import pytest

from sos.clock import SystemClock
from sos.vehicle.mqtt import MqttSender
from sos.vehicle.report import Car, NotAccepted, Patience, crash
from tests.sos.intake.brokers import BrokerProcess

TOPIC = "sos/v1/acme/vin:JTMZZ3TESTEC00001"
ACK = {"command": "ack", "incident": "i-1", "urn": "urn:x", "durability": "committed"}
EVENT = crash(Car(), at=datetime(2026, 1, 1, 9, 0, tzinfo=UTC), seed=1)
SOON = Patience(attempts=20, answer_within=timedelta(seconds=0.5))


@asynccontextmanager
async def answering(directory: Path, *answers: Sequence[object]) -> AsyncIterator[tuple[MqttSender, list[bytes]]]:
    """A car, and what came from it: each report is answered with the next of ``answers``, each of which is several."""
    came: list[bytes] = []

    async def serve(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            came.append(bytes(message.payload))  # type: ignore[arg-type]
            for answer in answers[min(len(came), len(answers)) - 1]:
                await client.publish(f"{TOPIC}/command", json.dumps(answer), qos=1)

    async with BrokerProcess("amqtt", directory) as broker, aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("sos/v1/acme/+/event", qos=1)
        serving = asyncio.create_task(serve(client))
        async with MqttSender(broker.url, tenant="acme", clock=SystemClock(), version=4, patience=SOON) as car:
            yield car, came
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_a_report_that_nobody_answers_is_published_again_until_it_is_taken(tmp_path: Path) -> None:
    async with answering(tmp_path, (), (ACK,)) as (car, came):
        taken = await car.send(EVENT, vehicle="vin:JTMZZ3TESTEC00001")

    assert (taken.incident, taken.durability, taken.voice) == ("i-1", "committed", "/v1/incidents/i-1/voice")
    assert taken.attempts >= 2
    assert set(came) == {EVENT.body}


async def test_a_refusal_ends_it_and_what_is_no_answer_is_passed_over(tmp_path: Path) -> None:
    wish = {"command": "callBack", "incident": "i-1"}
    async with answering(tmp_path, ("no document", wish, {"command": "refused", "detail": "too old"})) as (car, _):
        with pytest.raises(NotAccepted, match="too old"):
            await car.send(EVENT, vehicle="vin:JTMZZ3TESTEC00001")

        assert [each.command for each in car.commands] == ["callBack"]
