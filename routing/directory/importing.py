"""Tables municipality -> headquarters from CSV: what can be read is kept, what is wrong is named row by row.

Nothing is guessed.  A row is *repaired* only where the file itself says what was meant (a lost leading zero that the
check digit confirms, a line that stands there twice); everything else that is wrong is *refused*.  Columns are found
by name, in Japanese or English; both UTF-8 and cp932 are read.
"""

import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from routing.directory import jis
from routing.directory.agency import Agency
from routing.directory.duty import Duty, Kind
from routing.errors import Malformed
from routing.services import Service

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "code6": ("code6", "団体コード", "全国地方公共団体コード", "地方公共団体コード"),
    "code5": ("code5", "code", "jis", "n03_007", "市区町村コード", "行政区域コード"),
    "place": ("municipality", "市区町村", "市区町村名"),
    "name": ("fire_hq", "hq", "agency_name", "name_ja", "name", "消防本部", "消防本部名"),
    "name_en": ("name_en",),
    "id": ("hq_id", "agency_id", "agency", "id"),
    "service": ("service",),
    "kind": ("kind", "区分"),
    "valid_from": ("valid_from", "施行日", "適用開始"),
    "valid_to": ("valid_to", "廃止日", "適用終了"),
    "number": ("number", "tel", "phone", "電話番号", "電話"),
    "second_number": ("second_number", "tel2"),
    "fax": ("fax", "ファクス", "fax番号"),
    "email": ("email", "mail", "メール"),
    "url": ("url",),
}
"""What a column may be called, without regard to case."""

_KINDS = {
    "": Kind.OWN, "own": Kind.OWN, "union": Kind.OWN, "単独": Kind.OWN, "組合": Kind.OWN,
    "delegated": Kind.DELEGATED, "委託": Kind.DELEGATED, "事務委託": Kind.DELEGATED,
    "none": Kind.NONE, "非常備": Kind.NONE,
}  # fmt: skip

_CHANNELS = {"number": "voice", "fax": "fax", "email": "smtp", "url": "https"}
"""Column -> channel, in the order of preference of what is made from it."""

_SETTING = {"voice": "number", "fax": "number", "smtp": "address", "https": "url"}


class Finding(Struct, frozen=True, kw_only=True):
    """What was wrong with a row and what became of it."""

    file: str
    row: int
    """Line of the file, the header being line 1."""
    what: str
    """``bad_check_digit``, ``bad_code``, ``leading_zero``, ``duplicate_row``, ``duplicate_code``, ``no_agency``,
    ``bad_date``, ``bad_kind``, ``bad_service``, ``no_channel``, ``not_in_force``, ``bad_id``."""
    outcome: Literal["refused", "repaired", "noted"]
    detail: str


class Imported(Struct, frozen=True, kw_only=True):
    agencies: tuple[Agency, ...]
    """Those that the tables name, ``listed_only`` when no table has a channel to them."""
    duties: tuple[Duty, ...]
    rows: int
    findings: tuple[Finding, ...]
    origin: tuple[tuple[str, int], ...] = ()
    """File and row of each duty."""

    @property
    def refused(self) -> int:
        return sum(finding.outcome == "refused" for finding in self.findings)


class Coverage(Struct, frozen=True, kw_only=True):
    """How a table of duties compares with the codes in force, for one service on one day."""

    service: Service
    on: date
    codes: int
    once: int
    missing: tuple[str, ...]
    """Codes in force that nobody is on duty for."""
    twice: tuple[str, ...]
    """Codes in force with more than one row that holds."""
    gaps: tuple[str, ...]
    """Codes with days between two rows on which none holds: ``code from to``."""
    unknown: tuple[str, ...]
    """Codes of rows that hold that day and are no municipality then."""
    source: str
    """Where the codes in force come from."""

    @property
    def complete(self) -> bool:
        return not (self.missing or self.twice or self.gaps)


