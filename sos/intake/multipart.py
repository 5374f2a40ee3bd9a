"""A report in several parts: crash data and, beside it, the place as a PIDF-LO, the way a call carries them.

RFC 8147 (MSD) and RFC 8148 section 5 (VEDS) put each into a part of its own, pointed at by ``cid:`` (RFC 7852); SDP and
control blocks come along.  Which part is which is told from its content, because gateways rename what they forward.
"""

from msgspec.structs import replace

from sos.errors import Malformed
from sos.formats import veds
from sos.formats.mapping import read_msd, report_of_veds
from sos.formats.markup import document
from sos.formats.veds import Veds
from sos.incident.model import Mode, Trigger
from sos.incident.report import EmergencyReport, Location
from sos.intake import cloudevents, ecall
from sos.intake.arrival import Peek, about
from sos.intake.wrapping import Kind, kind, parts, unwrapped

MEDIA_TYPE = "multipart/mixed"

_MSD = "application/emergencycalldata.ecall.msd"


def peek(body: bytes, cut: str | None = None) -> Peek:
    """What the report is about.  ``Malformed`` when no part is one."""
    found, place = _found(body)
    if found is None and place is None:
        raise Malformed("No part of this body is crash data or a location that we read.", field="$")
    findings = () if cut is None else (f"{cut}:$",)
    if found is None:
        seen = Peek(False, Mode.LIVE, Trigger.UNKNOWN, None, ("no_crash_data:$",))
    elif found[0] is Kind.XML:
        seen = ecall.peek_veds(found[1], beside=place)
    else:
        seen = (ecall.peek_msd if found[0] is Kind.OCTETS else cloudevents.peek)(found[1])
    seen = replace(seen, findings=(*findings, *seen.findings))
    return seen if place is None else _placed(seen, place)


def decode(body: bytes) -> EmergencyReport:
    """The report in all parts together.  ``Malformed`` when no part is one."""
    found, place = _found(body)
    if found is None and place is None:
        raise Malformed("no part is a report")
    if found is None:
        report = EmergencyReport(findings=("no_crash_data:$",))
    elif found[0] is Kind.XML:
        return ecall.decode_veds(found[1], beside=place)
    else:
        report = ecall.decode_msd(found[1]) if found[0] is Kind.OCTETS else cloudevents.decode(found[1])
    return replace(report, location=_location(place)) if place is not None and not report.location.known else report


def _found(body: bytes) -> tuple[tuple[Kind, bytes] | None, veds.Place | None]:
    """The part with the crash data, and the place beside it."""
    crash: tuple[Kind, bytes] | None = None
    place: veds.Place | None = None
    for part in parts(body):
        octets = unwrapped(part.octets).octets
        match kind(octets):
            case Kind.XML:
                is_crash, located = _xml(octets)
                crash = crash or ((Kind.XML, octets) if is_crash else None)
                place = place or located
            case Kind.JSON:
                crash = crash or ((Kind.JSON, octets) if _is_event(octets) else None)
            case Kind.OCTETS if part.media_type == _MSD or (
                not part.media_type.startswith("text/") and _is_msd(octets)
            ):
                crash = crash or (Kind.OCTETS, octets)
            case _:
                pass
    return crash, place


def _xml(octets: bytes) -> tuple[bool, veds.Place | None]:
    """Whether a document is crash data, and the location it is when it is one."""
    try:
        root = document(octets, limit=veds.MAX_BYTES)
    except Malformed:
        return b"AutomatedCrashNotification" in octets, None
    if any(True for _ in root.iter(f"{{*}}{veds.ROOT}")):
        return True, None
    place = veds.place_in(root)
    return False, place if place.pidf is not None or place.words is not None else None


def _is_event(octets: bytes) -> bool:
    try:
        cloudevents.peek(octets)
    except Malformed:
        return False
    return True


def _is_msd(octets: bytes) -> bool:
    try:
        read_msd(octets)
    except Malformed:
        return False
    return True


def _location(place: veds.Place) -> Location:
    return report_of_veds(Veds(pidf=place.pidf, place_as_sent=place.words)).report.location


def _placed(seen: Peek, place: veds.Place) -> Peek:
    """``seen`` with the place beside it, unless it has one of its own."""
    report = seen.report or EmergencyReport()
    if report.location.known:
        return seen
    report = replace(report, location=_location(place))
    said = about(report, incident=seen.about.incident, reason=seen.about.reason)
    return replace(seen, report=report, about=said)
