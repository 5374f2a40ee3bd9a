"""Hospitals and doctor-helicopter bases near a place: what they can do, how long it takes, by which way.

A suggestion, never an assignment: the destination is the fire service's decision under its prefecture's 実施基準 (Fire
Service Act Art. 35-5).  Times are estimates from the great circle, a detour factor and a table of speeds, because the
road distance to hospitals follows the straight line closely (r² above 0.9, Boscoe et al. 2012) except at coasts; so a
way that crosses open water is refused unless a known bridge or tunnel makes it.
"""

import csv
import hashlib
import heapq
import io
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct

from routing.boundaries import Layer
from routing.directory.agency import WEEKDAYS, Hours
from routing.errors import Malformed, Misconfigured
from routing.location import Unknown, plausible

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius (IUGG)."""

SHARED_BY = 5
"""So many facilities on the very same point are no hospitals there: registers put the prefectural office for unknown
places (医療情報ネット)."""


class Kind(StrEnum):
    HOSPITAL = "hospital"
    HELICOPTER = "helicopter"


class Facility(Struct, frozen=True, kw_only=True):
    """One hospital or helicopter base."""

    id: str
    name: str
    kind: Kind = Kind.HOSPITAL
    latitude: float
    longitude: float
    phone: str | None = None
    address: str | None = None
    critical_care: bool = False
    """救命救急センター: takes the most severely injured at any hour."""
    disaster: Literal["", "core", "local"] = ""
    """災害拠点病院: 基幹 or 地域."""
    emergency: bool = False
    """救急告示: agreed with the prefecture to take ambulances."""
    beds: int | None = None
    hours: Hours | None = None
    """None: round the clock."""

    @property
    def tier(self) -> int:
        """Capability for an injured person, the higher the better; 0 does not take ambulances."""
        if self.critical_care:
            return 3
        return 2 if self.disaster else int(self.emergency)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """``critical_care``, ``disaster_core``, ``disaster_local``, ``emergency``."""
        named = (("critical_care", self.critical_care), ("emergency", self.emergency))
        disaster = (f"disaster_{self.disaster}",) if self.disaster else ()
        return (*(name for name, has in named[:1] if has), *disaster, *(name for name, has in named[1:] if has))


class Refusal(Struct, frozen=True):
    """A row that became no facility, and why."""

    row: int
    """Number of the feature or line of the file, from 1."""
    what: str
    """``no_position``, ``shared_position``, ``not_a_hospital``, ``no_name``, ``bad_value``."""
    detail: str


class TravelRules(Struct, frozen=True, kw_only=True):
    """How long a way takes.  Proposals of ours; a region measures its own."""

    name: str = "travel-rules-jp"
    detour: float = 1.35
    """Road length over great circle: 1.3 to 1.4 in the literature."""
    speeds_kmh: tuple[tuple[float, float], ...] = ((5.0, 30.0), (20.0, 45.0), (math.inf, 80.0))
    """Up to so many km of the way, so fast: town streets, trunk roads, expressways."""
    capability_first_min: float = 30.0
    """Within this time the better hospital comes first, beyond it the nearer one."""
    reach_km: float = 100.0
    suggestions: int = 3
    helicopter_kmh: float = 200.0
    helicopter_ready_min: float = 5.0
    helicopter_reach_km: float = 100.0
    wet_limit_m: float = 3_000.0
    """So much open water in one stretch is not crossed without a known bridge or tunnel."""

    @property
    def dataset(self) -> str:
        """Name and digest, as plans record it."""
        return f"{self.name}@{hashlib.sha256(msgspec.json.encode(self, order='sorted')).hexdigest()}"


class Crossing(Struct, frozen=True):
    """A road across water: its two ends and its length."""

    name: str
    ends: tuple[tuple[float, float], tuple[float, float]]
    length_m: float


CROSSINGS = (
    Crossing("東京湾アクアライン", ((35.521, 139.790), (35.433, 139.925)), 15_100.0),
    Crossing("明石海峡大橋", ((34.636, 135.030), (34.599, 135.005)), 4_000.0),
    Crossing("大鳴門橋", ((34.242, 134.656), (34.236, 134.645)), 1_700.0),
    Crossing("瀬戸大橋", ((34.456, 133.805), (34.350, 133.822)), 13_000.0),
    Crossing("しまなみ海道", ((34.400, 133.190), (34.110, 132.975)), 59_400.0),
    Crossing("関西国際空港連絡橋", ((34.410, 135.300), (34.434, 135.262)), 3_750.0),
    Crossing("伊良部大橋", ((24.803, 125.262), (24.818, 125.230)), 3_540.0),
)
"""Longer than ``wet_limit_m`` over open water or a chain of such; ends approximate to some hundred metres."""


class Suggestion(Struct, frozen=True, kw_only=True):
    """One facility as seen from one place."""

    id: str
    name: str
    kind: Kind
    phone: str | None
    capabilities: tuple[str, ...]
    distance_m: int
    """Great circle, rounded to 100 m."""
    minutes: int
    """Estimated, by road or in the air; rounded up."""
    bearing_deg: int
    """Degrees clockwise from north, as seen from the place."""
    same_prefecture: bool
    via: str | None = None
    """The crossing that the way needs."""
    available: bool = True
    why_not: str = ""
    """``closed``, ``dark`` or ``time_unknown``."""


class Facilities:
    """Facilities with the index that finds the near ones.  Answers never change after it is made."""

    def __init__(
        self,
        facilities: Sequence[Facility],
        *,
        name: str,
        digest: str,
        refusals: tuple[Refusal, ...] = (),
        rules: TravelRules | None = None,
    ) -> None:
        """``Misconfigured`` when two have the same id."""
        twice = [each for each, count in Counter(facility.id for facility in facilities).items() if count > 1]
        if twice:
            raise Misconfigured(f"{name}: facility {twice[0]!r} occurs twice")
        self.name = name
        self.digest = digest
        self.all = tuple(facilities)
        self.refusals = refusals
        """Rows of the file that became no facility."""
        self.rules = rules or TravelRules()
        self._vectors = np.array([_vector(each.latitude, each.longitude) for each in facilities]).reshape(-1, 3)
        self._hospital = np.array([each.kind is Kind.HOSPITAL and each.tier > 0 for each in facilities], dtype=bool)
        self._base = np.array([each.kind is Kind.HELICOPTER for each in facilities], dtype=bool)
        self._tiers = np.array([each.tier for each in facilities], dtype=np.int64)
        self._soon_m = self._within_m(self.rules.capability_first_min)
        self._dry: dict[tuple[str, int, int], bool] = {}
        self._prefectures: dict[tuple[str, str], str | None] = {}

    @classmethod
    def read(cls, data: bytes, *, name: str) -> "Facilities":
        """GeoJSON of KSJ P04 or CSV with the fields of ``Facility``.  ``Malformed`` when it is neither."""
        rows = _from_p04(data, name) if data.lstrip()[:1] == b"{" else _from_csv(data, name)
        found, refusals = _sorted_out(rows)
        return cls(found, name=name, digest=hashlib.sha256(data).hexdigest(), refusals=refusals)

    @property
    def datasets(self) -> tuple[str, str]:
        """Name and digest of the facilities and of the rules of travel, as plans record them."""
        return f"{self.name}@{self.digest}", self.rules.dataset

    def hospitals(
        self, latitude: float, longitude: float, *, layer: Layer, prefecture: str | None
    ) -> tuple[Suggestion, ...]:
        """The best few to which a road leads: capability first, then time, then distance."""
        here = (latitude, longitude)
        straight = self._straight(here)
        candidate = next(straight, None)
        bridges = _Once(lambda: self._bridges(here, layer))
        longer: list[_Candidate] = []
        found: list[Suggestion] = []
        refused = 0
        while (candidate or longer) and len(found) < self.rules.suggestions and refused < _REFUSED:
            if longer and (candidate is None or longer[0] < candidate):
                _, index, _, way = heapq.heappop(longer)
            else:
                assert candidate is not None
                _, index, length_m, _ = candidate
                way = self._way(here, self.all[index], length_m, bridges, layer)
                candidate = next(straight, None)
                if way is not None and way[0] > length_m:  # ranked by the straight line, which is shorter
                    heapq.heappush(longer, (self._rank(self.all[index], way[0]), index, way[0], way))
                    continue
            if way is None:
                refused += 1
            else:
                found.append(self._suggestion(here, self.all[index], way, layer, prefecture))
        return tuple(found)

    def helicopters(
        self, latitude: float, longitude: float, *, at: datetime | None, layer: Layer, prefecture: str | None
    ) -> tuple[Suggestion, ...]:
        """The nearest bases, those that can fly first.  ``at``: aware; flights are by day only (VFR)."""
        here = (latitude, longitude)
        found = []
        for index, distance_m in self._near(here, self._base, self.rules.helicopter_reach_km):
            facility = self.all[index]
            minutes = self.rules.helicopter_ready_min + distance_m / 1000.0 / self.rules.helicopter_kmh * 60.0
            why_not = _grounded(facility, here, at=at, minutes=minutes)
            seen = self._suggestion(here, facility, (distance_m, None), layer, prefecture)
            found.append(
                msgspec.structs.replace(seen, minutes=math.ceil(minutes), available=not why_not, why_not=why_not)
            )
        found.sort(key=lambda each: (not each.available, each.minutes, each.distance_m, each.id))
        return tuple(found[: self.rules.suggestions])

    # --- ways ---

    def _near(self, here: tuple[float, float], wanted: Any, within_km: float) -> list[tuple[int, float]]:
        """Index and great-circle distance in metres of those wanted within a radius."""
        if not len(self._vectors):
            return []
        cosines = self._vectors @ _vector(*here)
        near = np.flatnonzero((cosines >= math.cos(within_km * 1000.0 / EARTH_RADIUS_M)) & wanted)
        return [(int(index), math.acos(min(1.0, float(cosines[index]))) * EARTH_RADIUS_M) for index in near]

    def _straight(self, here: tuple[float, float]) -> Iterator["_Candidate"]:
        """Hospitals in the order they would have if every way were straight."""
        cosines = self._vectors @ _vector(*here) if len(self._vectors) else np.empty(0)
        reach = math.cos(self.rules.reach_km * 1000.0 / EARTH_RADIUS_M)
        near = np.flatnonzero((cosines >= reach) & self._hospital)
        soon = cosines[near] >= math.cos(self._soon_m / EARTH_RADIUS_M)
        # Minutes rise with the distance, so distance orders what is equal in capability.
        order = near[np.lexsort((-cosines[near], -self._tiers[near] * soon, ~soon))]
        for index in order:
            length_m = math.acos(min(1.0, float(cosines[index]))) * EARTH_RADIUS_M
            yield self._rank(self.all[index], length_m), int(index), length_m, None

    def _rank(self, facility: Facility, length_m: float) -> tuple[bool, int, float, float]:
        minutes = self._minutes(length_m)
        soon = minutes <= self.rules.capability_first_min
        return not soon, -facility.tier if soon else 0, minutes, length_m

    def _within_m(self, minutes: float) -> float:
        """Great circle that can be covered in that time."""
        low, high = 0.0, 1e7
        for _ in range(60):
            middle = (low + high) / 2.0
            low, high = (middle, high) if self._minutes(middle) <= minutes else (low, middle)
        return low

    def _minutes(self, distance_m: float) -> float:
        left_km, minutes, before_km = distance_m / 1000.0 * self.rules.detour, 0.0, 0.0
        for up_to_km, speed_kmh in self.rules.speeds_kmh:
            stretch = min(left_km, up_to_km - before_km)
            minutes += stretch / speed_kmh * 60.0
            left_km, before_km = left_km - stretch, up_to_km
        return minutes

    def _way(
        self, here: tuple[float, float], facility: Facility, distance_m: float, bridges: "_Once", layer: Layer
    ) -> tuple[float, str | None] | None:
        """Length of the way in metres of great circle and the crossing it needs; None when open water lies between."""
        there = (facility.latitude, facility.longitude)
        if self._is_dry(here, there, layer):
            return distance_m, None
        best: tuple[float, str | None] | None = None
        for before_m, landing, name in bridges():
            length_m = before_m + _distance_m(landing, there)
            shorter = length_m <= self.rules.reach_km * 1000.0 and (best is None or length_m < best[0])
            if shorter and self._is_dry(landing, there, layer):
                best = (length_m, name)
        return best

    def _bridges(self, here: tuple[float, float], layer: Layer) -> "_Bridges":
        """The crossings in reach."""
        found = []
        for crossing in CROSSINGS:
            for first, second in (crossing.ends, crossing.ends[::-1]):
                before_m = _distance_m(here, first) + crossing.length_m
                if before_m <= self.rules.reach_km * 1000.0 and self._is_dry(here, first, layer):
                    found.append((before_m, second, crossing.name))
        return found

    def _is_dry(self, start: tuple[float, float], end: tuple[float, float], layer: Layer) -> bool:
        """Whether no stretch of open water on the straight line is longer than the limit.

        Water before the first land does not count: the car is then on a bridge or at the shore of a coarse map.
        """
        length_m = _distance_m(start, end)
        steps = max(1, math.ceil(length_m / _STEP_M))
        limit_m = max(self.rules.wet_limit_m, 2.0 * layer.accuracy_m)
        wet_m, landed = 0.0, False
        for step in range(steps + 1):
            part = step / steps
            if self._is_land(start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part, layer):
                wet_m, landed = 0.0, True
                continue
            wet_m += length_m / steps
            if wet_m > (limit_m if landed else max(limit_m, _BRIDGE_M)):
                return False
        return True

    def _is_land(self, latitude: float, longitude: float, layer: Layer) -> bool:
        """By cells of some two kilometres, remembered: plans ask for the same coast again and again."""
        row, column = math.floor(latitude / _CELL_DEG), math.floor(longitude / _CELL_DEG)
        key = (layer.dataset, row, column)
        if key not in self._dry:
            if len(self._dry) > _REMEMBERED:
                self._dry.clear()
            middle = layer.find((row + 0.5) * _CELL_DEG, (column + 0.5) * _CELL_DEG)
            self._dry[key] = middle.how == "inside"
        return self._dry[key]

    def _suggestion(
        self,
        here: tuple[float, float],
        facility: Facility,
        way: tuple[float, str | None],
        layer: Layer,
        prefecture: str | None,
    ) -> Suggestion:
        there = (facility.latitude, facility.longitude)
        known = (layer.dataset, facility.id)
        if known not in self._prefectures:
            self._prefectures[known] = layer.find(*there).prefecture
        return Suggestion(
            id=facility.id,
            name=facility.name,
            kind=facility.kind,
            phone=facility.phone,
            capabilities=facility.capabilities,
            distance_m=round(_distance_m(here, there) / 100.0) * 100,
            minutes=math.ceil(self._minutes(way[0])),
            bearing_deg=round(_bearing_deg(here, there)) % 360,
            same_prefecture=prefecture is not None and self._prefectures[known] == prefecture,
            via=way[1],
        )


_Candidate = tuple[tuple[bool, int, float, float], int, float, tuple[float, str | None] | None]
"""Rank, index, length in metres, and the way once it is known."""

_Bridges = list[tuple[float, tuple[float, float], str]]
"""Metres to the far end of a crossing, that end, its name."""


class _Once:
    """A value made when it is first asked for: most places need no bridge."""

    def __init__(self, make: Callable[[], _Bridges]) -> None:
        self._make = make
        self._made: _Bridges | None = None

    def __call__(self) -> _Bridges:
        if self._made is None:
            self._made = self._make()
        return self._made


_REFUSED = 40
"""After so many beyond the water the place is an island, and the rest lies beyond it as well."""

_STEP_M = 1_000.0
_CELL_DEG = 0.02
_BRIDGE_M = 6_000.0
"""A car off the shore is on a bridge: the longest stretch to land of those in Japan is some five kilometres."""
_REMEMBERED = 200_000


# --- reading ---

_Row = tuple[int, Facility | None, str, str]
"""Number, facility, or what is wrong with it and the detail."""


_DISASTER = {"1": "core", "2": "local"}
"""P04_010: 基幹災害拠点病院, 地域災害拠点病院; 9 neither."""


class _P04(Struct):
    type: str
    features: list[dict[str, Any]]


def _from_p04(data: bytes, name: str) -> Iterator[_Row]:
    """KSJ P04 (medical institutions, 2020): class, name, address, beds, 救急告示, 災害拠点."""
    try:
        document = msgspec.json.decode(data, type=_P04)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Malformed(f"{name} is no GeoJSON of facilities: {fault}") from fault
    for number, feature in enumerate(document.features, start=1):
        about = feature.get("properties") or {}
        title = str(about.get("P04_002") or "").strip()
        if about.get("P04_001") != 1:
            yield number, None, "not_a_hospital", title
            continue
        coordinates = (feature.get("geometry") or {}).get("coordinates") or (None, None)
        yield _checked(
            number,
            {
                "id": f"p04-{number}",
                "name": title,
                "latitude": coordinates[1],
                "longitude": coordinates[0],
                "address": about.get("P04_003"),
                # P04 has no field for 救命救急センター; those that are one mostly say so in their name.
                "critical_care": "救命救急センター" in title,
                "disaster": _DISASTER.get(str(about.get("P04_010")), ""),
                "emergency": about.get("P04_009") == 1,
                "beds": about.get("P04_008"),
            },
        )


def _from_csv(data: bytes, name: str) -> Iterator[_Row]:
    """Columns as the fields of ``Facility``, with ``open`` for daily hours (``08:30-17:30``)."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise Malformed(f"{name} is not UTF-8") from fault
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if missing := {"name", "latitude", "longitude"} - set(reader.fieldnames or ()):
        raise Malformed(f"{name} has no column {min(missing)!r}")
    for row in reader:
        given: dict[str, Any] = {field: value.strip() for field, value in row.items() if field and value}
        if window := given.pop("open", None):
            given["hours"] = dict.fromkeys(WEEKDAYS, (window,))
        yield _checked(reader.line_num, {"id": f"{name}-{reader.line_num}", **given})


