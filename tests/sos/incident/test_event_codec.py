"""Events as bytes: what was once in a journal is read for ever, and nothing else is."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos.errors import Malformed
from sos.incident.codec import UPCASTERS, read_header, write_header
from sos.incident.events import KINDS, VERSIONS, Event
from sos.incident.report import CallBack, Crash, EmergencyReport, Fix, Location, Place, Vehicle
from tests.wire.events.make import samples

SAMPLES = Path(__file__).resolve().parents[2] / "wire" / "events"
FILES = sorted(SAMPLES.glob("*.json"))


def _sample(kind: str) -> bytes:
    return (SAMPLES / f"{kind}-{VERSIONS[kind]}.json").read_bytes()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_stored_sample_is_read_and_written_back_byte_for_byte(file: Path):
    header = file.read_bytes()

    recorded = read_header(header)

    kind, _, version = file.stem.rpartition("-")
    assert type(recorded.event) is KINDS[kind]
    assert recorded.position is None
    if int(version) == VERSIONS[kind]:
        assert write_header(recorded) == header


def test_every_version_of_every_kind_has_a_stored_sample_and_a_way_up():
    stored = {file.stem for file in FILES}

    assert {f"{kind}-{v}" for kind, newest in VERSIONS.items() for v in range(1, newest + 1)} == stored
    assert set(UPCASTERS) == {(kind, v) for kind, newest in VERSIONS.items() for v in range(1, newest)}


def test_the_script_makes_the_same_samples_again():
    made = samples()

    assert {name: (SAMPLES / name).read_bytes() for name in made} == made
    assert set(made) == {f"{kind}-{VERSIONS[kind]}.json" for kind in KINDS}


def test_no_header_has_a_field_for_personal_data():
    personal = set()
    for part in (Location, Fix, Vehicle, Crash, CallBack, Place, EmergencyReport):
        for field in msgspec.structs.fields(part):
            personal |= {field.name, field.encode_name}
    personal -= {"findings", "sequence", "category", "timestamp", "source", "kind", "kind_because"}  # codes and numbers

    for kind in KINDS.values():
        assert not personal & {field.name for field in msgspec.structs.fields(kind)}, kind


def test_no_header_field_can_hold_bytes_or_a_fraction():
    for kind in KINDS.values():
        for field in msgspec.inspect.type_info(kind).fields:
            assert not isinstance(field.type, msgspec.inspect.BytesType | msgspec.inspect.FloatType), (kind, field)


def test_what_an_event_holds_by_default_is_not_written():
    for kind in KINDS.values():
        assert issubclass(kind, Event)
        assert kind.__struct_config__.omit_defaults, kind
        assert kind.__struct_config__.frozen, kind


@given(data=st.binary(max_size=300))
def test_any_bytes_at_all_are_malformed_or_an_event(data: bytes):
    with pytest.raises(Malformed):
        read_header(data)


@given(kind=st.sampled_from(sorted(KINDS)), at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_header_with_one_byte_changed_is_read_or_malformed_and_nothing_else(kind: str, at: int, byte: int):
    header = bytearray(_sample(kind))
    header[at % len(header)] = byte

    try:
        recorded = read_header(bytes(header))
    except Malformed:
        return

    assert type(recorded.event) in KINDS.values()


@given(kind=st.sampled_from(sorted(KINDS)), cut=st.integers(0, 10_000))
def test_a_header_cut_short_is_malformed(kind: str, cut: int):
    header = _sample(kind)

    with pytest.raises(Malformed):
        read_header(header[: cut % len(header)])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    kind=st.sampled_from(sorted(KINDS)), name=st.sampled_from(("kind", "v", "data", "at", "n", "commit")), value=_JSON
)
def test_a_header_with_a_field_of_any_other_shape_is_read_or_malformed(kind: str, name: str, value: object):
    header = msgspec.json.decode(_sample(kind))
    header[name] = value

    try:
        recorded = read_header(msgspec.json.encode(header))
    except Malformed:
        return

    assert type(recorded.event).__name__ == header["kind"]


def test_a_header_from_the_future_is_malformed_and_not_misread():
    header = msgspec.json.decode(_sample("NoteAdded"))
    header["v"] = VERSIONS["NoteAdded"] + 1

    with pytest.raises(Malformed):
        read_header(msgspec.json.encode(header))
