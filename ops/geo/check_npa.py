"""Check a boundary layer against crash records of Japan's National Police Agency (CSV, one row per crash).

Prints, per file, how many rows get the prefecture the police recorded and how many have no usable position, then each
miss with its distance to the border.  With ``--boundaries`` the exact layer is checked instead of the shipped one, and
every row is routed: municipality (beside the police's own code), fire headquarters where the directory's table has
one, police headquarters, expressway rows by carriageway.  Ends with 1 when fewer than 98 % of the located rows have
the right prefecture.

    python -m ops.geo.check_npa [--boundaries INDEX] [--directory TOML] FILE...
"""

import argparse
import csv
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from routing.boundaries import Layer, MunicipalLayer, PrefectureLayer
from routing.directory import Directory
from routing.location import Unknown, plausible
from routing.plan import Sources
from routing.plan.bulk import Answer, Bulk
from routing.services import Service

TARGET = 0.98


class Miss(NamedTuple):
    line: int
    latitude: float
    longitude: float
    recorded: str
    found: str | None
    how: str
    border_m: float | None


class Result(NamedTuple):
    rows: int
    right: int
    misses: tuple[Miss, ...]
    unknown: tuple[tuple[int, tuple[str, ...]], ...]
    """Line and reasons of each row without a usable position."""

    @property
    def share(self) -> float:
        located = self.rows - len(self.unknown)
        return self.right / located if located else 1.0


def code_of(name: str, prefectures: PrefectureLayer) -> str:
    """The ISO code of the police's own name: 東京, 北海道（札幌方面）."""
    for code, (japanese, _) in prefectures.names.items():
        if name.startswith(japanese if code == "JP-01" else japanese[:-1]):
            return code
    raise SystemExit(f"no prefecture is called {name!r}")


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def check(path: Path, layer: Layer, prefectures: PrefectureLayer | None = None) -> Result:
    """``prefectures``: where the names are, unless ``layer`` is that."""
    named = prefectures or layer
    assert isinstance(named, PrefectureLayer)
    rows = right = 0
    misses: list[Miss] = []
    unknown: list[tuple[int, tuple[str, ...]]] = []
    with path.open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            rows += 1
            place = plausible(number(row["lat"]), number(row["lon"]))
            if isinstance(place, Unknown):
                unknown.append((line, place.reasons))
                continue
            latitude, longitude = place.position.latitude, place.position.longitude
            recorded, match = code_of(row["prefecture"], named), layer.find(latitude, longitude)
            if match.prefecture == recorded:
                right += 1
                continue
            border = layer.border(latitude, longitude, code=match.code) if match.code else None
            misses.append(
                Miss(
                    line,
                    latitude,
                    longitude,
                    recorded,
                    match.prefecture,
                    match.how,
                    border.distance_m if border else None,
                )
            )
    return Result(rows, right, tuple(misses), tuple(unknown))


def table(path: Path, result: Result) -> str:
    lines = [
        f"{path.name}: {result.rows} rows, {len(result.unknown)} position unknown, {result.right} right, "
        f"{len(result.misses)} wrong ({result.share:.2%} of the located rows right)"
    ]
    for reasons, count in Counter(reasons for _, reasons in result.unknown).most_common():
        lines.append(f"  position unknown, {', '.join(reasons)}: {count}")
    if result.misses:
        lines.append("   line   latitude  longitude  recorded  found  how      border m")
    for miss in sorted(result.misses, key=lambda miss: miss.border_m or 0.0):
        border = "-" if miss.border_m is None else f"{miss.border_m:.0f}"
        lines.append(
            f"  {miss.line:5d}  {miss.latitude:9.5f}  {miss.longitude:9.5f}  {miss.recorded}     "
            f"{miss.found or '-':5s}  {miss.how:8s} {border:>7s}"
        )
    return "\n".join(lines)


