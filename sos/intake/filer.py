"""Taking a stored report apart into its data categories: what a reader does after the vehicle has been answered.

Pure: the same bytes always give the same order, so it may run again after a restart.
"""

from sos.errors import Malformed
from sos.incident.commands import FileReport
from sos.incident.report import EmergencyReport
from sos.intake import cloudevents


def file_report(raw: bytes, content_type: str) -> FileReport:
    """The order to file ``raw``, a report of media type ``content_type`` as it stands in ``IncidentOpened.format``.

    Never fails: of bytes that nobody can read there are no parts, and a finding says why.
    """
    report = read_report(raw, content_type)
    return FileReport(
        sequence=report.sequence, located=report.location.known, parts=report.parts(), findings=report.findings
    )


def read_report(raw: bytes, content_type: str) -> EmergencyReport:
    """What ``raw`` says; never fails: of bytes that nobody can read nothing is known."""
    if content_type not in cloudevents.MEDIA_TYPES:
        return EmergencyReport(findings=("unknown_format:$",))
    try:
        return cloudevents.decode(raw)
    except Malformed:
        return EmergencyReport(findings=("not_an_event:$",))
