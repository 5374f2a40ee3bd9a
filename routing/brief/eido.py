"""The brief as an Emergency Incident Data Object (NENA-STA-021.1a, version 1.0 of the structure).

Built from the incident, location, vehicle, callback, person, notes, agency and additional-data components; a component
whose category is withheld is absent, and so is every reference to it.  ``eido.schema.json`` beside this module is the
part of the structure that is used here.
"""

from typing import Any

import msgspec

from routing.brief import heard
from routing.brief.additional import blocks, dialled
from routing.brief.crash_words import TITLE, glance
from routing.brief.document import Brief
from routing.brief.kind_words import TITLE as KIND
from routing.brief.kind_words import kind_said
from routing.brief.pidf import location_of
from routing.brief.words import TITLES, asking, changed_lines, told
from routing.categories import Category
from routing.position.pidf import write
from routing.xml import write_xml

MEDIA_TYPE = "application/emergency-incident-data-object+json"

_encode = msgspec.json.Encoder(order="sorted").encode

_AGENCY_TYPES = {"ambulance": "ems", "helicopter": "ems", "marine": "coast_guard"}
"""Names of the registry urn:emergency:service:responder for services that are called otherwise there."""

_NIEM = {
    "ncVehicleIdentification": "idValue",
    "ncVehicleMakeName": "brand",
    "ncVehicleModelName": "model",
    "ncVehicleColorPrimaryText": "exteriorColor",
    "ncConveyanceRegistrationPlateIdentification": "licensePlate",
    "ncConveyancePassengerQuantity": "occupants",
}
"""Names of NIEM for the fields of a vehicle."""

_TYPES = {
    "": "Vehicle Crash",
    "crash": "Vehicle Crash",
    "illness": "Medical Emergency",
    "fire": "Vehicle Fire",
    "crime": "Crime",
    "breakdown": "Disabled Vehicle",
    "disaster": "Disaster",
}
"""Our words for the kind of emergency; briefs that do not say a kind are of crashes and calls for help alike."""

_FACTS = (Category.SEV, Category.OBS, Category.MED, Category.FAM)
"""Categories that the structure has no component for, so they travel as notes."""


def write_eido(brief: Brief) -> bytes:
    """The object as canonical JSON."""
    prologue = _Prologue(brief)
    notes = _notes(brief, prologue)
    parts: dict[str, list[dict[str, Any]]] = {
        "agencyComponent": _agencies(brief, prologue),
        "locationComponent": _locations(brief, prologue),
        "vehicleComponent": _vehicles(brief, prologue),
        "callbackComponent": _callbacks(brief, prologue),
        "personComponent": _persons(brief, prologue),
        "additionalDataComponent": _additional(brief, prologue),
        "notesComponent": notes,
    }
    incident = prologue.of("incident") | {
        "incidentTypeCommonRegistryText": _TYPES.get(brief.kind, "Other"),
        "incidentStatusCommonRegistryText": ["Active"],
        "internalIncidentId": brief.incident,
        "documentIdentification": [f"{brief.disclosure} version {brief.version}"],
        "notesReference": [_reference(note) for note in notes],
    }
    for name, component in (
        ("locationReference", "locationComponent"),
        ("vehicleReference", "vehicleComponent"),
        ("personReference", "personComponent"),
    ):
        if parts[component]:
            incident[name] = [_reference(each) for each in parts[component]]
    document: dict[str, Any] = prologue.named(brief.incident) | {
        "eidoVersion": "1.0",
        "issuingElementIdentification": _domain(brief),
        "incidentComponent": incident,
        "@context": {"@vocab": "./JSON-LD_Contexts/EmergencyIncidentDataObjectType.jsonld"},
    }
    return _encode(document | {name: component for name, component in parts.items() if component})


class _Prologue:
    """The head that every component has: its id, its time, and who says so."""

    def __init__(self, brief: Brief) -> None:
        self._brief = brief
        self._at = f"{brief.decided_at:%Y-%m-%dT%H:%M:%S}.{brief.decided_at.microsecond // 1000:03d}Z"

    def of(self, name: str) -> dict[str, Any]:
        return self.named(f"{self._brief.disclosure}.{self._brief.version}.{name}")

    def named(self, identifier: str) -> dict[str, Any]:
        return {
            "$id": identifier,
            "lastUpdateTimeStamp": self._at,
            "updatedByAgencyReference": {"$ref": _domain(self._brief)},
        }


def _domain(brief: Brief) -> str:
    """The centre's name; briefs from before the sender was said have it in the URN of the incident."""
    return brief.sender.domain if brief.sender else brief.incident.rsplit(":", 1)[-1]


