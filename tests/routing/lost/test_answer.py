"""What the LoST server says: for every form of question, every shape, and every way to ask wrongly."""

import random
from copy import deepcopy
from datetime import timedelta

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

from routing.errors import Malformed, Misconfigured
from routing.lost.codec import read_answer, read_request, write_answer, write_request
from routing.lost.messages import (
    Boundary,
    BoundaryReference,
    Errors,
    Fault,
    FindService,
    FindServiceResponse,
    GetServiceBoundary,
    GetServiceBoundaryResponse,
    ListServices,
    ListServicesByLocation,
    ListServicesByLocationResponse,
    ListServicesResponse,
    Location,
    Redirect,
    Warn,
)
from routing.lost.server import Ask, Peer, answer, unreadable
from routing.plan.routes import Crossings
from routing.position.gml import Civic
from routing.position.shapes import ArcBand, Circle, Ellipse, Point, Polygon, region
from tests.routing.lost.conftest import NOW, UPDATED, figure
from tests.routing.position.any_shape import shapes

SHINJUKU = Point(35.69, 139.70)
SHAPES = {
    "point": SHINJUKU,
    "circle": Circle(35.69, 139.70, 500.0),
    "ellipse": Ellipse(35.69, 139.70, 800.0, 200.0, 30.0),
    "arc band": ArcBand(35.69, 139.70, 200.0, 900.0, 300.0, 120.0),
    "polygon": Polygon(((35.68, 139.69), (35.68, 139.71), (35.70, 139.71), (35.70, 139.69), (35.68, 139.69))),
}
TOKYO = Civic((("country", "JP"), ("A1", "東京都"), ("HNO", "6")), "ja")


def find(value, *, service="urn:service:sos.police", profile=None, **more):
    profile = profile or ("civic" if isinstance(value, Civic) else "geodetic-2d")
    return FindService(locations=(Location("here", profile, value),), service=service, **more)


def over_the_wire(request, sources, schema=None, **more):
    """What a stranger gets for the bytes of ``request``; valid by the RFC's schema."""
    said = answer(read_request(write_request(request)), sources, now=NOW, **more)
    data = write_answer(said)
    if schema is not None:
        assert schema.validate(etree.fromstring(data)), schema.error_log
    assert read_answer(data) == said
    return said


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("boundary", ["value", "reference"])
def test_every_shape_finds_the_police_of_its_place(shape, boundary, sources, schema):
    said = over_the_wire(find(shape, boundary=boundary), sources, schema)

    (mapping,) = said.mappings
    assert mapping.source_id == "jp-13-police:JP-13:sos.police"
    assert mapping.number == "110"
    assert dict(mapping.names)["en"].startswith("Demo Tokyo")
    assert mapping.expires == NOW + timedelta(days=1)
    assert mapping.last_updated == UPDATED
    assert said.location_used == "here"
    assert said.path == ("lost.sos.example",)
    assert said.warnings == ()
    assert isinstance(mapping.boundary, Boundary if boundary == "value" else BoundaryReference)


def test_the_boundary_holds_the_place_and_is_the_same_by_key(sources, schema):
    by_value = over_the_wire(find(SHINJUKU, boundary="value"), sources, schema).mappings[0].boundary
    reference = over_the_wire(find(SHINJUKU), sources, schema).mappings[0].boundary
    fetched = over_the_wire(GetServiceBoundary(key=reference.key), sources, schema)

    assert isinstance(fetched, GetServiceBoundaryResponse)
    assert fetched.boundary == by_value
    assert any(region(polygon).covers(region(SHINJUKU)) for polygon in by_value.polygons)
    assert all(region(polygon).exterior.is_ccw for polygon in by_value.polygons)


