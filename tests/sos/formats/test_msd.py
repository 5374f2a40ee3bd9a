"""eCall MSDs: read as an independent decoder reads them, judged for sense, rescued, and written back."""

import json
import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos.formats import msd, msd_json
from sos.formats.bits import LONGEST, MalformedBits
from sos.formats.mapping import report_of_msd
from sos.formats.msd import UNKNOWN_MAS, AdditionalData, Delta, Energy, Msd, VehicleType
from sos.formats.msd_salvage import salvage
from sos.incident import plausible
from sos.incident.driven import swapped
from tests.sos.formats.fuzz import beside_the_oracle, msd_alone
from tests.sos.formats.oracle import ABSENT, HERE, as_oracle, encoded, judged, spoiled, valid, vectors
from tests.sos.formats.strategies import msds

NOW = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
needs_samples = pytest.mark.skipif(not HERE, reason=ABSENT)

PLAIN = Msd(
    version=3,
    message_identifier=1,
    automatic_activation=True,
    test_call=False,
    position_can_be_trusted=True,
    vehicle_type=VehicleType.M1,
    vin="JTMZZ3TESTEC00001",
    propulsion=(Energy.ELECTRIC,),
    timestamp=int(NOW.timestamp()),
    latitude_mas=128_452_450,
    longitude_mas=503_161_650,
    direction=45,
    recent_n1=Delta(0, 10),
    recent_n2=Delta(0, 30),
    occupants=2,
)


def changed(**fields) -> Msd:
    return msgspec.structs.replace(PLAIN, **fields)


def fault_of(octets: bytes) -> MalformedBits | None:
    try:
        msd.read(octets)
    except MalformedBits as fault:
        return fault
    return None


def found(message: Msd) -> tuple[str, ...]:
    """What the house finds odd about it when it comes now."""
    return plausible.judged(report_of_msd(message).report, at=NOW).findings


def codes(message: Msd) -> set[str]:
    return {finding.partition(":")[0] for finding in found(message)}


@needs_samples
@pytest.mark.parametrize("vector", [v for v in vectors() if "expect" in v], ids=lambda v: v["id"])
def test_a_published_message_is_read_with_every_value_it_should_have(vector):
    message = msd.read(bytes.fromhex(vector["hex"]))
    shown = json.loads(msgspec.json.encode(msd_json.shown(message, found(message))))

    assert {name: shown[name] for name in vector["expect"]} == vector["expect"]
    reported = {finding.partition(":")[0].replace("_", " ") for finding in shown["findings"]}
    assert set(vector.get("semantic_checks", ())) <= reported


REFUSALS = {
    "bad-empty": (0, "too short"),
    "bad-version-4": (0, "unsupported version"),
    "bad-truncated": (8, "length octet promises more than is there"),
    "bad-v2-as-v3": (91, "illegal VIN character"),
}


@needs_samples
@pytest.mark.parametrize("vector", [v for v in vectors() if "expect_error" in v], ids=lambda v: v["id"])
def test_a_malformed_message_is_refused_with_place_and_expectation(vector):
    with pytest.raises(MalformedBits) as refusal:
        msd.read(bytes.fromhex(vector["hex"]))

    bit, reason = REFUSALS[vector["id"]]
    assert reason in vector["expect_error"]
    assert str(refusal.value).startswith(f"bit {bit} (")
    assert reason in str(refusal.value)


@needs_samples
def test_a_hundred_thousand_spoiled_messages_are_read_exactly_as_an_independent_decoder_reads_them():
    outcomes = {beside_the_oracle(octets) for octets in spoiled(20260101, 100_000)}

    assert outcomes == {"accepted", "refused"}


@needs_samples
def test_whatever_is_read_or_rescued_can_be_written_shown_and_mapped():
    outcomes = {msd_alone(octets) for octets in spoiled(7, 30_000)}

    assert outcomes == {"accepted", "refused", "rescued"}


