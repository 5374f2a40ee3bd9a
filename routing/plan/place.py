"""A place in words: what an operator reads aloud and a dispatcher writes down, in the order they need it.

On a road with kilometre posts: road, direction, kilometre, interchanges, tunnel.  Elsewhere: municipality and the
nearest town, with distance and bearing from it.  Then coordinates with radius and age, and the grids: MGRS (in Japan
UTMグリッド, always with its zone letters, for the edge of zones 53 and 54 runs through central Honshu) and Plus Code.
Everything here is local: no network, no waiting.
"""

import csv
import gzip
import io
import math
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import mgrs
import numpy as np
from msgspec import Struct

from routing import container
from routing.boundaries.layer import Match
from routing.boundaries.projection import degrees_per_m
from routing.errors import Misconfigured
from routing.location import Position
from routing.plan.routes import RoadPlace
from routing.position.compass import compass
from routing.position.plus_code import plus_code

KIND = "towns"

ANYWHERE_M = 5_000.0
"""So far a town of another municipality may lie when the place's own has no points (its code changed, or it is sea)."""

AT_M = 30.0
"""Nearer than this a bearing says nothing."""

_DIRECTION = {"up": ("上り", "up"), "down": ("下り", "down")}
_GRID = mgrs.MGRS()
_LETTERS = {
    word[0]: word
    for word in (
        "Alfa",
        "Bravo",
        "Charlie",
        "Delta",
        "Echo",
        "Foxtrot",
        "Golf",
        "Hotel",
        "India",
        "Juliett",
        "Kilo",
        "Lima",
        "Mike",
        "November",
        "Oscar",
        "Papa",
        "Quebec",
        "Romeo",
        "Sierra",
        "Tango",
        "Uniform",
        "Victor",
        "Whiskey",
        "X-ray",
        "Yankee",
        "Zulu",
    )
}
"""ICAO Annex 10, Volume II, 5.2.1.3."""


class Town(Struct, frozen=True):
    """The nearest named point."""

    name: str
    municipality: str
    distance_m: float
    bearing_deg: float
    """From the town point to the place, clockwise from north."""


class About(Struct, frozen=True, kw_only=True):
    """What a file of town points says of itself."""

    name: str
    source: str
    source_sha256: str
    codes: tuple[str, ...]
    """Municipalities in order; the points of each stand together."""
    counts: tuple[int, ...]
    left_out: tuple[int, ...] = ()
    """Rows of the source (the first is 1) without a usable position or name."""


class TownPoints:
    """Town points by municipality.  Safe to share between threads."""

    def __init__(self, file: container.Container[About]) -> None:
        about = file.about
        self._latitudes, self._longitudes = file.array("latitudes", "<f8"), file.array("longitudes", "<f8")
        self._names, self._ends = file.section("names"), file.array("ends", "<u4")
        ends = np.cumsum((0, *about.counts)).tolist()
        self._slices = {code: (ends[i], ends[i + 1]) for i, code in enumerate(about.codes)}
        self._codes, self._starts = about.codes, np.array(ends[:-1])
        self._order = np.argsort(self._latitudes, kind="stable")
        self._sorted = self._latitudes[self._order]
        self.dataset = f"{about.name}@{file.digest}"
        """``name@sha256``, as plans record it."""

    @classmethod
    def load(cls, path: Path) -> "TownPoints":
        """The points of a file made by ``sos geo import-towns``.  ``Misconfigured`` when it is none or damaged."""
        return cls(container.Container(path, kind=KIND, about=About))

    def nearest(self, latitude: float, longitude: float, *, municipality: str | None) -> Town | None:
        """The nearest town of the municipality; of any, within ANYWHERE_M, when that has no points."""
        north, east = degrees_per_m(latitude)
        if municipality in self._slices:
            which: Any = np.arange(*self._slices[municipality])
        else:
            window = (latitude - ANYWHERE_M * north, latitude + ANYWHERE_M * north)
            which = self._order[slice(*np.searchsorted(self._sorted, window))]
        if not len(which):
            return None
        up = (latitude - self._latitudes[which]) / north
        right = (longitude - self._longitudes[which]) / east
        best = int(np.argmin(up * up + right * right))
        distance, number = math.hypot(up[best], right[best]), int(which[best])
        if municipality not in self._slices and distance > ANYWHERE_M:
            return None
        owner = self._codes[int(np.searchsorted(self._starts, number, side="right")) - 1]
        bearing = math.degrees(math.atan2(right[best], up[best])) % 360.0
        return Town(self._name(number), owner, distance, bearing)

    def of(self, municipality: str) -> Iterator[tuple[str, Position]]:
        """Every town of a municipality with its point."""
        for number in range(*self._slices.get(municipality, (0, 0))):
            yield self._name(number), Position(float(self._latitudes[number]), float(self._longitudes[number]))

    def _name(self, number: int) -> str:
        start = int(self._ends[number - 1]) if number else 0
        return bytes(self._names[start : int(self._ends[number])]).decode()