class _Row(Struct, frozen=True):
    file: str
    line: int
    cells: Mapping[str, str]

    def finding(self, what: str, outcome: Literal["refused", "repaired", "noted"], detail: str) -> Finding:
        return Finding(file=self.file, row=self.line, what=what, outcome=outcome, detail=detail)


def read_tables(files: Iterable[tuple[str, bytes]], *, known: Collection[Agency] = ()) -> Imported:
    """Duties and agencies of several files, taken together.

    ``known``: agencies there are already; a headquarters of the same name and service is that one.  ``Malformed``
    when a file is no table with codes and names.
    """
    findings: list[Finding] = []
    kept: list[tuple[_Row, Duty]] = []
    rows = [row for name, data in files for row in _rows(name, data)]
    seen: dict[Duty, _Row] = {}
    for row in rows:
        duty = _duty(row, findings)
        if duty is None:
            continue
        if (earlier := seen.setdefault(duty, row)) is row:
            kept.append((row, duty))
        else:
            findings.append(row.finding("duplicate_row", "repaired", f"{duty.code} as in row {earlier.line}"))
    clashing = _clashing(kept, findings)
    kept = [pair for number, pair in enumerate(kept) if number not in clashing]
    agencies, duties = _agencies(kept, known=known, findings=findings)
    origin = tuple((row.file, row.line) for row, _ in kept)
    ordered = sorted(findings, key=lambda finding: (finding.file, finding.row))
    return Imported(agencies=agencies, duties=duties, rows=len(rows), findings=tuple(ordered), origin=origin)


def coverage(duties: Collection[Duty], codes: jis.CodesInForce, *, service: Service, on: date) -> Coverage:
    """Whether each code in force has exactly one row of ``service`` on the day."""
    of_service = [duty for duty in duties if duty.service is service]
    holding: defaultdict[str, int] = defaultdict(int)
    for duty in of_service:
        holding[duty.code] += duty.holds(on)
    counts = {code: holding.get(code, 0) or holding.get(jis.city_of(code) or "", 0) for code in codes.names}
    cities = {jis.city_of(code) for code in codes.names}
    return Coverage(
        service=service,
        on=on,
        codes=len(counts),
        once=sum(count == 1 for count in counts.values()),
        missing=tuple(code for code, count in counts.items() if count == 0),
        twice=tuple(code for code, count in counts.items() if count > 1),
        gaps=tuple(_gaps(of_service)),
        unknown=tuple(
            code for code in sorted(holding) if holding[code] and code not in codes.names and code not in cities
        ),
        source=codes.source,
    )


def not_in_force(imported: Imported, codes: jis.CodesInForce, *, on: date) -> tuple[Finding, ...]:
    """A note for each row that holds on the day although its code is no municipality."""
    cities = {jis.city_of(code) for code in codes.names}
    return tuple(
        Finding(file=file, row=row, what="not_in_force", outcome="noted", detail=f"{duty.code} is in no list of today")
        for (file, row), duty in zip(imported.origin, imported.duties, strict=True)
        if duty.holds(on) and duty.code not in codes.names and duty.code not in cities
    )


def _rows(name: str, data: bytes) -> list[_Row]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = data.decode("cp932")
        except UnicodeDecodeError as fault:
            raise Malformed(f"{name} is neither UTF-8 nor cp932 (Shift_JIS)") from fault
    reader = csv.reader(io.StringIO(text, newline=""))
    header = [unicodedata.normalize("NFKC", cell).strip().lower() for cell in next(reader, [])]
    columns: dict[int, str] = {}
    for field, names in COLUMNS.items():
        columns |= {header.index(name): field for name in names[::-1] if name in header}
    found = set(columns.values())
    if not found & {"code5", "code6"} or not found & {"name", "id"}:
        raise Malformed(f"{name} needs a column with a code (such as code6) and one with a name (such as fire_hq)")
    rows = []
    for cells in reader:
        if any(cell.strip() for cell in cells):
            given = {columns[place]: cell.strip() for place, cell in enumerate(cells) if place in columns}
            rows.append(_Row(name, reader.line_num, given))
    return rows