def _checked(number: int, given: Mapping[str, Any]) -> _Row:
    if not given.get("name"):
        return number, None, "no_name", ""
    try:
        facility = msgspec.convert({k: v for k, v in given.items() if v is not None}, Facility, strict=False)
    except msgspec.ValidationError as fault:
        return number, None, "no_position" if "itude" in str(fault) else "bad_value", str(fault)
    if facility.hours is not None:
        try:
            facility.hours.check(facility.name)
        except Misconfigured as fault:
            return number, None, "bad_value", str(fault)
    place = plausible(facility.latitude, facility.longitude)
    if isinstance(place, Unknown):
        return number, None, "no_position", f"{facility.name}: {', '.join(place.reasons)}"
    return number, facility, "", ""


def _sorted_out(rows: Iterator[_Row]) -> tuple[list[Facility], tuple[Refusal, ...]]:
    found: list[tuple[int, Facility]] = []
    refusals: list[Refusal] = []
    for number, facility, what, detail in rows:
        if facility is None:
            refusals.append(Refusal(number, what, detail))
        else:
            found.append((number, facility))
    points = Counter((each.latitude, each.longitude) for _, each in found)
    kept = []
    for number, each in found:
        if points[each.latitude, each.longitude] >= SHARED_BY:
            refusals.append(Refusal(number, "shared_position", each.name))
        else:
            kept.append(each)
    return kept, tuple(sorted(refusals, key=lambda refusal: refusal.row))


