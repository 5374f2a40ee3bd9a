"""Intake as the settings want it: its senders with their keys, secrets, certificates and rates, and what they share."""

import json
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct
from prometheus_client import CollectorRegistry

from recording.keys import KeyStore
from sos.clock import Clock
from sos.errors import Misconfigured, Unavailable
from sos.incident.model import IncidentId, Mode, TenantId
from sos.intake.acceptance import Acceptance
from sos.intake.auth import ALGORITHMS, NONCES_KEPT, Credentials, Rate, SigningKey, TokenIssuer
from sos.intake.field_log import FieldLog
from sos.intake.field_log_http import Asks, BrandOf, FieldLogEndpoint
from sos.intake.http import IncidentEndpoint
from sos.intake.http import routes as event_routes
from sos.intake.left import LeftBehind
from sos.intake.matching import Matching
from sos.intake.mqtt import Broker, MqttEndpoint
from sos.intake.nonces import Nonces
from sos.intake.reader import Filer
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent
from sos.intake.tenants import Tenant, TenantKeys
from sos.intake.testcalls import TestCalls
from sos.intake.vehicle_orders import VehicleOrders
from sos.intake.voice import CallsWithoutData
from sos.intake.webhooks import Webhooks
from sos.intake.writer import Writer
from sos.journal.configured import Kept
from sos.journal.field_log import FieldLogTable
from sos.journal.journal import Journal
from sos.journal.postgres import PostgresStore
from sos.journal.readers import Reader, by_incident
from sos.journal.sqlite import SqliteStore
from sos.journal.statuses_owed import StatusesOwed
from sos.settings import Settings, TenantSettings, TokenSettings
from sos.signed_post import SignedPost, check_url


def tenants(settings: Settings) -> dict[TenantId, Tenant]:
    """Every tenant by its id."""
    return {
        TenantId(each.id): Tenant(
            id=TenantId(each.id), domain=each.domain, mode=Mode.DRILL if each.drill else Mode.LIVE
        )
        for each in settings.tenants
    }


def credentials(settings: Settings, *, nonces: Nonces | None = None) -> Credentials:
    """By what each tenant is known, and which ``nonces`` were used.

    ``Misconfigured`` names the tenant and what is wrong with its key file.
    """
    known = tenants(settings)
    return Credentials(
        TenantKeys(
            {bytes.fromhex(key): known[TenantId(each.id)] for each in settings.tenants for key in each.key_digests}
        ),
        signing={
            key.id: SigningKey(tenant=known[TenantId(each.id)], secret=_secret(each, key.file))
            for each in settings.tenants
            for key in each.signing_keys
        },
        issuers=[
            TokenIssuer(
                tenant=known[TenantId(each.id)],
                issuer=token.issuer,
                audience=token.audience,
                keys=tuple(_public_keys(each, token)),
                longest=timedelta(seconds=token.longest_s),
            )
            for each in settings.tenants
            for token in each.tokens
        ],
        certificates={
            bytes.fromhex(each_digest): known[TenantId(each.id)]
            for each in settings.tenants
            for each_digest in each.certificates
        },
        proxies=frozenset(settings.trusted_proxies),
        certificate_header=settings.certificate_header,
        rates={
            each.id: Rate(per_s=each.rate_per_s, burst=max(1.0, 2 * each.rate_per_s))
            for each in settings.tenants
            if each.rate_per_s
        },
        nonces=nonces,
    )


