"""Raw vehicle messages as they come through our doors: an MSD in its octets, a VEDS in its XML.

The codecs stand in ``sos.formats``; here stands what a door makes of them.  Whatever a known tenant sends under one of
these types is taken for an emergency: what nobody can decode is an incident of unreadable crash data.
"""

from msgspec.structs import replace

from sos.errors import Malformed
from sos.formats import msd, text_encoding, veds
from sos.formats.mapping import read_msd, report_of_msd, report_of_veds
from sos.incident.model import Mode, Trigger
from sos.incident.report import EmergencyReport
from sos.intake import cloudevents
from sos.intake.arrival import Peek, about
from sos.problems import UnsupportedMedia

MSD_SOURCE = "urn:sos:ecall-msd"
"""Stands for the ``source`` of an MSD, which has no id: its vehicle and the time of its crash are one (EN 15722 gives
every retransmission of a crash the same timestamp)."""

VEDS_SOURCE = "urn:sos:veds"


def peek_msd(body: bytes, cut: str | None = None) -> Peek:
    """What an MSD is about.  ``Malformed`` when there is nothing, or text that is no emergency."""
    if not body:
        raise Malformed("The body is empty; send the MSD in raw octets.", field="$")
    octets, findings = body, () if cut is None else (f"{cut}:$",)
    if text_encoding.is_text(body):
        in_text = _in_text(body)
        if isinstance(in_text, Peek):
            return in_text
        octets, findings = in_text, (*findings, "as_text:$")
    try:
        message = read_msd(octets)
    except Malformed:
        return Peek(False, Mode.LIVE, Trigger.UNKNOWN, None, (*findings, "undecodable:$"))
    mapped = report_of_msd(message)
    said = about(mapped.report)
    named = said.vehicle is not None and said.event_time is not None
    return Peek(
        True,
        mapped.mode,
        mapped.trigger,
        None,
        (*findings, *mapped.report.findings),
        about=said,
        stand_in=(MSD_SOURCE, f"{message.vin} {message.timestamp}") if named else None,
        report=mapped.report,
    )


def _in_text(body: bytes) -> bytes | Peek:
    """The octets that ``body`` spells out when they are plainly an MSD; else what the JSON that it is is about.

    ``UnsupportedMedia`` when it is neither: text under this type is a sender's mistake that a person must mend.
    """
    try:
        octets = text_encoding.octets_of(body)
        read_msd(octets)
    except Malformed:
        pass
    else:
        return octets
    try:
        seen = cloudevents.peek(body)
    except Malformed:
        raise UnsupportedMedia(
            f"This is ASCII text under `{msd.MEDIA_TYPE}`, and no MSD spelt out in it: send the MSD's raw octets, not "
            "hexadecimal or Base64.",
            field="$",
        ) from None
    return Peek(False, seen.mode, seen.trigger, None, (*seen.findings, "content_type:$"))


def decode_msd(raw: bytes) -> EmergencyReport:
    """The report in an MSD.  ``Malformed`` when nothing of it can be read."""
    try:
        message = read_msd(text_encoding.octets_of(raw))
    except Malformed:
        if not text_encoding.is_text(raw):
            raise
        return cloudevents.decode(raw)
    return report_of_msd(message).report


def peek_veds(body: bytes, cut: str | None = None, *, beside: veds.Place | None = None) -> Peek:
    """What a VEDS is about, with the place that came ``beside`` it.  ``Malformed`` when there is nothing."""
    if not body:
        raise Malformed("The body is empty; send the VEDS document.", field="$")
    findings = () if cut is None else (f"{cut}:$",)
    try:
        document = _with_place(veds.read(body), beside)
    except Malformed:
        return Peek(False, Mode.LIVE, Trigger.UNKNOWN, None, (*findings, "undecodable:$"))
    mapped = report_of_veds(document)
    return Peek(
        True,
        mapped.mode,
        mapped.trigger,
        (VEDS_SOURCE, document.crash_id) if document.crash_id else None,
        (*findings, *mapped.report.findings),
        about=about(mapped.report),
        report=mapped.report,
    )


def decode_veds(raw: bytes, *, beside: veds.Place | None = None) -> EmergencyReport:
    """The report in a VEDS.  ``Malformed`` when nothing of it can be read."""
    return report_of_veds(_with_place(veds.read(raw), beside)).report


def _with_place(document: veds.Veds, beside: veds.Place | None) -> veds.Veds:
    """``document`` with the place that came in a part of its own, which outranks the one inside."""
    if beside is None:
        return document
    odd = () if beside.odd is None else (f"{beside.odd}:$.presence",)
    return replace(
        document,
        pidf=beside.pidf or document.pidf,
        place_as_sent=beside.words or document.place_as_sent,
        findings=(*document.findings, *odd),
    )