def _reference(component: dict[str, Any]) -> dict[str, str]:
    return {"$ref": component["$id"]}


def _agencies(brief: Brief, prologue: _Prologue) -> list[dict[str, Any]]:
    service = _AGENCY_TYPES.get(brief.service, brief.service or "psap")
    return [
        prologue.named(_domain(brief))
        | {"agencyRoleDescriptionRegistryText": ["CallReceiving"], "agencyType": ["psap"]},
        prologue.named(brief.agency) | {"agencyRoleDescriptionRegistryText": ["Dispatching"], "agencyType": [service]},
    ]


def _locations(brief: Brief, prologue: _Prologue) -> list[dict[str, Any]]:
    place = brief.sections.get(Category.LOC)
    if place is None:
        return []
    made = prologue.of("location") | {"locationTypeDescriptionRegistryText": "Incident"}
    if (document := location_of(brief)) is not None:
        made["locationByValue"] = write(document).decode()
    described = [f"{name}: {words}" for name, words in told(Category.LOC, place, "en")]
    if described:
        made["locationDescriptionText"] = "; ".join(described)
    return [made]


def _vehicles(brief: Brief, prologue: _Prologue) -> list[dict[str, Any]]:
    vehicle = brief.sections.get(Category.VEH)
    if vehicle is None:
        return []
    known = {name: vehicle[field] for name, field in _NIEM.items() if vehicle.get(field) is not None}
    numbers = {name: {"ncIdentificationId": known[name]} for name in known if name.endswith("Identification")}
    component = known | numbers
    made = prologue.of("vehicle") | {
        "vehicleRelationshipType": ["Involved"],
        "vehicleRelationshipTimeStamp": prologue.of("vehicle")["lastUpdateTimeStamp"],
    }
    return [made | ({"ncVehicleComponent": component} if component else {})]


def _callbacks(brief: Brief, prologue: _Prologue) -> list[dict[str, Any]]:
    number = brief.sections.get(Category.TEL, {}).get("tel")
    if not number:
        return []
    return [prologue.of("callback") | {"callBackInformationUri": [f"tel:{dialled(str(number))}"]}]


def _persons(brief: Brief, prologue: _Prologue) -> list[dict[str, Any]]:
    person = brief.sections.get(Category.PER)
    if person is None:
        return []
    made = prologue.of("person") | {"personIncidentRoleRegistryText": ["Caller"]}
    if name := person.get("name"):
        made["ncPersonComponent"] = {"ncPersonName": [{"ncPersonFullName": str(name)}]}
    if brief.sections.get(Category.TEL, {}).get("tel"):
        made["callBackReference"] = {"$ref": prologue.of("callback")["$id"]}
    return [made]


def _additional(brief: Brief, prologue: _Prologue) -> list[dict[str, Any]]:
    return [
        prologue.of(f"additional-{number}") | {"additionalDataByValue": write_xml(block).decode()}
        for number, block in enumerate(blocks(brief), 1)
    ]


def _notes(brief: Brief, prologue: _Prologue) -> list[dict[str, Any]]:
    ground = (
        f"Disclosure {brief.disclosure} version {brief.version}, ground {brief.rule} / {brief.ground} / "
        f"{brief.law_version}, decided {brief.decided_at:%Y-%m-%dT%H:%M:%SZ}"
    )
    said = [*(["EXERCISE: send nobody"] if brief.exercise else []), ground]
    if kind := kind_said(brief, "en"):
        said.append(f"{KIND[1]}: {kind}")
    if asked := asking(brief, "en"):
        said.append("; ".join(f"{name}: {words}" for name, words in asked))
    if changed := changed_lines(brief, "en"):
        said.append("; ".join(changed))
    if facts := glance(brief, "en"):
        said.append(f"{TITLE[1]}: {'; '.join(f'{name}: {words}' for name, words in facts)}")
    for category in _FACTS:
        if section := brief.sections.get(category):
            words = "; ".join(f"{name}: {value}" for name, value in told(category, section, "en"))
            said.append(f"{TITLES[category][1]}: {words}")
    for category in (Category.PER, Category.OWN):
        section = brief.sections.get(category, {})
        told_of = [f"{name}: {words}" for name, words in heard.rows(section, "en")]
        if notes := "; ".join((*told_of, *(str(note) for note in section.get("notes", ())))):
            said.append(f"{TITLES[category][1]}: {notes}")
    return [prologue.of(f"note-{number}") | {"notesActionComments": _html(text)} for number, text in enumerate(said, 1)]


def _html(text: str) -> str:
    """Notes are HTML5 in the structure, so what people typed must not become markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
