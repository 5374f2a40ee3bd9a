"""Two thousand reports over MQTT while the broker restarts and the service is killed: each is one incident."""

import asyncio
import signal
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sos.clock import SystemClock
from sos.incident.model import State
from sos.journal.sqlite import SqliteStore
from sos.vehicle.mqtt import MqttSender
from sos.vehicle.report import Car, Patience, Taken, crash
from tests.house import ROOT
from tests.sos.intake.brokers import MOSQUITTO, BrokerProcess

MESSAGES = 2000
CRASHED_AT = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
STUBBORN = Patience(attempts=60, answer_within=timedelta(seconds=5))

BROKERS = [
    pytest.param("amqtt", 4, id="amqtt-3.1.1"),
    pytest.param("mosquitto", 4, id="mosquitto-3.1.1"),
    pytest.param("mosquitto", 5, id="mosquitto-5"),
]


def needs(kind: str) -> None:
    if kind == "mosquitto" and MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (Debian package mosquitto)")


class MqttHouse:
    def __init__(self, directory: Path, url: str, version: int) -> None:
        self._arguments = (str(directory), url, str(version))

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.sos.intake.mqtt_house", *self._arguments, cwd=ROOT
        )

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        await self.process.wait()


@pytest.mark.parametrize(("kind", "version"), BROKERS)
async def test_every_report_is_one_incident_although_the_broker_restarts_and_the_service_is_killed(
    tmp_path: Path, kind: str, version: int
) -> None:
    needs(kind)
    answers: list[tuple[str, Taken]] = []
    async with BrokerProcess(kind, tmp_path / "broker") as broker:
        house = MqttHouse(tmp_path / "house", broker.url, version)
        (tmp_path / "house").mkdir()
        await house.start()
        async with MqttSender(
            broker.url, tenant="acme", clock=SystemClock(), version=version, patience=STUBBORN
        ) as fleet:
            sending = asyncio.create_task(_send_all(fleet, answers))
            await _until(lambda: len(answers) >= MESSAGES // 4, sending)
            await broker.kill(signal.SIGTERM)
            await broker.start()
            await _until(lambda: len(answers) >= MESSAGES // 2, sending)
            await house.kill()
            await house.start()
            await sending
        await house.kill(signal.SIGKILL)

    acknowledged = {vin: taken.incident for vin, taken in answers}
    opened = await _incidents(tmp_path / "house" / "journal.db")
    assert len(acknowledged) == MESSAGES
    assert set(acknowledged.values()) == set(opened)
    assert Counter(opened).most_common(1)[0][1] == 1
    assert len(opened) == MESSAGES


async def _send_all(fleet: MqttSender, answers: list[tuple[str, Taken]]) -> None:
    numbers = iter(range(MESSAGES))

    async def worker() -> None:
        for number in numbers:
            car = Car(vin=f"JTMZZ3TEST{number:07d}")
            event = crash(car, at=CRASHED_AT, seed=number)
            answers.append((car.vin, await fleet.send(event, vehicle=f"vin:{car.vin}")))

    async with asyncio.timeout(240):
        await asyncio.gather(*(worker() for _ in range(64)))


async def _until(reached, sending: "asyncio.Task[None]") -> None:
    while not reached() and not sending.done():
        await SystemClock().wait(timedelta(milliseconds=20))


async def _incidents(path: Path) -> list[str]:
    async with SqliteStore(path) as store:
        _, snapshots = await store.queue(limit=10 * MESSAGES, states=list(State))
        found: list[str] = []
        position = 0
        while batch := await store.positioned(position, limit=1000):
            found += [each.incident for each in batch if type(each.event).__name__ == "IncidentOpened"]
            position += len(batch)
        assert len(snapshots) == len(found)
        return found
