"""From the rows of boundary files to areas fit for an index: joined by code, repaired, dated, and what was odd.

An import repairs what has one plausible meaning (an outline that crosses itself, a code without its leading zero, an
area in several rows) and says which rows.  What has two (one code under two names, a code and a name of different
prefectures, a wrong check digit) is left out and named: an odd row spoils nothing but itself.
"""

import itertools
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import shapely
from msgspec import Struct
from msgspec.structs import replace

from routing.boundaries.build import Holders, shared_edges
from routing.boundaries.index import Area, Finding, Index
from routing.boundaries.prefectures import PrefectureLayer
from routing.boundaries.projection import degrees_per_m
from routing.boundaries.sources import Content, Row, day
from routing.directory.jis import CodesInForce, check_digit
from routing.errors import Misconfigured

NOBODYS = "所属未定地"
"""How KSJ N03 names land that no municipality has been given."""

_TOLD_OVERLAP_M2 = 1.0

_TOLD_HOLES = 20
"""The largest are named, the others counted."""


class Survey(Struct, frozen=True):
    """Areas in order of their codes, the polygon of each, and the findings."""

    areas: tuple[Area, ...]
    shapes: tuple[Any, ...]
    findings: tuple[Finding, ...]


class _Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Areas that became one."""

    on: date
    code: str
    of: tuple[str, ...]
    name_ja: str = ""
    name_en: str = ""
    note: str = ""


class _Changes(Struct, frozen=True, forbid_unknown_fields=True):
    change: tuple[_Change, ...]


def survey(
    contents: Sequence[Content],
    *,
    valid_from: date | None = None,
    valid_to: date | None = None,
    tell: Callable[[str], None],
) -> Survey:
    """The areas of one or several files.  ``Misconfigured`` when nothing of a file can be used."""
    findings = [finding for content in contents for finding in content.findings]
    areas: list[Area] = []
    shapes: list[Any] = []
    for number, content in enumerate(contents):
        tell(f"reading {content.source.name}")
        for area, parts in _areas(content, findings, source=number, valid_from=valid_from, valid_to=valid_to):
            tell(area.name_ja or area.code)
            shape = _joined(area, parts, findings)
            if shape is not None:
                areas.append(area)
                shapes.append(shape)
    return ordered(areas, shapes, findings)


def examined(found: Survey, *, tell: Callable[[str], None]) -> Survey:
    """The same with what areas claim together, and what none does, among the findings."""
    findings = list(found.findings)
    for day_of_change in sorted({area.valid_from or date.min for area in found.areas}):
        valid = [number for number, area in enumerate(found.areas) if holds(area, day_of_change)]
        areas, shapes = [found.areas[number] for number in valid], [found.shapes[number] for number in valid]
        tell("overlaps")
        findings += _overlaps(areas, shapes)
        tell("holes")
        findings += _holes(shapes)
        findings += _elsewhere(areas)
    return replace(found, findings=tuple(findings))


def compared(found: Survey, codes: CodesInForce | None) -> Survey:
    """The same with the codes in force that have no area, and the areas whose code is not in force.

    Judged by the prefectures that the layer holds, on the newest state; nothing is found without a list of codes.
    """
    newest = [area for area in found.areas if area.valid_to is None and (area.prefecture or "").startswith("JP-")]
    if codes is None or not newest:
        return found
    here, held = {area.code[:2] for area in newest}, {area.code for area in newest}
    missing = sorted(code for code in codes.names if code[:2] in here and code not in held)
    past = sorted(held - set(codes.names))
    told = []
    if missing:
        listed = ", ".join(f"{code} {codes.names[code]}" for code in missing)
        told.append(Finding("missing", f"codes in force ({codes.source}) without an area: {listed}"))
    if past:
        rows = tuple(row for area in newest if area.code in set(past) for row in area.rows[:1])
        words = (
            f"areas whose code {codes.source} does not have: {', '.join(past)}; --succession may know what they became"
        )
        told.append(Finding("past", words, rows))
    return replace(found, findings=(*found.findings, *told))


def succeeded(found: Survey, file: Path | None) -> Survey:
    """The same with the changes of a table (TOML; None: Japan's own) applied: old areas end, their union begins.

    ``Misconfigured`` when the table is none.  A change whose old areas are not all there is left out.
    """
    try:
        text = file.read_text() if file else (resources.files("routing") / "data" / "jp_succession.toml").read_text()
        changes = msgspec.convert(tomllib.loads(text), _Changes).change
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as fault:
        raise Misconfigured(f"{file}: not a table of changes: {fault}") from fault
    areas, shapes, findings = list(found.areas), list(found.shapes), list(found.findings)
    known = {area.code: number for number, area in enumerate(areas)}
    for change in changes:
        if change.code in known or not all(code in known for code in change.of):
            continue
        old = [known[code] for code in change.of]
        for number in old:
            areas[number] = replace(areas[number], valid_to=change.on - timedelta(days=1))
        first = areas[old[0]]
        names = {"name_ja": change.name_ja, "name_en": change.name_en}
        areas.append(replace(first, code=change.code, **names, valid_from=change.on, valid_to=None, rows=()))
        shapes.append(shapely.union_all([shapes[number] for number in old]))
        text = f"{change.code} {change.name_ja} made of {', '.join(change.of)} from {change.on}"
        findings.append(Finding("made", f"{text}: {change.note}" if change.note else text))
    return ordered(areas, shapes, findings)


def onto(index: Index, found: Survey) -> Survey:
    """The new areas with those of an index; an old one ends when new ones cover more than half of it.

    ``Misconfigured`` when the new areas do not say when they begin.
    """
    begin = {area.valid_from for area in found.areas}
    if None in begin:
        raise Misconfigured("areas that come onto others need a first day: --valid-from")
    ends, stored = index.file.array("shape_ends", "<u8").tolist(), index.file.section("shapes")
    old_shapes = [shapely.from_wkb(bytes(stored[a:b])) for a, b in itertools.pairwise(ends)]
    tree = shapely.STRtree(list(found.shapes))
    areas, findings = [], [*index.header.findings, *found.findings]
    sources = len(index.header.sources)
    for area, shape in zip(index.header.areas, old_shapes, strict=True):
        near = tree.query(shape, predicate="intersects").tolist()
        over = shapely.union_all([shapely.intersection(found.shapes[number], shape) for number in near])
        first = min((day for number in near if (day := found.areas[number].valid_from)), default=None)
        last = area.valid_to
        if first is not None and over.area > shape.area / 2.0 and (last is None or last >= first):
            findings.append(Finding("ended", f"{area.code} {area.name_ja} ends before {first}"))
            last = first - timedelta(days=1)
        areas.append(replace(area, valid_to=last))
    areas += [replace(area, source=area.source + sources) for area in found.areas]
    return ordered(areas, [*old_shapes, *found.shapes], findings)


def ordered(areas: Sequence[Area], shapes: Sequence[Any], findings: Sequence[Finding]) -> Survey:
    """A survey in order of its codes.  ``Misconfigured`` when there is nothing to put in order."""
    if not areas:
        left_out = "; ".join(finding.text for finding in findings)
        raise Misconfigured(f"no area is left to make a boundary layer of: {left_out}")
    order = sorted(range(len(areas)), key=lambda number: (areas[number].code, areas[number].valid_from or date.min))
    return Survey(tuple(areas[n] for n in order), tuple(shapes[n] for n in order), tuple(findings))


def holds(area: Area, on: date) -> bool:
    """Whether the area is there on a day."""
    return (area.valid_from or date.min) <= on and (area.valid_to is None or on <= area.valid_to)


def _areas(
    content: Content, findings: list[Finding], *, source: int, valid_from: date | None, valid_to: date | None
) -> list[tuple[Area, list[Row]]]:
    """The areas of a file and the rows of each."""
    name, rows = content.source.name, _usable(content, findings)
    japanese = _japanese(rows)
    if japanese:
        rows = _of_their_prefecture(rows, findings, name=name)
    grouped: dict[tuple[str, date | None, date | None], list[Row]] = defaultdict(list)
    for code, row in _coded(rows, findings, japanese=japanese, name=name):
        period = _period(row)
        if period is None:
            words = f"{name}: a row whose first or last day is no date, left out"
            findings.append(Finding("date", words, (row.number,)))
            continue
        grouped[code, period[0] or valid_from, period[1] or valid_to].append(row)
    return [
        (_area(code, first, last, members, source=source, japanese=japanese), members)
        for (code, first, last), members in grouped.items()
        if _of_one_name(code, members, findings, name=name)
    ]


def _coded(rows: Sequence[Row], findings: list[Finding], *, japanese: bool, name: str) -> list[tuple[str, Row]]:
    """Each row and its code, in five digits where it is one of Japan."""
    if not japanese:
        return [(row.fields["code"], row) for row in rows]
    coded = [(_jis(row.fields["code"]), row) for row in rows]
    if faults := tuple(row.number for code, row in coded if code is None):
        findings.append(Finding("code", f"{name}: rows whose code has a wrong check digit, left out", faults))
    if padded := tuple(row.number for code, row in coded if code is not None and code != row.fields["code"]):
        findings.append(Finding("code", "codes brought to five digits", padded))
    return [(code, row) for code, row in coded if code is not None]


@lru_cache(maxsize=1)
def shipped() -> PrefectureLayer:
    """The prefectures that ship with the package: their names, and the land abroad."""
    return PrefectureLayer.load()


def _japanese(rows: Sequence[Row]) -> bool:
    """Whether the codes are JIS X 0402: digits, and most areas are named as in the prefecture that the code is of."""
    return 2 * sum(map(_fits, rows)) >= len(rows)


def _fits(row: Row) -> bool:
    """Whether code and name are of one prefecture."""
    code, name = str(row.fields["code"]), str(row.fields.get("name", ""))
    known = shipped().names.get(f"JP-{code.zfill(5)[:2]}")
    if known is None or not (code.isdigit() and len(code) in (4, 5, 6)):
        return False
    return name.startswith(known[0]) or row.fields.get("prefecture") == known[0]


def _of_their_prefecture(rows: Sequence[Row], findings: list[Finding], *, name: str) -> list[Row]:
    """The rows that are what they say; one whose code is of another prefecture than its name is nobody's answer."""
    odd = [row for row in rows if not _fits(row)]
    if odd:
        listed = ", ".join(f"{row.fields['code']} {row.fields.get('name', '')}".strip() for row in odd[:_TOLD_HOLES])
        words = f"{name}: code and name are of different prefectures, left out: {listed}"
        findings.append(Finding("odd", words, tuple(row.number for row in odd)))
    return [row for row in rows if _fits(row)]


def _of_one_name(code: str, rows: Sequence[Row], findings: list[Finding], *, name: str) -> bool:
    """Whether the rows of a code are of one area: of two nobody knows which is meant."""
    names: Mapping[str, int] = {str(row.fields.get("name", "")): row.number for row in rows}
    if len(names) > 1:
        words = f"{name}: code {code} stands for {' and '.join(names)}, left out"
        findings.append(Finding("code", words, tuple(row.number for row in rows)))
    return len(names) == 1


def _usable(content: Content, findings: list[Finding]) -> list[Row]:
    """The rows that have a shape and a code; the others are told."""
    shapeless = [row.number for row in content.rows if row.shape is None or not _polygons(row.shape)]
    left = [row for row in content.rows if row.number not in set(shapeless)]
    codeless = [row for row in left if "code" not in row.fields]
    nobodys = [row.number for row in codeless if str(row.fields.get("name", "")).endswith(NOBODYS)]
    others = [row.number for row in codeless if row.number not in set(nobodys)]
    told = (
        ("no_shape", shapeless, "rows without a polygon, left out"),
        ("no_code", others, "rows without a code, left out"),
    )
    for kind, rows, words in (*told, ("nobody's", nobodys, f"rows of {NOBODYS}, left out")):
        if rows:
            findings.append(Finding(kind, f"{content.source.name}: {len(rows)} {words}", tuple(rows)))
    usable = [row for row in left if "code" in row.fields]
    if not usable:
        raise Misconfigured(f"{content.source.name}: no row has a polygon and a code")
    return usable


def _polygons(shape: Any) -> list[Any]:
    return [part for part in shapely.get_parts(shape).tolist() if part.geom_type == "Polygon" and not part.is_empty]


def _jis(code: str) -> str | None:
    """The five-digit code, or None when a sixth digit does not check."""
    code = code.zfill(5)
    if len(code) == 6:
        return code[:5] if check_digit(code[:5]) == code[5] else None
    return code


def _period(row: Row) -> tuple[date | None, date | None] | None:
    """First and last day; None when one is no date."""
    try:
        return day(row.fields.get("valid_from", "")), day(row.fields.get("valid_to", ""))
    except ValueError:
        return None


def _area(
    code: str, first: date | None, last: date | None, rows: Sequence[Row], *, source: int, japanese: bool
) -> Area:
    return Area(
        code=code,
        prefecture=f"JP-{code[:2]}" if japanese else rows[0].fields.get("prefecture"),
        name_ja=str(rows[0].fields.get("name", "")),
        name_en=str(rows[0].fields.get("name_en", "")),
        valid_from=first,
        valid_to=last,
        rows=tuple(row.number for row in rows),
        source=source,
    )


def _joined(area: Area, rows: Sequence[Row], findings: list[Finding]) -> Any:
    """One valid polygon of all rows of an area; None, and a finding, when nothing is left of it."""
    parts: list[Any] = []
    seen: set[bytes] = set()
    for row in rows:
        if (digest := shapely.to_wkb(row.shape)) in seen:
            findings.append(Finding("repeat", f"{area.code} {area.name_ja}: the same outline again", (row.number,)))
            continue
        seen.add(digest)
        if not row.shape.is_valid:
            reason = shapely.is_valid_reason(row.shape)
            findings.append(Finding("repaired", f"{area.code} {area.name_ja}: {reason}", (row.number,)))
            parts += _polygons(shapely.make_valid(row.shape, method="structure", keep_collapsed=False))
        else:
            parts += _polygons(row.shape)
    if not parts:
        findings.append(Finding("no_shape", f"{area.code} {area.name_ja}: nothing is left of it", area.rows))
        return None
    whole = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    if whole.is_valid:
        return whole
    findings.append(Finding("parts", f"{area.code} {area.name_ja}: its parts overlap, joined", area.rows))
    return shapely.union_all(parts)


def claimed_twice(shapes: Sequence[Any]) -> Iterator[tuple[int, int, Any]]:
    """Pairs of shapes that claim the same land, the lower number first, and that land."""
    broken = np.flatnonzero(~shapely.is_empty(shapely.coverage_invalid_edges(np.asarray(shapes))))
    if not len(broken):
        return
    suspects = [shapes[number] for number in broken.tolist()]
    # Of an area that holds another without a hole only the inner one is broken: look for its partner among all.
    ones, others = shapely.STRtree(shapes).query(suspects, predicate="intersects")
    pairs = {tuple(sorted(pair)) for pair in zip(broken[ones].tolist(), others.tolist(), strict=True)}
    for one, other in sorted(pairs):
        if one != other:
            common = shapely.intersection(shapes[one], shapes[other])
            if _square_m(common) > _TOLD_OVERLAP_M2:
                yield one, other, common


def _overlaps(areas: Sequence[Area], shapes: Sequence[Any]) -> list[Finding]:
    """Pairs of areas that claim the same land; the lower code answers there."""
    found = []
    for one, other, common in claimed_twice(shapes):
        pair = [areas[one], areas[other]]
        rows = tuple(row for area in pair for row in area.rows[:3])
        names = " and ".join(f"{area.code} {area.name_ja}" for area in pair)
        words = f"{names} share {_square_m(common):,.0f} m2"
        found.append(Finding("overlap", f"{words}; {pair[0].code} answers there", rows))
    return found


def _holes(shapes: Sequence[Any]) -> list[Finding]:
    """Places enclosed by areas that no area claims: lakes, missing areas, slivers."""
    edges = shared_edges(shapes)
    alone = edges.right < 0
    lines = np.stack((edges.ax, edges.ay, edges.bx, edges.by), axis=1)[alone].reshape(-1, 2, 2)
    faces = shapely.get_parts(shapely.polygonize([*shapely.linestrings(lines)]))
    if not len(faces):
        return []
    inside = shapely.get_coordinates(shapely.point_on_surface(faces))
    empty = faces[Holders(shapes).of(inside[:, 0], inside[:, 1]) == 0]
    if not len(empty):
        return []
    sizes = [_square_m(face) for face in empty]
    largest = np.argsort(sizes)[::-1][:_TOLD_HOLES].tolist()
    where = [(shapely.get_coordinates(shapely.point_on_surface(empty[n]))[0].tolist(), sizes[n]) for n in largest]
    told = "; ".join(f"{size:,.0f} m2 at {at[1]:.5f}, {at[0]:.5f}" for at, size in where)
    words = f"{len(empty)} places enclosed by areas belong to none ({sum(sizes) / 1e6:,.2f} km2); the largest: {told}"
    return [Finding("hole", words)]


def _elsewhere(areas: Sequence[Area]) -> list[Finding]:
    """That whole prefectures of Japan have no area: what happens there is taken for a place off the nearest shore."""
    here = {area.prefecture for area in areas} & set(shipped().names)
    missing = len(shipped().names) - len(here)
    if not here or not missing:
        return []
    words = f"{missing} of {len(shipped().names)} prefectures have no area; a place there counts as off the nearest one"
    return [Finding("part", words)]


def _square_m(shape: Any) -> float:
    if shape.is_empty:
        return 0.0
    north, east = degrees_per_m((shape.bounds[1] + shape.bounds[3]) / 2.0)
    return float(shape.area / north / east)