@settings(max_examples=150)
@given(st.floats(24.2, 45.4), st.floats(123.5, 145.5))
@example(26.5, 128.0)  # rounding of longitudes once made two edges of this outline touch
def test_everywhere_in_a_boundary_the_answer_is_the_same(sources, latitude, longitude):
    first = answer(find(Point(latitude, longitude), boundary="value"), sources, now=NOW).mappings[0]
    if first.boundary is None:
        return  # at sea

    for polygon in first.boundary.polygons:
        there = region(polygon).representative_point()
        again = answer(find(Point(there.y, there.x), boundary="value"), sources, now=NOW).mappings[0]
        assert again.source_id == first.source_id


def test_an_unknown_or_changed_key_is_not_found(sources, schema):
    key = answer(find(SHINJUKU), sources, now=NOW).mappings[0].boundary.key
    for wrong in (
        "x",
        "civic.",
        "civic.JP-99",
        "JP-13.0.0",
        key[:-1] + ("0" if key[-1] != "0" else "1"),
        "a.1.1." + "0" * 16,
    ):
        said = over_the_wire(GetServiceBoundary(key=wrong), sources, schema)
        assert said.fault is Fault.NOT_FOUND


def test_a_shape_over_a_border_names_both_agencies_the_larger_share_first(sources, schema):
    on_the_tama = Circle(35.60, 139.63, 4_000.0)

    said = over_the_wire(find(on_the_tama, service="urn:service:sos.fire", boundary="value"), sources, schema)

    shares = [share.code for share in sources.layer.shares(35.60, 139.63, 4_000.0)]
    assert len(shares) > 1
    assert [mapping.source_id.split(":")[1] for mapping in said.mappings] == shares[:3]


@settings(max_examples=120)
@given(shapes)
def test_any_shape_anywhere_gets_somewhere(sources, schema, shape):
    said = over_the_wire(find(shape, service="urn:service:sos", boundary="value"), sources, schema)

    assert isinstance(said, FindServiceResponse)
    assert said.mappings


OFF_OMAEZAKI, PACIFIC, PARIS = Point(34.40, 138.20), Point(30.0, 135.0), Point(48.85, 2.35)


@pytest.mark.parametrize("point", [OFF_OMAEZAKI, PACIFIC, PARIS])
def test_off_every_boundary_a_default_is_named_with_a_warning_and_not_to_be_kept(point, sources, schema):
    said = over_the_wire(find(point, service="urn:service:sos"), sources, schema)

    assert [warning.kind for warning in said.warnings] == [Warn.DEFAULT]
    assert said.mappings[0].expires == "NO-CACHE"
    assert said.mappings[0].boundary is None
    assert said.mappings[0].number == "119"


def test_on_a_bridge_both_ends_answer_the_responsible_one_first_and_nothing_is_a_default(sources, schema):
    with_bridges = msgspec.structs.replace(sources, crossings=Crossings.load())
    akashi = find(Point(34.6170, 135.0217), service="urn:service:sos.fire")

    said = over_the_wire(akashi, with_bridges, schema)

    assert said.mappings[0].source_id == "jp-28-fire:28108:sos.fire"
    assert said.warnings == ()
    assert (said.mappings[0].expires, said.mappings[0].boundary) == ("NO-CACHE", None)
    assert over_the_wire(akashi, sources, schema).warnings[0].kind is Warn.DEFAULT


def test_at_sea_the_coast_guard_is_named_beside_the_land_service(sources, schema):
    help_at_sea = over_the_wire(find(PACIFIC, service="urn:service:sos"), sources, schema)

    assert [each.number for each in help_at_sea.mappings] == ["119", "118"]
    assert [each.number for each in over_the_wire(find(PACIFIC), sources, schema).mappings] == ["110"]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("urn:service:sos.ecall.automatic", "urn:service:sos"),
        ("urn:service:sos.mountain", "urn:service:sos"),
        ("urn:service:sos.police.traffic", "urn:service:sos.police"),
        ("URN:SERVICE:SOS.FIRE", None),
        ("urn:nena:service:responder.police", None),
    ],
)
def test_a_service_we_do_not_have_is_answered_by_the_one_above_it_with_a_warning(asked, answered, sources, schema):
    said = over_the_wire(find(SHINJUKU, service=asked), sources, schema)

    assert said.mappings[0].service == (answered or asked.lower())
    assert [warning.kind for warning in said.warnings] == ([Warn.SUBSTITUTION] if answered else [])


