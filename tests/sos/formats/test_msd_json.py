"""An MSD as JSON: complete, with meaning beside raw values, and back from either."""

import json

import msgspec
import pytest
from msgspec import structs

from sos.errors import Malformed
from sos.formats import msd_json
from sos.formats.msd import UNKNOWN_MAS, AdditionalData, Msd
from tests.wire.formats.make import CAR, WITH_NCAP


def shown(message: Msd) -> dict:
    return json.loads(msgspec.json.encode(msd_json.shown(message, ())))


def taken(message: dict, **changes) -> Msd:
    return msd_json.taken(json.dumps(message | changes).encode())


def test_additional_data_has_a_meaning_only_where_it_is_known_and_null_where_it_cannot_be_read():
    assert shown(WITH_NCAP)["optionalAdditionalData"]["euroNcapTB040"]["locationOfImpact"] == "front"

    undecodable = structs.replace(CAR, additional=AdditionalData(b"\x08\x01", b"\x08"))
    assert shown(undecodable)["optionalAdditionalData"]["euroNcapTB040"] is None

    other = structs.replace(CAR, additional=AdditionalData(b"\x01\x04\x02", b"\x08"))
    assert shown(other)["optionalAdditionalData"] == {"relativeOid": "1.4.2", "data_hex": "08"}

    nameless = structs.replace(CAR, additional=AdditionalData(b"\x81", b"\x08"))
    assert shown(nameless)["optionalAdditionalData"] == {"relativeOid": None, "data_hex": "08"}


def test_a_message_can_be_made_from_meanings_alone():
    told = shown(WITH_NCAP)
    del told["optionalAdditionalData"]["data_hex"], told["positionLatitude_mas"], told["positionLongitude_mas"]
    del told["findings"], told["heading_deg"]

    assert taken(told) == WITH_NCAP


def test_a_message_needs_only_what_has_no_default():
    told = {"msdVersion": 2, "automaticActivation": False, "positionCanBeTrusted": False, "vehicleType": "m1"}
    told |= {"vin": "JTMZZ3TESTEC00001", "timestamp": 1767225600}

    message = taken(told)

    assert (message.message_identifier, message.direction, message.occupants) == (1, 255, None)
    assert (message.latitude_mas, message.longitude_mas) == (UNKNOWN_MAS, UNKNOWN_MAS)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"msdVersion": 4}, "$.msdVersion"),
        ({"vin": "secret"}, "$.vin"),
        ({"vehicleType": "secret"}, "$.vehicleType"),
        ({"timestamp": -1}, "$.timestamp"),
        ({"latitude_deg": 91}, "$.latitude_deg"),
        ({"recentVehicleLocationN1": {"latitudeDelta": 512, "longitudeDelta": 0}},
         "$.recentVehicleLocationN1.latitudeDelta"),
        ({"optionalAdditionalData": {"relativeOid": None, "data_hex": "00"}}, "$.optionalAdditionalData.relativeOid"),
        ({"optionalAdditionalData": {"relativeOid": "1.4.2"}}, "$.optionalAdditionalData.data_hex"),
        ({"optionalAdditionalData": {"relativeOid": "8.1", "data_hex": "0"}}, "$"),
    ],
)  # fmt: skip
def test_a_wrong_member_is_named_and_its_value_is_not(changes, field):
    with pytest.raises(Malformed) as refusal:
        taken(shown(CAR), **changes)

    assert refusal.value.field == field
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'"x"', b"[" * 5000])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(Malformed):
        msd_json.taken(content)