@needs_samples
def test_extensions_of_a_later_edition_are_stepped_over_as_the_independent_decoder_does():
    """Every extension bit of every sample set in turn, followed by random octets: mostly refused, always alike."""
    dice = random.Random(3)
    for octets in valid():
        start = 1 if octets[0] == 1 else 2
        for bit in range(8 * start, 8 * len(octets)):
            longer = bytearray(octets) + dice.randbytes(20)
            longer[bit // 8] ^= 0x80 >> bit % 8
            if octets[0] > 1:
                longer[1] = len(longer) - 2
            beside_the_oracle(bytes(longer))


@needs_samples
@given(msds())
@settings(deadline=None)
def test_what_we_write_is_what_the_independent_encoder_writes(message):
    assert msd.write(message) == encoded(message)


@given(msds())
@settings(deadline=None)
def test_reading_what_was_written_gives_the_same_message(message):
    assert msd.read(msd.write(message)) == message


@given(msds())
@settings(deadline=None)
def test_every_message_survives_being_json(message):
    shown = msd_json.shown(message, ())
    if shown.additional is not None and shown.additional.oid is None:
        return  # an identifier whose octets are malformed has no dotted form to come back from

    again = msd_json.taken(msgspec.json.encode(shown))

    assert as_oracle(again) | {"additional": None} == as_oracle(message) | {"additional": None}
    if message.additional is not None and again.additional is not None:
        assert again.additional.relative_oid == message.additional.relative_oid
        assert again.additional.data == message.additional.data


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_arbitrary_octets_give_a_message_or_the_one_documented_error(octets):
    fault = fault_of(octets)

    assert fault is None or (fault.bit >= 0 and fault.field.startswith("$."))
    assert fault is not None or msd.read(octets)
    salvage(octets)


@given(msds(), st.data())
@settings(deadline=None)
def test_no_error_says_what_was_sent(message, data):
    octets = bytearray(msd.write(message))
    del octets[data.draw(st.integers(1, len(octets))) :]
    fault = fault_of(bytes(octets))

    assert fault is None or message.vin not in str(fault)


def test_more_octets_than_a_length_can_announce_are_refused():
    with pytest.raises(MalformedBits, match="too long"):
        msd.read(b"\x02" + bytes(LONGEST))
    with pytest.raises(MalformedBits, match="fragments"):
        msd.read(b"\x02\xc1" + bytes(16))


def test_a_length_in_two_octets_is_read():
    long = changed(additional=AdditionalData(b"\x08\x02", bytes(140)))

    assert msd.write(long)[1] == 0x80
    assert msd.read(msd.write(long)) == long


def test_octets_behind_the_end_are_reported_inside_and_outside_the_frame():
    octets = msd.write(PLAIN)
    inside = bytes((3, octets[1] + 1)) + octets[2:] + b"\0"

    assert msd.read(octets + b"\0").findings == ("trailing_octets:$",)
    assert msd.read(inside).findings == ("trailing_octets:$.msd",)
    assert msd.read(inside + b"\0").findings == ("trailing_octets:$.msd", "trailing_octets:$")


def test_padding_that_is_not_zero_is_reported():
    octets = bytearray(msd.write(PLAIN))
    octets[-1] |= 1

    assert msd.read(bytes(octets)).findings == ("padding_not_zero:$",)


def test_a_vehicle_type_of_a_later_edition_is_unknown_and_survives_writing():
    octets = msd.write(changed(vehicle_type=None))

    read = msd.read(octets)
    assert (read.vehicle_type, read.findings) == (None, ("vehicle_type_unknown:$.vehicleType",))
    assert msd.write(read) == octets


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"latitude_mas": UNKNOWN_MAS, "longitude_mas": UNKNOWN_MAS}, "location_unknown"),
        ({"latitude_mas": 0, "longitude_mas": 0}, "location_unknown"),
        ({"latitude_mas": 400_000_000}, "position_impossible"),
        ({"latitude_mas": 1000, "longitude_mas": 1000}, "position_impossible"),
        ({"latitude_mas": 503_161_650, "longitude_mas": 128_452_450}, "location_swapped"),
        ({"latitude_mas": 18_859_320, "longitude_mas": 187_996_428}, "location_swapped"),
        ({"direction": 200}, "direction_impossible"),
        ({"occupants": 255}, "occupants_unknown"),
        ({"vin": "0" * 17}, "vehicle_placeholder"),
        ({"timestamp": 0}, "clock_unset"),
        ({"timestamp": 3600}, "event_time_impossible"),
        ({"timestamp": int((NOW + timedelta(hours=1)).timestamp())}, "event_time_impossible"),
        ({"additional": AdditionalData(b"\x88", b"")}, "oid_malformed"),
        ({"additional": AdditionalData(b"\x01\x02\x7d", b"x")}, "additional_data_unknown"),
        ({"additional": AdditionalData(b"\x08\x01", b"\x08\x32")}, "additional_data_undecodable"),
    ],
)
def test_what_is_legal_and_makes_no_sense_is_a_finding(fields, code):
    assert codes(changed(**fields)) == {code}


