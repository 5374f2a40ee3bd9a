"""A car, or a brand's whole fleet, that reports over MQTT: publishes again and again until the service acknowledges.

The broker's own acknowledgement (PUBACK) only says that the broker has it; the car believes ``ack`` on its command
topic.  Like ``report`` it shares no code with the reading side.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from sos.clock import Clock
from sos.vehicle.report import USUAL, NotAccepted, Patience, Taken, VehicleEvent

AT_ONCE = 32
"""Publishes under way at most: a broker's usual receive maximum."""


class _Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    command: str
    incident: str = ""
    urn: str = ""
    durability: str = ""
    repeat: bool = False
    detail: str = ""
    text: str = ""
    problems: tuple[dict[str, Any], ...] = ()


_documents = msgspec.json.Decoder(_Acknowledged)


class MqttSender:
    """Publishes events of one tenant's vehicles.  ``async with`` connects, and connects again when that is lost."""

    def __init__(
        self,
        url: str,
        *,
        tenant: str,
        clock: Clock,
        version: int = 5,
        patience: Patience = USUAL,
        password: str | None = None,
    ) -> None:
        """``url`` is ``mqtt://[user@]host[:port]``; ``version`` 5, or 4 for MQTT 3.1.1."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 1883
        self._user, self._password = parts.username, password
        self._tenant = tenant
        self._clock = clock
        self._patience = patience
        self._five = version == 5
        self._client: aiomqtt.Client | None = None
        self._connected = asyncio.Event()
        self._answers: dict[str, asyncio.Future[_Acknowledged]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._following: asyncio.Task[None] | None = None
        self.commands: list[_Acknowledged] = []
        """What came down besides acknowledgements: the operator's requests and messages."""

    async def __aenter__(self) -> "MqttSender":
        self._following = asyncio.create_task(self._follow(), name="mqtt-car")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def send(self, event: VehicleEvent, *, vehicle: str) -> Taken:
        """The acknowledgement of ``event`` of ``vehicle`` (``scheme:value``).

        ``NotAccepted`` when it was refused or patience ran out.
        """
        topic = f"sos/v1/{self._tenant}/{vehicle}"
        for attempt in range(1, self._patience.attempts + 1):
            answer = self._answers.setdefault(f"{topic}/command", asyncio.get_running_loop().create_future())
            await self._connected.wait()
            async with self._slots:
                with suppress(aiomqtt.MqttError):
                    await self._publish(f"{topic}/event", event.body)
            try:
                async with asyncio.timeout(self._patience.answer_within.total_seconds()):
                    told = await asyncio.shield(answer)
            except TimeoutError:
                continue
            del self._answers[f"{topic}/command"]
            if told.command == "refused":
                raise NotAccepted(f"refused: {told.detail}", status=None, problem={})
            return Taken(
                incident=told.incident,
                urn=told.urn,
                durability=told.durability,
                voice=f"/v1/incidents/{told.incident}/voice",
                problems=told.problems,
                repeat=told.repeat,
                attempts=attempt,
            )
        raise NotAccepted("not acknowledged over MQTT", status=None, problem={})

    async def _publish(self, topic: str, body: bytes) -> None:
        client = self._client
        if client is None:
            raise aiomqtt.MqttError("not connected")
        properties = None
        if self._five:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = "application/cloudevents+json"
        await client.publish(topic, body, qos=1, properties=properties)

    async def _follow(self) -> None:
        while True:
            client = aiomqtt.Client(
                self._host,
                self._port,
                username=self._user,
                password=self._password,
                protocol=aiomqtt.ProtocolVersion.V5 if self._five else aiomqtt.ProtocolVersion.V311,
                timeout=5.0,
            )
            try:
                async with client:
                    client.pending_calls_threshold = 2 * AT_ONCE
                    await client.subscribe(f"sos/v1/{self._tenant}/+/command", qos=1)
                    self._client = client
                    self._connected.set()
                    async for message in client.messages:
                        self._heard(message)
            except aiomqtt.MqttError:
                pass
            finally:
                self._client = None
                self._connected.clear()
            await self._clock.wait(timedelta(milliseconds=200))

    def _heard(self, message: aiomqtt.Message) -> None:
        try:
            told = _documents.decode(message.payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if told.command not in ("ack", "refused"):
            self.commands.append(told)
            return
        waiting = self._answers.get(message.topic.value)
        if waiting is not None and not waiting.done():
            waiting.set_result(told)
