"""The MQTT door (3.1.1 and 5): vehicles publish reports to a broker, and get their answers from it.

Up: ``sos/v1/{oem}/{vehicleKey}/event``, QoS 1, not retained.  Down: ``sos/v1/{oem}/{vehicleKey}/command``, one JSON
object (``ack``, ``refused``, ``requestData``, ``callBack``, ``message``).  With MQTT 5 a sender may name a response
topic of its own tenant and correlation data for the acknowledgement.  ``vehicleKey`` is ``scheme:value``; a bare value
is an ``oem_id``.

The broker is told that a message is received (PUBACK) only after the journal has it, in the order in which messages
came (MQTT 5.0 4.6), and the session is persistent: what was not acknowledged comes again, and is then a repeat.  The
broker binds each client to its tenant's topics; ``ops/decisions/0017`` has the rules for Mosquitto.  A payload that
nobody can read is an incident of unreadable crash data: the topic says that a known tenant's vehicle sent it.  What is
plainly no report (nothing at all, as a retained message is taken back; a last will; a heartbeat) is refused, and so is
what the broker kept, unless it is a readable report of the last hours that says so itself (``acceptance``).
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import msgspec
import structlog
from msgspec import Struct
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from routing.categories import Category
from sos.clock import Clock
from sos.errors import Malformed, Misconfigured, SosError, Unavailable
from sos.incident.events import AnswerGiven, IncidentOpened, Recorded
from sos.incident.model import TenantId
from sos.incident.report import Vehicle
from sos.incident.urns import incident_urn
from sos.intake import batch, formats
from sos.intake.acceptance import Acceptance, Accepted, Came
from sos.intake.auth import Credentials
from sos.intake.findings import MAX_BODY_BYTES, problems
from sos.intake.tenants import Tenant
from sos.intake.vehicle_orders import VehicleOrder, VehicleOrders, delivered
from sos.journal.journal import Journal
from sos.journal.readers import Follower, Reader
from sos.problems import problem

log = structlog.get_logger()

_Taken = asyncio.Queue[tuple[aiomqtt.Message, asyncio.Task[None]]]

TOPICS = "sos/v1/+/+/event"
RECEIVE_MAXIMUM = 256
"""Messages in flight from the broker: four batches of the journal; also what a restart gets again."""

SESSION_EXPIRY_S = 7 * 24 * 3600
"""How long the broker keeps reports for a service that is away: longer than any outage that people work on."""

RECONNECT = timedelta(seconds=1)
RETRY = timedelta(milliseconds=500)
TRIES = 3
"""Of one report that fails in our own code, before it is kept as one that nobody can read."""

PUBLISH_WITHIN_S = 10.0

BARE = "oem_id"
"""What a vehicle key without a scheme is."""

_SCHEMES = frozenset({"vin", "jp_frame", BARE, "plate"})
_vehicle = msgspec.json.Decoder(Vehicle)


class Broker(Struct, frozen=True, kw_only=True):
    """How to reach the broker."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    version: int = 5
    """5, or 4 for MQTT 3.1.1."""

    @classmethod
    def at(cls, url: str, *, password_file: str = "", authorities: str = "", version: int = 5) -> "Broker":
        """From the settings.  ``Misconfigured`` names what is wrong."""
        parts = urlsplit(url)
        if not parts.hostname:
            raise Misconfigured("mqtt_url names no host")
        try:
            password = Path(password_file).read_text().strip() if password_file else None
            tls = ssl.create_default_context(cafile=authorities or None) if parts.scheme == "mqtts" else None
        except OSError as wrong:
            raise Misconfigured(f"mqtt_password_file or mqtt_ca cannot be read ({wrong.strerror})") from wrong
        return cls(
            host=parts.hostname,
            port=parts.port or (8883 if tls else 1883),
            user=parts.username,
            password=password,
            tls=tls,
            version=version,
        )


