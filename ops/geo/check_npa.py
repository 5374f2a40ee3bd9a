"""Check the shipped prefecture layer against crash records of Japan's National Police Agency (CSV, one row per crash).

Prints, per file, how many rows get the prefecture the police recorded and how many have no usable position, then each
miss with its distance to the border.  Ends with 1 when fewer than 98 % of the located rows are right.

    python -m ops.geo.check_npa FILE...
"""

import argparse
import csv
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from routing.boundaries import PrefectureLayer
from routing.location import Unknown, plausible

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


def code_of(name: str, layer: PrefectureLayer) -> str:
    """The ISO code of the police's own name: 東京, 北海道（札幌方面）."""
    for code, (japanese, _) in layer.names.items():
        if name.startswith(japanese if code == "JP-01" else japanese[:-1]):
            return code
    raise SystemExit(f"no prefecture is called {name!r}")


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def check(path: Path, layer: PrefectureLayer) -> Result:
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
            recorded, match = code_of(row["prefecture"], layer), layer.find(latitude, longitude)
            if match.prefecture == recorded:
                right += 1
                continue
            border = layer.border(latitude, longitude, prefecture=match.prefecture) if match.prefecture else None
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    layer = PrefectureLayer.load()
    results = [(path, check(path, layer)) for path in parser.parse_args().files]
    print("\n\n".join(table(path, result) for path, result in results))
    raise SystemExit(0 if all(result.share >= TARGET for _, result in results) else 1)


if __name__ == "__main__":
    main()
