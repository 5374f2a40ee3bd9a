"""The index answers as GEOS does, on any map: random coverages, holes, enclaves, overlaps, points on borders."""

import math
import random
from datetime import date

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing.boundaries import projection
from routing.errors import Malformed, Misconfigured

GRID = 1e-3
"""Corners lie on round numbers, so that points and borders meet exactly."""


def random_map(seed: int, *, areas: int = 6, cells: int = 60, size: float = 0.12):
    """Areas made of random cells: with enclaves, holes, islands, water, and overlaps where rounding makes them."""
    draw = random.Random(seed)
    west, south = draw.choice([(139.0, 35.0), (-0.05, -0.05), (-122.3, 47.1), (178.2, -17.0)])
    points = shapely.points([(west + draw.random() * size, south + draw.random() * size) for _ in range(cells)])
    box = shapely.box(west, south, west + size, south + size)
    parts = [part.intersection(box) for part in shapely.voronoi_polygons(shapely.MultiPoint(points)).geoms]
    owned = {}
    for part in parts:
        owner = draw.randrange(areas + 1)
        if owner < areas:
            owned.setdefault(f"A{owner}", []).append(part)
    rounded = {code: shapely.set_precision(shapely.union_all(own), GRID) for code, own in owned.items()}
    shapes = {code: shapely.set_precision(shape, 0.0) for code, shape in rounded.items()}
    return {code: shape for code, shape in shapes.items() if not shape.is_empty and shape.is_valid}


def truth(shapes, latitude, longitude):
    """The lowest code among the shapes that hold the point or have it on their border."""
    return next((code for code in sorted(shapes) if shapely.intersects_xy(shapes[code], longitude, latitude)), None)


def asked(shapes, seed, number):
    """Points anywhere, on corners, on edges, and on round numbers beside them."""
    draw = random.Random(seed)
    west, south, east, north = shapely.total_bounds(list(shapes.values())).tolist()
    corners = shapely.get_coordinates(list(shapes.values())).tolist()
    for _ in range(number):
        yield draw.uniform(south - 0.02, north + 0.02), draw.uniform(west - 0.02, east + 0.02)
        x, y = draw.choice(corners)
        yield y, x
        yield math.nextafter(y, 90.0) if abs(y) > 1e-9 else 1e-12, x  # GEOS itself takes 5e-324 for 0
        at = draw.randrange(len(corners) - 1)
        (ax, ay), (bx, by) = corners[at], corners[at + 1]
        yield (ay + by) / 2.0, (ax + bx) / 2.0
        yield round(draw.uniform(south, north), 3), round(draw.uniform(west, east), 3)


@pytest.mark.parametrize("seed", range(12))
def test_every_point_of_a_random_map_gets_the_answer_of_plain_geometry(make_layer, seed):
    shapes = random_map(seed)
    layer = make_layer(shapes)

    points = list(asked(shapes, seed, 400))
    found = [layer.find(*point) for point in points]

    assert [match.municipality if match.how == "inside" else None for match in found] == [
        truth(shapes, *point) for point in points
    ]
    assert layer.find_many(*zip(*points, strict=True)) == found


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), cells=st.integers(4, 250), size=st.sampled_from([0.004, 0.05, 1.5]))
def test_maps_of_any_size_and_density_agree_with_plain_geometry(make_layer, seed, cells, size):
    shapes = random_map(seed, cells=cells, size=size)
    if len(shapes) < 2:
        return
    layer = make_layer(shapes)

    for point in asked(shapes, seed, 40):
        match = layer.find(*point)
        assert (match.municipality if match.how == "inside" else None) == truth(shapes, *point), point