def import_towns(source: Path, out: Path) -> About:
    """Town points from CSV (also gzipped) with code, town, lat, lon and perhaps koaza; what was written.

    ``Misconfigured`` when the file has not these columns or no usable row; unusable rows are left out and named.
    """
    kept: list[tuple[str, float, float, bytes]] = []
    left_out = []
    try:
        for number, row in enumerate(_rows(source), 1):
            if (point := _point(row)) is not None:
                kept.append(point)
            else:
                left_out.append(number)
        digest = sha256(source.read_bytes()).hexdigest()
    except (OSError, EOFError, csv.Error, UnicodeDecodeError) as fault:
        raise Misconfigured(f"{source.name}: cannot be read: {fault}") from fault
    if not kept:
        raise Misconfigured(f"{source.name}: no town points; it needs the columns code, town, lat, lon")
    kept.sort(key=lambda point: point[0])
    counts: dict[str, int] = {}
    for code, *_ in kept:
        counts[code] = counts.get(code, 0) + 1
    about = About(
        name=source.name.partition(".")[0],
        source=source.name,
        source_sha256=digest,
        codes=tuple(counts),
        counts=tuple(counts.values()),
        left_out=tuple(left_out),
    )
    sections = {
        "latitudes": np.array([point[1] for point in kept], dtype="<f8").tobytes(),
        "longitudes": np.array([point[2] for point in kept], dtype="<f8").tobytes(),
        "names": b"".join(point[3] for point in kept),
        "ends": np.cumsum([len(point[3]) for point in kept]).astype("<u4").tobytes(),
    }
    container.write(out, kind=KIND, about=about, sections=sections)
    return about


def _rows(source: Path) -> Iterator[Mapping[str, str]]:
    with gzip.open(source) if source.suffix == ".gz" else source.open("rb") as file:
        yield from csv.DictReader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""))


def _point(row: Mapping[str, str]) -> tuple[str, float, float, bytes] | None:
    name = f"{row.get('town') or ''}{row.get('koaza') or ''}".strip()
    try:
        latitude, longitude = float(row.get("lat") or "nan"), float(row.get("lon") or "nan")
    except ValueError:
        return None
    code = (row.get("code") or "").strip()
    if not (code and name and abs(latitude) <= 90.0 and abs(longitude) <= 180.0):
        return None
    return code, latitude, longitude, name.encode()


