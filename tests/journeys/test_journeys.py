"""Whole stories as data: replayed they end as they say, here as in the console."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from sos.clock import parse_timestamp
from sos.errors import Refused
from sos.incident.events import KINDS, OF_NO_INCIDENT
from sos.incident.lifecycle import evolve
from sos.incident.model import Incident, IncidentId, TenantId
from tests.journeys import seeded
from tests.journeys.make import expected, journeys

HERE = Path(__file__).resolve().parent
FILES = sorted(HERE.glob("*.json"))


def _replayed(journey: dict[str, Any]) -> Incident:
    incident = Incident(id=IncidentId("incident"), tenant=TenantId("demo"))
    for number, happened in enumerate(journey["events"], 1):
        assert happened["n"] == number
        event = msgspec.convert(happened["data"], KINDS[happened["kind"]])
        incident = evolve(incident, event, at=parse_timestamp(happened["at"]))
    return incident


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_journey_ends_as_it_says(file: Path):
    journey = msgspec.json.decode(file.read_bytes())

    incident = _replayed(journey)

    expected = msgspec.convert({"id": incident.id, "tenant": "demo", **journey["expect"]}, Incident)
    assert journey["expect"]
    assert {name: getattr(incident, name) for name in journey["expect"]} == {
        name: getattr(expected, name) for name in journey["expect"]
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_events_of_a_journey_stand_in_no_other_order(file: Path):
    journey = msgspec.json.decode(file.read_bytes())
    first, *rest = journey["events"]
    opening_late = [{**happened, "n": n} for n, happened in enumerate((*rest, first), 1)]

    with pytest.raises(Refused):
        _replayed({**journey, "events": opening_late})


def test_seeded_stories_are_what_they_say_and_tell_of_nearly_every_kind_of_event():
    told: set[str] = set()
    for seed in range(120):
        chapters = msgspec.json.decode(msgspec.json.encode(seeded.story(seed)))["chapters"]
        events = [happened for chapter in chapters for happened in chapter["events"]]
        incident = _replayed({"events": events})
        again = msgspec.json.decode(msgspec.json.encode(expected(incident)))
        assert again == chapters[-1]["expect"], seed
        told |= {happened["kind"] for happened in events}

    of_incidents = {name for name, kind in KINDS.items() if kind not in OF_NO_INCIDENT}
    assert len(told) > 0.85 * len(of_incidents), of_incidents - told


def test_the_script_makes_the_same_journeys_again():
    made = journeys()

    assert {name: (HERE / name).read_bytes() for name in made} == made
    assert len(made) >= 6


def test_the_journeys_together_tell_of_every_kind_of_event():
    told = {h["kind"] for file in FILES for h in msgspec.json.decode(file.read_bytes())["events"]}

    of_incidents = {name for name, kind in KINDS.items() if kind not in OF_NO_INCIDENT}
    assert of_incidents - told <= {"ExportMade"}
