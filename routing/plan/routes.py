"""Expressways by carriageway: which road, which direction, which kilometre, and whose duty that is.

Ambulance duty on Japan's expressways goes by interchange and direction (agreement of 1980-12-01): each headquarters
serves the carriageway it can enter, so the wrong one costs a round trip to the next interchange.  Two carriageways lie
some 15 m apart, less than a fix is sure of: only the heading or the fixes before tell them apart.  Until they do, both
stay candidates.  Bridges and tunnels off every shore are named by a table of crossings, because a polygon cannot.
"""

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
from msgspec import Struct
from msgspec.structs import replace

from routing.boundaries import projection
from routing.errors import Misconfigured

SNAP_M = 40.0
"""So far from the line a fix may lie when it states no uncertainty: half a wide road and a poor fix."""

SNAP_LIMIT_M = 150.0
"""However uncertain the fix: beyond, another road is as likely."""

ALONG_DEG = 35.0
"""A heading within this of the carriageway's goes along it; ramps and lane changes stay below."""

MOVED_M = 15.0
"""A movement along the road smaller than this is noise."""

_DIRECTIONS = {"up": "up", "down": "down", "上り": "up", "下り": "down", "上": "up", "下": "down"}

_OPPOSITE = {"up": "down", "down": "up"}


class Carriageway(Struct, frozen=True, kw_only=True):
    """One direction of a road, drawn in the direction of travel."""

    road_id: str
    road: str
    direction: str
    """``up`` (towards the road's kilometre 0; 上り) or ``down`` (下り)."""
    line: tuple[tuple[float, float], ...]
    """Latitude, longitude."""
    from_kp: float
    """Kilometre at the first point of the line; between the ends it is taken in proportion to length."""
    to_kp: float
    valid_from: date | None = None
    valid_to: date | None = None


class Feature(Struct, frozen=True, kw_only=True):
    """An interchange, service area or tunnel of a road."""

    road_id: str
    kind: str
    """``ic``, ``sa``, ``pa``, ``tunnel`` or ``bridge``."""
    name: str
    from_kp: float
    to_kp: float


class Duty(Struct, frozen=True, kw_only=True):
    """Who serves a section of one carriageway, from interchange to interchange in the direction of travel."""

    road: str
    """Id or name of the road."""
    direction: str
    from_ic: str
    to_ic: str
    service: str
    first: str
    """Agency id, or the name of a headquarters as the agreement has it."""
    second: str = ""
    valid_from: date | None = None
    valid_to: date | None = None


class Responder(Struct, frozen=True):
    """Whose duty a place on a carriageway is, for one service."""

    service: str
    first: str
    second: str = ""


class RoadPlace(Struct, frozen=True, kw_only=True):
    """A place on a carriageway."""

    road_id: str
    road: str
    direction: str
    kp: float
    from_kp: float
    """Where along the road the vehicle may be now; equal to ``kp`` for a fresh fix."""
    to_kp: float
    from_ic: str = ""
    """The interchanges before and after, in the direction of travel."""
    to_ic: str = ""
    structure: str = ""
    """Tunnel, bridge, service or parking area there."""
    responders: tuple[Responder, ...] = ()
    distance_m: float
    """From the fix to the carriageway."""
    certain: bool
    """Heading or movement say that it is this direction and no other; otherwise its opposite is a candidate too."""
    evidence: tuple[str, ...] = ()
    """``heading``, ``track``, ``road_class``: what besides nearness says that it is this road."""


class Fix(Struct, frozen=True, kw_only=True):
    """What is known of where the vehicle is and was."""

    latitude: float
    longitude: float
    uncertainty_m: float | None = None
    heading: float | None = None
    """Degrees clockwise from north."""
    previous: tuple[tuple[float, float], ...] = ()
    """Fixes before this one, the latest first (EN 15722: N1, N2): latitude, longitude."""
    road_class: str = ""
    """``expressway`` when the vehicle's map says so; ``other`` when it says it is not on one."""
    speed_kmh: float | None = None
    age_s: float = 0.0
    """How old the fix is: in a tunnel there is no newer one."""


