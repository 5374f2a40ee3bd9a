"""Positions: what can be a place, what cannot, and that nothing is ever corrected in silence."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.errors import Malformed
from routing.location import Known, Position, Unknown, plausible


@pytest.mark.parametrize(
    ("latitude", "longitude", "field"),
    [
        (math.nan, 139.7, "$.latitude"),
        (35.6, math.nan, "$.longitude"),
        (math.inf, 139.7, "$.latitude"),
        (90.0001, 0.0, "$.latitude"),
        (35.6, -180.0001, "$.longitude"),
    ],
)
def test_a_position_that_is_no_place_on_earth_is_refused_with_its_field(latitude, longitude, field):
    with pytest.raises(Malformed) as caught:
        Position(latitude, longitude)

    assert caught.value.field == field


def test_the_poles_and_the_date_line_are_places():
    assert Position(-90.0, 180.0).longitude == 180.0


@pytest.mark.parametrize(
    ("latitude", "longitude", "reasons"),
    [
        (None, 139.7, ("missing",)),
        (35.6, None, ("missing",)),
        (math.nan, 139.7, ("not_a_number",)),
        (35.6, math.inf, ("not_a_number",)),
        (0.0, 0.0, ("null_island",)),
        (0.004602, 0.010040, ("null_island",)),
        (0.0, 133.510421, ("latitude_near_zero",)),
        (35.6, 0.0, ("longitude_near_zero",)),
        (139.7671, 35.6812, ("out_of_range", "axes_swapped?")),
        (999.0, 999.0, ("out_of_range",)),
    ],
)
def test_an_impossible_position_is_unknown_and_says_why(latitude, longitude, reasons):
    assert plausible(latitude, longitude) == Unknown(reasons)


def test_a_japanese_position_is_known_without_remark():
    assert plausible(35.6812, 139.7671) == Known(Position(35.6812, 139.7671))


@pytest.mark.parametrize(("latitude", "longitude"), [(48.85, 2.35), (51.48, -0.01), (0.31, 32.58), (-0.18, -78.47)])
def test_a_real_place_far_away_is_known_and_flagged_as_outside_the_coverage(latitude, longitude):
    assert plausible(latitude, longitude) == Known(Position(latitude, longitude), ("outside_coverage",))


def test_axes_that_look_swapped_within_range_are_flagged_and_left_as_they_are():
    # A coverage west of 90 degrees, so that both ways round are in range.
    place = plausible(10.0, 47.0, coverage=(45.0, 5.0, 48.0, 11.0))

    assert place == Known(Position(10.0, 47.0), ("outside_coverage", "axes_swapped?"))


@given(
    st.none() | st.floats(allow_nan=True, allow_infinity=True),
    st.none() | st.floats(allow_nan=True, allow_infinity=True),
)
def test_no_pair_of_numbers_raises_and_a_known_position_is_exactly_what_was_sent(latitude, longitude):
    place = plausible(latitude, longitude)

    if isinstance(place, Known):
        assert (place.position.latitude, place.position.longitude) == (latitude, longitude)
    else:
        assert place.reasons


@pytest.mark.parametrize("datum", [None, "WGS84", "JGD2011", "EPSG:4326", " wgs84 "])
def test_a_system_that_means_the_same_place_needs_no_flag(datum):
    assert plausible(35.68, 139.77, datum=datum) == Known(Position(35.68, 139.77))


@pytest.mark.parametrize(
    ("datum", "flag"), [("Tokyo", "datum_tokyo"), ("EPSG:4301", "datum_tokyo"), ("x", "datum_unknown")]
)
def test_another_system_is_noted_and_the_numbers_stay_as_they_were_sent(datum, flag):
    assert plausible(35.68, 139.77, datum=datum) == Known(Position(35.68, 139.77), (flag,))
