"""Taking one report, whichever door it came through: decide where it belongs, and return when it is durable.

The rules, in order; the first that fits decides.

1. A report with the same name (CloudEvents ``source`` and ``id``, else ``Idempotency-Key``, else an MSD's vehicle and
   time, else for a short time its bytes with all that the door knows of their sender) and the same bytes is a *repeat*:
   nothing is written.  When the incident is closed, only a name that is sure (``_sure``) makes it one; any other
   report opens an incident anew.  In doubt there are two.
2. The same name with other bytes is about the same crash or about another (``arrival.same_crash``).  The same: it is
   kept as a further report of the incident.  Another, or nobody knows: it opens an incident of its own, flagged
   ``id_reused``.
3. A *cancel* is written into the incident it names, or into that of the same vehicle and crash.  It closes nothing.
4. An *update*, a report with a ``sequence`` above 1, an MSD of the same vehicle and time under another key, or the data
   of a call that came without, joins the incident of the same vehicle within the window.  Only an equal vehicle key
   is certain enough for that.
5. Everything else opens an incident.  An update or cancel that belongs nowhere we know of does so too, and says so.

A database that does not answer turns 2 to 4 into 5: a report in the spool is better than one that waits.
"""

import asyncio
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Literal

import structlog
from msgspec import Struct
from msgspec.structs import replace

from sos.errors import Malformed, SosError, Unavailable
from sos.incident.bounds import WORDS
from sos.incident.commands import Command, JoinReport, OpenIncident, RecordCancel
from sos.incident.model import Incident, IncidentId, Mode, State
from sos.incident.plausible import time_of_event
from sos.incident.report import Vehicle, canonical
from sos.intake import formats
from sos.intake.arrival import Kind, Peek, judged, same_crash
from sos.intake.arrival import key as vehicle_key
from sos.intake.idle import plainly_no_report
from sos.intake.port import Reception
from sos.intake.receipts import Nameless, Receipts
from sos.intake.recent import JOIN_WITHIN, Recent, Seen
from sos.intake.tenants import Tenant
from sos.journal.journal import Received
from sos.problems import places_of

log = structlog.get_logger()

ACTOR = "vehicle"

MAX_KEY_CHARACTERS = 255
"""Of an ``Idempotency-Key``, as Stripe has it."""

CANCEL_REASONS = frozenset({"false_alarm", "occupant_cancelled", "test"})
"""Codes of a cancel that stand in the journal's header; whatever else was written is kept as the sender's words."""

KEY_LASTS = timedelta(hours=24)
"""How long after its first request an ``Idempotency-Key`` names it (draft-ietf-httpapi-idempotency-key-header 2.3:
the server's policy, which it must publish), as Stripe has it.  Longer while the incident is open."""

KNOWN_WITHIN_S = 1.5
"""How long a repeat waits for the state of its incident: it is durable already, and a second incident of one crash
helps nobody.  Vehicles wait for 10 s and more."""

CLOSED_BEFORE = 8
"""Incidents of one name, one after the other, that are looked at for one that is open."""

_BY_KEY = "urn:sos:idempotency-key"
_BY_BODY = "urn:sos:body-digest"
"""Stand in for the report's ``source`` when it has no identity of its own."""

_REMEMBERED = 16_384
"""Receipts whose report digest is remembered, so that a repeat is known without asking the database."""


class Accepted(Struct, frozen=True, kw_only=True, gc=False):
    """A report is durable, and this is where."""

    incident: IncidentId
    repeat: bool
    """Nothing new was written."""
    durability: Literal["committed", "spooled"]
    joined: str | None = None
    """Why it belongs to an incident that was there: ``update``, ``changed_repeat``, ``data_for_call``, ``cancel``."""
    findings: tuple[str, ...] = ()

    @property
    def new(self) -> bool:
        """Whether it opened an incident."""
        return not self.repeat and self.joined is None