@pytest.mark.parametrize(
    "asked", ["urn:service:counseling", "urn:service:test.sos", "urn:service", "https://x.example"]
)
def test_a_service_of_another_kind_is_not_implemented(asked, sources, schema):
    assert over_the_wire(find(SHINJUKU, service=asked), sources, schema).fault is Fault.NOT_IMPLEMENTED


@pytest.mark.parametrize(
    ("address", "prefecture", "validation"),
    [
        (TOKYO, "JP-13", (("country", "A1"), (), ("HNO",))),
        (Civic((("country", "jp"), ("A1", "Tokyo"))), "JP-13", (("country", "A1"), (), ())),
        (Civic((("A1", "hokkaido"),)), "JP-01", (("A1",), (), ())),
        (Civic((("A1", "JP-27"), ("PC", "1"))), "JP-27", (("A1",), (), ("PC",))),
        (Civic((("country", "JP"), ("A1", "Atlantis"))), "default", (("country",), ("A1",), ())),
        (Civic((("country", "DE"), ("A1", "Bavaria"), ("A3", "Munich"))), "default", ((), ("country",), ("A1", "A3"))),
    ],
)
def test_an_address_is_found_by_its_areas_and_validated_when_asked(address, prefecture, validation, sources, schema):
    said = over_the_wire(find(address, validate=True, boundary="value"), sources, schema)

    assert said.mappings[0].source_id.split(":")[1] == prefecture
    assert msgspec.structs.astuple(said.validation) == validation
    assert bool(said.warnings) == (prefecture == "default")


def test_an_address_gets_its_boundary_as_an_address_by_value_and_by_key(sources, schema):
    by_value = over_the_wire(find(TOKYO, boundary="value"), sources, schema).mappings[0].boundary
    reference = over_the_wire(find(TOKYO), sources, schema).mappings[0].boundary
    fetched = over_the_wire(GetServiceBoundary(key=reference.key), sources, schema)

    assert by_value.civic.get("A1") == "東京都"
    assert fetched.boundary == by_value


def test_services_are_listed_from_the_top_and_below(sources, schema):
    below = ("urn:service:sos.ambulance", "urn:service:sos.fire", "urn:service:sos.marine", "urn:service:sos.police")

    assert over_the_wire(ListServices(), sources, schema).services == ("urn:service:sos",)
    assert over_the_wire(ListServices(service="urn:service:sos"), sources, schema).services == below
    assert over_the_wire(ListServices(service="urn:service:sos.fire"), sources, schema).services == ()
    assert over_the_wire(ListServices(service="urn:service:x"), sources, schema).fault is Fault.NOT_IMPLEMENTED
    here = ListServicesByLocation(locations=find(SHINJUKU).locations, service="urn:service:sos")
    said = over_the_wire(here, sources, schema)
    assert (said.services, said.location_used) == (below, "here")


def test_a_query_that_has_been_here_is_a_loop(sources, schema):
    been = ("resolver.example", "lost.sos.example")

    assert over_the_wire(find(SHINJUKU, path=been), sources, schema).fault is Fault.LOOP
    assert over_the_wire(ListServices(path=been), sources, schema).fault is Fault.LOOP


def test_the_path_of_an_answer_names_every_server_on_the_way(sources, schema):
    said = over_the_wire(find(SHINJUKU, path=("resolver.example",)), sources, schema)

    assert said.path == ("resolver.example", "lost.sos.example")


