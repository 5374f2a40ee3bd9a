"""Any shape that a caller's location can have, for properties."""

import math

from hypothesis import strategies as st

from routing.position.shapes import ArcBand, Circle, Ellipse, Point, Polygon

latitudes = st.floats(-80, 80)
longitudes = st.floats(-180, 180)
lengths = st.floats(0.0, 20_000)
altitudes = st.none() | st.floats(-400, 9_000)
bearings = st.floats(0, 359.9)


@st.composite
def ellipses(draw):
    minor, major = sorted((draw(lengths), draw(lengths)))
    return Ellipse(draw(latitudes), draw(longitudes), major, minor, draw(bearings), draw(altitudes))


@st.composite
def arc_bands(draw):
    inner = draw(st.floats(0.0, 10_000))
    outer = math.nextafter(inner, math.inf) + draw(st.floats(0.0, 10_000))
    opening = draw(st.floats(0.0, 360.0, exclude_min=True))
    return ArcBand(draw(latitudes), draw(longitudes), inner, outer, draw(bearings), opening, draw(altitudes))


@st.composite
def polygons(draw):
    """Stars round a centre, so that no two edges cross."""
    latitude, longitude = draw(latitudes), draw(st.floats(-179, 179))
    turns = [2 * math.pi * step / 15 for step in range(draw(st.integers(9, 15)))]
    ring = [
        (latitude + reach * math.sin(turn), longitude + reach * math.cos(turn))
        for turn in turns
        for reach in [draw(st.floats(0.01, 0.5))]
    ]
    return Polygon((*ring, ring[0]))


points = st.builds(Point, latitudes, longitudes, altitudes)
circles = st.builds(Circle, latitudes, longitudes, lengths, altitudes)
shapes = points | circles | ellipses() | arc_bands() | polygons()
