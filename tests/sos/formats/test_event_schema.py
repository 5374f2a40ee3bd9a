"""The published schema of events says exactly what the strict decoder takes."""

import json
import random
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec

from sos.formats.event_schema import DESCRIPTIONS, DIALECT, event_schema
from sos.intake.cloudevents import WireEvent

ID = "https://sos.example.com/v1/schemas/event.json"
WIRE = Path(__file__).resolve().parents[2] / "wire"
SCHEMA = event_schema(WireEvent, id=ID)
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA, validate_formats=True)


def taken(event: Any) -> bool:
    try:
        msgspec.json.decode(json.dumps(event), type=WireEvent)
    except msgspec.ValidationError:
        return False
    return True


def test_the_schema_names_its_dialect_and_its_shapes_without_their_prefix():
    assert (SCHEMA["$schema"], SCHEMA["$id"], SCHEMA["$ref"]) == (DIALECT, ID, "#/$defs/Event")
    assert not [name for name in SCHEMA["$defs"] if name.startswith("Wire")]
    assert "Wire" not in json.dumps(SCHEMA)


def test_every_description_is_of_a_member_that_exists():
    published = {f"{name}.{member}" for name, shape in SCHEMA["$defs"].items() for member in shape["properties"]}

    assert set(DESCRIPTIONS) - published == set()
    assert SCHEMA["$defs"]["Location"]["properties"]["latitude"]["description"] == "Degrees, WGS-84."


def test_the_samples_that_have_no_findings_are_valid_and_the_damaged_ones_are_not():
    valid = ("crash.json", "manual.json", "test_call.json")

    assert [name for name in valid if not VALIDATOR.is_valid(json.loads((WIRE / name).read_bytes()))] == []
    for name in ("everything_quoted.json", "no_envelope.json"):
        assert not VALIDATOR.is_valid(json.loads((WIRE / name).read_bytes()))


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path into ``node``."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, child in inside for place in places(child, (*path, key)))]


def test_whatever_the_schema_allows_the_decoder_takes_and_the_other_way_round():
    """One member of the complete event replaced, removed or added at a time, in every way."""
    dice = random.Random(5)
    crash = json.loads((WIRE / "crash.json").read_bytes())
    numbers = (0, -1, 13, 256, 400, 2**31, 1.5)
    oddities = (None, True, False, *numbers, "", "x", "automatic", [], {}, [None], "2026-01-01T09:00:00Z")
    for path in places(crash)[1:]:
        for oddity in (*oddities, "remove", "add"):
            event = json.loads(json.dumps(crash))
            *parents, last = path
            node = event
            for key in parents:
                node = node[key]
            if oddity == "remove":
                del node[last]
            elif oddity == "add" and isinstance(node, dict):
                node[f"more{dice.randrange(9)}"] = 1
            else:
                node[last] = oddity
            assert VALIDATOR.is_valid(event) == taken(event), (path, oddity)
