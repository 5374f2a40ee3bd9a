"""Vehicles, customers and entitlements as a brand's CSV file: what each row asks for, and what is wrong with it.

Pure: bytes in, rows and findings out, so a dry run and the real import say the same.  A row with a finding is left out
and named; the others stand for themselves.  Whatever a spreadsheet in Japan writes is read: UTF-8 with or without a
mark, cp932, UTF-16 ("Unicode text"), commas, tabs or semicolons, a ``sep=`` line, empty columns behind the last.
"""

import codecs
import csv
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from io import StringIO
from typing import Literal
from unicodedata import normalize

from msgspec import Struct

from routing.text import clean
from sos.errors import Malformed
from sos.incident.model import TenantId
from sos.registry.lifecycle import ITEMS
from sos.registry.model import SOS, Scheme, VehicleKey
from sos.registry.orders import GrantEntitlement, RegisterSubscriber, RegisterVehicle

JST = timezone(timedelta(hours=9), "JST")
"""Dates without a time are days in Japan."""

UNLIMITED = date(9999, 12, 31)
"""How many systems write «never»."""

MOST_BYTES = 64 * 1024 * 1024
MOST_ROWS = 100_000
"""What one import holds in memory at a time: about 200 MiB."""
_LONGEST_CELL = 500
_FIRST_ROW = 2
"""Row 1 is the header, as a spreadsheet counts."""

_VEHICLE = ("brand", *Scheme, "unit")
_CONTRACT = ("service", "begins", "ends", "terms")
COLUMNS = frozenset({*_VEHICLE, *_CONTRACT, "customer_ref", *ITEMS})
"""Every column there is; one that is not here stops the import, for nobody could say what becomes of it."""

_DAY = re.compile(
    r"(\d{4})\s?[-/.年]\s?(\d{1,2})\s?[-/.月]\s?(\d{1,2})日?(?:\s{1,3}(\d{1,2}):(\d{2})(?::(\d{2})(?:\.0{1,9})?)?)?",
    re.ASCII,
)
"""A date as spreadsheets write one, with the time that they add."""

Code = Literal[
    "unknown_brand", "no_key", "bad_key", "bad_date", "ends_before_begins", "duplicate", "conflicts",
    "cells", "too_long", "no_customer_ref", "bad_code", "refused",
]  # fmt: skip


class Finding(Struct, frozen=True, kw_only=True):
    row: int
    """As a spreadsheet counts: the header is row 1."""
    code: Code
    field: str
    message: str
    """Says what was expected; never what stood there."""


class Row(Struct, frozen=True, kw_only=True):
    """What one good row asks for."""

    number: int
    brand: TenantId
    vehicle: RegisterVehicle
    subscriber: RegisterSubscriber | None
    entitlement: GrantEntitlement | None


class Sheet(Struct, frozen=True, kw_only=True):
    encoding: str
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    total: int
    """Rows of the file, the header not counted, empty lines neither."""


_LONGEST_CODE = 64
_CODE_OR_NONE = re.compile(r"[A-Za-z0-9_.:/#-]*")


