"""How long one plan takes: point, circle, circle with hospitals, unlocated; on the exact layer and the shipped one.

The peer is the least that answers the same first question: shapely's STRtree over the same polygons, then a dictionary
municipality -> agency.  Peer and product take turns in one run, so the ratio holds on a busy machine.

    python ops/bench/plan.py [--boundaries INDEX] [--points N]
"""

import argparse
import csv
import gzip
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shapely

from routing.boundaries import Layer, MunicipalLayer, PrefectureLayer
from routing.directory import Directory
from routing.plan import Facts, PlanRules, make_plan
from routing.plan.hospitals import Facilities, Facility

AT = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
RULES = PlanRules()
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def points(layer: Layer, count: int) -> list[tuple[float, float]]:
    """Real town points where the file is at hand, else random points in the bounds of Honshu; shuffled by a seed."""
    draw = random.Random(20261121)
    towns = DATA / "jp_towns_geolonia.csv.gz"
    if towns.is_file():
        with gzip.open(towns, "rt", encoding="utf-8", newline="") as file:
            places = [(float(row["lat"]), float(row["lon"])) for row in csv.DictReader(file)]
        return draw.sample(places, count)
    return [(draw.uniform(33.0, 41.0), draw.uniform(130.0, 141.5)) for _ in range(count)]


def hospitals(places: list[tuple[float, float]]) -> Facilities:
    """8,000 invented hospitals at the places: as many as Japan has."""
    draw = random.Random(7)
    made = [
        Facility(
            id=f"h{number}", name=f"架空{number}", latitude=lat, longitude=lon,
            critical_care=draw.random() < 0.04, emergency=draw.random() < 0.4,
        )
        for number, (lat, lon) in enumerate(draw.sample(places * 8, 8_000))
    ]  # fmt: skip
    return Facilities(made, name="invented", digest="0")


def peer(layer: Layer, codes: list[str]) -> Callable[[float, float], Any]:
    shapes = [layer.polygon(code) for code in codes]
    tree = shapely.STRtree(shapes)
    table = dict(zip(range(len(codes)), codes, strict=True))

    def look_up(latitude: float, longitude: float) -> Any:
        found = tree.query(shapely.Point(longitude, latitude), predicate="intersects")
        return table[int(found[0])] if len(found) else None

    return look_up


def timed(work: Callable[[], Any]) -> float:
    """Microseconds of processor time: on a busy machine the wall clock measures the others."""
    begun = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - begun) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boundaries", type=Path, help="index made by sos geo import; else the shipped prefectures")
    parser.add_argument("--points", type=int, default=4_000)
    given = parser.parse_args()
    layer: Layer = MunicipalLayer.load(given.boundaries) if given.boundaries else PrefectureLayer.load()
    directory, places = Directory.demo(), points(layer, given.points)
    facilities = hospitals(places)
    look_up = peer(layer, sorted(layer.names))
    kinds: dict[str, dict[str, Any]] = {
        "point": {},
        "circle of 100 m": {"uncertainty_m": 100.0},
        "circle of 1 km": {"uncertainty_m": 1_000.0},
        "circle of 100 m, hospitals": {"uncertainty_m": 100.0, "at": AT},
        "the same, coast known": {"uncertainty_m": 100.0, "at": AT},
    }
    took: dict[str, list[float]] = {name: [] for name in ("peer: STRtree and dict", *kinds, "unlocated")}
    for latitude, longitude in places:
        took["peer: STRtree and dict"].append(timed(lambda: look_up(latitude, longitude)))  # noqa: B023 (called at once)
        for name, extra in kinds.items():
            facts = Facts(latitude=latitude, longitude=longitude, **extra)
            more = facilities if "at" in extra else None
            took[name].append(
                timed(lambda: make_plan(facts, layer=layer, directory=directory, rules=RULES, facilities=more))  # noqa: B023
            )
        took["unlocated"].append(timed(lambda: make_plan(Facts(), layer=layer, directory=directory, rules=RULES)))
    base = sorted(took["peer: STRtree and dict"])[len(places) // 2]
    print(f"{layer.dataset.split('@')[0]}, {len(places)} places; microseconds of processor time")
    for name, times in took.items():
        ordered = sorted(times)
        p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
        print(f"  {name:28s} p50 {p50:8.1f}  p99 {p99:8.1f}  worst {ordered[-1]:9.1f}  p50/peer {p50 / base:6.2f}")


if __name__ == "__main__":
    main()