# --- earth and sun ---


def _vector(latitude: float, longitude: float) -> tuple[float, float, float]:
    phi, lam = math.radians(latitude), math.radians(longitude)
    return math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)


def _distance_m(start: tuple[float, float], end: tuple[float, float]) -> float:
    """Great circle (haversine)."""
    phi1, phi2 = math.radians(start[0]), math.radians(end[0])
    lam = math.radians(end[1] - start[1])
    half = math.sin((phi2 - phi1) / 2.0) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(lam / 2.0) ** 2
    return 2.0 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(half)))


def _bearing_deg(start: tuple[float, float], end: tuple[float, float]) -> float:
    phi1, phi2 = math.radians(start[0]), math.radians(end[0])
    lam = math.radians(end[1] - start[1])
    east = math.sin(lam) * math.cos(phi2)
    north = math.cos(phi1) * math.sin(phi2) - math.sin(phi1) * math.cos(phi2) * math.cos(lam)
    return math.degrees(math.atan2(east, north)) % 360.0


def _grounded(facility: Facility, here: tuple[float, float], *, at: datetime | None, minutes: float) -> str:
    """Why a helicopter does not fly; empty when it does.  It must find daylight here when it arrives."""
    if at is None:
        return "time_unknown"
    if facility.hours is not None and not facility.hours.open(at):
        return "closed"
    there = at + timedelta(minutes=minutes)
    base = (facility.latitude, facility.longitude)
    return "" if sun_elevation_deg(*here, there) > _SUNSET_DEG < sun_elevation_deg(*base, at) else "dark"


_SUNSET_DEG = -0.833
"""The sun's middle at sunrise and sunset: refraction and half its width."""


def sun_elevation_deg(latitude: float, longitude: float, at: datetime) -> float:
    """Height of the sun above the horizon, right to some 0.1 degrees (Astronomical Almanac's low-precision formula)."""
    days = (at.astimezone(UTC) - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86_400.0
    anomaly = math.radians(357.528 + 0.9856003 * days)
    mean = 280.460 + 0.9856474 * days
    ecliptic = math.radians(mean + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2.0 * anomaly))
    obliquity = math.radians(23.439 - 0.0000004 * days)
    right_ascension = math.atan2(math.cos(obliquity) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(obliquity) * math.sin(ecliptic))
    sidereal = math.radians((280.46061837 + 360.98564736629 * days) % 360.0)
    hour_angle = sidereal + math.radians(longitude) - right_ascension
    phi = math.radians(latitude)
    height = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, height))))
