"""The field log: what was odd about the reports of each kind of device, counted for the brand that can mend it.

A reader.  It looks once more into a report with findings, for what made it and for the year of a time that cannot be,
and counts; a report in order costs nothing.  What stands in the log is code characters of a model and a version, the
finding and the names of fields: no vehicle, no person, no place, no free text.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime

from routing.categories import Category
from sos.clock import epoch_ms
from sos.errors import SosError
from sos.incident.events import IncidentOpened, Recorded, ReportJoined
from sos.incident.report import EmergencyReport
from sos.intake import formats
from sos.intake.findings import FINDINGS
from sos.journal.field_log import FieldLogTable, Oddity
from sos.journal.journal import Journal

OTHER = "?"
"""For a model, a version or a field that is written in no such way as makers write them."""

LONGEST = 32
"""Characters of a model or a version."""

_LABEL = re.compile(r"[A-Za-z0-9\u30a1-\u30fe][A-Za-z0-9\u30a1-\u30fe ._+/()-]*\Z")
_IDENTITY = re.compile(r"\d{7}|[A-Z0-9]{14}|(?:\+|\b0)\d[\d ().-]{7}", re.IGNORECASE)
"""What may be a serial number, a VIN, an IMEI or a telephone number."""

_FIELD = re.compile(r"\$(?:\.[A-Za-z_*][A-Za-z0-9_]{0,39}){0,8}\Z")
_PLACES = re.compile(r"\[\d+\]")

MOST = 16
"""Findings counted of one report."""


class FieldLog:
    WANTS = (IncidentOpened, ReportJoined)

    def __init__(self, journal: Journal, table: FieldLogTable) -> None:
        self._journal = journal
        self._table = table

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """Count what is odd in ``batch``, which comes in the order of the journal."""
        found: list[tuple[int, Oddity]] = []
        for recorded in batch:
            found += [(recorded.position or 0, each) for each in await self._odd(recorded)]
        if found:
            await self._table.count(found, through=1 + max(position for position, _ in found))

    async def _odd(self, recorded: Recorded) -> list[Oddity]:
        event = recorded.event
        if not isinstance(event, IncidentOpened | ReportJoined) or not event.findings:
            return []
        report, times = await self._report(recorded, event.format)
        at = epoch_ms(recorded.at)
        return [
            Oddity(
                tenant=recorded.tenant,
                format=event.format,
                model=label(report.device.model or _car(report)),
                firmware=label(report.device.firmware),
                code=code,
                field=field,
                year=times.get(code, ""),
                first_ms=at,
                last_ms=at,
            )
            for code, field in _codes(event.findings)
        ]

    async def _report(self, recorded: Recorded, media_type: str) -> tuple[EmergencyReport, dict[str, str]]:
        """What the report says, and the years of its times; nothing where its keys are gone or nobody can read it."""
        try:
            raw = (await self._journal.parts_of(recorded)).get(Category.RAW, b"")
        except SosError:
            return EmergencyReport(), {}
        sent = formats.as_sent(raw, media_type)
        times = {"event_time_impossible": sent.crash.event_time, "fix_time_impossible": sent.location.timestamp}
        return sent, {code: _year(time) for code, time in times.items() if time is not None}


def label(text: str | None) -> str:
    """A model or a version as makers write them; ``OTHER`` for anything else, and nothing for nothing."""
    written = unicodedata.normalize("NFKC", text or "").strip()
    if not written:
        return ""
    return OTHER if len(written) > LONGEST or not _LABEL.match(written) or _IDENTITY.search(written) else written


def _car(report: EmergencyReport) -> str | None:
    return " ".join(each for each in (report.vehicle.brand, report.vehicle.model) if each) or None


def _codes(findings: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each kind of finding once, with its field; elements of lists are one field."""
    seen: dict[tuple[str, str], None] = {}
    for finding in findings[:MOST]:
        code, _, path = finding.partition(":")
        field = _PLACES.sub("", path)
        seen[code if code in FINDINGS else OTHER, field if _FIELD.match(field) else OTHER] = None
    return iter(seen)


def _year(time: datetime) -> str:
    return str(time.year)