class Came(Struct, frozen=True, kw_only=True, gc=False):
    """The door that a report came through."""

    channel: str = "http"
    vehicle: Vehicle | None = None
    """The vehicle that the door knows it to be from, as the door names it: answers go to that name."""
    connection: str = ""
    """What else the door knows of who sends: credential and address.  It stays in memory."""
    always: bool = False
    """Whether what is no emergency by its shape opens an incident all the same, unless it is plainly another message:
    nobody can be told to send again."""
    retained: bool = False
    """Whether a broker kept it, nobody knows for how long, and gives it to whoever comes."""
    incident: IncidentId | None = None
    """The id that it opens an incident under, where the door has named one: whoever takes it, it is one incident."""


BY_HTTP = Came()


class _Arrived(Struct, frozen=True, kw_only=True, gc=False):
    """One report on its way in."""

    seen: Peek
    command: OpenIncident
    tenant: Tenant
    source: str
    event: str
    receipt: bytes
    at: datetime
    incident: IncidentId | None = None
    sender: str = ""
    """The vehicle as a keyed digest; empty when neither the door nor the report names one."""

    @property
    def named_by_crash(self) -> bool:
        """Whether its name is its vehicle and the time of its crash: then an equal name is an equal crash."""
        return self.seen.stand_in is not None and self.source == self.seen.stand_in[0]