def _duty(row: _Row, findings: list[Finding]) -> Duty | None:
    """The duty a row states, with the *name* of the agency for its id until all rows are known."""
    code = _code(row, findings)
    dates = _dates(row, findings)
    kind = _KINDS.get(row.cells.get("kind", "").lower())
    service = row.cells.get("service", "").lower() or Service.FIRE.value
    if kind is None:
        findings.append(row.finding("bad_kind", "refused", f"{row.cells['kind']!r} is none of own, delegated, none"))
    if service not in set(Service):
        findings.append(row.finding("bad_service", "refused", f"{service!r} is no service"))
    if code is None or dates is None or kind is None or service not in set(Service):
        return None
    agency = row.cells.get("id") or row.cells.get("name") or None
    if agency is None and kind is not Kind.NONE:
        findings.append(row.finding("no_agency", "refused", f"{code} has no headquarters"))
        return None
    return Duty(code=code, agency=agency, service=Service(service), kind=kind, valid_from=dates[0], valid_to=dates[1])


def _code(row: _Row, findings: list[Finding]) -> str | None:
    """The five digits; the check digit is used to repair what a spreadsheet did to them."""
    six, five = (unicodedata.normalize("NFKC", row.cells.get(field, "")) for field in ("code6", "code5"))
    if not (six or five):
        findings.append(row.finding("bad_code", "refused", "no code"))
        return None
    if not re.fullmatch(r"\d{0,6}", six) or not re.fullmatch(r"\d{0,6}", five):
        findings.append(row.finding("bad_code", "refused", f"{six or five!r} is no code of digits"))
        return None
    if len(five) == 6:  # the column of five holds six: what it holds decides
        six, five = six or five, five[:5]
    if six and (code := _of_six(row, six, five, findings)) != "":
        return code
    return _of_five(row, five, findings)


def _of_six(row: _Row, six: str, five: str, findings: list[Finding]) -> str | None:
    """What the six digits say: the code, None when refused, empty when only the five can tell."""
    padded = six.zfill(6)
    if len(six) < 5 or jis.check_digit(padded[:5]) != padded[5]:
        right = f"{padded[:5]}{jis.check_digit(padded[:5])}"
        if len(five) in (4, 5) and five.zfill(5) == padded[:5]:
            findings.append(row.finding("bad_check_digit", "repaired", f"{six} should be {right}"))
            return ""
        told = f"{six} fails its check digit and no column of five digits agrees with it"
        findings.append(row.finding("bad_check_digit", "refused", told))
        return None
    if len(six) == 5:
        findings.append(row.finding("leading_zero", "repaired", f"{six} is {padded}"))
    if five and five.zfill(5) != padded[:5]:
        findings.append(row.finding("bad_code", "refused", f"{six} and {five} are different places"))
        return None
    return padded[:5]


def _of_five(row: _Row, five: str, findings: list[Finding]) -> str | None:
    if len(five) not in (4, 5) or not 1 <= int(five.zfill(5)[:2]) <= 47:
        findings.append(row.finding("bad_code", "refused", f"{five!r} is no municipality code"))
        return None
    if len(five) == 4:
        findings.append(row.finding("leading_zero", "repaired", f"{five} is {five.zfill(5)}"))
    return five.zfill(5)


def _dates(row: _Row, findings: list[Finding]) -> tuple[date | None, date | None] | None:
    found: list[date | None] = []
    for field in ("valid_from", "valid_to"):
        text = row.cells.get(field, "").replace("/", "-")
        try:
            found.append(date.fromisoformat(text) if text else None)
        except ValueError:
            findings.append(row.finding("bad_date", "refused", f"{field} {text!r} is no date (YYYY-MM-DD)"))
            return None
    if found[0] and found[1] and found[1] < found[0]:
        findings.append(row.finding("bad_date", "refused", f"valid_to {found[1]} is before valid_from {found[0]}"))
        return None
    return found[0], found[1]


