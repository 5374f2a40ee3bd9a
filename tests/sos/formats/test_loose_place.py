"""Slips of location in XML: the position that was certainly meant, or its words; never a made-up place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos.formats import veds
from sos.formats.mapping import report_of_veds
from sos.incident.report import EmergencyReport

FIELD = Path(__file__).resolve().parents[4] / "shared" / "data" / "field"
SRS = "urn:ogc:def:crs:EPSG::4326"


def told(inside: str, *, notification: bool = True) -> EmergencyReport:
    """The report in a VEDS whose ``location-info`` holds ``inside``."""
    presence = f"""<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"
 xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:gml="http://www.opengis.net/gml"
 xmlns:g32="http://www.opengis.net/gml/3.2" xmlns:gs="http://www.opengis.net/pidflo/1.0" entity="pres:c@example.com">
<dm:device id="c"><gp:geopriv><gp:location-info>{inside}</gp:location-info><gp:usage-rules/></gp:geopriv>
<dm:timestamp>2026-11-30T07:00:00Z</dm:timestamp></dm:device></presence>"""
    crash = "<Crash/>" if notification else ""
    root = f"<AutomatedCrashNotification>{crash}{presence}</AutomatedCrashNotification>" if notification else presence
    return report_of_veds(veds.read(root.encode())).report


def point(pos: str, *, srs: str | None = SRS, gml: str = "gml", name: str = "pos", attributes: str = "") -> str:
    system = "" if srs is None else f' srsName="{srs}"'
    return f"<{gml}:Point{system}><{gml}:{name}{attributes}>{pos}</{gml}:{name}></{gml}:Point>"


def circle(radius: str, uom: str) -> str:
    measure = f'<gs:radius uom="{uom}">{radius}</gs:radius>'
    return f'<gs:Circle srsName="{SRS}"><gml:pos>35.6812 139.7671</gml:pos>{measure}</gs:Circle>'


@pytest.mark.parametrize(
    "inside",
    [
        f"<gml:location>{point('35.6812 139.7671')}</gml:location>",
        point("35.6812 139.7671 40"),
        point("35.6812 139.7671", srs="urn:ogc:def:crs:EPSG::4979"),
        point("35.6812 139.7671", srs=None),
        point("35.6812 139.7671", srs=None, attributes=f' srsName="{SRS}"'),
        point("35.6812,139.7671"),
        point("35.6812, 139.7671"),
        point("35,6812 139,7671"),
        point("35.6812 139.7671", gml="g32"),
        point("35.6812 139.7671", srs="http://www.opengis.net/def/crs/EPSG/0/4326", gml="g32"),
        point("35.6812,139.7671", name="coordinates"),
        point("139.7671 35.6812", srs="urn:ogc:def:crs:OGC:1.3:CRS84"),
        point("139.7671 35.6812", srs="CRS84"),
        point("35.6812 139.7671", srs="EPSG:6668"),
        point("35.6812 139.7671", srs="WGS84"),
        "<Point><pos>35.6812 139.7671</pos></Point>",
        point("35.6812 139.7671") + point("34.1 135.2"),
    ],
)
def test_a_slip_that_leaves_no_doubt_keeps_the_position_and_is_told(inside: str) -> None:
    report = told(inside)

    assert (report.location.latitude, report.location.longitude) == (35.6812, 139.7671)
    assert report.location.timestamp is not None
    assert "location_loose:$.presence" in report.findings


@pytest.mark.parametrize(
    ("radius", "uom", "accuracy"),
    [("30", "m", 30), ("30.5", "metres", 30.5), ("30", "EPSG:9001", 30), ("30", "ft", None), ("-3", "m", None)],
)
def test_a_radius_counts_only_in_metres(radius: str, uom: str, accuracy: float | None) -> None:
    location = told(circle(radius, uom)).location

    assert (location.latitude, location.horizontal_accuracy) == (35.6812, accuracy)


def test_what_the_standard_writes_is_no_slip() -> None:
    assert told(point("35.6812 139.7671")).findings == ()


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        (point("35.6812 139.7671", srs="urn:ogc:def:crs:EPSG::30169"), "urn:ogc:def:crs:EPSG::30169 35.6812 139.7671"),
        (point("東京駅の前"), f"{SRS} 東京駅の前"),
        (point("35.6812"), f"{SRS} 35.6812"),
        (point("135.6812 139.7671"), f"{SRS} 135.6812 139.7671"),
        ("<gp:x>近くに橋</gp:x>", "近くに橋"),
    ],
)
def test_a_place_in_doubt_keeps_its_words_and_no_position_is_made_up(inside: str, words: str) -> None:
    report = told(inside)

    assert (report.location.known, report.location.reported) == (False, words)
    assert "pidf_malformed:$.presence" in report.findings


def test_an_address_without_a_position_is_shown_in_its_words() -> None:
    civic = 'xmlns="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"'
    report = told(f"<civicAddress {civic}><country>JP</country><A1>東京都</A1><A3>八丈町</A3></civicAddress>")

    assert report.location.reported == "JP 東京都 八丈町"


def test_degrees_that_are_no_numbers_are_kept_as_sent() -> None:
    point = "".join(
        f"<GeographicCoordinate{name}><{name}DegreeValue>{value}</{name}DegreeValue></GeographicCoordinate{name}>"
        for name, value in (("Latitude", "N35"), ("Longitude", "139.7"))
    )
    inside = f"<LocationTwoDimensionalGeographicCoordinate>{point}</LocationTwoDimensionalGeographicCoordinate>"
    document = f"<AutomatedCrashNotification><Crash/><Location>{inside}</Location></AutomatedCrashNotification>"

    assert report_of_veds(veds.read(document.encode())).report.location.reported == "N35,139.7"


def test_a_location_alone_is_a_report_of_where_somebody_is() -> None:
    report = told(point("35.6812 139.7671"), notification=False)

    assert report.location.latitude == 35.6812
    assert "no_crash_data:$" in report.findings


@pytest.mark.parametrize("name", ["veds_gml_location_wrapper.xml", "veds_pos3d_in_2d.xml"])
def test_the_field_s_slips_keep_their_position(name: str) -> None:
    if not (FIELD / name).is_file():
        pytest.skip("the field inputs are not beside this checkout")

    location = report_of_veds(veds.read((FIELD / name).read_bytes())).report.location

    assert (location.latitude, location.longitude) == (35.6812, 139.7671)


@given(
    st.text("0123456789.,- +eE\n日", max_size=40),
    st.sampled_from(["", SRS, "CRS84", "x"]),
    st.text("mft9001:", max_size=9),
)
def test_whatever_stands_there_gives_a_position_or_words_and_never_a_fault(pos: str, srs: str, uom: str) -> None:
    location = told(
        f'<gs:Circle srsName="{srs}"><gml:pos>{pos}</gml:pos><gs:radius uom="{uom}">{pos}</gs:radius></gs:Circle>'
    ).location

    assert not location.known or location.reported is None