class Acceptance:
    """What both doors, HTTP and MQTT, do with a body."""

    def __init__(
        self,
        reception: Reception,
        receipts: Receipts,
        recent: Recent,
        *,
        join_within: timedelta = timedelta(milliseconds=250),
    ) -> None:
        self._reception = reception
        self._receipts = receipts
        self._recent = recent
        self._nameless = Nameless()
        self._join_within_s = join_within.total_seconds()
        self._digests: OrderedDict[bytes, str] = OrderedDict()

    async def take(
        self,
        body: bytes,
        *,
        content_type: str,
        tenant: Tenant,
        received_at: datetime,
        key: str | None = None,
        cut: str | None = None,
        findings: tuple[str, ...] = (),
        by: Came = BY_HTTP,
    ) -> Accepted:
        """Where ``body`` now stands, durably.

        ``key`` is the sender's own name for a report that has none inside, ``cut`` the finding code of a body of which
        only the beginning is here, ``findings`` what the door itself has to say.  ``Malformed`` when it is clearly no
        emergency (the sender's fault), ``Unavailable`` when nothing can keep it: nothing was acknowledged.
        A fault of ours on the way is an alarm, and the report is kept as one that nobody could read.
        """
        try:
            arrived = await self._arrived(
                body,
                content_type=content_type,
                tenant=tenant,
                received_at=received_at,
                key=key,
                cut=cut,
                findings=findings,
                by=by,
            )
            return await self._belongs_to(arrived) or await self._open(arrived)
        except (Malformed, Unavailable):
            raise
        except Exception as bug:  # noqa: BLE001  the edge of one report: what stops our code must not stop a rescue
            log.error("report_not_placed", tenant=tenant.id, error=type(bug).__name__, places=places_of(bug))
            return await self.take_unread(body, tenant=tenant, received_at=received_at, by=by)

    async def take_unread(self, body: bytes, *, tenant: Tenant, received_at: datetime, by: Came = BY_HTTP) -> Accepted:
        """Keep ``body`` without looking at it: an incident of unreadable crash data, which rings.

        The filer tries to read it all the same.  ``Unavailable`` when nothing can keep it.
        """
        command = OpenIncident(
            mode=tenant.mode,
            trigger=formats.UNREADABLE.trigger,
            format=formats.shown_or_nothing(body),
            report=body,
            report_digest=self._receipts.report_digest(body),
            readable=False,
            findings=formats.UNREADABLE.findings,
            channel=by.channel,
            vehicle=b"" if by.vehicle is None else canonical(by.vehicle),
        )
        vehicle = "" if by.vehicle is None else f"{by.vehicle.id_scheme}:{by.vehicle.id_value}"
        known = f"{tenant.id} {command.report_digest} {by.channel} {by.connection} {vehicle} unread"
        event = self._nameless.event(known, one_vehicle=by.vehicle is not None, at=received_at)
        receipt = self._receipts.receipt(tenant.id, _BY_BODY, event)
        received = await self._reception.open(
            command,
            tenant=tenant.id,
            receipt=receipt,
            received_at=received_at,
            sender=self._sender(tenant, formats.UNREADABLE, by),
            incident=by.incident,
        )
        return Accepted(
            incident=received.incident,
            repeat=received.repeat,
            durability=received.durability,
            findings=command.findings,
        )

    async def _arrived(
        self,
        body: bytes,
        *,
        content_type: str,
        tenant: Tenant,
        received_at: datetime,
        key: str | None,
        cut: str | None,
        findings: tuple[str, ...],
        by: Came,
    ) -> _Arrived:
        """What ``body`` is, and under which name."""
        found = formats.recognise(body, content_type)
        format, findings = found.format, (*found.findings, *findings)
        try:
            seen = format.seen(found.content, cut)
        except Malformed:
            if not by.always:
                raise
            seen = formats.UNREADABLE
        if by.always and not seen.readable and plainly_no_report(body):
            raise Malformed("This is no emergency report: publish nothing else to the topic of reports.", field="$")
        seen = judged(seen, at=received_at)
        if by.retained:
            seen = _of_late(seen, at=received_at)
        vehicle, unnamed = b"", _unnamed_vehicle(seen, by)
        if by.vehicle is not None:
            seen, vehicle = _of_vehicle(seen, by.vehicle), canonical(by.vehicle)
        if not format.expected and "content_type:$" not in seen.findings:
            seen = replace(seen, findings=(*seen.findings, "content_type:$"))
        command = OpenIncident(
            mode=seen.mode if seen.mode is Mode.TEST else tenant.mode,
            trigger=seen.trigger,
            format=format.media_type,
            report=body,
            report_digest=self._receipts.report_digest(body),
            readable=seen.readable,
            findings=(*seen.findings, *findings) if findings else seen.findings,
            channel=by.channel,
            vehicle=vehicle,
        )
        source, event = seen.idempotency or _by_key(key) or seen.stand_in or (_BY_BODY, "")
        if source == _BY_BODY:
            known = f"{tenant.id} {command.report_digest} {by.channel} {by.connection} {unnamed}"
            event = await self._nameless_event(known, tenant, one_vehicle=by.vehicle is not None, at=received_at)
        elif unnamed:
            event = f"{event}\0{unnamed}"
        return _Arrived(
            seen=seen,
            command=command,
            tenant=tenant,
            source=source,
            event=event,
            receipt=self._receipts.receipt(tenant.id, source, event),
            at=received_at,
            incident=by.incident,
            sender=self._sender(tenant, seen, by),
        )

    async def _nameless_event(self, known: str, tenant: Tenant, *, one_vehicle: bool, at: datetime) -> str:
        """The name of a report without one: what it was called before, if the journal has it, be it before a restart.

        A database that does not answer in time makes it a new one: in doubt there are two.
        """
        before = self._nameless.before(known, one_vehicle=one_vehicle, at=at)
        if before is not None:
            receipt = self._receipts.receipt(tenant.id, _BY_BODY, before)
            try:
                async with asyncio.timeout(self._join_within_s):
                    opened = await self._reception.opened_under(receipt)
                    since = None if opened is None else (await self._reception.state(opened)).opened_at
            except (SosError, TimeoutError):
                since = None
            if since is not None:  # too long ago, and it is another press all the same
                self._nameless.note(known, before, at=since)
        return self._nameless.event(known, one_vehicle=one_vehicle, at=at)

    def _sender(self, tenant: Tenant, seen: Peek, by: Came) -> str:
        if by.vehicle is not None:
            return self._receipts.sender(tenant.id, f"{by.vehicle.id_scheme}:{by.vehicle.id_value}")
        named = seen.about.vehicle
        return "" if named is None else self._receipts.sender(tenant.id, f"{named[0]}:{named[1]}")

    # --- rule 3 and 4 ---

    async def _belongs_to(self, arrived: _Arrived) -> Accepted | None:
        """The incident that the report certainly belongs to, with the report in it; None when it opens its own."""
        seen, tenant = arrived.seen, arrived.tenant.id
        about = seen.about
        if seen.kind is Kind.REPORT and about.sequence <= 1:
            call = self._recent.call_without_data(tenant, about, at=arrived.at)
            if call is not None:
                return await self._join(arrived, call.incident, "data_for_call")
            if seen.stand_in is None or arrived.event == seen.stand_in[1]:
                return None
        if arrived.receipt in self._digests:  # rules 1 and 2 come first
            return None
        incident = await self._named(arrived) or _incident(self._recent.crash(tenant, about, at=arrived.at))
        if incident is None:
            return None
        if seen.kind is Kind.CANCEL:
            return await self._cancel(arrived, incident)
        return await self._join(arrived, incident, "update")

    async def _named(self, arrived: _Arrived) -> IncidentId | None:
        """The incident that the sender names, when it is the sender's own."""
        named = arrived.seen.about.incident
        if named is None:
            return None
        incident = IncidentId(named.removeprefix("urn:emergency:uid:incidentid:").partition(":")[0])
        try:
            async with asyncio.timeout(self._join_within_s):
                state = await self._reception.state(incident)
        except (SosError, TimeoutError):
            return None
        return state.id if state.tenant == arrived.tenant.id else None

    async def _join(self, arrived: _Arrived, incident: IncidentId, reason: str) -> Accepted | None:
        command = arrived.command
        order = JoinReport(
            reason=reason,
            format=command.format,
            report=command.report,
            report_digest=command.report_digest,
            readable=command.readable,
            findings=command.findings,
            trigger=command.trigger,
        )
        accepted = await self._write(arrived, incident, order, joined=reason)
        known = self._recent.seen(incident)
        if accepted is not None and known is not None and (known.voice_only or known.about.vehicle is None):
            self._recent.note(replace(known, about=arrived.seen.about, voice_only=False))
        return accepted

    async def _cancel(self, arrived: _Arrived, incident: IncidentId) -> Accepted | None:
        command, reason = arrived.command, arrived.seen.about.reason or ""
        order = RecordCancel(
            reason=reason if reason in CANCEL_REASONS else ("other" if reason else "not_given"),
            words="" if reason in CANCEL_REASONS else reason[:WORDS],
            format=command.format,
            report=command.report,
            report_digest=command.report_digest,
        )
        return await self._write(arrived, incident, order, joined="cancel")

    async def _write(self, arrived: _Arrived, incident: IncidentId, order: Command, *, joined: str) -> Accepted | None:
        """``order`` written under the report's receipt; None when it cannot be now, or not into that incident."""
        try:
            async with asyncio.timeout(self._join_within_s):
                done = await self._reception.execute(incident, order, actor=ACTOR, receipt=arrived.receipt)
        except (SosError, TimeoutError) as failed:
            log.info("report_not_joined", incident=incident, reason=type(failed).__name__)
            return None
        if not done.recorded and arrived.command.report_digest not in done.incident.reports:
            return None  # the name is known and the bytes are not: rule 2
        if not done.recorded and done.incident.state is State.CLOSED and not _sure(arrived, done.incident):
            return None
        self._remember(arrived)
        return Accepted(
            incident=done.incident.id,
            repeat=not done.recorded,
            durability="committed",
            joined=joined if done.recorded else None,
            findings=arrived.command.findings,
        )

    # --- rules 5, 1 and 2 ---

    async def _open(self, arrived: _Arrived) -> Accepted:
        if arrived.seen.kind is not Kind.REPORT and arrived.receipt not in self._digests:
            arrived = _with_finding(arrived, f"{arrived.seen.kind}:$.type")
        received = await self._reception.open(
            arrived.command,
            tenant=arrived.tenant.id,
            receipt=arrived.receipt,
            received_at=arrived.at,
            sender=arrived.sender,
            incident=arrived.incident,
        )
        if received.repeat and not await self._same_bytes(arrived, received):
            return await self._changed(arrived, received.incident)
        if received.repeat and await self._over(arrived, received):
            return await self._again(arrived, received.incident)
        return self._opened(arrived, received)

    def _opened(self, arrived: _Arrived, received: Received) -> Accepted:
        if not received.repeat:
            self._note(arrived, received.incident)
        self._remember(arrived)
        return Accepted(
            incident=received.incident,
            repeat=received.repeat,
            durability=received.durability,
            findings=arrived.command.findings,
        )

    async def _same_bytes(self, arrived: _Arrived, received: Received) -> bool:
        """Whether these very bytes came before, under the same name."""
        digest = arrived.command.report_digest
        if self._digests.get(arrived.receipt) == digest:
            return True
        if received.digest:
            return received.digest == digest
        try:
            async with asyncio.timeout(KNOWN_WITHIN_S):
                return digest in (await self._reception.state(received.incident)).reports
        except (Unavailable, TimeoutError):
            return False
        except SosError:  # it waits in the spool: only what this process remembers is known of it
            return arrived.receipt not in self._digests

    async def _over(self, arrived: _Arrived, received: Received) -> bool:
        """Whether the incident that these bytes opened before is closed: then they may be a new call for help."""
        if received.digest:
            return False
        try:
            async with asyncio.timeout(KNOWN_WITHIN_S):
                state = await self._reception.state(received.incident)
        except (Unavailable, TimeoutError):  # in doubt what nobody named and nobody here has open is anew
            return arrived.source == _BY_BODY and self._recent.seen(received.incident) is None
        except SosError:  # it waits in the spool
            return False
        return state.state is State.CLOSED and not _sure(arrived, state)

    async def _again(self, arrived: _Arrived, closed: IncidentId) -> Accepted:
        """The same report after its incident was closed: an incident of its own, the same for every repeat until that
        one is closed too."""
        anew = _with_finding(arrived, "incident_closed:$")
        event = self._nameless.event(f"{arrived.receipt.hex()} again", one_vehicle=False, at=arrived.at)
        for number in range(CLOSED_BEFORE, -1, -1):
            after = closed if number else arrived.at.isoformat()  # the last is surely new
            receipt = self._receipts.receipt(arrived.tenant.id, arrived.source, f"{event}\0after\0{after}")
            own = replace(anew, receipt=receipt)
            received = await self._reception.open(
                own.command,
                tenant=own.tenant.id,
                receipt=own.receipt,
                received_at=own.at,
                sender=own.sender,
                incident=own.incident,
            )
            if not received.repeat or not await self._over(own, received):
                break
            closed = received.incident
        return self._opened(own, received)

    async def _changed(self, arrived: _Arrived, incident: IncidentId) -> Accepted:
        """The same name with other bytes (rule 2): kept, in the same incident or in one of its own, never dropped."""
        digest = arrived.command.report_digest
        receipt = self._receipts.receipt(arrived.tenant.id, arrived.source, f"{arrived.event}\0{digest}")
        own = replace(arrived, receipt=receipt)
        known = self._recent.seen(incident)
        if same_crash(known.about, arrived.seen.about) if known is not None else arrived.named_by_crash:
            if arrived.seen.kind is Kind.CANCEL:
                joined = await self._cancel(own, incident)
            else:
                joined = await self._join(own, incident, "changed_repeat")
            if joined is not None:
                return joined
            own = _with_finding(own, "incident_closed:$")
        else:
            own = _with_finding(own, "id_reused:$.id")
        received = await self._reception.open(
            own.command,
            tenant=own.tenant.id,
            receipt=own.receipt,
            received_at=own.at,
            sender=own.sender,
            incident=own.incident,
        )
        if received.repeat and await self._over(own, received):
            return await self._again(own, received.incident)
        return self._opened(own, received)

    def _note(self, arrived: _Arrived, incident: IncidentId) -> None:
        self._recent.note(Seen(incident=incident, tenant=arrived.tenant.id, at=arrived.at, about=arrived.seen.about))

    def _remember(self, arrived: _Arrived) -> None:
        self._digests[arrived.receipt] = arrived.command.report_digest
        if len(self._digests) > _REMEMBERED:
            self._digests.popitem(last=False)