def test_a_stranger_learns_no_unlisted_line_and_a_partner_learns_them_all(sources, schema):
    assert over_the_wire(find(SHINJUKU), sources, schema).mappings[0].uris == ()
    told = over_the_wire(find(SHINJUKU), sources, schema, partner=True).mappings[0].uris
    assert told[0].startswith("tel:+8135550")


def test_a_listed_address_is_told_to_everybody(sources):
    directory = sources.directory
    police = directory.agencies["jp-13-police"]
    channels = {
        "voice": {"number": "+81355500199", "listed": True},
        "web": {"url": "https://desk.example/listed", "listed": True},
        "sip": {"uri": "sip:desk@tokyo.example"},
        "https": {"url": "https://desk.example/hook/secret"},
    }
    listed = msgspec.structs.replace(police, channels=channels)
    changed = type(directory)(
        tuple(listed if each.id == listed.id else each for each in directory.agencies.values()),
        name="x",
        digest="0" * 64,
        centres=tuple(directory.centres.values()),
    )
    said = answer(find(SHINJUKU), msgspec.structs.replace(sources, directory=changed), now=NOW)

    assert said.mappings[0].uris == ("tel:+81355500199", "https://desk.example/listed")
    partners = answer(find(SHINJUKU), msgspec.structs.replace(sources, directory=changed), now=NOW, partner=True)
    assert partners.mappings[0].uris == (*said.mappings[0].uris, "sip:desk@tokyo.example")


def with_peer(sources, *areas):
    peer = Peer(domain="lost.tokyo.example", url="http://127.0.0.1:9/lost", areas=areas)
    return msgspec.structs.replace(sources, peers=(peer,))


def test_a_place_of_another_server_is_redirected_or_asked_there_when_recursive(sources, schema):
    theirs = with_peer(sources, "JP-13")

    assert over_the_wire(find(SHINJUKU), theirs, schema) == Redirect(
        target="lost.tokyo.example", source="lost.sos.example", message="This server answers for the place."
    )
    ask = answer(find(SHINJUKU, recursive=True), theirs, now=NOW)
    assert isinstance(ask, Ask)
    assert ask.request.path == ("lost.sos.example",)
    assert ask.instead.mappings[0].source_id == "jp-13-police:JP-13:sos.police"


def test_a_server_that_has_been_asked_is_not_asked_again(sources):
    theirs = with_peer(sources, "JP-13")

    said = answer(find(SHINJUKU, recursive=True, path=("lost.tokyo.example",)), theirs, now=NOW)

    assert isinstance(said, FindServiceResponse)


def test_a_place_outside_our_coverage_may_be_somebody_elses(sources):
    ask = answer(find(Point(48.85, 2.35), recursive=True), with_peer(sources, "*"), now=NOW)

    assert isinstance(ask, Ask)
    assert ask.instead is None


def test_a_source_without_a_dot_stops_the_start(sources):
    with pytest.raises(Misconfigured, match="localhost"):
        msgspec.structs.replace(sources, source="localhost").__post_init__()


def test_call_and_incident_ids_are_repeated(sources, schema):
    call = b"<ids:callId>urn:emergency:uid:callid:x</ids:callId>"
    ids = b'<ids:Ids xmlns:ids="urn:emergency:xml:ns:lostExt:Ids">' + call + b"</ids:Ids>"
    said = over_the_wire(find(SHINJUKU, extensions=(ids,)), sources, schema)

    assert said.extensions == (ids,)


def question(location, *, attributes=""):
    return (
        f'<findService xmlns="urn:ietf:params:xml:ns:lost1" xmlns:gml="http://www.opengis.net/gml" '
        f'xmlns:gs="http://www.opengis.net/pidflo/1.0" {attributes}>{location}'
        "<service>urn:service:sos</service></findService>"
    ).encode()


def placed(shape, *, profile="geodetic-2d", id="a"):
    return f'<location id="{id}" profile="{profile}">{shape}</location>'