class Words(Struct, frozen=True, kw_only=True):
    """A place in words.  Personal data (category LOC) as soon as it belongs to somebody."""

    municipality: str | None = None
    area_ja: str = ""
    """Municipality, or prefecture where no more is known."""
    area_en: str = ""
    town: Town | None = None
    road: RoadPlace | None = None
    latitude: float
    longitude: float
    radius_m: float | None = None
    age_s: float | None = None
    mgrs: str | None = None
    """To a metre, such as ``54SUE8843549293``; None beyond 80 S and 84 N."""
    plus_code: str = ""
    approximate: bool = False
    """The place lies outside every area; the nearest one is named."""

    def aloud_ja(self) -> str:
        """To be read aloud in Japanese."""
        said = [self._road_ja()] if self.road else []
        if self.area_ja:
            said.append(f"{'陸地の外、最寄りは' if self.approximate else ''}{self.area_ja}{self._town_ja()}")
        north, east = "北緯" if self.latitude >= 0.0 else "南緯", "東経" if self.longitude >= 0.0 else "西経"
        said.append(f"{north}{abs(self.latitude):.5f}度、{east}{abs(self.longitude):.5f}度{self._doubt_ja()}")
        if self.mgrs:
            zone, square, easting, northing = grid_parts(self.mgrs)
            said.append(f"UTMグリッド {zone} {' '.join(square)} {' '.join(easting)} {' '.join(northing)}")
        return "。".join(said) + "。"

    def aloud_en(self) -> str:
        """To be read aloud in English; letters by the ICAO alphabet."""
        said = [self._road_en()] if self.road else []
        if self.area_en or self.area_ja:
            outside = "off every shore, nearest is " if self.approximate else ""
            said.append(f"{outside}{self._town_en()}{self.area_en or self.area_ja}")
        said.append(f"latitude {self.latitude:.5f}, longitude {self.longitude:.5f}{self._doubt_en()}")
        if self.mgrs:
            zone, square, easting, northing = grid_parts(self.mgrs)
            letters = " ".join(_LETTERS[letter] for letter in zone[-1] + square)
            said.append(f"grid {' '.join(zone[:-1])} {letters}, {' '.join(easting)}, {' '.join(northing)}")
        return ". ".join(said) + "."

    def _road_ja(self) -> str:
        road = self.road
        if road is None:
            return ""
        direction = _DIRECTION[road.direction][0] if road.certain else "上り下り不明"
        between = f"、{road.from_ic}と{road.to_ic}の間" if road.from_ic and road.to_ic else ""
        inside = f"、{road.structure}" if road.structure else ""
        return f"{road.road} {direction} {road.kp:.1f}キロポスト付近{between}{inside}"

    def _road_en(self) -> str:
        road = self.road
        if road is None:
            return ""
        direction = f"{_DIRECTION[road.direction][1]} line" if road.certain else "direction unknown"
        between = f", between {road.from_ic} and {road.to_ic}" if road.from_ic and road.to_ic else ""
        inside = f", {road.structure}" if road.structure else ""
        return f"{road.road}, {direction}, near kilometre post {road.kp:.1f}{between}{inside}"

    def _town_ja(self) -> str:
        if self.town is None:
            return ""
        if self.town.distance_m < AT_M:
            return f"{self.town.name}付近"
        direction = compass(self.town.bearing_deg, japanese=True)
        return f"{self.town.name}付近、その{direction}約{_round_m(self.town.distance_m)}メートル"

    def _town_en(self) -> str:
        if self.town is None:
            return ""
        if self.town.distance_m < AT_M:
            return f"near {self.town.name}, "
        direction = compass(self.town.bearing_deg, japanese=False)
        return f"about {_round_m(self.town.distance_m)} metres {direction} of {self.town.name}, "

    def _doubt_ja(self) -> str:
        radius = f"、誤差{math.ceil(self.radius_m / 10.0) * 10}メートル以内" if self.radius_m else ""
        return radius + (f"、{round(self.age_s)}秒前の位置" if self.age_s else "")

    def _doubt_en(self) -> str:
        radius = f", within {math.ceil(self.radius_m / 10.0) * 10} metres" if self.radius_m else ""
        return radius + (f", {round(self.age_s)} seconds ago" if self.age_s else "")


def describe(
    latitude: float,
    longitude: float,
    *,
    match: Match | None,
    names: Mapping[str, tuple[str, str]],
    towns: TownPoints | None = None,
    road: RoadPlace | None = None,
    radius_m: float | None = None,
    age_s: float | None = None,
) -> Words:
    """The place in words; what is not known is left out.  ``Malformed`` when it is no place on Earth.

    ``names`` is the layer's.
    """
    Position(latitude, longitude)
    code = match.code if match else None
    area = names.get(code, ("", "")) if code else ("", "")
    town = towns.nearest(latitude, longitude, municipality=match.municipality) if towns and match else None
    return Words(
        municipality=match.municipality if match else None,
        area_ja=area[0],
        area_en=area[1],
        town=town,
        road=road,
        latitude=latitude,
        longitude=longitude,
        radius_m=radius_m,
        age_s=age_s,
        mgrs=grid(latitude, longitude),
        plus_code=plus_code(latitude, longitude),
        approximate=match is not None and match.how != "inside",
    )


def grid(latitude: float, longitude: float) -> str | None:
    """The MGRS reference to a metre; None near the poles, where UTM ends."""
    if not -80.0 <= latitude <= 84.0:
        return None
    return str(_GRID.toMGRS(latitude, longitude, MGRSPrecision=5))


def grid_parts(reference: str) -> tuple[str, str, str, str]:
    """Zone with band, square, and the first three digits of easting and northing: how a grid is spoken (100 m)."""
    digits = len(reference) - len(reference.rstrip("0123456789"))
    head, numbers = reference[:-digits], reference[-digits:]
    half = digits // 2
    return head[:-2], head[-2:], numbers[:3], numbers[half : half + 3]


def _round_m(metres: float) -> int:
    """As a person would say it: to 10 m, from 1 km on to 100 m."""
    step = 10 if metres < 1_000.0 else 100
    return max(step, round(metres / step) * step)
