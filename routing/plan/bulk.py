"""Who is responsible for many points, as one line of JSON each: ``sos route``, surveys of records, checks of a map.

The answer depends on the area, not on the point, so it is made once for each area and repeated; only points whose
uncertainty, or that of a coarse map, reaches over a border are planned one by one.  Nothing is remembered of the points
themselves.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from routing.boundaries import Match
from routing.kinds import EmergencyKind
from routing.location import COVERAGE, Known, plausible
from routing.plan import AreaShare, Facts, Located, Plan, PlanRules, Sources, bridged, flags_of, plan_at
from routing.plan.routes import Crossing
from routing.services import Service

Row = tuple[float | None, float | None, float | None]
"""Latitude, longitude, uncertainty in metres; None where nothing was given, NaN where something was no number."""


COARSE_M = 500.0
"""A map whose borders may be wrong by more than this is asked for the neighbour of every point, as a plan does."""


class Body(Struct, frozen=True):
    """One agency of an answer."""

    id: str
    service: Service
    name: str
    reason: str
    """As in a plan: ``polygon``, ``nearest``, ``default_agency``, ``runner_up``; ``responsible`` for one that has no
    channel, so that another one is called in its stead."""
    reachable: bool = True


class Answer(Struct, frozen=True, kw_only=True):
    """What is said of one point."""

    municipality: str | None
    municipality_name: str | None
    prefecture: str | None
    how: str | None
    """``inside``, ``nearest``, ``sea``, ``outside``; None without a usable position."""
    agencies: tuple[Body, ...]
    flags: tuple[str, ...]
    shares: tuple[AreaShare, ...] = ()
    """Of the circle of uncertainty, largest first; empty for a point."""


class Bulk:
    """Answers from one set of sources on one day."""

    def __init__(
        self, sources: Sources, *, on: date | None = None, service: Service | None = None, flags: tuple[str, ...] = ()
    ) -> None:
        """``service``: ask for this one alone; ``flags``: what is to be said with every answer."""
        rules = sources.rules
        if service is not None:
            rules = PlanRules(name=rules.name, by_kind=tuple((kind, (service,)) for kind in EmergencyKind), at_sea=())
        self._sources = msgspec.structs.replace(sources, rules=rules, facilities=None, routes=None)
        self._on = on
        self._coarse = sources.layer is not None and sources.layer.accuracy_m > COARSE_M
        self._flags = flags
        self._lines: dict[tuple[str | None, str | None, str | None, str | None, tuple[str, ...]], bytes] = {}

    def answer(self, latitude: float | None, longitude: float | None, uncertainty_m: float | None = None) -> Answer:
        """What is said of one point.  Never raises for a bad position."""
        return msgspec.json.decode(self.lines([(latitude, longitude, uncertainty_m)])[0], type=Answer)

    def lines(self, rows: Sequence[Row]) -> list[bytes]:
        """One JSON object per row, in their order.  Never raises for a bad position."""
        found = self._matches(rows)
        return [
            self._line(match, ())
            if match is not None and match.how == "inside" and not row[2] and not self._coarse
            else self._unusual(row, match)
            for row, match in zip(rows, found, strict=True)
        ]

    def _matches(self, rows: Sequence[Row]) -> list[Match | None]:
        """The match of every row inside the coverage, in bulk; None for the others."""
        if self._sources.layer is None or not rows:
            return [None] * len(rows)
        points: Any = np.array([row[:2] for row in rows], dtype=np.float64)  # None becomes NaN
        south, west, north, east = COVERAGE
        latitudes, longitudes = points[:, 0], points[:, 1]
        usable = (latitudes >= south) & (latitudes <= north) & (longitudes >= west) & (longitudes <= east)
        found = iter(self._sources.layer.find_many(latitudes[usable], longitudes[usable], as_of=self._on))
        return [next(found) if is_usable else None for is_usable in usable.tolist()]

    def _unusual(self, row: Row, match: Match | None) -> bytes:
        """A row with an uncertainty, out of the coverage or without a usable position."""
        latitude, longitude, uncertainty_m = row
        radius_m = uncertainty_m or 0.0
        said: tuple[str, ...] = ()
        if not 0.0 <= radius_m < math.inf:
            radius_m, said = 0.0, ("uncertainty_ignored",)
        if match is not None and latitude is not None and longitude is not None:
            return self._circle(latitude, longitude, radius_m, match, said)
        place = plausible(latitude, longitude)
        if not isinstance(place, Known):
            return self._line(None, ("position_unknown", *place.reasons, *said))
        if self._sources.layer is None:
            return self._line(None, ("layer_missing", *place.flags, *said))
        position = place.position
        found = self._sources.layer.find(position.latitude, position.longitude, as_of=self._on)
        return self._circle(position.latitude, position.longitude, radius_m, found, (*place.flags, *said))

    def _circle(self, latitude: float, longitude: float, radius_m: float, match: Match, said: tuple[str, ...]) -> bytes:
        """A usable position; ``match`` is the layer's."""
        layer = self._sources.layer
        assert layer is not None
        match, crossing = bridged(match, latitude, longitude, layer=layer, crossings=self._sources.crossings)
        radius_m = min(radius_m, self._sources.rules.largest_m)
        shares = layer.shares(latitude, longitude, radius_m, as_of=self._on) if radius_m > 0.0 else ()
        ask = self._coarse and match.code is not None
        border = layer.border(latitude, longitude, code=match.code or "", as_of=self._on) if ask else None
        beside = border is not None and border.distance_m <= max(layer.accuracy_m, radius_m)
        if not (beside or any(each.code != match.code for each in shares)):
            return self._line(match, said, crossing)
        place = Located(
            on=self._on,
            match=match,
            radius_m=radius_m,
            border=border,
            shares=tuple(AreaShare(each.code, round(each.share, 3)) for each in shares),
            near=True,
            crossing=crossing,
            flags=(*said, *flags_of(match, crossing), "near_border"),
        )
        return msgspec.json.encode(self._worded(plan_at(place, Facts(), self._sources), match))

    def _line(self, match: Match | None, said: tuple[str, ...], crossing: Crossing | None = None) -> bytes:
        """The answer for all points of an area, or of one side of a crossing, encoded once."""
        over = crossing.name if crossing else None
        area = (match.municipality, match.prefecture, match.how) if match else (None, None, None)
        if (line := self._lines.get((*area, over, said))) is None:
            flags = (*said, *(flags_of(match, crossing) if match else ()))
            place = Located(on=self._on, match=match, crossing=crossing, flags=flags)
            line = msgspec.json.encode(self._worded(plan_at(place, Facts(), self._sources), match))
            self._lines[*area, over, said] = line
        return line

    def _worded(self, plan: Plan, match: Match | None) -> Answer:
        layer = self._sources.layer
        names = layer.names.get(plan.municipality or "", ("", "")) if layer is not None else ("", "")
        return Answer(
            municipality=plan.municipality,
            municipality_name=names[0] or None,
            prefecture=plan.prefecture,
            how=match.how if match else None,
            agencies=tuple(self._bodies(plan)),
            flags=tuple(dict.fromkeys((*plan.flags, *self._flags))),
            shares=plan.shares,
        )

    def _bodies(self, plan: Plan) -> Iterator[Body]:
        """Those who are responsible and cannot be reached first, then those who are called, in order."""
        agencies = self._sources.directory.agencies
        for agency in plan.unreachable:
            known = agencies[agency]
            yield Body(agency, known.service, known.name_ja, "responsible", reachable=False)
        for agency, reason in zip(plan.agencies, plan.reasons, strict=True):
            known = agencies[agency]
            yield Body(agency, known.service, known.name_ja, reason.partition(":")[2])
