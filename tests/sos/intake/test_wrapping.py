"""What is recognisably an emergency is read, whatever its wrapping and its label say."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos.errors import Malformed
from sos.formats import msd, veds
from sos.incident.commands import OpenIncident
from sos.incident.report import EmergencyReport
from sos.intake.formats import read_report, recognise
from sos.intake.wrapping import Kind, kind, parts, unwrapped
from tests.sos.intake import field
from tests.sos.intake.test_acceptance import House

WRAPPED = [
    (name, wrapping, content_type)
    for name, (_, wrappings) in field.FORMATS.items()
    for wrapping in wrappings
    for content_type in field.TYPES
]


async def opened(body: bytes, content_type: str) -> tuple[OpenIncident, EmergencyReport]:
    """What came of one report in a house of its own, as the door took it and as the filer reads it later."""
    house = House()
    accepted = await house.take(body, content_type)
    (came,) = house.reception.opened
    command = came.command
    assert accepted.new
    assert command.report == body  # as it was received
    return command, read_report(body, command.format, at=field.NOW)


@pytest.mark.parametrize(("name", "wrapping", "content_type"), WRAPPED)
async def test_every_format_is_read_in_every_wrapping_under_every_label(
    name: str, wrapping: str, content_type: str
) -> None:
    report, wrappings = field.FORMATS[name]

    command, told = await opened(wrappings[wrapping](report), content_type)

    assert command.readable
    assert (told.location.latitude, told.location.longitude) == pytest.approx(field.PLACE, abs=1e-6)
    assert told.vehicle.id_value in (field.VIN, "WM9VDSVDSYA123456")
    if name == "veds":
        assert told.vehicle.exterior_color == "白"


@pytest.mark.parametrize("content_type", ["multipart/mixed; boundary=part-7", "multipart/related", "text/plain"])
@pytest.mark.parametrize("name", [name for name in field.PARTS if name != "a preamble"])
async def test_a_body_in_parts_gives_one_report_with_the_place_beside_it(name: str, content_type: str) -> None:
    command, told = await opened(field.PARTS[name], content_type)

    assert command.readable == (name != "place alone")
    assert (told.location.latitude, told.location.longitude) == pytest.approx(field.PLACE, abs=1e-6)


async def test_a_preamble_before_the_parts_is_stepped_over() -> None:
    command, _ = await opened(field.PARTS["a preamble"], "multipart/mixed; boundary=part-7")

    assert command.readable


def test_octets_in_a_part_keep_their_line_ends() -> None:
    octets = bytes(range(256)) * 2

    (part,) = parts(field.in_parts(("application/octet-stream", octets)))

    assert part.octets == octets


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_parts_are_read_in_their_transfer_encoding(encoding: str) -> None:
    written = b64encode(b"a=b") if encoding == "base64" else b"a=3Db"

    (part,) = parts(field.in_parts(("text/plain", written), encoding=encoding))

    assert part.octets == b"a=b"


def test_parts_within_parts_are_found_and_never_without_end() -> None:
    inner = field.in_parts(("application/json", b"{}"))
    outer = b"--outer\r\nContent-Type: multipart/mixed\r\n\r\n" + inner + b"\r\n--outer--\r\n"

    assert [part.octets for part in parts(outer)] == [b"{}"]
    assert len(parts(b"--a\n\nx\n" * 5000)) <= 16


async def test_the_finding_says_that_the_label_was_wrong_and_a_missing_one_over_mqtt_is_no_fault() -> None:
    wrong, _ = await opened(field.as_veds(), "text/xml")
    missing = recognise(field.as_veds(), "")
    right = recognise(field.as_json(), "application/json")

    assert "content_type:$" in wrong.findings
    assert (missing.findings, right.findings) == ((), ())


@pytest.mark.parametrize("content_type", ["text/xml", "application/xml", "text/plain", "text/html"])
async def test_what_is_no_emergency_is_still_turned_away(content_type: str) -> None:
    for body in (b"<html/>", b"hello", b'{"order":1}', b"--x\r\n\r\nhello\r\n--x--", b"\0\0\0"):
        with pytest.raises(Malformed):
            await House().take(body, content_type)


@pytest.mark.parametrize("name", ["json_trailing_nul.bin", "mqtt_json_bom.bin"])
async def test_the_field_s_padded_and_marked_reports_are_read(name: str) -> None:
    command, told = await opened(field.sample(name), "application/json")

    assert command.readable
    assert told.location.latitude == pytest.approx(35.681236)


@given(st.binary(max_size=300))
def test_octets_that_are_no_text_are_left_as_they_are(body: bytes) -> None:
    content = unwrapped(body)

    assert kind(content.octets) is not Kind.OCTETS or content.octets in (body, body.lstrip())
    assert isinstance(parts(body), tuple)
    for media_type in (msd.MEDIA_TYPE, veds.MEDIA_TYPE, "multipart/mixed", "application/json"):
        read_report(body, media_type, at=field.NOW)
