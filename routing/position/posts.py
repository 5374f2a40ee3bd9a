"""Kilometre posts: where «東北道 上り 12.3 キロポスト» is, from a table of the operator's own.

The table is CSV with the columns ``road``, ``km``, ``direction``, ``lat`` and ``lon``: one row for each post that was
surveyed or taken from a map.  Between two posts a place is found along the line between them; how far the road itself
may lie from there is said with it, by the length of road that the posts state.  Beyond the posts nothing is guessed.
"""

import csv
import io
import math
import unicodedata
from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

from routing.errors import Malformed, Misconfigured
from routing.location import Known, Position, plausible
from routing.position.shapes import geodesic_m

COLUMNS = ("road", "km", "direction", "lat", "lon")
MOST_BYTES = 64 * 1024 * 1024
MOST_GAP_KM = 5.0
"""Between two posts that are taken for neighbours; expressways have one every 100 m, tables often one a kilometre."""
SURVEY_M = 50.0
"""How far a post of a table may be from where it stands, and from the lane that is meant."""
SLACK = 1.05
"""How much longer than the stated road a straight line may be: posts are not moved when a road is."""

_WAYS = {
    "up": "up", "上": "up", "上り": "up", "上り線": "up", "のぼり": "up",
    "down": "down", "下": "down", "下り": "down", "下り線": "down", "くだり": "down",
    "inner": "inner", "内": "inner", "内回り": "inner", "outer": "outer", "外": "outer", "外回り": "outer",
}  # fmt: skip


class Post(Struct, frozen=True, order=True):
    km: float
    position: Position


class Found(Struct, frozen=True, kw_only=True):
    """A place by its kilometre post."""

    position: Position
    uncertainty_m: float
    road: str
    """As the table writes it."""


class Fault(Struct, frozen=True):
    """What of a table cannot be, by its row (the first after the names is 1)."""

    row: int
    what: str


class KilometrePosts:
    """Answers never change after it is made."""

    def __init__(
        self, posts: Mapping[tuple[str, str], tuple[Post, ...]], names: Mapping[str, str], dataset: str
    ) -> None:
        self._posts = posts
        self._names = names
        self.dataset = dataset
        """``name@sha256``."""

    @classmethod
    def load(cls, path: Path) -> "KilometrePosts":
        """``Misconfigured`` names the first row that cannot be."""
        posts, faults = check(path)
        if faults:
            where = f"row {faults[0].row}: " if faults[0].row else ""
            raise Misconfigured(
                f"{path.name}: {where}{faults[0].what} ({len(faults)} in all); see `sos geo check-posts`"
            )
        return posts

    @property
    def count(self) -> int:
        return sum(map(len, self._posts.values()))

    @property
    def roads(self) -> tuple[str, ...]:
        return tuple(self._names[key] for key in sorted(self._names))

    def find(self, road: str, km: float, direction: str) -> Found | None:
        """None for a road, a carriageway or a kilometre that the table does not have."""
        key, way = _folded(road), _way(direction)
        if way:
            return self._on(key, way, km)
        ways = sorted({way for road, way in self._posts if road == key})
        either = [found for way in ways if (found := self._on(key, way, km)) is not None]
        if not either:
            return None
        apart = max(geodesic_m(either[0].position, other.position) for other in either)
        return Found(position=either[0].position, uncertainty_m=either[0].uncertainty_m + apart, road=either[0].road)

    def _on(self, road: str, way: str, km: float) -> Found | None:
        for before, after in pairwise(self._posts.get((road, way), ())):
            if before.km <= km <= after.km and after.km - before.km <= MOST_GAP_KM:
                return Found(
                    position=_between(before, after, km),
                    uncertainty_m=_uncertainty_m(before, after, km),
                    road=self._names[road],
                )
        return None


def check(path: Path) -> tuple[KilometrePosts, tuple[Fault, ...]]:
    """The table without the rows that cannot be, and these.  ``Misconfigured`` when it is no such table at all."""
    raw, rows = _read(path)
    posts: dict[tuple[str, str], dict[float, Post]] = {}
    names: dict[str, str] = {}
    faults: list[Fault] = []
    for number, row in enumerate(rows, 1):
        try:
            road, way, post = _post(row)
            if posts.setdefault((road, way), {}).setdefault(post.km, post) is not post:
                raise Malformed("this post is there twice")
        except Malformed as wrong:
            faults.append(Fault(number, str(wrong)))
        else:
            names.setdefault(road, " ".join(row["road"].split()))
    in_order = {key: tuple(sorted(found.values())) for key, found in posts.items()}
    faults += [Fault(0, words) for key, each in in_order.items() for words in _too_far(names[key[0]], key[1], each)]
    return KilometrePosts(in_order, names, f"{path.stem}@{sha256(raw).hexdigest()}"), tuple(faults)


def _read(path: Path) -> tuple[bytes, list[dict[str, str]]]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Misconfigured(f"{path.name}: more than {MOST_BYTES >> 20} MiB are no table of posts")
        raw = path.read_bytes()
        reader = csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""))
        rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise Misconfigured(f"{path.name}: cannot be read: {fault}") from fault
    if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        raise Misconfigured(f"{path.name}: a table of posts has the columns {', '.join(COLUMNS)}; not {missing[0]}")
    return raw, rows


def _post(row: Mapping[str, str | None]) -> tuple[str, str, Post]:
    """``Malformed`` says what of it cannot be."""
    road, way = _folded(row["road"] or ""), _way(row["direction"] or "")
    if not road:
        raise Malformed("it names no road")
    if not way:
        raise Malformed("its direction is none of 上り, 下り, 内回り, 外回り")
    try:
        km, latitude, longitude = (float(row[name] or "") for name in ("km", "lat", "lon"))
    except ValueError as wrong:
        raise Malformed("its kilometre or its position is no number") from wrong
    place = plausible(latitude, longitude)
    if not isinstance(place, Known) or not 0 <= km < 10_000:
        raise Malformed("its kilometre or its position is none on Earth")
    return road, way, Post(km, place.position)


def _too_far(road: str, way: str, posts: tuple[Post, ...]) -> Iterator[str]:
    for before, after in pairwise(posts):
        apart, stated = geodesic_m(before.position, after.position), 1000.0 * (after.km - before.km)
        if stated <= 1000.0 * MOST_GAP_KM and apart > SLACK * stated + 2 * SURVEY_M:
            yield f"{road} {way}: the posts {before.km:g} and {after.km:g} are {apart:.0f} m apart"


def _between(before: Post, after: Post, km: float) -> Position:
    share = (km - before.km) / (after.km - before.km)
    return Position(
        before.position.latitude + share * (after.position.latitude - before.position.latitude),
        before.position.longitude + share * (after.position.longitude - before.position.longitude),
    )


def _uncertainty_m(before: Post, after: Post, km: float) -> float:
    """A road of the stated length between both posts stays within an ellipse around them; its half minor axis is how
    far it may be from the straight line."""
    if km in (before.km, after.km):
        return SURVEY_M
    stated, apart = 1000.0 * (after.km - before.km), geodesic_m(before.position, after.position)
    return SURVEY_M + math.sqrt(max(0.0, stated**2 - apart**2)) / 2.0


def _folded(road: str) -> str:
    return "".join(unicodedata.normalize("NFKC", road).casefold().split()).replace("自動車道", "道")


def _way(direction: str) -> str:
    return _WAYS.get("".join(unicodedata.normalize("NFKC", direction).casefold().split()), "")
