"""Whose place is this: microseconds per question, beside shapely's STRtree and PostGIS, interleaved in one run.

    python ops/bench/route.py BOUNDARIES [--points TOWNS.csv.gz] [--rounds 5] [--each 2000]

BOUNDARIES is a boundary file (GeoJSON, ...), TOWNS real places round which points are drawn (random places inside the
areas without).  Every round asks the same points of each engine one after the other, one point per call:

    product     MunicipalLayer.find
    strtree     shapely STRtree.query(point, predicate="intersects") over the polygons
    postgis     ST_Covers over a socket, prepared, GiST index; and over ST_Subdivide(128)
                (Debian package postgresql-15-postgis-3; left out where there is none)

and circles of 100 m: MunicipalLayer.shares, the same by STRtree and intersection, and ST_Area(ST_Intersection).  Prints
p50 and p99 of all rounds, the ratios to the product, and what loading costs.  A figure alone says little on a shared
machine; a ratio does.
"""

import argparse
import asyncio
import csv
import gzip
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import shapely

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from ops.geo import postgis  # noqa: E402
from routing.boundaries import MunicipalLayer, projection  # noqa: E402
from routing.boundaries.build import build  # noqa: E402
from routing.boundaries.index import Header  # noqa: E402
from routing.boundaries.sources import read  # noqa: E402
from routing.boundaries.survey import survey  # noqa: E402

RADIUS_M = 100.0

COVERS = "SELECT code FROM {} WHERE ST_Covers(shape, ST_SetSRID(ST_MakePoint($1, $2), 4326))"
CIRCLE = """SELECT code, ST_Area(ST_Intersection(shape, c)) FROM area, ST_SetSRID(ST_GeomFromWKB($1), 4326) AS c
            WHERE ST_Intersects(shape, c)"""

LOADED = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from routing.boundaries import MunicipalLayer
def rss(): return [int(l.split()[1]) / 1024 for l in open("/proc/self/status") if l.startswith("VmRSS")][0]
before, start = rss(), time.perf_counter()
layer = MunicipalLayer.load(Path({index!r}))
seconds = time.perf_counter() - start
loaded = rss()
for line in Path({points!r}).read_text().splitlines():
    latitude, longitude = map(float, line.split())
    layer.shares(latitude, longitude, 100.0)
    layer.find(latitude, longitude)
