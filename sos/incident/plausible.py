"""What every report passes after it was decoded and before it is filed: can this be true?

One layer for every door and every format, over who, when, where and whom to call back.  What cannot be is unknown from
here on, and a finding says so; what was sent stays in the raw part.  Nothing is corrected and no report is refused.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from routing.location import Known, plausible
from sos.incident.identity import names_one
from sos.incident.report import CallBack, Crash, EmergencyReport, Location, Vehicle
from sos.incident.telephone import heard

AHEAD = timedelta(minutes=10)
"""A vehicle's clock may run ahead of ours by so much; with a satellite fix it is right to a second.  Local time written
as UTC is nine hours ahead."""

OLDEST_EVENT = timedelta(days=30)
"""A broker keeps a report for a week.  What says that it is older has a clock that was never set, or whose satellite
weeks were counted from nought again (1024 weeks, 19.6 years)."""

OLDEST_FIX = timedelta(hours=2)
"""Before the crash.  A car without a fix for longer is in a cellar; a circle of where it may have driven since says
nothing, and its last place is the best there is."""


def time_of_event(sent: datetime | None, *, at: datetime) -> datetime | None:
    """``sent`` if a crash that is reported ``at`` can have been then."""
    return sent if sent is not None and at - OLDEST_EVENT <= sent <= at + AHEAD else None


def judged(report: EmergencyReport, *, at: datetime) -> EmergencyReport:
    """``report``, received ``at``, without what cannot be, and with findings that say so."""
    findings: list[str] = []
    crash = _crash(report.crash, findings, at=at)
    _vehicle(report.vehicle, findings)
    return replace(
        report,
        crash=crash,
        location=_location(report.location, findings, crashed_at=_clock(report.crash, at), at=at),
        call_back=_call_back(report.call_back, findings),
        findings=tuple(dict.fromkeys((*report.findings, *findings))),
    )


def _clock(crash: Crash, at: datetime) -> datetime:
    """The time to which the age of a fix counts: that of the crash, however long ago, or of the report."""
    said = crash.event_time
    return said if said is not None and at - 12 * OLDEST_EVENT <= said <= at + AHEAD else at


def _crash(crash: Crash, findings: list[str], *, at: datetime) -> Crash:
    if crash.event_time is None or time_of_event(crash.event_time, at=at) is not None:
        return crash
    findings.append("event_time_impossible:$.eventTime")
    return replace(crash, event_time=None)


def _location(location: Location, findings: list[str], *, crashed_at: datetime, at: datetime) -> Location:
    if location.known and not isinstance(plausible(location.latitude, location.longitude), Known):
        findings.append("position_impossible:$.location")
        reported = location.reported or f"{location.latitude},{location.longitude}"
        location = replace(location, latitude=None, longitude=None, reported=reported)
    fixed_at = location.timestamp
    if fixed_at is None or (crashed_at - OLDEST_FIX <= fixed_at <= max(crashed_at, at) + AHEAD):
        return location
    findings.append("fix_time_impossible:$.location.timestamp")
    return replace(location, timestamp=None)


def _vehicle(vehicle: Vehicle, findings: list[str]) -> None:
    """A placeholder stays, for whoever looks: what goes by it asks ``names_one`` itself."""
    if vehicle.id_value and not names_one(vehicle.id_scheme or "", vehicle.id_value):
        findings.append("vehicle_placeholder:$.vehicle.id")
    if vehicle.license_plate and not names_one("plate", vehicle.license_plate):
        findings.append("vehicle_placeholder:$.vehicle.licensePlate")


def _call_back(call_back: CallBack, findings: list[str]) -> CallBack:
    """The number in E.164; as sent when a person may know how to dial it, none when it stands for nobody."""
    if not call_back.tel:
        return call_back
    told = heard(call_back.tel)
    if told.finding:
        findings.append(f"{told.finding}:$.callback.tel")
    return replace(call_back, tel=told.number or (None if told.finding == "tel_withheld" else call_back.tel))