def _clashing(kept: Sequence[tuple[_Row, Duty]], findings: list[Finding]) -> set[int]:
    """Numbers of rows that claim the same code for different agencies on the same day: nobody knows which is right."""
    by_place: defaultdict[tuple[Service, str], list[int]] = defaultdict(list)
    for number, (_, duty) in enumerate(kept):
        by_place[duty.service, duty.code].append(number)
    wrong: set[int] = set()
    for numbers in by_place.values():
        for place, first in enumerate(numbers):
            for second in numbers[place + 1 :]:
                if kept[first][1].overlaps(kept[second][1]):
                    wrong |= {first, second}
                    for one, other in ((first, second), (second, first)):
                        (row, duty), (at, rival) = kept[one], kept[other]
                        told = f"{duty.code} is {duty.agency} here and {rival.agency} in {at.file} row {at.line}"
                        findings.append(row.finding("duplicate_code", "refused", told))
    return wrong


_ID = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")


def _agencies(
    kept: Sequence[tuple[_Row, Duty]], *, known: Collection[Agency], findings: list[Finding]
) -> tuple[tuple[Agency, ...], tuple[Duty, ...]]:
    """The agencies that the rows name, and the rows with ids instead of names."""
    here = {(agency.service, agency.name_ja): agency for agency in known}
    here |= {(agency.service, agency.id): agency for agency in known}
    groups: defaultdict[tuple[Service, str], list[tuple[_Row, Duty]]] = defaultdict(list)
    for row, duty in kept:
        if duty.agency is not None:
            groups[duty.service, duty.agency].append((row, duty))
    made: dict[tuple[Service, str], Agency] = {}
    for key, rows in groups.items():
        agency = _agency(rows, before=here.get(key))
        made[key] = agency
        if (stated := rows[0][0].cells.get("id")) and not here.get(key) and stated != agency.id:
            findings.append(rows[0][0].finding("bad_id", "repaired", f"{stated!r} is no id; it is {agency.id} now"))
        if not agency.channels and agency.command_centre is None:
            told = f"{agency.name_ja} has no number, fax, mail or address: another one is called in its stead"
            findings.append(rows[0][0].finding("no_channel", "noted", told))
    duties = tuple(
        replace(duty, agency=made[duty.service, duty.agency].id) if duty.agency is not None else duty
        for _, duty in kept
    )
    return tuple({agency.id: agency for agency in made.values()}.values()), duties


def _agency(rows: Sequence[tuple[_Row, Duty]], *, before: Agency | None) -> Agency:
    channels: dict[str, dict[str, Any]] = dict(before.channels) if before else {}
    for row, _ in rows:
        for column, channel in _CHANNELS.items():
            if value := row.cells.get(column):
                channels.setdefault(channel, {_SETTING[channel]: value})
        if "voice" in channels and (second := row.cells.get("second_number")):
            channels["voice"] = {"second_number": second, **channels["voice"]}
    reachable = bool(channels or (before and before.command_centre))
    if before is not None:
        return replace(before, channels=channels, listed_only=not reachable)
    row, duty = rows[0]
    lowest = min(each.code for _, each in rows)
    stated = row.cells.get("id", "")
    name = row.cells.get("name") or stated
    return Agency(
        id=stated if _ID.fullmatch(stated) else f"jp-{lowest[:2]}-{duty.service.value}-{lowest}",
        service=duty.service,
        name_ja=name,
        name_en=row.cells.get("name_en") or name,
        jurisdiction=(),
        channels=channels,
        listed_only=not reachable,
    )


def _gaps(duties: Iterable[Duty]) -> Iterable[str]:
    by_code: defaultdict[str, list[Duty]] = defaultdict(list)
    for duty in duties:
        by_code[duty.code].append(duty)
    for code, rows in sorted(by_code.items()):
        ordered = sorted(rows, key=lambda duty: duty.valid_from or date.min)
        for earlier, later in pairwise(ordered):
            if earlier.valid_to and later.valid_from and earlier.valid_to + timedelta(days=1) < later.valid_from:
                yield f"{code} {earlier.valid_to} {later.valid_from}"