POINT = '<gml:Point srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>35.6 139.7</gml:pos></gml:Point>'


@pytest.mark.parametrize(
    "data",
    [
        question(""),
        question(placed("")),
        question(f'<location profile="geodetic-2d">{POINT}</location>'),
        question(placed(POINT, profile="two words")),
        question(placed(POINT) + placed(POINT)),
        question(placed(POINT), attributes='recursive="perhaps"'),
        question(placed(POINT), attributes='serviceBoundary="both"'),
        question(placed(POINT) + "<service>urn:service:sos</service>"),
        question(placed(POINT) + '<path><via source="not a name"/></path>'),
        question("".join(placed(POINT, id=f"a{n}") for n in range(9))),
        b'<getServiceBoundary xmlns="urn:ietf:params:xml:ns:lost1"/>',
        b'<findServiceResponse xmlns="urn:ietf:params:xml:ns:lost1"/>',
        b'<!DOCTYPE x [<!ENTITY e "x">]><listServices xmlns="urn:ietf:params:xml:ns:lost1">&e;</listServices>',
        b"not xml",
        b"",
    ],
)
def test_what_is_no_request_is_malformed_and_becomes_a_bad_request(data, schema):
    with pytest.raises(Malformed) as caught:
        read_request(data)

    said = unreadable("lost.sos.example", str(caught.value))
    assert schema.validate(etree.fromstring(write_answer(said)))


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
def test_both_encodings_of_the_rfc_are_read(encoding, sources):
    text = question(placed(POINT)).decode()
    data = f'<?xml version="1.0" encoding="{encoding}"?>{text}'.encode(encoding)

    assert isinstance(answer(read_request(data), sources, now=NOW), FindServiceResponse)


@pytest.mark.parametrize(
    ("location", "fault"),
    [
        (placed(POINT.replace("4326", "4301")), Fault.SRS_INVALID),
        (placed(POINT.replace("139.7", "139.7 40")), Fault.SRS_INVALID),
        (placed(POINT.replace("35.6", "95.6")), Fault.LOCATION_INVALID),
        (placed(POINT.replace("35.6", "thirty")), Fault.LOCATION_INVALID),
        (placed(POINT, profile="civic"), Fault.LOCATION_INVALID),
        (placed(POINT, profile="prism"), Fault.PROFILE_UNRECOGNIZED),
        (placed('<gs:Prism srsName="urn:ogc:def:crs:EPSG::4979"/>'), Fault.PROFILE_UNRECOGNIZED),
        (placed(POINT, profile="prism") + placed(POINT.replace("35.6", "95.6"), id="b"), Fault.LOCATION_INVALID),
    ],
)  # fmt: skip
def test_a_location_that_cannot_be_used_has_its_own_error(location, fault, sources, schema):
    said = answer(read_request(question(location)), sources, now=NOW)

    assert isinstance(said, Errors)
    assert said.fault is fault
    data = write_answer(said)
    assert read_answer(data) == said
    # The schema of the RFC forgot the one error that its section 13.1 names in its place.
    assert schema.validate(etree.fromstring(data)) == (fault is not Fault.SRS_INVALID)


def test_a_circle_round_the_pole_is_an_invalid_location(sources):
    assert answer(find(Circle(89.99, 0.0, 5_000.0)), sources, now=NOW).mappings  # its middle can be asked about
    assert answer(find(ArcBand(89.99, 0.0, 10.0, 5_000.0, 0.0, 90.0)), sources, now=NOW).fault is Fault.LOCATION_INVALID


def test_a_second_location_serves_when_the_first_cannot_be_used(sources):
    request = read_request(question(placed(POINT.replace("35.6", "95.6"), id="bad") + placed(POINT, id="good")))

    assert answer(request, sources, now=NOW).location_used == "good"


REQUESTS, ANSWERS = (1, 3, 5, 7, 9, 11, 13, 15), (2, 4, 6, 8, 12, 14, 16, 17, 18, 19)


