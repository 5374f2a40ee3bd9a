"""Shapes on the ground: right to a metre against the geodesic, and held by the circle that stands for them."""

import math

import pytest
import shapely
from geopy.distance import geodesic
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.errors import Malformed
from routing.location import Position
from routing.position.shapes import (
    ArcBand,
    Circle,
    Confidence,
    Ellipse,
    Point,
    Polygon,
    centre_of,
    circle_of,
    geodesic_m,
    radius_at,
    region,
)
from tests.routing.position.any_shape import arc_bands, circles, ellipses, latitudes, longitudes, shapes

SQUARE = ((35.0, 139.0), (35.0, 139.01), (35.01, 139.01), (35.01, 139.0), (35.0, 139.0))


def metres(shape, vertex):
    """From the shape's centre to a vertex of its outline, by the geodesic."""
    longitude, latitude = vertex
    return geodesic((shape.latitude, shape.longitude), (latitude, (longitude + 180) % 360 - 180)).m


def corners(shape):
    return shapely.get_coordinates(region(shape)).tolist()


@given(circles)
def test_every_vertex_of_a_circles_outline_lies_on_it_to_a_decimetre(circle):
    reached = [metres(circle, vertex) for vertex in corners(circle)[::5]]

    assert all(each == pytest.approx(circle.radius_m, abs=0.1) for each in reached)


@given(circles)
def test_the_middle_of_an_edge_is_within_a_metre_of_the_arc(circle):
    (west, south), (east, north) = (corners(circle) * 2)[:2]

    assert metres(circle, ((west + east) / 2, (south + north) / 2)) == pytest.approx(circle.radius_m, abs=1.0)


@given(ellipses())
def test_an_ellipse_reaches_its_axes_and_no_further(ellipse):
    reached = [metres(ellipse, vertex) for vertex in corners(ellipse)]

    assert max(reached) == pytest.approx(ellipse.semi_major_m, abs=1.0)
    assert min(reached) >= ellipse.semi_minor_m - 0.1


def test_the_major_axis_of_an_ellipse_turned_to_90_degrees_lies_east_and_west():
    west, south, east, north = region(Ellipse(35.0, 139.0, 1_000.0, 100.0, 90.0)).bounds

    assert geodesic((35.0, 139.0), (35.0, east)).m == pytest.approx(1_000.0, abs=1.0)
    assert geodesic((35.0, 139.0), (north, 139.0)).m == pytest.approx(100.0, abs=1.0)
    assert (west + east) / 2 == pytest.approx(139.0)
    assert (south + north) / 2 == pytest.approx(35.0)


@given(arc_bands())
def test_an_arc_band_lies_between_its_two_radii(band):
    reached = [metres(band, vertex) for vertex in corners(band)]

    assert max(reached) == pytest.approx(band.outer_m, abs=0.1)
    whole_disc = band.inner_m < 0.01 and band.opening_deg > 359.9
    assert min(reached) == pytest.approx(band.outer_m if whole_disc else band.inner_m, abs=0.1)


def test_an_arc_band_opens_clockwise_from_its_start_angle():
    band = region(ArcBand(35.0, 139.0, 500.0, 1_000.0, 45.0, 90.0))

    assert band.contains(shapely.Point(139.0 + 750 / 91_290, 35.0))
    assert not band.contains(shapely.Point(139.0 - 750 / 91_290, 35.0))
    assert not band.contains(shapely.Point(139.0, 35.0))


def test_a_band_of_360_degrees_is_a_ring_with_a_hole():
    ring = region(ArcBand(35.0, 139.0, 500.0, 1_000.0, 0.0, 360.0))

    assert len(ring.interiors) == 1
    assert ring.is_valid


@settings(max_examples=200)
@given(shapes)
def test_every_outline_is_valid_and_lies_inside_the_circle_that_stands_for_it(shape):
    outline, circle = region(shape), circle_of(shape)

    assert outline.is_valid
    for vertex in shapely.get_coordinates(outline).tolist()[::7]:
        assert metres(circle, vertex) <= circle.radius_m * (1 + 1e-6) + 0.01