class Client(aiomqtt.Client):
    """A client with a persistent session that tells the broker itself when a message is done with."""

    def __init__(self, broker: Broker, *, identifier: str) -> None:
        five = broker.version == 5
        super().__init__(
            broker.host,
            broker.port,
            username=broker.user,
            password=broker.password,
            tls_context=broker.tls,
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            clean_start=False if five else MQTT_CLEAN_START_FIRST_ONLY,
            clean_session=None if five else False,
            properties=_connect_properties() if five else None,
            max_inflight_messages=RECEIVE_MAXIMUM,
            timeout=PUBLISH_WITHIN_S,
        )
        self.five = five
        self.pending_calls_threshold = 2 * RECEIVE_MAXIMUM
        self._client.manual_ack_set(True)

    def received(self, message: aiomqtt.Message) -> None:
        """Tell the broker that ``message`` is durable here."""
        self._client.ack(message.mid, message.qos)


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_EXPIRY_S
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    return properties


class Address(Struct, frozen=True, kw_only=True):
    """Whose vehicle a topic names."""

    tenant: Tenant
    vehicle: Vehicle
    """As the topic writes it: topics are compared octet by octet."""
    topic: str
    """Everything before ``/event``."""

    @property
    def command(self) -> str:
        return f"{self.topic}/command"

    def own(self, topic: str) -> bool:
        """Whether an answer may go to ``topic``: it is plain, and of the same tenant."""
        return topic.startswith(f"sos/v1/{self.tenant.id}/") and not {"+", "#"} & set(topic)


def address(topic: str, tenants: Mapping[TenantId, Tenant]) -> Address | None:
    """Who publishes to ``topic``; None when it is no known tenant's."""
    levels = topic.split("/")
    if len(levels) != 5 or levels[:2] != ["sos", "v1"] or levels[4] != "event":
        return None
    tenant = tenants.get(TenantId(levels[2]))
    if tenant is None:
        return None
    scheme, colon, value = levels[3].partition(":")
    if not colon or scheme not in _SCHEMES:
        scheme, value = BARE, levels[3]
    return Address(tenant=tenant, vehicle=Vehicle(id_scheme=scheme, id_value=value), topic=topic.removesuffix("/event"))


def media_type(payload: bytes, declared: str | None) -> str:
    """MQTT 5 names the content type; 3.1.1 cannot, so the content tells the formats apart."""
    return declared or formats.shown(payload)


def _split(message: aiomqtt.Message) -> Sequence[bytes]:
    """As ``_events``; one report when telling them apart fails in our own code."""
    try:
        return _events(message)
    except Exception as bug:  # the edge of one message: it is one report that nobody can read, and no less kept
        log.exception("mqtt_not_split", error=type(bug).__name__)
        return (message.payload,)


def _events(message: aiomqtt.Message) -> Sequence[bytes]:
    """The reports of one message: one, several in a batch, or one whose attributes are its user properties."""
    payload = bytes(message.payload)
    named = batch.attributes(_user(message), prefix="")
    if named and not batch.is_one(payload):
        return (batch.in_one(named, payload, getattr(message.properties, "ContentType", "")),)
    if len(payload) > MAX_BODY_BYTES:
        return (message.payload,)
    try:
        return batch.events_of(payload) or (message.payload,)
    except SosError:  # too many to be told apart: kept as one that nobody can read
        return (message.payload,)


def _user(message: aiomqtt.Message) -> Mapping[str, str]:
    return dict(getattr(message.properties, "UserProperty", ()))


