"""PIDF-LO both ways: what is written is read back, what others write is read, and hostile bytes are refused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from routing.errors import Malformed
from routing.position.gml import Civic, UnknownReference, element_of, shape_of
from routing.position.pidf import Located, PidfLo, from_element, read, to_element, write
from routing.position.shapes import ArcBand, Circle, Confidence, Ellipse, Point, Polygon
from tests.routing.position.any_shape import shapes

WORDS = (
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=30).map(str.strip).filter(bool)
)
TOKENS = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,9}", fullmatch=True)
CIVIC = st.builds(
    Civic,
    st.lists(st.tuples(st.sampled_from(["country", "A1", "A3", "RD", "HNO"]), WORDS), min_size=1, max_size=9).map(
        tuple
    ),
    st.none() | st.just("ja"),
)
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
CONFIDENCES = st.builds(Confidence, st.none() | st.floats(1, 99), st.sampled_from(["unknown", "normal", "rectangular"]))


@st.composite
def located(draw):
    shape, civic = draw(st.tuples(shapes, st.none() | CIVIC) | st.tuples(st.none(), CIVIC))
    holder = draw(st.sampled_from(["device", "tuple", "person"]))
    return Located(
        holder=holder,
        id=draw(TOKENS),
        shape=shape,
        civic=civic,
        confidence=draw(st.none() | CONFIDENCES),
        method=draw(st.none() | TOKENS),
        timestamp=draw(st.none() | INSTANTS),
        device_id=draw(st.none() | TOKENS) if holder == "device" else None,
        retransmission_allowed=draw(st.booleans()),
        retention_expiry=draw(st.none() | INSTANTS),
    )


def document(
    info, *, holder='<dm:device id="car"><gp:geopriv><gp:location-info>{}</gp:location-info></gp:geopriv></dm:device>'
):
    return (
        '<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"'
        ' xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:gml="http://www.opengis.net/gml"'
        ' xmlns:gs="http://www.opengis.net/pidflo/1.0" xmlns:con="urn:ietf:params:xml:ns:geopriv:conf"'
        ' entity="pres:car@example.com"><dm:device id="car"><gp:geopriv><gp:location-info>'
        + info
        + "</gp:location-info></gp:geopriv></dm:device></presence>"
    ).encode()


def shape_in(info):
    return read(document(info)).locations[0].shape


@given(shapes)
def test_every_shape_is_read_back_as_it_was_written(shape):
    assert shape_of(etree.fromstring(etree.tostring(element_of(shape)))) == shape


@settings(max_examples=60)
@given(st.lists(located(), min_size=1, max_size=3))
def test_a_document_is_read_back_as_it_was_written(locations):
    made = PidfLo(entity="pres:car@example.com", locations=tuple(locations))

    seen = read(write(made))

    assert seen.entity == made.entity
    assert sorted(seen.locations, key=repr) == sorted(made.locations, key=repr)
    assert from_element(to_element(made)) == seen


def test_the_form_of_rfc_5491_is_read_for_each_shape():
    pos = "<gml:pos>-34.4 150.8</gml:pos>"
    metre, degree = 'uom="urn:ogc:def:uom:EPSG::9001"', 'uom="urn:ogc:def:uom:EPSG::9102"'
    flat = 'srsName="urn:ogc:def:crs:EPSG::4326"'

    assert shape_in(f"<gml:Point {flat}>{pos}</gml:Point>") == Point(-34.4, 150.8)
    assert shape_in(f"<gs:Circle {flat}>{pos}<gs:radius {metre}> 30 </gs:radius></gs:Circle>") == Circle(
        -34.4, 150.8, 30.0
    )
    assert shape_in(
        f"<gs:Ellipse {flat}>{pos}<gs:semiMajorAxis {metre}>77.5</gs:semiMajorAxis>"
        f"<gs:semiMinorAxis {metre}>11.2</gs:semiMinorAxis><gs:orientation {degree}>43.2</gs:orientation></gs:Ellipse>"
    ) == Ellipse(-34.4, 150.8, 77.5, 11.2, 43.2)
    assert shape_in(
        f"<gs:ArcBand {flat}>{pos}<gs:innerRadius {metre}>3594</gs:innerRadius><gs:outerRadius {metre}>4148"
        f"</gs:outerRadius><gs:startAngle {degree}>-340</gs:startAngle><gs:openingAngle {degree}>20</gs:openingAngle>"
        "</gs:ArcBand>"
    ) == ArcBand(-34.4, 150.8, 3594.0, 4148.0, 20.0, 20.0)
    assert shape_in(
        f"<gml:Polygon {flat}><gml:exterior><gml:LinearRing><gml:posList>43.311 -73.422 43.111 -73.322 43.111 -73.222"
        " 43.311 -73.422</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>"
    ) == Polygon(((43.311, -73.422), (43.111, -73.322), (43.111, -73.222), (43.311, -73.422)))


def test_a_third_dimension_is_an_altitude():
    seen = shape_in('<gml:Point srsName="urn:ogc:def:crs:EPSG::4979"><gml:pos>35.6 139.7 40.5</gml:pos></gml:Point>')

    assert seen == Point(35.6, 139.7, 40.5)


@pytest.mark.parametrize("name", ["urn:ogc:def:crs:EPSG:4326", "urn:ogc:def::crs:EPSG::4326", "EPSG:4326"])
def test_the_spellings_of_wgs_84_that_are_in_use_are_understood(name):
    assert shape_in(f'<gml:Point srsName="{name}"><gml:pos>1 2</gml:pos></gml:Point>') == Point(1.0, 2.0)


@pytest.mark.parametrize(
    "point",
    [
        "<gml:Point><gml:pos>1 2</gml:pos></gml:Point>",
        '<gml:Point srsName="urn:ogc:def:crs:EPSG::4301"><gml:pos>1 2</gml:pos></gml:Point>',
        '<gml:Point srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>1 2 3</gml:pos></gml:Point>',
        '<gml:Point srsName="urn:ogc:def:crs:EPSG::4979"><gml:pos>1 2</gml:pos></gml:Point>',
    ],
)
def test_a_position_in_a_reference_system_we_do_not_know_is_never_guessed(point):
    with pytest.raises(UnknownReference):
        shape_in(point)


@pytest.mark.parametrize(
    ("info", "place"),
    [
        ("", "/presence/device/geopriv/location-info"),
        ('<gml:Point srsName="EPSG:4326"/>', "location-info/Point"),
        ('<gml:Point srsName="EPSG:4326"><gml:pos>91 2</gml:pos></gml:Point>', "location-info/Point"),
        ('<gml:Point srsName="EPSG:4326"><gml:pos>NaN 2</gml:pos></gml:Point>', "location-info/Point/pos"),
        ('<gml:Point srsName="EPSG:4326"><gml:pos>1,2</gml:pos></gml:Point>', "location-info/Point/pos"),
        ('<gml:Point srsName="EPSG:4326"><gml:pos>1e999 2</gml:pos></gml:Point>', "location-info/Point/pos"),
        ('<gml:Point srsName="EPSG:4326"><gml:pos>1 <b/>2</gml:pos></gml:Point>', "location-info/Point/pos"),
        (
            '<gs:Circle srsName="EPSG:4326"><gml:pos>1 2</gml:pos><gs:radius uom="mile">3</gs:radius></gs:Circle>',
            "location-info/Circle/radius",
        ),
        ('<gs:Prism srsName="EPSG:4979"/>', "location-info/Prism"),
        ('<civicAddress xmlns="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"/>', "location-info/civicAddress"),
        (
            '<gml:Point srsName="EPSG:4326"><gml:pos>1 2</gml:pos></gml:Point><con:confidence>100</con:confidence>',
            "location-info/confidence",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place_and_never_with_its_text(info, place):
    with pytest.raises(Malformed) as caught:
        shape_in(info)

    assert caught.value.field.endswith(place)
    assert not {"NaN", "1,2", "1e999", "mile", "Prism"} & set(str(caught.value).split())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff",
        b"<presence>",
        b'<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:x"/>',
        b"<findService xmlns='urn:ietf:params:xml:ns:lost1'/>",
        b'<!DOCTYPE presence [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><presence>&b;</presence>',
        b'<!DOCTYPE presence SYSTEM "file:///etc/hostname"><presence/>',
        '<?xml version="1.0" encoding="latin1"?><presence/>'.encode("latin1"),
        b"<p>" * 5_000,
        b" " * 70_000,
    ],
)
def test_hostile_or_broken_bytes_are_malformed(data):
    with pytest.raises(Malformed):
        read(data)


@settings(max_examples=200)
@given(st.binary(max_size=4), st.integers(0, 700), st.integers(0, 6))
def test_a_damaged_document_is_read_or_malformed_and_nothing_else(noise, at, gap):
    good = write(PidfLo(entity="pres:x", locations=(Located(id="a", shape=Circle(35.0, 139.0, 30.0), method="GPS"),)))
    damaged = good[:at] + noise + good[at + gap :]

    try:
        assert read(damaged).locations
    except Malformed:
        return


def test_a_text_that_xml_cannot_hold_is_not_written():
    with pytest.raises(Malformed):
        write(PidfLo(entity="pres:x", locations=(Located(id="a", civic=Civic((("A1", "\x00"),))),)))
    with pytest.raises(Malformed):
        write(PidfLo(entity="pres:x", locations=(Located(id="a"),)))


def test_times_are_utc_and_rules_are_carried():
    tokyo = datetime.fromisoformat("2026-01-01T09:00:00+09:00")
    located = Located(id="a", shape=Point(1.0, 2.0), timestamp=tokyo, retention_expiry=tokyo + timedelta(days=1),
                      retransmission_allowed=True)  # fmt: skip

    seen = read(write(PidfLo(entity="pres:x", locations=(located,)))).locations[0]

    assert seen.timestamp == datetime(2026, 1, 1, tzinfo=UTC)
    assert seen.retention_expiry == datetime(2026, 1, 2, tzinfo=UTC)
    assert seen.retransmission_allowed
