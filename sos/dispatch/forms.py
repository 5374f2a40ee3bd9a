"""The brief in the forms that channels carry, each made of the brief's own bytes and of nothing else.

So a form can be made again at any time and compared with the digest in the decision, and no form can tell more than the
brief does.  A form that cannot be made (no position for a PIDF-LO, no font for a fax) is left out and the rest goes on:
the brief itself always leaves.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import structlog
import typst

from routing.brief import Brief, read
from routing.brief.crash import Hazard, crash_facts
from routing.brief.crash_words import facts_of
from routing.brief.eido import write_eido
from routing.brief.fax import write_fax
from routing.brief.pidf import location_of, write_pidf
from routing.brief.spoken import speak
from routing.categories import Category
from routing.errors import RoutingError
from sos.errors import Malformed
from sos.formats import msd as ecall
from sos.formats import veds as crash_data
from sos.formats.bits import MalformedBits
from sos.formats.msd import Energy, Msd, VehicleType
from sos.formats.veds import Airbag, CrashVehicle, Pulse, Veds

log = structlog.get_logger()

JSON = "json"
"""The canonical brief itself."""

MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        JSON: "application/json",
        "eido": "application/emergency-incident-data-object+json",
        "pidf": "application/pidf+xml",
        "msd": "application/EmergencyCallData.eCall.MSD",
        "veds": "application/EmergencyCallData.VEDS+xml",
        "spoken_ja": "text/plain; charset=utf-8",
        "spoken_en": "text/plain; charset=utf-8",
        "pdf": "application/pdf",
    }
)

BY_CHANNEL: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "portal": (JSON,),
        "https": (JSON,),
        "eido": (JSON, "eido"),
        "smtp": (JSON, "pdf"),
        "fax": (JSON, "pdf"),
        "voice": (JSON, "spoken_ja", "spoken_en"),
        "sip": (JSON, "pidf", "msd", "veds"),
    }
)
"""What each channel carries; a channel that is not named here carries the brief itself."""

_MAS = 3_600_000
"""Milliarcseconds in a degree."""

_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")


def forms_for(channels: Iterable[str]) -> tuple[str, ...]:
    """The forms an agency needs for its channels, the brief itself first."""
    return tuple(dict.fromkeys(form for channel in channels for form in BY_CHANNEL.get(channel, (JSON,)))) or (JSON,)


async def forms_of(brief: bytes, names: Iterable[str]) -> Mapping[str, bytes]:
    """Those of the forms ``names`` that can be made of ``brief``, in a thread: a page takes a tenth of a second."""
    return await asyncio.to_thread(prepare, brief, tuple(names))


def prepare(brief: bytes, names: Iterable[str]) -> Mapping[str, bytes]:
    """Those of the forms ``names`` that can be made of ``brief``."""
    told = read(brief)
    made: dict[str, bytes] = {}
    for name in names:
        try:
            form = brief if name == JSON else _MAKERS[name](told)
        except (RoutingError, Malformed, MalformedBits, typst.TypstError) as fault:
            log.warning("form_left_out", form=name, disclosure=told.disclosure, reason=type(fault).__name__)
            continue
        if form is not None:
            made[name] = form
    return MappingProxyType(made)


def digests(forms: Mapping[str, bytes]) -> tuple[tuple[str, str], ...]:
    """Name and hex SHA-256 of each form, as a decision records them."""
    return tuple((name, sha256(form).hexdigest()) for name, form in forms.items())


def write_msd(brief: Brief) -> bytes | None:
    """The place and the vehicle as an MSD of version 2 (EN 15722:2015); None unless both may be told and are known.

    EN 16102 has the provider pass on at least its mandatory data.  What is not known is written as unknown.
    """
    place, vehicle = brief.sections.get(Category.LOC), brief.sections.get(Category.VEH)
    if place is None or vehicle is None:
        return None
    vin = str(vehicle.get("idValue", ""))
    if vehicle.get("idScheme") != "vin" or not _VIN.fullmatch(vin):
        return None
    occupants = _occupants(brief, vehicle)
    return ecall.write(
        Msd(
            version=2,
            message_identifier=min(brief.version, 255),
            automatic_activation=brief.trigger == "automatic",
            test_call=brief.exercise,
            position_can_be_trusted=place.get("trusted") is True,
            vehicle_type=_kind(vehicle.get("category")),
            vin=vin,
            propulsion=tuple(each for each in Energy if each.value in (vehicle.get("energy") or ())),
            timestamp=_happened(brief.sections.get(Category.SEV, {}), place),
            latitude_mas=_milliarcseconds(place.get("latitude")),
            longitude_mas=_milliarcseconds(place.get("longitude")),
            direction=255 if place.get("heading") is None else round(float(place["heading"]) / 2) % 180,
            occupants=occupants if occupants is not None and 0 <= occupants < 255 else None,
        )
    )


def write_veds(brief: Brief) -> bytes | None:
    """Place, vehicle and crash as VEDS (RFC 8148 section 9); None where none of them may be told.

    Neither this nor the MSD has a place for our disclosure and its ground: they travel beside a form that has.
    """
    told = [brief.sections.get(category) for category in (Category.LOC, Category.VEH, Category.SEV)]
    if all(section is None for section in told):
        return None
    place, vehicle, crash = (section or {} for section in told)
    hazards = facts_of(brief).hazards
    return crash_data.write(
        Veds(
            crash_id=brief.incident,
            happened_at=_instant(crash.get("eventTime")),
            sent_at=brief.decided_at,
            device={"automatic": "AIRBAG", "manual": "MANUAL"}.get(brief.trigger),
            call_back=brief.sections.get(Category.TEL, {}).get("tel"),
            passengers=_occupants(brief, vehicle),
            heading=place.get("heading"),
            vehicle=_crashed(vehicle, crash),
            fuel_leaking=True if Hazard.FUEL_LEAK in hazards else crash.get("fuelLeak"),
            multiple_impacts=crash.get("multipleImpacts"),
            severe_injury=crash.get("severeInjury"),
            fire=True if Hazard.FIRE in hazards else crash.get("fire"),
            latitude=place.get("latitude"),
            longitude=place.get("longitude"),
            pidf=location_of(brief),
        )
    )


def _occupants(brief: Brief, vehicle: Mapping[str, Any]) -> int | None:
    """As counted on the call, else as the vehicle says."""
    heard, told = facts_of(brief).occupants, vehicle.get("occupants")
    return heard if heard is not None else told if isinstance(told, int) and not isinstance(told, bool) else None


def _crashed(vehicle: Mapping[str, Any], crash: Mapping[str, Any]) -> CrashVehicle:
    facts = crash_facts(crash, vehicle)
    delta_v, clock, deployed = facts.delta_v_kmh, facts.clock, facts.airbag_deployed
    return CrashVehicle(
        vin=vehicle.get("idValue") if vehicle.get("idScheme") == "vin" else None,
        plate=vehicle.get("licensePlate"),
        make=vehicle.get("brand"),
        model=vehicle.get("model"),
        colour=vehicle.get("exteriorColor"),
        energies=tuple(str(energy).upper() for energy in vehicle.get("energy") or ()),
        airbags=() if deployed is None else (Airbag(deployed=deployed),),
        pulses=()
        if delta_v is None and clock is None
        else (Pulse(delta_v=delta_v, unit="KPH", direction_clock=clock),),
        rollover=True if Hazard.ROLLOVER in facts.hazards else {"NONE": False}.get(str(crash.get("rollover")).upper()),
    )


def _milliarcseconds(degrees: float | None) -> int:
    return ecall.UNKNOWN_MAS if degrees is None else round(degrees * _MAS)


def _kind(category: Any) -> VehicleType | None:
    kinds = {kind.value for kind in tuple(VehicleType)[:13]}  # those of version 2
    named = str(category or "").lower()
    return VehicleType(named) if named in kinds else None


def _happened(crash: Mapping[str, Any], place: Mapping[str, Any]) -> int:
    """Seconds of the incident; 0 says that no clock is to be trusted."""
    happened = _instant(crash.get("eventTime")) or _instant(place.get("timestamp"))
    return int(happened.timestamp()) if happened else 0


def _instant(text: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return instant if instant.tzinfo else None


_MAKERS: Mapping[str, Callable[[Brief], bytes | None]] = MappingProxyType(
    {
        "eido": write_eido,
        "pidf": write_pidf,
        "msd": write_msd,
        "veds": write_veds,
        "spoken_ja": lambda brief: speak(brief, "ja").encode(),
        "spoken_en": lambda brief: speak(brief, "en").encode(),
        "pdf": write_fax,
    }
)
