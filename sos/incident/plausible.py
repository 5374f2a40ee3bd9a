"""What every report passes after it was decoded and before it is filed: can this be true?

One layer for every door and every format, over who, when, where and whom to call back.  What cannot be is unknown from
here on, and a finding says so; what was sent stays in the raw part.  Nothing is corrected and no report is refused.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from routing.location import Known, plausible
from sos.incident.driven import swapped
from sos.incident.identity import is_filling, names_one
from sos.incident.report import CallBack, Crash, EmergencyReport, Fix, Location, Vehicle
from sos.incident.telephone import heard
from sos.incident.vin import vin_fault

AHEAD = timedelta(minutes=10)
"""A vehicle's clock may run ahead of ours by so much; with a satellite fix it is right to a second.  Local time written
as UTC is nine hours ahead."""

OLDEST_EVENT = timedelta(days=30)
"""A broker keeps a report for a week.  What says that it is older has a clock that was never set, or whose satellite
weeks were counted from nought again (1024 weeks, 19.6 years)."""

OLDEST_FIX = timedelta(hours=2)
"""Before the crash.  A car without a fix for longer is in a cellar; a circle of where it may have driven since says
nothing, and its last place is the best there is."""

_TOLD = 8
"""Findings of one kind in one report."""


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
    location = _recent(_place(location, findings), findings)
    fixed_at = location.timestamp
    if fixed_at is None or (crashed_at - OLDEST_FIX <= fixed_at <= max(crashed_at, at) + AHEAD):
        return location
    findings.append("fix_time_impossible:$.location.timestamp")
    return replace(location, timestamp=None)


def _place(location: Location, findings: list[str]) -> Location:
    """A place that cannot be becomes the words that were sent; one that is only unlikely stays, for a person."""
    latitude, longitude = location.latitude, location.longitude
    if latitude is None and longitude is None:
        return location
    exchanged = latitude is not None and longitude is not None and swapped(latitude, longitude)
    possible = isinstance(plausible(latitude, longitude), Known)
    if exchanged or not possible:
        findings.append(f"{'location_swapped' if exchanged else 'position_impossible'}:$.location")
    if possible:
        return location
    return replace(location, latitude=None, longitude=None, reported=location.reported or f"{latitude},{longitude}")


def _recent(location: Location, findings: list[str]) -> Location:
    """The places before, without those that cannot be."""
    odd = [number for number, fix in enumerate(location.recent) if not _possible(fix)]
    if not odd:
        return location
    findings.extend(f"position_impossible:$.location.recent[{number}]" for number in odd[:_TOLD])
    return replace(location, recent=tuple(fix for fix in location.recent if _possible(fix)))


def _possible(fix: Fix) -> bool:
    return isinstance(plausible(fix.latitude, fix.longitude), Known)


def _vehicle(vehicle: Vehicle, findings: list[str]) -> None:
    """What names no vehicle stays, for whoever looks: what goes by it asks ``names_one`` itself."""
    scheme, value = vehicle.id_scheme or "", vehicle.id_value
    if value and (fault := _misnamed(scheme, value)):
        findings.append(f"{fault}:$.vehicle.id")
    if vehicle.license_plate and not names_one("plate", vehicle.license_plate):
        findings.append("vehicle_placeholder:$.vehicle.licensePlate")


def _misnamed(scheme: str, value: str) -> str | None:
    """The code of what is odd about the name of a vehicle."""
    fault = vin_fault(value) if scheme == "vin" else None
    if names_one(scheme, value):
        return fault if fault != "vin_illegal" else None  # in full width or small letters it is one
    return fault if fault == "vin_illegal" and not is_filling(value) else "vehicle_placeholder"


def _call_back(call_back: CallBack, findings: list[str]) -> CallBack:
    """The number in E.164; as sent when a person may know how to dial it, none when it stands for nobody."""
    if not call_back.tel:
        return call_back
    told = heard(call_back.tel)
    if told.finding:
        findings.append(f"{told.finding}:$.callback.tel")
    return replace(call_back, tel=told.number or (None if told.finding == "tel_withheld" else call_back.tel))