def _of_vehicle(seen: Peek, vehicle: Vehicle) -> Peek:
    """``seen`` as a report of ``vehicle``; a finding when the report itself names another.

    What the broker lets publish under a name outranks what the report says: it belongs where that name belongs.
    """
    named, known = seen.about.vehicle, vehicle_key(vehicle.id_scheme, vehicle.id_value)
    if named is None:
        return replace(seen, about=replace(seen.about, vehicle=known))
    if known is None or named[1] == known[1]:
        return seen
    about = replace(seen.about, vehicle=known) if named[0] == known[0] else seen.about
    return replace(seen, about=about, findings=(*seen.findings, "vehicle_mismatch:$.data.vehicle"))


def _of_late(seen: Peek, *, at: datetime) -> Peek:
    """``seen`` as what a broker had kept: marked; ``Malformed`` unless it says itself that it is of the last hours.

    The broker gives it again after every reconnection, so it must have a name too.
    """
    happened_at = seen.about.event_time
    fresh = happened_at is not None and abs(at - happened_at) <= JOIN_WITHIN
    if not seen.readable or not fresh or (seen.idempotency is None and seen.stand_in is None):
        raise Malformed(
            "This message was retained by the broker, and it does not say that it is of the last two hours: publish "
            "emergencies without `retain`.",
            field="$",
        )
    return replace(seen, findings=(*seen.findings, "retained:$"))