print(f"load {{seconds:.2f}} s; RSS {{before:.0f}} MB before, {{loaded:.0f}} MB loaded, {{rss():.0f}} MB after asking")
"""

Times = dict[str, list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boundaries", type=Path)
    parser.add_argument("--points", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", type=int, default=2_000)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        index = folder / "layer.sosgeo"
        made = time.perf_counter()
        content = read(arguments.boundaries)
        found = survey([content], tell=quiet)
        header = Header(name="bench", accuracy_m=0.0, sources=(content.source,), areas=found.areas)
        build(header, found.shapes, index, tell=quiet)
        size, seconds = index.stat().st_size / 1e6, time.perf_counter() - made
        print(f"{len(found.areas)} areas, index of {size:.0f} MB made in {seconds:.1f} s")
        layer = MunicipalLayer.load(index)
        points = places(arguments.points, layer, arguments.rounds * arguments.each)
        address = stack.enter_context(postgis.server()) if postgis.programs() else None
        times, differing = asyncio.run(measured(layer, points, address, each=arguments.each))
        tell(times, differing, len(points))
        bulk(layer, points)
        listed = folder / "points"
        listed.write_text("\n".join(f"{latitude} {longitude}" for latitude, longitude in points))
        script = LOADED.format(root=str(HERE.parents[1]), index=str(index), points=str(listed))
        print(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.strip())


def quiet(what: str) -> None:
    """Progress told to nobody."""


def places(towns: Path | None, layer: MunicipalLayer, number: int) -> list[tuple[float, float]]:
    """Points with some hundred metres of scatter round towns, or round a point inside each area."""
    draw = random.Random(2026)
    if towns is not None:
        with gzip.open(towns, "rt", encoding="utf-8", newline="") as file:
            known = [(float(row["lat"]), float(row["lon"])) for row in csv.DictReader(file)]
    else:
        inside = shapely.get_coordinates([shapely.point_on_surface(layer.polygon(code)) for code in layer.codes])
        known = [(y, x) for x, y in inside.tolist()]
    chosen = draw.choices(known, k=number)
    return [(latitude + draw.gauss(0.0, 1e-3), longitude + draw.gauss(0.0, 1e-3)) for latitude, longitude in chosen]


async def measured(
    layer: MunicipalLayer, points: list[tuple[float, float]], address: str | None, *, each: int
) -> tuple[Times, int]:
    """Nanoseconds per question by engine, and how many points the engines answered differently."""
    shapes = [layer.polygon(code) for code in layer.codes]
    tree = shapely.STRtree(shapes)
    times: Times = defaultdict(list)
    differing = 0
    connection = await asyncpg.connect(address) if address else None
    if connection:
        await filled(connection, layer, shapes)
        covers = [await connection.prepare(COVERS.format(table)) for table in ("area", "part")]
        circle = await connection.prepare(CIRCLE)
    for start in range(0, len(points), each):
        some = points[start : start + each]
        circles = [projection.circle(*point, RADIUS_M) for point in some]
        ours = timed(times["point: product"], layer.find, some)
        theirs = timed(
            times["point: strtree"], lambda lat, lon: tree.query(shapely.Point(lon, lat), "intersects"), some
        )
        answers = [min((layer.codes[n] for n in numbers.tolist()), default=None) for numbers in theirs]
        differing += sum(
            (m.municipality if m.how == "inside" else None) != a for m, a in zip(ours, answers, strict=True)
        )
        timed(times["circle: product"], lambda lat, lon: layer.shares(lat, lon, RADIUS_M), some)
        timed(times["circle: strtree"], lambda shape: cut(shape, tree, shapes), [(c,) for c in circles])
        if connection:
            rows = await asked(times["point: postgis"], covers[0].fetchval, [(lon, lat) for lat, lon in some])
            differing += sum(a != b for a, b in zip(rows, answers, strict=True))
            await asked(times["point: postgis subdivided"], covers[1].fetchval, [(lon, lat) for lat, lon in some])
            await asked(times["circle: postgis"], circle.fetch, [(shapely.to_wkb(c),) for c in circles])
    if connection:
        await connection.close()
    return times, differing


def cut(circle: object, tree: shapely.STRtree, shapes: list[object]) -> list[float]:
    return [shapely.area(shapely.intersection(shapes[n], circle)) for n in tree.query(circle, "intersects").tolist()]


def timed(times: list[int], ask: Callable[..., object], arguments: list[tuple]) -> list:
    answers, clock = [], time.perf_counter_ns
    for each in arguments:
        start = clock()
        answer = ask(*each)
        times.append(clock() - start)
        answers.append(answer)
    return answers


async def asked(times: list[int], ask: Callable[..., Awaitable[object]], arguments: list[tuple]) -> list:
    answers, clock = [], time.perf_counter_ns
    for each in arguments:
        start = clock()
        answer = await ask(*each)
        times.append(clock() - start)
        answers.append(answer)
    return answers


async def filled(connection: asyncpg.Connection, layer: MunicipalLayer, shapes: list[object]) -> None:
    await connection.execute("CREATE TABLE area (code text, shape geometry(Geometry, 4326))")
    rows = [(code, shapely.to_wkb(shape)) for code, shape in zip(layer.codes, shapes, strict=True)]
    await connection.executemany("INSERT INTO area VALUES ($1, ST_SetSRID(ST_GeomFromWKB($2), 4326))", rows)
    await connection.execute("CREATE TABLE part AS SELECT code, ST_Subdivide(shape, 128) AS shape FROM area")
    for table in ("area", "part"):
        await connection.execute(f"CREATE INDEX ON {table} USING gist (shape); ANALYZE {table}")


def tell(times: Times, differing: int, number: int) -> None:
    print(f"\n{number} points, {differing} answered differently")
    print(f"{'':28}{'p50 us':>10}{'p99 us':>10}{'x p50':>8}{'x p99':>8}")
    figures = {}
    for name, taken in times.items():
        ordered = sorted(taken)
        figures[name] = (ordered[len(ordered) // 2] / 1e3, ordered[len(ordered) * 99 // 100] / 1e3)
    for name, (p50, p99) in sorted(figures.items(), reverse=True):
        base = figures[f"{name.partition(':')[0]}: product"]
        print(f"{name:28}{p50:10.2f}{p99:10.2f}{p50 / base[0]:8.1f}{p99 / base[1]:8.1f}")


def bulk(layer: MunicipalLayer, points: list[tuple[float, float]]) -> None:
    latitudes, longitudes = [p[0] for p in points], [p[1] for p in points]
    start = time.perf_counter()
    layer.find_many(latitudes, longitudes)
    print(f"\nbulk: {len(points) / (time.perf_counter() - start) / 1e3:.0f} thousand points a second")


if __name__ == "__main__":
    main()