class _Wrong(Exception):
    """One cell is wrong; ends in a finding."""

    def __init__(self, code: Code, field: str, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.field = field
        self.message = message


def read(content: bytes, *, brands: Collection[TenantId], now: datetime) -> Sheet:
    """The rows of ``content`` for ``brands``; entitlements without a beginning begin ``now``.

    ``Malformed`` when the file as a whole cannot be read: its encoding, its header, its size.
    """
    if len(content) > MOST_BYTES:
        raise Malformed(f"the file is larger than {MOST_BYTES // 2**20} MiB; split it")
    text, encoding = _decoded(content)
    lines = _lines(text)
    rows: list[Row] = []
    findings: list[Finding] = []
    seen = _Seen()
    for number, cells in lines:
        try:
            row = _row(number, cells, brands=brands, now=now)
            seen.check(row)
            rows.append(row)
        except _Wrong as wrong:
            findings.append(Finding(row=number, code=wrong.code, field=wrong.field, message=wrong.message))
    return Sheet(encoding=encoding, rows=tuple(rows), findings=tuple(findings), total=len(lines))


def _decoded(content: bytes) -> tuple[str, str]:
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        try:
            return content.decode("utf-16"), "utf-16"
        except UnicodeDecodeError as wrong:
            raise Malformed(f"the file begins as UTF-16 and is none (byte {wrong.start})") from wrong
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return content.decode(encoding), "utf-8" if encoding == "utf-8-sig" else encoding
        except UnicodeDecodeError as wrong:
            at = wrong.start
    raise Malformed(f"the file is neither UTF-8, UTF-16 nor cp932 (byte {at}); save it as «CSV UTF-8»")


_SEPARATORS = ",\t;"


def _separated(text: str) -> tuple[str, str, int]:
    """The sheet without Excel's ``sep=`` line, what separates its cells, and how many lines were taken off."""
    first, _, rest = text.partition("\n")
    stated = first.strip().strip('"')
    if stated[:4].lower() == "sep=" and len(stated) == len("sep=") + 1:
        return rest, stated[4], 1
    if first.rstrip("\r").lower() == "sep=\t":
        return rest, "\t", 1
    return text, max(_SEPARATORS, key=first.count), 0


def _lines(text: str) -> Sequence[tuple[int, Mapping[str, str]]]:
    """Row number and cells; ``{}`` for a row with more or fewer cells than the header."""
    sheet, separator, before = _separated(text)
    reader = csv.reader(StringIO(sheet, newline=""), strict=True, delimiter=separator)
    found: list[tuple[int, Mapping[str, str]]] = []
    try:
        header = _without_empty_end([clean(name).strip().lower() for name in next(reader, [])])
        _check_header(header)
        for number, written in enumerate(reader, _FIRST_ROW + before):
            cells = [clean(cell).strip() for cell in written]
            if any(cells):
                if len(found) == MOST_ROWS:
                    raise Malformed(f"the file has more than {MOST_ROWS:,} rows; split it")
                cells = _without_empty_end(cells, least=len(header))
                fits = len(cells) == len(header)
                found.append((number, dict(zip(header, cells, strict=True)) if fits else {}))
    except csv.Error as wrong:
        raise Malformed(f"line {reader.line_num} is no CSV: {wrong}") from wrong
    return found


def _without_empty_end(cells: list[str], *, least: int = 0) -> list[str]:
    """``cells`` without the empty ones behind the last, which a spreadsheet adds for columns it once had."""
    end = len(cells)
    while end > least and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _check_header(header: Sequence[str]) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        raise Malformed(f"there is no column {unknown[0][:40]!r}; known are {', '.join(sorted(COLUMNS))}")
    if len(set(header)) < len(header):
        raise Malformed("a column stands twice in the header")
    if "brand" not in header or not set(Scheme) & set(header):
        raise Malformed(f"the header needs `brand` and at least one of {', '.join(Scheme)}")


def _row(number: int, cells: Mapping[str, str], *, brands: Collection[TenantId], now: datetime) -> Row:
    if not cells:
        raise _Wrong("cells", "", "as many cells as the header has")
    for name, value in cells.items():
        if len(value) > _LONGEST_CELL:
            raise _Wrong("too_long", name, f"at most {_LONGEST_CELL} characters")
    _code(cells.get("unit", ""), "unit")
    brand = TenantId(cells["brand"])
    if brand not in brands:
        raise _Wrong("unknown_brand", "brand", "a brand this house serves")
    return Row(
        number=number,
        brand=brand,
        vehicle=RegisterVehicle(keys=_keys(cells), source="csv", unit=cells.get("unit", "")),
        subscriber=_subscriber(cells),
        entitlement=_entitlement(cells, now),
    )


def _keys(cells: Mapping[str, str]) -> tuple[VehicleKey, ...]:
    keys: list[VehicleKey] = []
    for scheme in Scheme:
        if value := cells.get(scheme):
            try:
                keys.append(VehicleKey.of(scheme, value))
            except Malformed as wrong:
                raise _Wrong("bad_key", scheme, str(wrong)) from wrong
    if not keys:
        raise _Wrong("no_key", "vin", f"at least one of {', '.join(Scheme)}")
    return tuple(keys)


def _subscriber(cells: Mapping[str, str]) -> RegisterSubscriber | None:
    profile = {item: cells[item] for item in ITEMS if cells.get(item)}
    ref = cells.get("customer_ref", "")
    if not ref:
        if profile:
            raise _Wrong("no_customer_ref", "customer_ref", "the brand's customer number, for a row about a person")
        return None
    if len(ref) > 64:
        raise _Wrong("too_long", "customer_ref", "at most 64 characters")
    return RegisterSubscriber(profile=profile, source="csv", ref=ref)


def _entitlement(cells: Mapping[str, str], now: datetime) -> GrantEntitlement | None:
    if not any(cells.get(name) for name in _CONTRACT):
        return None
    service = cells.get("service") or SOS
    if not all(char.isascii() and (char.isalnum() or char in "_.:-") for char in service) or len(service) > 64:
        raise _Wrong("bad_code", "service", "a code such as sos")
    begins = _instant(cells.get("begins", ""), "begins", end=False) or now
    ends = _instant(cells.get("ends", ""), "ends", end=True)
    if ends is not None and ends <= begins:
        raise _Wrong("ends_before_begins", "ends", "a day on or after `begins`")
    terms = cells.get("terms", "")
    _code(terms, "terms")
    return GrantEntitlement(service=service, begins=begins, ends=ends, terms=terms)


def _code(value: str, field: str) -> None:
    """It stands in headers, so that no words may be in it."""
    if len(value) > _LONGEST_CODE:
        raise _Wrong("too_long", field, f"at most {_LONGEST_CODE} characters")
    if not _CODE_OR_NONE.fullmatch(value):
        raise _Wrong("bad_code", field, "letters, digits and _ . : / # - only")


def _instant(value: str, field: str, *, end: bool) -> datetime | None:
    """The instant a day begins in Japan or, for an ``end``, is over: the last day is included.  None when empty.

    Midnight, which a spreadsheet puts behind every date, is the day and no time.
    """
    if not value:
        return None
    written = _DAY.fullmatch(normalize("NFKC", value))
    try:
        if written is None:
            instant = datetime.fromisoformat(value)
            return (instant if instant.tzinfo else instant.replace(tzinfo=JST)).astimezone(UTC)
        given = date(int(written[1]), int(written[2]), int(written[3]))
        hour, minute, second = (int(each or 0) for each in written.group(4, 5, 6))
        if hour or minute or second:
            return datetime.combine(given, time(hour, minute, second), JST).astimezone(UTC)
    except (ValueError, OverflowError) as wrong:
        raise _Wrong("bad_date", field, "a day such as 2026-04-01, or an RFC 3339 time") from wrong
    if end and given == UNLIMITED:
        return None
    if not 1900 <= given.year <= 2200:
        raise _Wrong("bad_date", field, "a day between 1900 and 2200")
    return datetime.combine(given + timedelta(days=1 if end else 0), time(), JST).astimezone(UTC)


class _Seen:
    """What earlier rows have said, so that no key is claimed twice."""

    def __init__(self) -> None:
        self._owner: dict[tuple[TenantId, Scheme, str], Row] = {}
        self._taken: set[tuple[TenantId, Scheme, str, str]] = set()

    def check(self, row: Row) -> None:
        """Refuse a vehicle that stands twice for one service, and one that shares a key with another vehicle."""
        service = row.entitlement.service if row.entitlement else ""
        places = [(row.brand, key.scheme, key.value) for key in row.vehicle.keys]
        for place in places:
            earlier = self._owner.get(place)
            if (*place, service) in self._taken and earlier is not None:
                raise _Wrong("duplicate", place[1], f"each vehicle once; it stands in row {earlier.number} already")
            if earlier is not None and (earlier.vehicle, earlier.subscriber) != (row.vehicle, row.subscriber):
                raise _Wrong("conflicts", place[1], f"what row {earlier.number} says of the same vehicle")
        for place in places:
            self._owner.setdefault(place, row)
            self._taken.add((*place, service))
