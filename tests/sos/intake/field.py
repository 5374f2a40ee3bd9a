"""Reports as the field sends them: the same three emergencies in each format, in many wrappings."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sos.formats import msd, veds
from sos.vehicle.report import Car, crash

FIELD = Path(__file__).resolve().parents[4] / "shared" / "data" / "field"
"""Inputs made after public reports; read in place, never copied."""

NOW = datetime(2026, 11, 30, 7, 0, 4, tzinfo=UTC)
PLACE = (35.681236, 139.767125)
VIN = "JTMZZ3TESTEC00001"

PIDF_LO = b"""<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"
 xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:gml="http://www.opengis.net/gml" entity="pres:car@example.com">
<dm:device id="d"><gp:geopriv><gp:location-info><gml:Point srsName="urn:ogc:def:crs:EPSG::4326">
<gml:pos>35.681236 139.767125</gml:pos></gml:Point></gp:location-info><gp:usage-rules/></gp:geopriv>
<dm:timestamp>2026-11-30T07:00:00Z</dm:timestamp></dm:device></presence>"""


def sample(name: str) -> bytes:
    """One input of the field; the test is skipped, saying so, where they are not."""
    file = FIELD / name
    if not file.is_file():
        pytest.skip(f"the field inputs are not beside this checkout: {name}")
    return file.read_bytes()


def as_json(*, vehicle: str = VIN, id: str = "try-1", ascii_only: bool = False) -> bytes:
    car = Car(vin=vehicle, latitude=PLACE[0], longitude=PLACE[1])
    event: dict[str, Any] = json.loads(crash(car, at=NOW, seed=1).body) | {"id": id}
    return json.dumps(event, ensure_ascii=ascii_only).encode()


def as_msd(*, vehicle: str = "WM9VDSVDSYA123456", located: bool = True) -> bytes:
    return msd.write(
        msd.Msd(
            version=2,
            message_identifier=1,
            automatic_activation=True,
            test_call=False,
            position_can_be_trusted=True,
            vehicle_type=msd.VehicleType.M1,
            vin=vehicle,
            propulsion=(msd.Energy.GASOLINE,),
            timestamp=int(NOW.timestamp()) - 3,
            latitude_mas=round(PLACE[0] * 3_600_000) if located else 0x7FFFFFFF,
            longitude_mas=round(PLACE[1] * 3_600_000) if located else 0x7FFFFFFF,
            direction=45,
        )
    )


def as_veds(*, vehicle: str = VIN, located: bool = True, colour: str = "白") -> bytes:
    return veds.write(
        veds.Veds(
            crash_id=f"CR-{vehicle}",
            happened_at=NOW,
            latitude=PLACE[0] if located else None,
            longitude=PLACE[1] if located else None,
            vehicle=veds.CrashVehicle(vin=vehicle, colour=colour),
        )
    )


def in_parts(*parts: tuple[str, bytes], line: bytes = b"\r\n", preamble: bytes = b"", encoding: str = "") -> bytes:
    """A ``multipart/mixed`` body with ``cid:`` names."""
    made = preamble
    for number, (media_type, octets) in enumerate(parts):
        fields = [b"--part-7", f"Content-Type: {media_type}".encode(), b"Content-ID: <%d@car.example>" % number]
        if encoding:
            fields.append(f"Content-Transfer-Encoding: {encoding}".encode())
        made += line.join((*fields, b"", b"")) + octets + line
    return made + b"--part-7--" + line


def _shift_jis(document: bytes) -> bytes:
    return document.decode().replace("UTF-8", "Shift_JIS").encode("cp932")


def _utf16_xml(document: bytes) -> bytes:
    return document.decode().replace("UTF-8", "UTF-16").encode("utf-16")


TEXT_WRAPPINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "as it is": lambda text: text,
    "with a mark": lambda text: b"\xef\xbb\xbf" + text,
    "UTF-16 with a mark": lambda text: text.decode().encode("utf-16"),
    "UTF-16BE without": lambda text: text.decode().encode("utf-16-be"),
    "UTF-16LE without": lambda text: text.decode().encode("utf-16-le"),
    "UTF-32": lambda text: text.decode().encode("utf-32"),
    "NULs behind": lambda text: text + bytes(64),
    "lines around": lambda text: b"\r\n \n" + text + b"\r\n\r\n\x1a",
    "UTF-16 and NULs": lambda text: text.decode().encode("utf-16") + bytes(8),
}
XML_WRAPPINGS: Mapping[str, Callable[[bytes], bytes]] = TEXT_WRAPPINGS | {
    "Shift_JIS": _shift_jis,
    "UTF-16 as declared": _utf16_xml,
    "EUC-JP": lambda text: text.decode().replace("UTF-8", "EUC-JP").encode("euc-jp"),
}
OCTET_WRAPPINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "as it is": lambda octets: octets,
    "hexadecimal": lambda octets: octets.hex().encode(),
    "hexadecimal in capitals and lines": lambda octets: b"0x" + octets.hex(" ").upper().encode() + b"\r\n",
}
TYPES = (
    "application/cloudevents+json",
    "application/json; charset=utf-8",
    "application/EmergencyCallData.eCall.MSD",
    "application/EmergencyCallData.VEDS+xml",
    "application/xml",
    "text/xml; charset=shift_jis",
    "text/plain",
    "application/octet-stream",
    "",
)
"""What a body may call itself."""

FORMATS: Mapping[str, tuple[bytes, Mapping[str, Callable[[bytes], bytes]]]] = {
    "json": (as_json(), TEXT_WRAPPINGS),
    "json in ASCII": (as_json(ascii_only=True), TEXT_WRAPPINGS),
    "msd": (as_msd(), OCTET_WRAPPINGS),
    "veds": (as_veds(), XML_WRAPPINGS),
}
PARTS: Mapping[str, bytes] = {
    "veds and place": in_parts(
        ("application/EmergencyCallData.VEDS+xml", as_veds(located=False)), ("application/pidf+xml", PIDF_LO)
    ),
    "place first, no line ends of the standard": in_parts(
        ("application/pidf+xml", PIDF_LO),
        ("application/EmergencyCallData.VEDS+xml", as_veds(located=False)),
        line=b"\n",
    ),
    "msd without a fix and place": in_parts(
        ("application/sdp", b"v=0\r\n"),
        ("application/EmergencyCallData.eCall.MSD", as_msd(located=False)),
        ("application/pidf+xml", PIDF_LO),
    ),
    "msd renamed by a gateway": in_parts(("application/octet-stream", as_msd()), ("application/sdp", b"v=0\r\n")),
    "json": in_parts(("application/json", as_json())),
    "a preamble": in_parts(("application/json", as_json()), preamble=b"This is a message in parts.\r\n\r\n"),
    "place alone": in_parts(("application/pidf+xml", PIDF_LO)),
}
LOCATED = (
    *("placeholder_vin_carA.json", "callback_with_separators.json", "ce_data_base64.json", "moved_1_first_fix.json"),
    *("fix_time_gps_week_rollover.json", "fix_time_jst_written_as_z.json"),
    *("veds_gml_location_wrapper.xml", "veds_pos3d_in_2d.xml"),
)
"""Inputs of the field that are one car each, at ``PLACE``."""