class Routed(NamedTuple):
    """What became of every row of a file."""

    counts: Counter[str]
    carriageways: Counter[tuple[str, str]]
    """Direction as the police recorded it, and how its fire duty was found."""
    headquarters: Counter[str]
    """Rows by fire headquarters of the table, most first."""


def route_rows(path: Path, layer: Layer, directory: Directory) -> Routed:
    """Every row through the planner's rules, as ``sos route --batch`` does it."""
    bulk = Bulk(Sources(layer=layer, directory=directory))
    prefectures = PrefectureLayer.load()
    tabled = {duty.agency for duty in directory.duties if duty.service is Service.FIRE}
    counts: Counter[str] = Counter()
    carriageways: Counter[tuple[str, str]] = Counter()
    headquarters: Counter[str] = Counter()
    with path.open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    points = [(_or_nan(row["lat"]), _or_nan(row["lon"]), None) for row in records]
    for row, line in zip(records, bulk.lines(points), strict=True):
        answer = msgspec.json.decode(line, type=Answer)
        recorded = f"{code_of(row['prefecture'], prefectures)[3:]}{row['municipality_code'].zfill(3)}"
        fire = next(body for body in answer.agencies if body.service is Service.FIRE)  # responsible, reachable or not
        known = fire.id in tabled
        counts.update(_facts(answer, recorded, known=known))
        if known:
            headquarters[fire.name] += 1
        if row["source_file"] == "kosoku":
            duty = "headquarters in the table" if known else "headquarters of the prefecture"
            carriageways[_DIRECTIONS.get(row["direction_line"], "not stated"), duty] += 1
    return Routed(counts, carriageways, headquarters)


_DIRECTIONS: Mapping[str, str] = {"上": "up", "下": "down"}


def _facts(answer: Answer, recorded: str, *, known: bool) -> list[str]:
    """The lines of the summary that a row counts for."""
    said = {
        "rows": True,
        "municipality found": answer.municipality is not None,
        "as the police's own municipality code": answer.municipality == recorded,
        "prefecture found": answer.prefecture is not None,
        "as the police's own prefecture": answer.prefecture == f"JP-{recorded[:2]}",
        "fire headquarters by the table": known,
        "fire by the prefecture or default": not known,
        "police headquarters": any(
            body.service is Service.POLICE and body.reason != "default_agency" for body in answer.agencies
        ),
        "default agencies, position unknown": "position_unknown" in answer.flags,
    }
    return [line for line, holds in said.items() if holds]


def summary(path: Path, routed: Routed) -> str:
    rows = routed.counts["rows"]
    lines = [f"{path.name}, routed:"]
    lines += [f"  {label:42s} {count:6d}  {count / rows:8.2%}" for label, count in routed.counts.items()]
    if routed.carriageways:
        lines.append("  expressway rows by carriageway and fire duty:")
        lines += [f"    {way:10s} {duty:32s} {count:5d}" for (way, duty), count in sorted(routed.carriageways.items())]
    if routed.headquarters:
        named = ", ".join(f"{name} {count}" for name, count in routed.headquarters.most_common(8))
        lines.append(f"  {len(routed.headquarters)} headquarters of the table; most often: {named}")
    return "\n".join(lines)


def _or_nan(text: str) -> float:
    found = number(text)
    return math.nan if found is None else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--boundaries", type=Path, help="index made by sos geo import")
    parser.add_argument("--directory", type=Path, help="agency directory (TOML), made by sos directory import")
    given = parser.parse_args()
    prefectures = PrefectureLayer.load()
    layer: Layer = MunicipalLayer.load(given.boundaries) if given.boundaries else prefectures
    directory = Directory.read(given.directory.read_bytes()) if given.directory else Directory.demo()
    results = [(path, check(path, layer, prefectures)) for path in given.files]
    for path, result in results:
        print(table(path, result), summary(path, route_rows(path, layer, directory)), sep="\n\n", end="\n\n")
    raise SystemExit(0 if all(result.share >= TARGET for _, result in results) else 1)


if __name__ == "__main__":
    main()