@pytest.mark.parametrize("seed", range(4))
def test_a_point_outside_gets_the_nearest_area_and_its_distance(make_layer, seed):
    shapes = random_map(seed)
    layer = make_layer(shapes)
    flat = {code: shapely.transform(shape, projection.flattened) for code, shape in shapes.items()}

    for latitude, longitude in asked(shapes, seed, 60):
        match = layer.find(latitude, longitude)
        if match.how == "inside":
            continue
        point = shapely.Point(*projection.flat_point(latitude, longitude))
        lengths = {code: point.distance(shape) for code, shape in flat.items()}
        nearest = min(lengths.values())
        assert lengths[match.municipality] == pytest.approx(nearest, abs=1e-8)
        assert match.distance_m == pytest.approx(nearest * projection.scale_m(latitude), rel=1e-3, abs=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_the_border_is_the_nearest_other_area(make_layer, seed):
    shapes = random_map(seed)
    layer = make_layer(shapes)
    flat = {code: shapely.transform(shape, projection.flattened) for code, shape in shapes.items()}

    for latitude, longitude in asked(shapes, seed, 40):
        code = layer.find(latitude, longitude).municipality
        border = layer.border(latitude, longitude, code=code)
        point = shapely.Point(*projection.flat_point(latitude, longitude))
        lengths = {other: point.distance(shape.boundary) for other, shape in flat.items() if other != code}
        assert lengths[border.runner_up] == pytest.approx(min(lengths.values()), abs=1e-8)
        assert border.distance_m == pytest.approx(
            min(lengths.values()) * projection.scale_m(latitude), rel=1e-3, abs=0.05
        )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("radius_m", [30.0, 400.0, 3_000.0])
def test_the_shares_of_a_circle_are_its_cut_areas(make_layer, seed, radius_m):
    shapes = random_map(seed)
    layer = make_layer(shapes)
    north, east = projection.degrees_per_m(35.0)

    for latitude, longitude in asked(shapes, seed, 25):
        north, east = projection.degrees_per_m(latitude)
        angles = np.linspace(0.0, 2.0 * np.pi, 2_000, endpoint=False)
        ring = (longitude + radius_m * east * np.cos(angles), latitude + radius_m * north * np.sin(angles))
        circle = shapely.polygons(np.column_stack(ring))
        expected = {code: shape.intersection(circle).area / circle.area for code, shape in shapes.items()}
        shares = layer.shares(latitude, longitude, radius_m)

        got = {share.code: share.share for share in shares}
        total = sum(expected.values())  # above 1 where the map overlaps
        for code, part in expected.items():
            assert got.get(code, 0.0) == pytest.approx(part / max(1.0, total), abs=3e-5), (latitude, longitude, code)
        assert [share.share for share in shares] == sorted((share.share for share in shares), reverse=True)
        assert sum(got.values()) <= 1.0 + 1e-12


def test_the_shares_of_a_shape_agree_with_those_of_a_circle(make_layer):
    shapes = random_map(3)
    layer = make_layer(shapes)

    for latitude, longitude in asked(shapes, 3, 20):
        of_shape = {s.code: s.share for s in layer.shares_of(projection.circle(latitude, longitude, 900.0))}
        of_circle = {s.code: s.share for s in layer.shares(latitude, longitude, 900.0)}
        assert all(of_shape.get(c, 0.0) == pytest.approx(of_circle.get(c, 0.0), abs=2e-3) for c in of_shape | of_circle)


@pytest.mark.parametrize("where", [(math.nan, 139.0), (35.0, math.nan), (91.0, 139.0), (35.0, math.inf), (35.0, -181)])
def test_what_is_no_place_is_malformed_and_never_a_municipality(make_layer, where):
    layer = make_layer(random_map(1))

    with pytest.raises(Malformed):
        layer.find(*where)
    with pytest.raises(Malformed):
        layer.find_many([35.0, where[0]], [139.0, where[1]])
    with pytest.raises(Malformed):
        layer.shares(*where, 10.0)
    with pytest.raises(Malformed):
        layer.border(*where, code="A1")


@pytest.mark.parametrize("radius_m", [-1.0, math.nan, math.inf])
def test_a_radius_that_is_none_is_malformed(make_layer, radius_m):
    with pytest.raises(Malformed, match="radius"):
        make_layer(random_map(1)).shares(35.05, 139.05, radius_m)


def test_the_far_side_of_the_earth_is_outside(make_layer):
    match = make_layer(random_map(0)).find(-60.0, -40.0)

    assert (match.municipality, match.how) == (None, "outside")


SQUARE = shapely.box(139.0, 35.0, 139.1, 35.1)
WEST, EAST = shapely.box(139.0, 35.0, 139.05, 35.1), shapely.box(139.05, 35.0, 139.1, 35.1)
MERGER = {"old": (None, date(2023, 12, 31)), "a": (date(2024, 1, 1), None), "b": (date(2024, 1, 1), None)}


def test_a_date_chooses_the_vintage(make_layer):
    layer = make_layer({"a": WEST, "b": EAST, "old": SQUARE, "z": shapely.box(139.1, 35.0, 139.2, 35.1)}, **MERGER)

    assert layer.find(35.05, 139.02, as_of=date(2023, 12, 31)).municipality == "old"
    assert layer.find(35.05, 139.02, as_of=date(2024, 1, 1)).municipality == "a"
    assert layer.find(35.05, 139.07).municipality == "b"
    assert layer.border(35.05, 139.02, code="old", as_of=date(2020, 1, 1)).runner_up == "z"
    assert layer.border(35.05, 139.02, code="a").runner_up == "b"
    assert {s.code for s in layer.shares(35.05, 139.05, 100.0, as_of=date(2020, 1, 1))} == {"old"}
    assert {s.code for s in layer.shares(35.05, 139.05, 100.0)} == {"a", "b"}
    assert {s.code for s in layer.shares_of(SQUARE.buffer(-0.01))} == {"a", "b"}
    assert layer.polygon("old") is None
    assert layer.polygon("old", as_of=date(2020, 1, 1)).equals(SQUARE)


def test_a_date_before_or_after_everything_is_answered_by_the_nearest_state_and_the_layer_says_so(make_layer):
    ended = {"a": (date(2020, 1, 1), date(2021, 12, 31)), "b": (date(2020, 1, 1), date(2021, 12, 31))}
    layer = make_layer({"a": WEST, "b": EAST}, **ended)

    assert layer.find(35.05, 139.02, as_of=date(1999, 1, 1)).municipality == "a"
    assert layer.find(35.05, 139.02, as_of=date(2026, 1, 1)).municipality == "a"
    assert layer.covers(date(2021, 6, 1))
    assert not layer.covers(date(2026, 1, 1))


def wedges(number):
    """Areas that all meet in one point."""
    rim = [
        (139.05 + 0.04 * math.cos(a), 35.05 + 0.04 * math.sin(a)) for a in np.linspace(0.0, 2.0 * math.pi, number + 1)
    ]
    return {f"W{n:02d}": shapely.Polygon([(139.05, 35.05), rim[n], rim[n + 1]]) for n in range(number)}


def test_sixty_areas_may_meet_in_one_point(make_layer):
    shapes = wedges(60)
    layer = make_layer(shapes)

    assert layer.find(35.05, 139.05).municipality == "W00"
    for angle in np.linspace(0.01, 6.2, 200).tolist():
        for reach in (1e-9, 1e-6, 1e-3):
            point = (35.05 + reach * math.sin(angle), 139.05 + reach * math.cos(angle))
            assert layer.find(*point).municipality == truth(shapes, *point)


def test_more_areas_in_one_point_than_the_index_can_hold_are_refused_with_the_place(make_layer):
    with pytest.raises(Misconfigured, match=r"70 areas meet near 35\.0"):
        make_layer(wedges(70))
