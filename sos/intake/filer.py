"""Taking a stored report apart into its data categories: what a reader does after the vehicle has been answered.

Pure: the same bytes received at the same time always give the same order, so it may run again after a restart.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from routing.brief.crash import crash_facts
from routing.categories import Category
from routing.kinds import EmergencyKind
from sos.incident.commands import FileReport
from sos.incident.correlation import NOT_FILED
from sos.incident.report import EmergencyReport, canonical
from sos.incident.urgency import grounds
from sos.intake.formats import read_report


def file_report(raw: bytes, media_type: str, *, at: datetime, report_digest: str = "") -> FileReport:
    """The order to file ``raw``, of the type it was received as at ``at``.

    Never fails: of bytes that nobody can read there are no parts, and a finding says why.
    """
    report = read_report(raw, media_type, at=at)
    kind, because = _kind(report)
    return FileReport(
        sequence=report.sequence,
        located=report.location.known,
        parts=report.parts(),
        findings=report.findings,
        report_digest=report_digest,
        urgent=_urgent(report),
        kind=kind,
        kind_because=because,
    )


def unreadable() -> FileReport:
    """The order to go on without a report that could not be filed.

    Older than any report and without a digest: it changes nothing where another was filed, and when this one is filed
    after all it counts.
    """
    return FileReport(sequence=-1, located=False, parts={}, findings=(NOT_FILED,))


def _kind(report: EmergencyReport) -> tuple[EmergencyKind, str]:
    """What kind of emergency ``report`` names or shows, and why; unknown where it does neither."""
    if report.kind is not EmergencyKind.UNKNOWN:
        return report.kind, report.kind_because
    crash = report.crash
    rolled = crash.rollover is not None and crash.rollover.upper() == "DETECTED"
    measured = (crash.impact, crash.delta_v_x, crash.delta_v_y, crash.delta_v, crash.principal_direction_clock)
    flagged = (crash.airbag_deployed, crash.multiple_impacts, crash.submersed, crash.ejected, crash.pedestrian, rolled)
    if any(each is not None for each in measured) or True in flagged:
        return EmergencyKind.CRASH, "crash_data"
    return (EmergencyKind.FIRE, "fire_sensor") if crash.fire else (EmergencyKind.UNKNOWN, "")


def _urgent(report: EmergencyReport) -> tuple[str, ...]:
    crash, vehicle = (msgspec.to_builtins(part) for part in (report.crash, report.vehicle))
    return grounds(crash_facts(crash, vehicle))


def completed(
    parts: Mapping[Category, bytes], earlier: Mapping[Category, bytes], *, newest: bool
) -> Mapping[Category, bytes]:
    """``parts`` of a further report, with what earlier reports said and this one does not: unknown hides nothing.

    A report that overtook its successor (not ``newest``) fills gaps only.  A position is taken whole, with its accuracy
    and its time, from the one report that has it.
    """
    made: dict[Category, bytes] = {}
    for category, part in parts.items():
        new, old = msgspec.json.decode(part), msgspec.json.decode(earlier.get(category, b"{}"))
        under, over = (old, new) if newest else (new, old)
        if category is Category.LOC:
            made[category] = canonical(over if over.get("latitude") is not None else under | _unlocated(over))
        else:
            made[category] = canonical(under | over)
    return made


def _unlocated(location: dict[str, object]) -> dict[str, object]:
    """What a report without a position says of the place, beside a position that another report had."""
    return {name: value for name, value in location.items() if name in ("heading", "reported")}