def _unnamed_vehicle(seen: Peek, by: Came) -> str:
    """The vehicle that the door knows and the report does not name itself; empty when the door knows no more."""
    if by.vehicle is None:
        return ""
    scheme, value = by.vehicle.id_scheme, by.vehicle.id_value
    known = vehicle_key(scheme, value)
    return "" if known is not None and known == seen.about.vehicle else f"{scheme}:{value}"


def _sure(arrived: _Arrived, known: Incident) -> bool:
    """Whether the report's name says by itself that it is no new call for help.

    A name that holds a time does, or one that comes with a time in the report.  Firmware that names each of its reports
    alike and has no clock is as good as nameless.
    """
    if arrived.source == _BY_KEY:
        return known.opened_at is not None and arrived.at - known.opened_at <= KEY_LASTS
    said = time_of_event(arrived.seen.about.event_time, at=arrived.at)
    return arrived.source != _BY_BODY and said is not None


def _with_finding(arrived: _Arrived, finding: str) -> _Arrived:
    command = replace(arrived.command, findings=(*arrived.command.findings, finding))
    return replace(arrived, command=command)


def _incident(seen: Seen | None) -> IncidentId | None:
    return None if seen is None else seen.incident


def _by_key(key: str | None) -> tuple[str, str] | None:
    """The name that the sender's ``Idempotency-Key`` gives a report without one of its own."""
    if key and len(key) <= MAX_KEY_CHARACTERS and key.isascii() and key.isprintable():
        return _BY_KEY, key
    return None