class _Snap(NamedTuple):
    """A position brought onto a carriageway."""

    along_m: float
    bearing: float
    distance_m: float


class RouteTable:
    """Carriageways with duties.  Its answers never change after it is made; safe to share between threads."""

    def __init__(
        self,
        carriageways: Sequence[Carriageway],
        *,
        duties: Sequence[Duty] = (),
        features: Sequence[Feature] = (),
        name: str = "routes",
        digest: str = "",
    ) -> None:
        """``Misconfigured`` when a carriageway has no length, or a duty names an interchange its road has not."""
        self._carriageways = tuple(carriageways)
        self._features: dict[str, list[Feature]] = defaultdict(list)
        for feature in features:
            self._features[feature.road_id].append(feature)
        self._duties = _placed(duties, self._carriageways, self._features)
        self.dataset = f"{name}@{digest}"
        """``name@sha256``, as plans record it."""
        lines: list[Any] = []
        self._owner: list[int] = []
        """By piece: the carriageway."""
        self._before: list[tuple[float, float]] = []
        """By piece: metres from the start of its carriageway, and its own length."""
        self._length: list[float] = []
        for number, carriageway in enumerate(self._carriageways):
            points, along = _measured(carriageway)
            self._length.append(float(along[-1]))
            flat = projection.flattened(points)
            lines += shapely.linestrings(np.stack((flat[:-1], flat[1:]), axis=1)).tolist()
            self._owner += [number] * (len(points) - 1)
            self._before += list(zip(along[:-1].tolist(), np.diff(along).tolist(), strict=True))
        self._tree = shapely.STRtree(lines)

    @classmethod
    def load(cls, folder: Path) -> "RouteTable":
        """The tables of a folder: ``carriageways.csv``, and ``duties.csv`` and ``features.csv`` where there are.

        ``Misconfigured`` names the file and row that is wrong.
        """
        digest = sha256()
        for file in sorted(folder.glob("*.csv")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        if not (folder / "carriageways.csv").exists():
            raise Misconfigured(f"{folder.name}: has no carriageways.csv")
        return cls(
            [_carriageway(row) for row in table(folder / "carriageways.csv")],
            duties=duties_of(folder / "duties.csv") if (folder / "duties.csv").exists() else (),
            features=[_feature(row) for row in table(folder / "features.csv")]
            if (folder / "features.csv").exists()
            else (),
            name=folder.name,
            digest=digest.hexdigest(),
        )

    def match(self, fix: Fix, *, as_of: date | None = None) -> tuple[RoadPlace, ...]:
        """Where on a road the vehicle may be, the likeliest first; empty when it is on none of this table.

        A fix that goes across a road, or whose map says it is elsewhere, is not on it.  Where the direction is not
        known, both carriageways are there, ``certain`` in neither.
        """
        if fix.road_class not in ("", "expressway"):
            return ()
        reach_m = min(SNAP_LIMIT_M, max(SNAP_M, fix.uncertainty_m or 0.0))
        near = self._near(fix.latitude, fix.longitude, reach_m)
        before = [self._near(*position, SNAP_LIMIT_M) for position in fix.previous] if near else []
        found = [
            place
            for number, snap in near.items()
            if _valid(self._carriageways[number], as_of)
            and (place := self._place(number, fix, snap, [each[number] for each in before if number in each]))
        ]
        found = [self._named(place, as_of) for place in _nearest_of_each(found)]
        sure = {(place.road_id, place.direction) for place in found if place.certain}
        kept = [place for place in found if (place.road_id, _OPPOSITE[place.direction]) not in sure or place.certain]
        return tuple(sorted(kept, key=lambda place: (not place.certain, -len(place.evidence), place.distance_m)))

    def _near(self, latitude: float, longitude: float, reach_m: float) -> dict[int, _Snap]:
        """The nearest place on each carriageway within reach."""
        point = shapely.Point(*projection.flat_point(latitude, longitude))
        scale = projection.scale_m(latitude)
        pieces = self._tree.query(point, predicate="dwithin", distance=reach_m / scale)
        lines = self._tree.geometries[pieces]
        lengths = (shapely.distance(lines, point) * scale).tolist()
        nearest: dict[int, int] = {}
        for place, (piece, length) in enumerate(zip(pieces.tolist(), lengths, strict=True)):
            known = nearest.get(self._owner[piece])
            if known is None or length < lengths[known]:
                nearest[self._owner[piece]] = place
        return {number: self._snap(int(pieces[n]), lines[n], point, lengths[n]) for number, n in nearest.items()}

    def _snap(self, piece: int, line: Any, point: Any, distance_m: float) -> _Snap:
        before, length = self._before[piece]
        part = float(shapely.line_locate_point(line, point, normalized=True))
        (ax, ay), (bx, by) = shapely.get_coordinates(line).tolist()
        bearing = math.degrees(math.atan2(bx - ax, by - ay)) % 360.0
        return _Snap(before + part * length, bearing, distance_m)

    def _place(self, number: int, fix: Fix, snap: _Snap, previous: Sequence[_Snap]) -> RoadPlace | None:
        """The place on one carriageway, or None when the fix does not go along it."""
        moved = _moved(snap, previous)
        votes: list[tuple[str, bool]] = [("track", moved > 0.0)] if moved else []
        if fix.heading is not None:
            turn = abs((fix.heading - snap.bearing + 180.0) % 360.0 - 180.0)
            if turn <= ALONG_DEG or turn >= 180.0 - ALONG_DEG:
                votes.append(("heading", turn <= ALONG_DEG))
            elif not moved:
                return None
        if votes and not any(along for _, along in votes):
            return None
        carriageway = self._carriageways[number]
        ahead_m = (fix.speed_kmh or 0.0) / 3.6 * max(0.0, fix.age_s)
        kp, ahead_kp = self._kp(number, snap.along_m), self._kp(number, snap.along_m + ahead_m)
        evidence = tuple(name for name, along in votes if along)
        return RoadPlace(
            road_id=carriageway.road_id,
            road=carriageway.road,
            direction=carriageway.direction,
            kp=round(kp, 3),
            from_kp=round(min(kp, ahead_kp), 3),
            to_kp=round(max(kp, ahead_kp), 3),
            distance_m=round(snap.distance_m, 1),
            certain=bool(votes) and all(along for _, along in votes),
            evidence=(*evidence, "road_class") if fix.road_class == "expressway" else evidence,
        )

    def _named(self, road: RoadPlace, as_of: date | None) -> RoadPlace:
        """With interchanges, structure and duty of the whole stretch where the vehicle may be."""
        features = self._features[road.road_id]
        ics = sorted((f for f in features if f.kind == "ic"), key=lambda f: f.from_kp)
        below = [f.name for f in ics if f.from_kp <= road.kp]
        above = [f.name for f in ics if f.from_kp > road.kp]
        low, high = (below[-1] if below else ""), (above[0] if above else "")
        before, after = (high, low) if road.direction == "up" else (low, high)
        inside = [f.name for f in features if f.kind != "ic" and f.from_kp <= road.to_kp and road.from_kp <= f.to_kp]
        here: dict[str, Responder] = {}
        elsewhere: dict[str, list[str]] = defaultdict(list)
        for duty, low_kp, high_kp in self._duties.get((road.road_id, road.direction), ()):
            if not _valid(duty, as_of) or low_kp > road.to_kp or high_kp < road.from_kp:
                continue
            if low_kp <= road.kp <= high_kp and duty.service not in here:
                here[duty.service] = Responder(duty.service, duty.first, duty.second)
            else:
                elsewhere[duty.service].append(duty.first)
        responders = tuple(
            replace(each, second=each.second or next((a for a in elsewhere[each.service] if a != each.first), ""))
            for each in here.values()
        )
        return replace(road, from_ic=before, to_ic=after, structure="、".join(inside), responders=responders)

    def _kp(self, number: int, along_m: float) -> float:
        carriageway = self._carriageways[number]
        part = min(1.0, max(0.0, along_m / self._length[number]))
        return carriageway.from_kp + part * (carriageway.to_kp - carriageway.from_kp)


class Crossing(Struct, frozen=True, kw_only=True):
    """A bridge or tunnel over the sea, and who is first there."""

    name: str
    name_en: str
    kind: str
    """``bridge`` or ``tunnel``."""
    municipalities: tuple[str, ...]
    """The end that is nearer along the crossing first."""
    distance_m: float
    """From the point to its axis."""


class Crossings:
    """Bridges and tunnels off every shore.  Its answers never change after it is made."""

    def __init__(self, rows: Sequence[Mapping[str, str]], *, name: str, digest: str) -> None:
        """``Misconfigured`` names the row that is wrong."""
        self._rows = rows
        self.dataset = f"{name}@{digest}"
        """``name@sha256``, as plans record it."""
        try:
            lines = [_line(row["line"]) for row in rows]
            self._reach_m = [float(row["reach_m"]) for row in rows]
        except (KeyError, ValueError) as wrong:
            raise Misconfigured(f"{name}: {wrong}") from wrong
        self._lines = [shapely.linestrings(projection.flattened(np.array(line)[:, ::-1])) for line in lines]
        self._tree = shapely.STRtree(self._lines)

    @classmethod
    def load(cls, file: Path | None = None) -> "Crossings":
        """The crossings of a CSV file, or Japan's that ship with the package.  ``Misconfigured`` when it is none."""
        shipped = resources.files("routing") / "data" / "jp_crossings.csv"
        text = file.read_text(encoding="utf-8") if file else shipped.read_text(encoding="utf-8")
        name = file.name.removesuffix(".csv") if file else "jp_crossings"
        rows = tuple(csv.DictReader(text.splitlines()))
        return cls(rows, name=name, digest=sha256(text.encode()).hexdigest())

    def at(self, latitude: float, longitude: float) -> Crossing | None:
        """The crossing a point lies on, the nearest if several; None elsewhere.

        To be asked where the layer's match is not ``inside``: the land at both ends is the polygons' own.
        """
        point = shapely.Point(*projection.flat_point(latitude, longitude))
        found, lengths = self._tree.query_nearest(point, return_distance=True, all_matches=False)
        number, distance_m = int(found[0]), float(lengths[0]) * projection.scale_m(latitude)
        row = self._rows[number]
        if distance_m > self._reach_m[number]:
            return None
        part = float(shapely.line_locate_point(self._lines[number], point, normalized=True))
        ends = [row["start"], row["end"]] if part <= float(row.get("divide") or 0.5) else [row["end"], row["start"]]
        return Crossing(
            name=row["name"],
            name_en=row["name_en"],
            kind=row["kind"],
            municipalities=tuple(dict.fromkeys(ends)),
            distance_m=round(distance_m, 1),
        )


def duties_of(file: Path) -> list[Duty]:
    """The duties of a CSV file: road, direction, from_ic, to_ic, and service, first, second or just fire_hq."""
    return [
        Duty(
            road=row.get("road_id") or row["road"],
            direction=_direction(row["direction"], file, number),
            from_ic=row["from_ic"],
            to_ic=row["to_ic"],
            service=row.get("service") or "fire",
            first=row.get("first") or row["fire_hq"],
            second=row.get("second") or "",
            valid_from=_date(row.get("valid_from")),
            valid_to=_date(row.get("valid_to")),
        )
        for number, row in enumerate(table(file, needs=("direction", "from_ic", "to_ic")), 1)
    ]


def table(file: Path, *, needs: Sequence[str] = ("road_id",)) -> Iterator[dict[str, str]]:
    """The rows of a CSV file.  ``Misconfigured`` when it cannot be read or lacks a column."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as source:
            reader = csv.DictReader(source)
            if missing := [column for column in needs if column not in (reader.fieldnames or ())]:
                raise Misconfigured(f"{file.name}: has no column {missing[0]}")
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise Misconfigured(f"{file.name}: cannot be read: {fault}") from fault


def _carriageway(row: Mapping[str, str]) -> Carriageway:
    try:
        return Carriageway(
            road_id=row["road_id"],
            road=row["road"],
            direction=_DIRECTIONS[row["direction"]],
            line=_line(row["line"]),
            from_kp=float(row["from_kp"]),
            to_kp=float(row["to_kp"]),
            valid_from=_date(row.get("valid_from")),
            valid_to=_date(row.get("valid_to")),
        )
    except (KeyError, ValueError) as wrong:
        raise Misconfigured(f"carriageways.csv: {row.get('road_id')}: {wrong}") from wrong


def _feature(row: Mapping[str, str]) -> Feature:
    try:
        first = float(row["from_kp"])
        last = float(row.get("to_kp") or first)
        return Feature(
            road_id=row["road_id"], kind=row["kind"], name=row["name"], from_kp=min(first, last), to_kp=max(first, last)
        )
    except (KeyError, ValueError) as wrong:
        raise Misconfigured(f"features.csv: {row.get('name')}: {wrong}") from wrong


def _line(text: str) -> tuple[tuple[float, float], ...]:
    """``lat lon; lat lon; ...``"""
    points = tuple((float(lat), float(lon)) for lat, lon in (pair.split() for pair in text.split(";")))
    if len(points) < 2 or not all(abs(lat) <= 90.0 and abs(lon) <= 180.0 for lat, lon in points):
        raise ValueError("a line needs two positions or more, latitude first")
    return points


def _direction(text: str, file: Path, number: int) -> str:
    if text not in _DIRECTIONS:
        raise Misconfigured(f"{file.name}: row {number}: direction is {text!r}, not up or down")
    return _DIRECTIONS[text]


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _nearest_of_each(found: Sequence[RoadPlace]) -> list[RoadPlace]:
    """One place for each road and direction, for a carriageway may be drawn in several pieces."""
    nearest: dict[tuple[str, str], RoadPlace] = {}
    for place in sorted(found, key=lambda place: place.distance_m):
        nearest.setdefault((place.road_id, place.direction), place)
    return list(nearest.values())


def _moved(now: _Snap, previous: Sequence[_Snap]) -> float:
    """Metres the vehicle has come along the carriageway since the oldest fix on it; 0 when that is noise."""
    moved = [now.along_m - snap.along_m for snap in previous]
    return next((metres for metres in reversed(moved) if abs(metres) >= MOVED_M), 0.0)


def _measured(carriageway: Carriageway) -> tuple[Any, Any]:
    """Points of the line (longitude, latitude) and the metres from its start to each."""
    points = np.array(carriageway.line)[:, ::-1]
    north, east = projection.degrees_per_m(float(points[:, 1].mean()))
    steps = np.hypot(np.diff(points[:, 0]) / east, np.diff(points[:, 1]) / north)
    along = np.concatenate(([0.0], np.cumsum(steps)))
    if not along[-1] > 0.0:
        raise Misconfigured(f"{carriageway.road_id} {carriageway.direction}: the line has no length")
    return points, along


def _placed(
    duties: Sequence[Duty], carriageways: Sequence[Carriageway], features: Mapping[str, Sequence[Feature]]
) -> dict[tuple[str, str], list[tuple[Duty, float, float]]]:
    """Duties by road and direction, with the kilometres between which they hold."""
    ids = {carriageway.road: carriageway.road_id for carriageway in carriageways}
    placed: dict[tuple[str, str], list[tuple[Duty, float, float]]] = defaultdict(list)
    for duty in duties:
        road_id = ids.get(duty.road, duty.road)
        kps = {feature.name: feature.from_kp for feature in features.get(road_id, ()) if feature.kind == "ic"}
        if missing := [name for name in (duty.from_ic, duty.to_ic) if name not in kps]:
            raise Misconfigured(f"duties: {duty.road} has no interchange {missing[0]}")
        low, high = sorted((kps[duty.from_ic], kps[duty.to_ic]))
        placed[road_id, duty.direction].append((duty, low, high))
    return placed


def _valid(dated: Carriageway | Duty, as_of: date | None) -> bool:
    if as_of is None:
        return dated.valid_to is None
    return (dated.valid_from or date.min) <= as_of <= (dated.valid_to or date.max)