@given(latitudes, longitudes)
def test_a_point_and_a_circle_without_a_radius_are_a_point(latitude, longitude):
    assert region(Point(latitude, longitude)) == region(Circle(latitude, longitude, 0.0))
    assert circle_of(Point(latitude, longitude)).radius_m == 0.0
    assert centre_of(Circle(latitude, longitude, 5.0)) == Position(latitude, longitude)


def test_a_circle_across_the_180th_meridian_stays_in_one_piece():
    outline = region(Circle(-17.0, 179.999, 1_000.0))

    assert outline.bounds[2] > 180.0
    assert outline.bounds[2] - outline.bounds[0] < 0.1


def test_a_polygon_across_the_180th_meridian_is_small_and_its_centre_is_a_longitude():
    fiji = Polygon(((-17.0, 179.9), (-17.0, -179.8), (-16.9, -179.8), (-16.9, 179.9), (-17.0, 179.9)))

    assert region(fiji).area == pytest.approx(0.03)
    assert centre_of(fiji).longitude == pytest.approx(-179.95)


def test_a_hole_is_outside():
    hole = ((35.004, 139.004), (35.004, 139.006), (35.006, 139.006), (35.006, 139.004), (35.004, 139.004))

    assert not region(Polygon(SQUARE, (hole,))).contains(shapely.Point(139.005, 35.005))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Point(math.nan, 139.0), "$.latitude"),
        (lambda: Circle(35.0, 181.0, 5.0), "$.longitude"),
        (lambda: Circle(35.0, 139.0, -1.0), "radius"),
        (lambda: Circle(35.0, 139.0, math.nan), "radius"),
        (lambda: Circle(35.0, 139.0, math.inf), "radius"),
        (lambda: Ellipse(35.0, 139.0, 10.0, 20.0, 0.0), "semiMinorAxis"),
        (lambda: Ellipse(35.0, 139.0, 20.0, 10.0, 361.0), "orientation"),
        (lambda: ArcBand(35.0, 139.0, 20.0, 10.0, 0.0, 90.0), "innerRadius"),
        (lambda: ArcBand(35.0, 139.0, 10.0, 20.0, 0.0, 0.0), "openingAngle"),
        (lambda: Polygon(SQUARE[:-1]), "LinearRing"),
        (lambda: Polygon(SQUARE[:2] + SQUARE[-1:]), "LinearRing"),
        (lambda: Polygon((SQUARE[0],) * 5), "Polygon"),
        (lambda: Polygon((SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3], SQUARE[0])), "Polygon"),
        (lambda: Polygon(SQUARE * 4_001), "Polygon"),
        (lambda: Confidence(100.0), "confidence"),
        (lambda: Confidence(math.nan), "confidence"),
        (lambda: Confidence(50.0, "flat"), "confidence/@pdf"),
        (lambda: region(Circle(89.999, 0.0, 1_000.0)), "pos"),
    ],
)
def test_a_shape_that_cannot_be_is_refused_with_its_field(make, field):
    with pytest.raises(Malformed) as caught:
        make()

    assert caught.value.field == field


def test_a_normal_radius_at_68_per_cent_grows_to_95_as_rfc_7459_says():
    one_sigma_in_two_dimensions = Confidence(39.35, "normal")

    assert radius_at(10.0, one_sigma_in_two_dimensions) == pytest.approx(24.48, abs=0.01)


@given(st.floats(1, 99), st.floats(1, 1_000))
def test_a_radius_of_unknown_distribution_stays_as_stated(percent, radius_m):
    assert radius_at(radius_m, Confidence(percent)) == radius_m
    assert radius_at(radius_m, Confidence(None, "normal")) == radius_m


@given(st.floats(1, 99))
def test_a_rectangular_radius_never_grows(percent):
    assert radius_at(100.0, Confidence(percent, "rectangular")) <= 100.0


def test_the_geodesic_from_tokyo_to_osaka():
    # geopy and pyproj agree on 403.06 km between these two stations; the great circle says 403.83.
    assert geodesic_m(Position(35.681236, 139.767125), Position(34.702485, 135.495951)) == pytest.approx(
        geodesic((35.681236, 139.767125), (34.702485, 135.495951)).m
    )
