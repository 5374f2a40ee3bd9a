"""Calls that come without data: each opens an incident, or belongs to the one that the vehicle's data opened.

The same vehicle key within the window is certain; anything less is left to ``matching``, which proposes.
"""

from datetime import datetime

import msgspec
from msgspec import Struct

from sos.errors import Malformed, SosError
from sos.incident.commands import OpenIncident
from sos.incident.model import IncidentId, State, Trigger
from sos.incident.report import CallBack, EmergencyReport, Vehicle, canonical
from sos.incident.telephone import heard
from sos.intake.arrival import About, Peek, VehicleKey, key
from sos.intake.port import Reception
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent, Seen
from sos.intake.tenants import Tenant
from sos.journal.journal import Received
from sos.problems import UnsupportedMedia

MEDIA_TYPE = "application/vnd.sos.call+json"
"""What stands in the journal for the report of a call that had none."""

_SCHEMES = frozenset({"vin", "jp_frame", "oem_id", "plate"})
_SOURCE = "urn:sos:call"

CLOSED_BEFORE = 8
"""Incidents of one call, one after the other, that are looked at for one that is open: a call has an id of its own, and
only a sender that gives the same to each ever has more than one."""


class Call(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """All that is known of a call without data."""

    scheme: str | None = None
    value: str | None = None
    tel: str | None = None
    language: str | None = None


_calls = msgspec.json.Decoder(Call)


def peek(body: bytes, _: str | None = None) -> Peek:
    """Nobody posts one: it is written here."""
    raise UnsupportedMedia("A call without data is made at `/v1/calls`, not posted.", field="Content-Type")


def decode(raw: bytes) -> EmergencyReport:
    """``Malformed`` when ``raw`` was not written here."""
    try:
        call = _calls.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise Malformed("not a call record") from wrong
    return EmergencyReport(
        vehicle=Vehicle(id_scheme=call.scheme, id_value=call.value),
        call_back=CallBack(tel=call.tel, language=call.language),
    )


def vehicle_key(text: str) -> VehicleKey | None:
    """``vin:JTM...`` as a key; None when it has another form."""
    scheme, _, value = text.partition(":")
    return key(scheme, value) if scheme in _SCHEMES and len(value) <= 64 else None


class CallsWithoutData:
    """Finds the incident of a call that names none."""

    def __init__(self, reception: Reception, receipts: Receipts, recent: Recent) -> None:
        self._reception = reception
        self._receipts = receipts
        self._recent = recent

    async def incident(
        self,
        tenant: Tenant,
        *,
        leg: str,
        vehicle: str | None,
        tel: str | None,
        language: str | None,
        received_at: datetime,
    ) -> IncidentId:
        """The incident of this call; the same for every try under the same ``leg`` until it is closed.

        ``Unavailable`` when nothing can keep it.  ``vehicle`` is ``scheme:value``; what has another form is not known.
        """
        known = vehicle_key(vehicle) if vehicle else None
        number = heard(tel).number if tel else None
        about = About(vehicle=known, tel=number)
        earlier = self._recent.data_without_call(tenant.id, about, at=received_at)
        if earlier is not None:
            return earlier.incident
        command = self._opening(tenant, Call(**_named(known), tel=tel, language=language), leg=leg)
        call = f"{leg}\0{vehicle or ''}\0{tel or ''}"  # two cars that count their calls alike are two
        sender = "" if known is None else self._receipts.sender(tenant.id, f"{known[0]}:{known[1]}")
        received = await self._open(command, tenant, call, received_at, sender=sender)
        for _ in range(CLOSED_BEFORE):
            if not received.repeat or not await self._closed(received.incident):
                break
            received = await self._open(
                command, tenant, f"{call}\0after\0{received.incident}", received_at, sender=sender
            )
        if not received.repeat:
            seen = Seen(incident=received.incident, tenant=tenant.id, at=received_at, about=about, voice_only=True)
            self._recent.note(seen)
        return received.incident

    def _opening(self, tenant: Tenant, call: Call, *, leg: str) -> OpenIncident:
        report = canonical(call)
        return OpenIncident(
            mode=tenant.mode,
            trigger=Trigger.UNKNOWN,
            format=MEDIA_TYPE,
            report=report,
            report_digest=self._receipts.report_digest(leg.encode() + b"\0" + report),
            readable=True,
            findings=("no_data:$",),
            channel="voice",
        )

    async def _open(self, command: OpenIncident, tenant: Tenant, call: str, at: datetime, *, sender: str) -> Received:
        receipt = self._receipts.receipt(tenant.id, _SOURCE, call)
        return await self._reception.open(command, tenant=tenant.id, receipt=receipt, received_at=at, sender=sender)

    async def _closed(self, incident: IncidentId) -> bool:
        """Whether a call can no longer be taken into ``incident``; not while nobody knows."""
        try:
            return (await self._reception.state(incident)).state is State.CLOSED
        except SosError:
            return False


def _named(vehicle: VehicleKey | None) -> dict[str, str]:
    return {} if vehicle is None else {"scheme": vehicle[0], "value": vehicle[1]}