@pytest.mark.parametrize("number", REQUESTS)
def test_the_requests_of_rfc_5222_are_read_and_answered(number, sources, schema):
    request = read_request(figure(number))
    said = answer(request, sources, now=NOW)

    assert schema.validate(etree.fromstring(write_request(request)))
    assert schema.validate(etree.fromstring(write_answer(said)))
    kinds = {9: Errors, 11: ListServicesResponse, 13: ListServicesByLocationResponse}
    assert isinstance(said, kinds.get(number, FindServiceResponse))


def test_figure_15_is_answered_for_the_location_whose_profile_we_know(sources):
    assert answer(read_request(figure(15)), sources, now=NOW).location_used == "DEF 345"


@pytest.mark.parametrize("number", ANSWERS)
def test_the_answers_of_rfc_5222_are_read_and_written_again(number, schema):
    said = read_answer(figure(number))
    again = write_answer(said)

    assert schema.validate(etree.fromstring(again))
    assert read_answer(again) == said


def test_figure_10_is_ill_formed_in_the_rfc_itself():
    with pytest.raises(Malformed, match="well-formed"):
        read_answer(figure(10))


@settings(max_examples=300)
@given(st.sampled_from(REQUESTS + ANSWERS), st.data())
def test_a_damaged_figure_is_answered_or_refused_and_nothing_else(sources, number, data):
    good = figure(number)
    at = data.draw(st.integers(0, len(good)))
    noise = data.draw(
        st.binary(max_size=6) | st.sampled_from([b"<", b'"', b"95.0", b"NaN", b"<path/>", b"&#0;", b"4979"])
    )
    damaged = good[:at] + noise + good[at + data.draw(st.integers(0, 8)) :]

    try:
        if number in REQUESTS:
            said = answer(read_request(damaged), sources, now=NOW)
            assert isinstance(said, Ask) or read_answer(write_answer(said)) == said
        else:
            read_answer(damaged)
    except Malformed:
        return


VALUES = (
    *("NaN", "INF", "-0", "1e308", "91", "-181", "361", ".5", "5.", "1 2", "1 2 3", "", "&", "あ", "a b", "x" * 300),
    *("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-01-01T24:00:00Z", "NO-CACHE", "true", "civic"),
    *("urn:ogc:def:crs:EPSG::4979", "urn:service:sos.police", "geodetic-2d", "lost.sos.example", "\u00a0"),
)


def changed(root, pick):
    """One thing changed somewhere: a value, a text, an attribute or an element gone, doubled or renamed."""
    elements = list(root.iter(etree.Element))
    element, value = pick.choice(elements), pick.choice(VALUES)
    parent = element.getparent()
    match pick.randrange(6):
        case 0 if element.attrib:
            element.set(pick.choice(list(element.attrib)), value)
        case 1:
            element.text = value
        case 2 if element.attrib:
            del element.attrib[pick.choice(list(element.attrib))]
        case 3 if parent is not None:
            parent.remove(element)
        case 4 if parent is not None:
            parent.insert(pick.randrange(3), deepcopy(pick.choice(elements)))
        case _:
            element.tag = pick.choice(elements).tag


@pytest.mark.parametrize("seed", range(20))
def test_a_well_formed_figure_with_anything_changed_is_answered_by_the_schema_or_malformed(seed, sources, schema):
    pick = random.Random(seed)
    for _ in range(100):
        root = etree.fromstring(figure(pick.choice(REQUESTS)))
        for _ in range(pick.randint(1, 4)):
            changed(root, pick)
        try:
            said = answer(read_request(etree.tostring(root)), sources, now=NOW)
        except Malformed:
            continue
        data = write_answer(said)
        assert read_answer(data) == said
        assert schema.validate(etree.fromstring(data)) or said.fault is Fault.SRS_INVALID, etree.tostring(root)
