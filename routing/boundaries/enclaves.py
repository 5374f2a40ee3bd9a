"""Areas that lie inside another one whose outline has no hole for them: there the inner one answers.

Simplified files and such as are drawn by hand fill the outer area.  Both claims cannot be meant, and only one of them
has a meaning: nobody draws a village into a town that is all there is.  So the outer area gets its hole, on the days
on which the inner one is valid.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta

import shapely
from msgspec.structs import replace

from routing.boundaries.index import Area, Finding
from routing.boundaries.survey import Survey, claimed_twice, holds, ordered

_MOSTLY = 0.99
"""Of the inner area that must lie in the outer: borders drawn twice differ by a little."""

_SMALLER = 0.9
"""Two areas of nearly one size are one place under two codes, and nobody knows which is meant."""


def opened(found: Survey, *, tell: Callable[[str], None]) -> Survey:
    """The same with a hole in each area for those that lie inside it, and a finding that names both."""
    tell("enclaves")
    inside = _inside(found)
    if not inside:
        return found
    areas, shapes, findings = [], [], list(found.findings)
    for number, (area, shape) in enumerate(zip(found.areas, found.shapes, strict=True)):
        inner = inside.get(number, ())
        findings += [_told(area, found.areas[each]) for each in inner]
        for first, last in _periods(area, [found.areas[each] for each in inner]):
            held = [found.shapes[each] for each in inner if holds(found.areas[each], first or date.min)]
            areas.append(replace(area, valid_from=first, valid_to=last))
            shapes.append(shapely.difference(shape, shapely.union_all(held)) if held else shape)
    return ordered(areas, shapes, findings)


def _inside(found: Survey) -> Mapping[int, Sequence[int]]:
    """By outer area, those that lie inside it on some day."""
    inside: dict[int, set[int]] = defaultdict(set)
    for on in sorted({area.valid_from or date.min for area in found.areas}):
        numbers = [number for number, area in enumerate(found.areas) if holds(area, on)]
        for one, other, common in claimed_twice([found.shapes[number] for number in numbers]):
            inner, outer = sorted((numbers[one], numbers[other]), key=lambda number: found.shapes[number].area)
            size = found.shapes[inner].area
            if common.area >= _MOSTLY * size and size < _SMALLER * found.shapes[outer].area:
                inside[outer].add(inner)
    return {outer: sorted(inner) for outer, inner in inside.items()}


def _periods(area: Area, inner: Sequence[Area]) -> Iterator[tuple[date | None, date | None]]:
    """First and last day of each stretch of an area's life in which the same areas lie inside it."""
    ends = [each.valid_to + timedelta(days=1) for each in inner if each.valid_to is not None]
    changes = {*(each.valid_from for each in inner if each.valid_from is not None), *ends}
    starts = sorted(day for day in changes if (area.valid_from or date.min) < day and holds(area, day))
    lasts = [day - timedelta(days=1) for day in starts]
    return zip((area.valid_from, *starts), (*lasts, area.valid_to), strict=True)


def _told(outer: Area, inner: Area) -> Finding:
    words = f"{inner.code} {inner.name_ja} lies inside {outer.code} {outer.name_ja}, which has no hole for it"
    return Finding("enclave", f"{words}; {inner.code} answers there", (*outer.rows[:3], *inner.rows[:3]))