def test_a_sound_message_has_no_findings_and_era_glonass_data_is_known_to_be_raw():
    assert codes(PLAIN) == set()
    assert codes(changed(additional=AdditionalData(b"\x01\x04\x02", b"\x00\xff"))) == set()


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        (35.68, 139.77),  # Tokyo
        (-1.29, 36.82),  # Nairobi
        (9.03, 38.74),  # Addis Abeba
        (2.04, 45.34),  # Mogadishu
        (64.14, -21.94),  # Reykjavik
        (-33.87, 151.21),  # Sydney
        (14.69, -17.45),  # Dakar
        (-22.91, -43.17),  # Rio de Janeiro
        (1.35, 103.82),  # Singapore
        (24.45, 54.38),  # Abu Dhabi
        (21.31, -157.86),  # Honolulu
    ],
)
def test_no_city_is_taken_for_an_exchanged_position(latitude, longitude):
    assert not swapped(latitude, longitude)


def test_undecodable_additional_data_never_costs_the_base_data():
    message = changed(additional=AdditionalData(b"\x08\x01", b"\x08"))
    octets = msd.write(message)

    assert msd.read(octets) == message
    for end in range(len(octets) - 4, len(octets)):
        with pytest.raises(MalformedBits):
            msd.read(octets[:end])
        rescued = salvage(octets[:end])
        assert rescued is not None
        assert rescued == msgspec.structs.replace(message, additional=None, findings=("cut_off:$",))


@needs_samples
def test_a_body_labelled_with_the_wrong_version_is_recognised():
    mislabelled = next(bytes.fromhex(v["hex"]) for v in vectors() if v["id"] == "bad-v2-as-v3")

    rescued = salvage(mislabelled)

    assert rescued is not None
    assert (rescued.version, rescued.vin) == (2, "ECALLEXAMPLE02013")
    assert rescued.findings == ("version_mislabelled:$.version",)


def test_a_vin_that_is_none_does_not_cost_the_rest():
    octets = bytearray(msd.write(PLAIN))
    start = 16 + 16 + 5
    for bit in range(start, start + 6):
        octets[bit // 8] |= 0x80 >> bit % 8

    with pytest.raises(MalformedBits) as refusal:
        msd.read(bytes(octets))
    rescued = salvage(bytes(octets))

    assert refusal.value.bit == start
    assert rescued == changed(vin="0" * 17, findings=("vin_illegal:$.vin",))
    assert salvage(bytes(octets[:-1])) is None
    assert salvage(bytes(octets) + b"x") is None


def test_nothing_is_rescued_from_noise():
    dice = random.Random(11)
    noise = [bytes((dice.randrange(256),)) + dice.randbytes(dice.randrange(60)) for _ in range(20_000)]

    assert [octets for octets in noise if salvage(octets) is not None] == []


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"version": 4}, "version"),
        ({"version": 2, "vehicle_type": VehicleType.O}, "vehicleType"),
        ({"version": 1, "propulsion": (Energy.OTHER,)}, "vehiclePropulsionStorageType"),
        ({"recent_n1": None}, "recentVehicleLocationN1"),
        ({"recent_n2": Delta(512, 0)}, "recentVehicleLocationN2"),
        ({"vin": "JTMZZ3TESTEC0000I"}, "vin"),
        ({"vin": "short"}, "vin"),
        ({"occupants": 256}, "numberOfOccupants"),
        ({"timestamp": -1}, "timestamp"),
        ({"latitude_mas": 2**31}, "positionLatitude"),
        ({"additional": AdditionalData(b"\x08\x01", bytes(LONGEST + 1))}, "data"),
        ({"additional": AdditionalData(b"\x08\x01", bytes(LONGEST))}, "length"),
    ],
)
def test_a_value_without_a_place_in_the_edition_is_not_written(fields, name):
    with pytest.raises(MalformedBits) as refusal:
        msd.write(changed(**fields))

    assert refusal.value.field == f"$.{name}"


def test_an_object_identifier_has_one_dotted_form():
    for dotted in ("8.1", "1.2.125", "1.4.2", "0", "16383.128.127"):
        assert AdditionalData(msd.relative_oid(dotted), b"").relative_oid == dotted
    for wrong in ("", "8.", ".1", "8.x", "8.-1", "８.1"):
        with pytest.raises(MalformedBits):
            msd.relative_oid(wrong)


@needs_samples
def test_the_oracle_reads_all_valid_samples():
    assert all(judged(octets) is not None for octets in valid())
    assert json.dumps(as_oracle(msd.read(valid()[3])), default=str)