def tls(settings: Settings) -> ssl.SSLContext | None:
    """How this process ends TLS; None when a proxy does.  ``Misconfigured`` names what cannot be used."""
    if not settings.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        if settings.tls_client_ca:
            context.load_verify_locations(settings.tls_client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL  # browsers and agencies come without one
    except (OSError, ssl.SSLError) as wrong:
        raise Misconfigured(f"tls_certificate, tls_key or tls_client_ca cannot be used ({wrong})") from wrong
    return context


def _secret(tenant: TenantSettings, file: str) -> bytes:
    try:
        return Path(file).read_bytes().strip()
    except OSError as wrong:
        raise Misconfigured(f"tenants.{tenant.id}.signing_keys: {file} cannot be read ({wrong.strerror})") from wrong


def _public_keys(tenant: TenantSettings, token: TokenSettings) -> Iterator[jwt.PyJWK]:
    """The keys of a JWK set (RFC 7517), or the one of a PEM file."""
    where = f"tenants.{tenant.id}.tokens"
    if token.algorithm not in ALGORITHMS:
        raise Misconfigured(f"{where}: algorithm must be one of {', '.join(sorted(ALGORITHMS))}")
    try:
        content = Path(token.key_file).read_text()
        if content.lstrip().startswith("{"):
            yield from (
                jwt.PyJWK(each, token.algorithm) for each in _public(json.loads(content).get("keys", ()), where)
            )
        else:
            made = jwt.get_algorithm_by_name(token.algorithm)
            yield jwt.PyJWK(json.loads(made.to_jwk(load_pem_public_key(content.encode()))), token.algorithm)
    except OSError as wrong:
        raise Misconfigured(f"{where}: {token.key_file} cannot be read ({wrong.strerror})") from wrong
    except (ValueError, TypeError, jwt.PyJWTError) as wrong:
        raise Misconfigured(f"{where}: {token.key_file} holds no public key for {token.algorithm}") from wrong


def _public(keys: object, where: str) -> Iterator[dict[str, object]]:
    for each in keys if isinstance(keys, list) else ():
        if not isinstance(each, dict) or each.get("kty") == "oct":
            raise Misconfigured(f"{where}: shared secrets are no keys for tokens (RFC 8725 3.2)")
        yield {name: value for name, value in each.items() if name != "d"}


def _mqtt(
    settings: Settings, *, acceptance: Acceptance, credentials: Credentials, orders: VehicleOrders, journal: Journal
) -> MqttEndpoint | None:
    if not settings.mqtt_url:
        return None
    broker = Broker.at(
        settings.mqtt_url,
        password_file=settings.mqtt_password_file,
        authorities=settings.mqtt_ca,
        version=settings.mqtt_version,
    )
    mine = {TenantId(each.id) for each in settings.tenants if each.mqtt}
    return MqttEndpoint(
        broker,
        acceptance=acceptance,
        credentials=credentials,
        tenants={each: tenant for each, tenant in tenants(settings).items() if each in mine},
        orders=orders,
        journal=journal,
        identifier=f"sos-{settings.log_origin.replace('/', '-')}",
    )


def _webhooks(settings: Settings, journal: Journal, owed: StatusesOwed) -> Webhooks | None:
    """``Misconfigured`` names the tenant whose address cannot be used."""
    urls = {TenantId(each.id): each.webhook for each in settings.tenants if each.webhook}
    for tenant, url in urls.items():
        try:
            check_url(url, loopback=settings.demo)
        except Unavailable as wrong:
            raise Misconfigured(f"tenants.{tenant}.webhook: {wrong}") from wrong
    if not urls:
        return None
    source = f"{settings.url}/v1/incidents"
    return Webhooks(journal, owed, tenants=tenants(settings), urls=urls, source=source)


class Intake(Struct, frozen=True, kw_only=True):
    """The parts of intake that share what came in lately."""

    journal: Journal
    tenants: Mapping[TenantId, Tenant]
    credentials: Credentials
    recent: Recent
    filer: Filer
    acceptance: Acceptance
    writer: Writer
    left: LeftBehind
    calls: CallsWithoutData
    matching: Matching
    orders: VehicleOrders
    tests: TestCalls
    mqtt: MqttEndpoint | None
    webhooks: Webhooks | None
    field_log: FieldLogTable
    post: SignedPost
    """Tells clouds of tenants."""

    @classmethod
    def of(cls, settings: Settings, journal: Journal, keys: KeyStore, store: SqliteStore | PostgresStore) -> "Intake":
        """Made of ``settings``.  ``Misconfigured`` as ``credentials``, or when a tenant cannot be told."""
        receipts, recent, orders = Receipts(keys.secret("intake")), Recent(), VehicleOrders(journal)
        within = timedelta(milliseconds=settings.accept_within_ms)
        acceptance = Acceptance(journal, receipts, recent, join_within=within)
        known = credentials(settings, nonces=Nonces(NONCES_KEPT, settings.data / "nonces.sqlite"))
        writer = Writer(acceptance, journal, tenants=tenants(settings))
        if settings.door_port:
            writer.expect_doors()
        return cls(
            journal=journal,
            tenants=tenants(settings),
            credentials=known,
            recent=recent,
            filer=Filer(journal),
            acceptance=acceptance,
            writer=writer,
            left=LeftBehind(settings.data, keys.secret("spool"), writer, journal.clock),
            calls=CallsWithoutData(journal, receipts, recent),
            matching=Matching(journal, recent),
            orders=orders,
            tests=TestCalls(journal),
            mqtt=_mqtt(settings, acceptance=acceptance, credentials=known, orders=orders, journal=journal),
            webhooks=_webhooks(settings, journal, StatusesOwed(store.engine)),
            field_log=FieldLogTable(store.engine),
            post=SignedPost(
                keys.signing_key("push"), keyid=settings.keyid, clock=journal.clock, loopback=settings.demo
            ),
        )

    async def incident_of_call(
        self,
        tenant: TenantId,
        *,
        leg: str,
        vehicle: str | None,
        tel: str | None,
        language: str | None,
        received_at: datetime,
    ) -> IncidentId:
        """As ``CallsWithoutData.incident``, by the tenant's id."""
        return await self.calls.incident(
            self.tenants[tenant], leg=leg, vehicle=vehicle, tel=tel, language=language, received_at=received_at
        )

    def routes(self, clock: Clock) -> list[web.RouteDef]:
        """Where the clouds of vehicles come in."""
        incidents = IncidentEndpoint(self.journal, self.credentials, self.orders)
        return [*event_routes(self.acceptance, self.credentials, clock), *incidents.routes()]

    def field_log_routes(self, *, supervisor: Asks, brand_of: BrandOf) -> list[web.RouteDef]:
        """Where supervisors and registrars see what was odd."""
        return FieldLogEndpoint(self.field_log, supervisor=supervisor, brand_of=brand_of).routes()

    def readers(self) -> Iterator[Reader]:
        """What follows the journal for intake, besides what the MQTT door carries."""
        filer, odd = self.filer, FieldLog(self.journal, self.field_log)
        yield Reader(name="filer", handle=filer.handle, wants=filer.WANTS, by_incident=True, instead=filer.give_up)
        yield by_incident("matching", self.matching)
        yield by_incident("test-receipts", self.tests)
        yield Reader(name="field-log", handle=odd.handle, wants=odd.WANTS, alone=True)
        yield Reader(name="answers", handle=self.orders.handle, wants=self.orders.WANTS, from_now=True)
        if self.webhooks is not None:
            yield by_incident("webhooks", self.webhooks)

    def work(self, kept: Kept) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """What runs for ever: of several replicas in one, but for what lies on this machine's disk."""
        yield "doors-left-behind", self.left.watch
        if self.mqtt is not None:
            yield "mqtt", kept.once("mqtt", self.mqtt.serve)
        if (webhooks := self.webhooks) is not None:
            yield "webhooks", kept.once("webhooks", lambda: webhooks.watch(self.post))

    def figures(self) -> Iterator[CollectorRegistry]:
        yield self.writer.figures
        if self.webhooks is not None:
            yield self.webhooks.figures
