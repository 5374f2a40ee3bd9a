"""Reading what a strict decoder refuses: what is far too large is left out, by name, and the emergency is read."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from sos.errors import Malformed
from sos.intake.cloudevents import decode, peek
from sos.intake.salvage import MOST_CONTAINERS, Findings, loads

CRASH = json.loads((Path(__file__).resolve().parents[2] / "wire" / "crash.json").read_bytes())
HUGE = [{"a": []}] * MOST_CONTAINERS


def sent(**data: Any) -> bytes:
    return json.dumps(CRASH | {"data": CRASH["data"] | data}).encode()


def containers(value: Any) -> int:
    """Objects and lists in ``value``."""
    if isinstance(value, dict):
        return 1 + sum(containers(each) for each in value.values())
    return 1 + sum(containers(each) for each in value) if isinstance(value, list) else 0


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        (json.dumps(CRASH | {"x": HUGE}).encode(), "too_large:$.x"),
        (sent(x=HUGE), "too_large:$.data.x"),
        (sent(crash=CRASH["data"]["crash"] | {"x": HUGE}), "too_large:$.data.crash"),
        (
            json.dumps(
                {k: v for k, v in CRASH.items() if k != "data"}
                | {"data_base64": base64.b64encode(json.dumps(CRASH["data"] | {"x": HUGE}).encode()).decode()}
            ).encode(),
            "too_large:$.data_base64.x",
        ),
    ],
)
def test_a_member_that_is_too_large_to_be_built_is_left_out_and_the_rest_is_read(body: bytes, finding: str) -> None:
    seen, report = peek(body), decode(body)

    assert seen.readable
    assert finding in seen.findings
    assert report.location.latitude == CRASH["data"]["location"]["latitude"]


@pytest.mark.parametrize("nest", ["[", '{"a":', '[{"a":'])
def test_an_emergency_nested_beyond_measure_opens_an_incident(nest: str) -> None:
    body = sent(x=0).replace(b'"x": 0', b'"x": ' + nest.encode() * 20_000)

    seen = peek(body)

    assert not seen.readable
    assert seen.findings == ("not_json:$",)


def test_nothing_larger_than_the_bound_is_ever_built() -> None:
    value = loads(json.dumps({str(k): [[]] * 400 for k in range(9)} | {"x": HUGE}).encode())

    assert containers(value) <= MOST_CONTAINERS
    with pytest.raises(ValueError, match="too many"):
        loads(json.dumps({str(k): [[]] * 400 for k in range(90)}).encode())
    with pytest.raises(ValueError, match="too many"):
        loads(json.dumps(HUGE).encode(), findings=Findings())


def test_a_huge_value_that_is_no_emergency_is_turned_away() -> None:
    with pytest.raises(Malformed):
        peek(json.dumps(HUGE).encode())
