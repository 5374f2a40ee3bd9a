"""Calls that come without data: each opens an incident, or belongs to the one that the vehicle's data opened.

The same vehicle key within the window is certain; anything less is left to ``matching``, which proposes.
"""

from datetime import datetime

import msgspec
from msgspec import Struct

from sos.errors import Malformed
from sos.incident.commands import OpenIncident
from sos.incident.model import IncidentId, Trigger
from sos.incident.report import CallBack, EmergencyReport, Vehicle, canonical
from sos.intake.arrival import About, Peek, VehicleKey, key
from sos.intake.port import Reception
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent, Seen
from sos.intake.tenants import Tenant
from sos.problems import UnsupportedMedia

MEDIA_TYPE = "application/vnd.sos.call+json"
"""What stands in the journal for the report of a call that had none."""

_SCHEMES = frozenset({"vin", "jp_frame", "oem_id", "plate"})
_SOURCE = "urn:sos:call"


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


def decode(raw: bytes, _: datetime) -> EmergencyReport:
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
        """The incident of this call; the same for every try under the same ``leg``.

        ``Unavailable`` when nothing can keep it.  ``vehicle`` is ``scheme:value``; what has another form is not known.
        """
        known = vehicle_key(vehicle) if vehicle else None
        earlier = self._recent.data_without_call(tenant.id, known, at=received_at)
        if earlier is not None:
            return earlier.incident
        scheme, value = known or (None, None)
        report = canonical(Call(scheme=scheme, value=value, tel=tel, language=language))
        received = await self._reception.open(
            OpenIncident(
                mode=tenant.mode,
                trigger=Trigger.UNKNOWN,
                format=MEDIA_TYPE,
                report=report,
                report_digest=self._receipts.report_digest(leg.encode() + b"\0" + report),
                readable=True,
                findings=("no_data:$",),
                channel="voice",
            ),
            tenant=tenant.id,
            receipt=self._receipts.receipt(tenant.id, _SOURCE, leg),
            received_at=received_at,
        )
        if not received.repeat:
            about = About(vehicle=known, tel=tel)
            seen = Seen(incident=received.incident, tenant=tenant.id, at=received_at, about=about, voice_only=True)
            self._recent.note(seen)
        return received.incident