class MqttEndpoint:
    """Takes reports from the broker and carries answers to it, for as long as it runs."""

    def __init__(
        self,
        broker: Broker,
        *,
        acceptance: Acceptance,
        credentials: Credentials,
        tenants: Mapping[TenantId, Tenant],
        orders: VehicleOrders,
        journal: Journal,
        identifier: str,
    ) -> None:
        """``tenants`` are those that may report here; ``identifier`` names the session, one for each service."""
        self._broker = broker
        self._acceptance = acceptance
        self._credentials = credentials
        self._tenants = tenants
        self._orders = orders
        self._journal = journal
        self._clock: Clock = journal.clock
        self._identifier = identifier
        self._client: Client | None = None
        self.connected = asyncio.Event()

    async def serve(self) -> None:
        """Take reports and carry answers, for ever; of several replicas one does so."""
        reader = Reader(name="mqtt-answers", handle=self.handle, wants=(AnswerGiven,), by_incident=True)
        carrying = Follower(reader, self._journal.store, clock=self._clock)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.run(), name="mqtt-door")
            tasks.create_task(carrying.run(), name="mqtt-answers")

    async def run(self) -> None:
        """Follow the broker for ever; a lost connection is made again and the session goes on."""
        while True:
            try:
                async with Client(self._broker, identifier=self._identifier) as client:
                    await client.subscribe(TOPICS, qos=1)
                    self._client = client
                    self.connected.set()
                    log.info("mqtt_connected")
                    await self._follow(client)
            except aiomqtt.MqttError as lost:
                log.warning("mqtt_lost", error=type(lost).__name__)
            finally:
                self._client = None
                self.connected.clear()
            await self._clock.wait(RECONNECT)

    async def _follow(self, client: Client) -> None:
        """Take messages as they come, and acknowledge them in that order.

        ``MqttError`` when the connection is lost.  What is then under way is dropped: the broker sends it again.
        """
        taken: _Taken = asyncio.Queue()
        tasks = {asyncio.create_task(self._acknowledge(client, taken), name="mqtt-acknowledge")}
        try:
            async for message in client.messages:
                task = asyncio.create_task(self._keep(client, message), name="mqtt-report")
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                taken.put_nowait((message, task))
        finally:
            under_way = tuple(tasks)
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _acknowledge(self, client: Client, taken: _Taken) -> None:
        while True:
            message, task = await taken.get()
            await asyncio.wait((task,))
            if not task.cancelled() and task.exception() is None:  # else it is not kept, and the broker sends it again
                client.received(message)

    async def _keep(self, client: Client, message: aiomqtt.Message) -> None:
        """Return once ``message`` is durable or plainly nobody's; until then try again."""
        sender = address(message.topic.value, self._tenants)
        if sender is None:
            log.warning("mqtt_sender_unknown", topic_levels=message.topic.value.count("/") + 1)
            return
        received_at = self._clock.now()
        for event in _split(message):
            accepted = await self._keep_one(client, sender, message, event, received_at)
            if accepted is not None:
                await self._tell(client, sender, message, accepted)

    async def _tell(self, client: Client, sender: Address, message: aiomqtt.Message, accepted: Accepted) -> None:
        """The report is safe: whatever fails now costs the vehicle its answer and nothing else."""
        try:
            await self._answer(client, sender, message, accepted_document(accepted, sender))
        except Exception as bug:  # the edge of one answer
            log.exception("mqtt_answer_failed", tenant=sender.tenant.id, error=type(bug).__name__)

    async def _keep_one(
        self, client: Client, sender: Address, message: aiomqtt.Message, event: bytes, received_at: datetime
    ) -> Accepted | None:
        """Where ``event`` now stands; None when it is no report, which its sender has been told.

        What our own code cannot handle is tried ``TRIES`` times and then kept without being looked at: those behind it
        wait for their acknowledgements.
        """
        tried = 0
        while True:
            try:
                if tried < TRIES:
                    return await self._take(sender, message, event, received_at)
                return await self._acceptance.take_unread(
                    event[:MAX_BODY_BYTES],
                    tenant=sender.tenant,
                    received_at=received_at,
                    by=Came(channel="mqtt", vehicle=sender.vehicle),
                )
            except Unavailable:
                await self._clock.wait(RETRY)
                continue
            except Malformed as refused:
                log.warning(
                    "mqtt_no_report", tenant=sender.tenant.id, retained=message.retain, bytes=len(message.payload)
                )
                await self._answer(client, sender, message, refused_document(refused, sender))
                return None
            except Exception as bug:  # the edge of one message: it must neither stop the door nor be lost silently
                log.exception("mqtt_report_failed", tenant=sender.tenant.id, error=type(bug).__name__)
                tried += 1
                await self._clock.wait(RETRY)

    async def _take(self, sender: Address, message: aiomqtt.Message, payload: bytes, received_at: datetime) -> Accepted:
        properties = message.properties
        whole = len(payload) <= MAX_BODY_BYTES
        return await self._acceptance.take(
            payload[:MAX_BODY_BYTES],
            content_type=media_type(
                payload, getattr(properties, "ContentType", None) if payload is message.payload else None
            ),
            tenant=sender.tenant,
            received_at=received_at,
            key=_user(message).get("idempotency-key") if payload is message.payload else None,
            cut=None if whole else "oversize",
            findings=self._credentials.over_rate(sender.tenant, at=received_at),
            by=Came(channel="mqtt", vehicle=sender.vehicle, always=True, retained=message.retain),
        )

    async def _answer(self, client: Client, sender: Address, message: aiomqtt.Message, document: bytes) -> None:
        """Tell the vehicle, if it can be told; the report is safe either way."""
        asked = getattr(message.properties, "ResponseTopic", "")
        topic = asked if sender.own(asked) else sender.command
        properties = None
        if client.five:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = "application/json"
            correlation = getattr(message.properties, "CorrelationData", None)
            if correlation is not None:
                properties.CorrelationData = correlation
        with suppress(aiomqtt.MqttError):
            await client.publish(topic, document, qos=1, properties=properties)

    # --- answers of operators ---

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """As a reader: carry each answer of an incident that came by MQTT to its vehicle.

        ``Unavailable`` while the broker is away, so that it is tried again.
        """
        for recorded in batch:
            if isinstance(recorded.event, AnswerGiven):
                await self._carry(recorded, recorded.event)

    async def _carry(self, recorded: Recorded, given: AnswerGiven) -> None:
        stream = await self._journal.store.stream(recorded.incident)
        if delivered(stream, given.answer):
            return
        topics = await self._command_topics(stream[0])
        if not topics:
            return
        client = self._client
        if client is None:
            raise Unavailable("the MQTT broker does not answer just now")
        order = await self._orders.order(recorded)
        try:
            for topic in topics:
                await client.publish(topic, command_document(order), qos=1)
        except aiomqtt.MqttError as lost:
            raise Unavailable("the MQTT broker does not answer just now") from lost
        await self._orders.confirm(recorded.incident, given.answer, channel="mqtt")

    async def _command_topics(self, opened: Recorded) -> Sequence[str]:
        """Where the vehicle of the incident listens; none when it does not by MQTT.

        It is the name that its report came under, which stands in the opening: what the report says of the vehicle is
        known only once it is filed, and may be of another vehicle.
        """
        if opened.tenant not in self._tenants:
            return ()
        if not isinstance(opened.event, IncidentOpened) or opened.event.channel != "mqtt":
            return ()
        part = (await self._journal.parts_of(opened)).get(Category.VEH)
        if part is None:
            return ()
        vehicle = _vehicle.decode(part)
        names = [f"{vehicle.id_scheme}:{vehicle.id_value}"]
        if vehicle.id_scheme == BARE:  # the vehicle may write it either way
            names.append(f"{vehicle.id_value}")
        return [f"sos/v1/{opened.tenant}/{name}/command" for name in names]


def accepted_document(accepted: Accepted, sender: Address) -> bytes:
    """The acknowledgement as a vehicle gets it."""
    told = {
        "command": "ack",
        "received": True,
        "incident": accepted.incident,
        "urn": incident_urn(accepted.incident, sender.tenant.domain),
        "durability": accepted.durability,
        "repeat": accepted.repeat,
    }
    if accepted.joined is not None:
        told["joined"] = accepted.joined
    if accepted.findings:
        told["problems"] = problems(accepted.findings)
    return msgspec.json.encode(told)


def refused_document(error: SosError, sender: Address) -> bytes:
    """A refusal as a vehicle gets it: an RFC 9457 object with the tenant's name."""
    told = msgspec.to_builtins(problem(error)) | {"command": "refused", "tenant": sender.tenant.id}
    return msgspec.json.encode(told)


def command_document(order: VehicleOrder) -> bytes:
    return msgspec.json.encode(order)
